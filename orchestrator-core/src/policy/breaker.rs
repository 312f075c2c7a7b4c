//! The circuit breaker: a provider that fails is left alone for a while, then asked once, then trusted again.
//!
//! `closed` → so many faults in a row, or half of at least twenty answers within thirty seconds → `open`, for a time that doubles
//! with each opening in a row and varies at random, so that many breakers do not come back together → `half open`, where exactly
//! one request holds the probe → two good answers → `closed`. What counts as a fault is for the caller to say; time and chance are
//! arguments.

use std::time::Duration;

use tokio::time::Instant;

use super::window::Window;

/// The share of faults that opens, of at least [`LEAST`] answers in a window.
const SHARE: f64 = 0.5;
/// Fewer answers say nothing about a share.
const LEAST: u32 = 20;
/// No breaker stays open for longer.
const LONGEST: Duration = Duration::from_mins(5);
/// By how much the time varies, up and down.
const JITTER: f64 = 0.2;
/// A probe that nobody gave back is void after this.
const PROBE_LIFE: Duration = Duration::from_secs(30);
/// Good answers that close a half-open breaker.
const GOOD: u32 = 2;

/// What operators choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Faults in a row that open, at least 1.
    pub threshold: u32,
    /// How long it stays open the first time.
    pub open: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { threshold: 5, open: Duration::from_mins(1) }
    }
}

/// The right to be the one request that finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe(u64);

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// It may, as the one that finds out.
    Probing(Probe),
    /// It should not, before this moment.
    Barred(Instant),
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests pass.
    Closed,
    /// None does until this moment.
    Open(Instant),
    /// One at a time does.
    HalfOpen,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { since: Instant, until: Instant },
    HalfOpen { since: Instant, probe: Option<(Probe, Instant)>, good: u32 },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    window: Window,
    /// Openings without a closing in between.
    openings: u32,
    probes: u64,
}

impl Breaker {
    /// A closed one.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Closed, in_a_row: 0, window: Window::new(now), openings: 0, probes: 0 }
    }

    /// Where it stands.
    pub fn phase(&self, now: Instant) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { until, .. } if now < until => Phase::Open(until),
            State::Open { .. } | State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// Faults in a row.
    pub fn faults(&self) -> u32 {
        self.in_a_row
    }

    /// Whether a request would be barred, and until when, without letting one in.
    pub fn barred(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => (now < until).then_some(until),
            State::HalfOpen { probe: Some((_, expires)), .. } => (now < expires).then_some(expires),
            State::Closed | State::HalfOpen { probe: None, .. } => None,
        }
    }

    /// Lets a request in, or not. Whoever gets a probe must [`good`](Self::good), [`fault`](Self::fault) or
    /// [`release`](Self::release) it.
    pub fn enter(&mut self, now: Instant) -> Passage {
        if let Some(until) = self.barred(now) {
            return Passage::Barred(until);
        }
        let (since, good) = match self.state {
            State::Closed => return Passage::Free,
            State::Open { since, .. } => (since, 0),
            State::HalfOpen { since, good, .. } => (since, good),
        };
        self.probes += 1;
        let probe = Probe(self.probes);
        self.state = State::HalfOpen { since, probe: Some((probe, now + PROBE_LIFE)), good };
        Passage::Probing(probe)
    }

    /// The provider did what it should for a request that began at `began`. Answers from before the breaker opened say nothing.
    pub fn good(&mut self, now: Instant, began: Instant, probe: Option<Probe>) {
        match self.state {
            State::Closed => {
                self.in_a_row = 0;
                self.window.count(now, true);
            }
            State::Open { since, .. } | State::HalfOpen { since, .. } if began >= since => {
                let (held, good) = match self.state {
                    State::HalfOpen { probe, good, .. } => (probe, good),
                    State::Open { .. } | State::Closed => (None, 0),
                };
                let held = held.filter(|(held, _)| Some(*held) != probe);
                self.state = State::HalfOpen { since, probe: held, good: good + 1 };
                if good + 1 >= GOOD {
                    *self = Self { probes: self.probes, ..Self::new(now) };
                }
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// The provider failed a request that began at `began`. `unit` is a random number in `0.0..1.0`.
    pub fn fault(&mut self, now: Instant, began: Instant, unit: f64, rules: &BreakerRules) {
        match self.state {
            State::Closed => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.count(now, false);
                let (good, bad) = self.window.sums(now);
                let all = good + bad;
                let half = all >= LEAST && f64::from(bad) >= SHARE * f64::from(all);
                if self.in_a_row >= rules.threshold || half {
                    self.open(now, unit, rules);
                }
            }
            State::HalfOpen { since, .. } if began >= since => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.open(now, unit, rules);
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// Another core's has opened, and stays so for so long. One that is not closed goes its own way.
    pub fn open_elsewhere(&mut self, now: Instant, lasts: Duration) {
        if let State::Closed = self.state {
            self.openings = self.openings.saturating_add(1);
            self.state = State::Open { since: now, until: now + lasts.min(LONGEST) };
        }
    }

    /// Gives a probe back that found nothing out: its caller left, or was at fault itself.
    pub fn release(&mut self, returned: Probe) {
        if let State::HalfOpen { probe, .. } = &mut self.state {
            *probe = probe.filter(|(held, _)| *held != returned);
        }
    }

    fn open(&mut self, now: Instant, unit: f64, rules: &BreakerRules) {
        let doubled = rules.open.saturating_mul(2_u32.saturating_pow(self.openings)).min(LONGEST);
        let varied = doubled.mul_f64(1.0 - JITTER + 2.0 * JITTER * unit);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { since: now, until: now + varied };
    }
}

#[cfg(test)]
mod tests;

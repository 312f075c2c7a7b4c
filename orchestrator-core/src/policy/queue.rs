//! Who runs, who waits and who is turned away when more is asked than may run at once.
//!
//! Those who wait are let in by their deadline, the earliest first: that order meets every deadline that any order could meet
//! (Liu and Layland 1973). Whoever says none has waited long enough after [`Limits::wait`], so nobody waits for ever behind
//! the hasty. Waiting for what will not come helps neither the caller, who could ask elsewhere, nor those behind it: a newcomer
//! is turned away at once when its turn is not to be expected in time, and when the queue is full.
//!
//! The expected wait follows from how long places were held lately: `n` places that are held for `h` each become free every
//! `h / n`. How long the answer itself will take is not guessed, since requests differ too much.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// How much of the mean one observation makes up.
const WEIGHT: f64 = 1.0 / 16.0;
/// Nobody is told to come back sooner, for clients count in whole seconds.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// How many, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many run at once, at least 1.
    pub running: usize,
    /// How many wait at once.
    pub waiting: usize,
    /// How long anybody waits.
    pub wait: Duration,
}

/// A place in the queue: by when its holder must be let in, and which arrival it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    due: Instant,
    arrival: u64,
}

impl Turn {
    /// When its holder stops waiting.
    pub fn due(self) -> Instant {
        self.due
    }
}

/// What becomes of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It runs.
    Running,
    /// It waits.
    Waiting(Turn),
    /// It is turned away.
    Shed(Shed),
}

/// Turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// How many run.
    pub running: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many were turned away so far, those included who had waited.
    pub shed: u64,
}

/// Counts who runs and orders who waits. `W` is whatever calls a waiter; one that is dropped by [`Queue::next`] has waited too
/// long.
#[derive(Debug)]
pub struct Queue<W> {
    limits: Limits,
    running: usize,
    /// Nobody waits while a place is free.
    waiting: BTreeMap<Turn, W>,
    arrivals: u64,
    shed: u64,
    /// The decayed mean of how long a place was held, in seconds; `None` before the first was given back.
    held: Option<f64>,
}

impl<W> Queue<W> {
    /// With nobody in it.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { running: limits.running.max(1), ..limits };
        Self { limits, running: 0, waiting: BTreeMap::new(), arrivals: 0, shed: 0, held: None }
    }

    /// Other limits hold from now on. Who runs goes on, and who waits waits as long as was said. Where there is more room,
    /// [`Queue::let_in`] has to follow.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = Limits { running: limits.running.max(1), ..limits };
    }

    /// Who may run beside all others, where a place is free and somebody waits.
    pub fn let_in(&mut self, now: Instant) -> Option<W> {
        if self.running >= self.limits.running {
            return None;
        }
        self.running += 1;
        // Gives the place back where nobody wants it.
        self.next(now)
    }

    /// The limits that hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How it stands.
    pub fn numbers(&self) -> Numbers {
        Numbers { running: self.running, waiting: self.waiting.len(), shed: self.shed }
    }

    /// Takes a newcomer in, or turns it away. `deadline`: when it stops caring. `waiter` is called if it has to wait.
    pub fn enter(&mut self, now: Instant, deadline: Option<Instant>, waiter: impl FnOnce() -> W) -> Entered {
        if self.running < self.limits.running {
            self.running += 1;
            return Entered::Running;
        }
        let patience = now + self.limits.wait;
        let due = deadline.map_or(patience, |deadline| deadline.min(patience));
        let turn = Turn { due, arrival: self.arrivals };
        let full = self.waiting.len() >= self.limits.waiting;
        if full || due <= now || self.expected_wait(turn) > due - now {
            return Entered::Shed(self.turn_away());
        }
        self.arrivals += 1;
        self.waiting.insert(turn, waiter());
        Entered::Waiting(turn)
    }

    /// A place was given back after that long. [`Queue::next`] has to follow.
    pub fn was_held(&mut self, held: Duration) {
        let held = held.as_secs_f64();
        self.held = Some(self.held.map_or(held, |mean| mean + (held - mean) * WEIGHT));
    }

    /// Whose turn it is: the place of somebody who has left is theirs now. `None`: nobody's, and the place is free.
    pub fn next(&mut self, now: Instant) -> Option<W> {
        // There may be fewer places than there were.
        let too_many = self.running > self.limits.running;
        while !too_many && let Some((turn, waiter)) = self.waiting.pop_first() {
            if turn.due > now {
                return Some(waiter);
            }
            self.shed += 1;
        }
        self.running = self.running.saturating_sub(1);
        None
    }

    /// A waiter does not want any more. `false`: it was let in or turned away already.
    pub fn leave(&mut self, turn: Turn) -> bool {
        self.waiting.remove(&turn).is_some()
    }

    /// Turns a waiter away whose time has run out. `None`: it was let in or turned away already.
    pub fn expire(&mut self, turn: Turn) -> Option<Shed> {
        self.waiting.remove(&turn).map(|_| self.turn_away())
    }

    /// What is told to whoever is turned away now.
    pub fn advice(&self) -> Shed {
        let all = self.wait_behind(self.waiting.len());
        Shed { retry_after: all.clamp(SHORTEST_RETRY, self.limits.wait.max(SHORTEST_RETRY)) }
    }

    fn turn_away(&mut self) -> Shed {
        self.shed += 1;
        self.advice()
    }

    fn expected_wait(&self, turn: Turn) -> Duration {
        match self.held {
            None => Duration::ZERO,
            Some(_) => self.wait_behind(self.waiting.range(..turn).count()),
        }
    }

    fn wait_behind(&self, ahead: usize) -> Duration {
        let seconds = self.held.unwrap_or_default() * (ahead + 1) as f64 / self.limits.running as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;

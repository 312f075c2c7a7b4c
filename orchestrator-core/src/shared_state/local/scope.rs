//! What one scope has used.

mod money;

use std::time::Duration;

use orchestrator_base::clock::UnixMicros;

use self::money::Money;
use super::Outstanding;
use crate::{
    catalog::limits::{Limits, Period},
    policy::{
        budget::{self, Spent, Sum},
        gcra::{Full, Gcra, Rate},
    },
    shared_state::{Ask, LimitKind, Meter, Standing, Stored, Used},
};

/// When one of the requests that run may be over: nobody knows.
const SOON: Duration = Duration::from_secs(1);
/// What is idle is kept for so long, in microseconds.
const KEPT: u64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ScopeState {
    requests: Gcra,
    tokens: Gcra,
    running: u32,
    /// When it was last asked for.
    touched: u64,
    /// Of the periods that are, or were, and are not settled; `None`: it never had a budget here.
    money: Option<Money>,
}

/// A request's wish, with the first microseconds of its day, its month and all time.
#[derive(Clone, Copy, Debug)]
pub(in crate::shared_state) struct Charge {
    pub(in crate::shared_state) ask: Ask,
    pub(super) starts: [UnixMicros; 3],
}

impl Charge {
    pub(in crate::shared_state) fn new(ask: Ask) -> Self {
        Self { ask, starts: budget::starts(ask.at) }
    }
}

/// How a scope's rates stand, or stood.
#[derive(Clone, Copy)]
pub(super) struct Room {
    requests: Gcra,
    tokens: Gcra,
}

/// Why a scope denies a request.
pub(super) enum Denial {
    Refused(LimitKind, Option<Duration>),
    /// The database has to say what was spent.
    Unknown,
}

impl ScopeState {
    /// As it is kept elsewhere.
    pub(super) fn kept_elsewhere(
        (requests, tokens): (Gcra, Gcra),
        running: u32,
        budget: Option<(Period, Sum)>,
    ) -> Self {
        let money = budget.map(|(period, sum)| Money::of_one(period, sum));
        Self { requests, tokens, running, touched: 0, money }
    }

    /// What is known of a period.
    pub(super) fn sum_of(&self, period: Period, start: UnixMicros) -> Option<Sum> {
        self.money.as_ref()?.find(period, start)
    }

    /// How many of its requests run.
    pub(super) fn running(&self) -> u32 {
        self.running
    }

    /// Whether a request has room; of several limits without, the one that has it last is told.
    pub(super) fn room(&mut self, now: u64, limits: &Limits, charge: &Charge) -> Result<Room, Denial> {
        self.touched = now;
        let ask = &charge.ask;
        let mut denied: Option<(LimitKind, Option<Duration>)> = None;
        let mut deny = |limit: LimitKind, wait: Option<Duration>| {
            let longer = |(_, other): (_, Option<Duration>)| {
                wait.unwrap_or(Duration::MAX) > other.unwrap_or(Duration::MAX)
            };
            if denied.is_none_or(longer) {
                denied = Some((limit, wait));
            }
        };
        let mut room = Room { requests: self.requests, tokens: self.tokens };
        if let Some(limit) = limits.requests_per_minute {
            match self.requests.after(now, Rate::by_the_minute(limit.into()), 1) {
                Ok(after) => room.requests = after,
                Err(full) => deny(LimitKind::Requests, wait(full)),
            }
        }
        if let Some(limit) = limits.tokens_per_minute {
            match self.tokens.after(now, Rate::by_the_minute(limit), ask.tokens) {
                Ok(after) => room.tokens = after,
                Err(full) => deny(LimitKind::Tokens, wait(full)),
            }
        }
        if limits.max_concurrency.is_some_and(|most| self.running >= most) {
            deny(LimitKind::Concurrency, Some(SOON));
        }
        if let Some(limit) = &limits.budget {
            let known = self.money.as_ref().and_then(|money| money.now(limit.period, charge.starts));
            let Some(sum) = known else { return Err(Denial::Unknown) };
            match sum.room(limit, ask.nanos) {
                Ok(()) => {}
                Err(Spent::ByWhatRuns) => deny(LimitKind::Budget(limit.period), Some(SOON)),
                Err(Spent::UntilItEnds) if ask.nanos > limit.nanos => {
                    deny(LimitKind::Budget(limit.period), None);
                }
                Err(Spent::UntilItEnds) => {
                    let end = budget::end(limit.period, ask.at);
                    let wait = end.map(|end| micros(end.0.saturating_sub(ask.at.0)));
                    deny(LimitKind::Budget(limit.period), wait);
                }
            }
        }
        denied.map_or(Ok(room), |(limit, wait)| Err(Denial::Refused(limit, wait)))
    }

    /// Takes what has this room, and says how the rates stood before.
    pub(super) fn enter(&mut self, room: Room, limits: &Limits, charge: &Charge) -> Room {
        let before = Room { requests: self.requests, tokens: self.tokens };
        (self.requests, self.tokens) = (room.requests, room.tokens);
        self.runs(limits, charge);
        before
    }

    /// As if it had never been entered.
    pub(super) fn leave(&mut self, before: Room, limits: &Limits, charge: &Charge) {
        (self.requests, self.tokens) = (before.requests, before.tokens);
        self.is_over(limits, charge, 0);
    }

    /// Takes, whether there is room or not.
    pub(super) fn take(&mut self, now: u64, limits: &Limits, charge: &Charge) {
        if let Some(limit) = limits.requests_per_minute {
            self.requests.take(now, Rate::by_the_minute(limit.into()), 1);
        }
        if let Some(limit) = limits.tokens_per_minute {
            self.tokens.take(now, Rate::by_the_minute(limit), charge.ask.tokens);
        }
        self.runs(limits, charge);
    }

    fn runs(&mut self, limits: &Limits, charge: &Charge) {
        if limits.max_concurrency.is_some() {
            self.running += 1;
        }
        if limits.budget.is_some() {
            self.change_money(charge, |sum| sum.reserve(charge.ask.nanos));
        }
    }

    /// A request is over, and came to so much; `None`: nothing was asked of anybody, and all is given back.
    pub(super) fn settle(&mut self, now: u64, limits: &Limits, charge: &Charge, used: Option<Used>) {
        if let Some(limit) = limits.requests_per_minute
            && used.is_none()
        {
            self.requests.give_back(Rate::by_the_minute(limit.into()), 1);
        }
        let (ask, came_to) = (&charge.ask, used.unwrap_or_default());
        if let Some(limit) = limits.tokens_per_minute {
            let rate = Rate::by_the_minute(limit);
            if came_to.tokens > ask.tokens {
                self.tokens.take(now, rate, came_to.tokens - ask.tokens);
            } else {
                self.tokens.give_back(rate, ask.tokens - came_to.tokens);
            }
        }
        self.is_over(limits, charge, came_to.nanos);
    }

    fn is_over(&mut self, limits: &Limits, charge: &Charge, nanos: u64) {
        if limits.max_concurrency.is_some() {
            self.running = self.running.saturating_sub(1);
        }
        if limits.budget.is_some() {
            self.change_money(charge, |sum| sum.settle(charge.ask.nanos, nanos));
        }
    }

    /// How its rates stand.
    pub(super) fn standing(&self, now: u64, limits: &Limits) -> Standing {
        let meter = |gcra: &Gcra, limit: u64| {
            let (remaining, reset) = gcra.meter(now, Rate::by_the_minute(limit));
            Meter { limit, remaining, reset: Duration::from_micros(reset) }
        };
        Standing {
            requests: limits.requests_per_minute.map(|limit| meter(&self.requests, limit.into())),
            tokens: limits.tokens_per_minute.map(|limit| meter(&self.tokens, limit)),
        }
    }

    /// Whether it is known what was spent in the periods of a moment.
    pub(super) fn knows(&self, at: UnixMicros) -> bool {
        self.money.as_ref().is_some_and(|money| money.knows(at))
    }

    /// The database has said what was spent in the periods of a moment.
    pub(super) fn learn(&mut self, at: UnixMicros, sums: &[u64; 3]) {
        self.money.get_or_insert_with(|| Money::beginning(at)).learn(at, sums);
    }

    /// A batch of records was stored.
    pub(super) fn stored(&mut self, stored: &Stored) {
        if let Some(money) = &mut self.money {
            money.stored(stored);
        }
    }

    /// Whether it has, or had, a budget.
    pub(super) fn follows_money(&self) -> bool {
        self.money.is_some()
    }

    /// What a period has used, if it is known.
    pub(super) fn used(&self, period: Period, at: UnixMicros) -> Option<u64> {
        let start = budget::start(period, at);
        self.money.as_ref()?.find(period, start).map(|sum| sum.used())
    }

    pub(super) fn outstanding(&self) -> Outstanding {
        let nanos = self.money.as_ref().map(Money::outstanding).unwrap_or_default();
        Outstanding { nanos, running: self.running }
    }

    pub(super) fn is_idle(&self, now: u64) -> bool {
        let rates = self.requests.is_idle(now) && self.tokens.is_idle(now);
        let touched = now.saturating_sub(self.touched) < KEPT;
        !touched && rates && self.running == 0 && self.money.as_ref().is_none_or(Money::is_settled)
    }

    fn change_money(&mut self, charge: &Charge, change: impl FnOnce(&mut Sum)) {
        self.money.get_or_insert_with(|| Money::beginning(charge.ask.at)).change(charge.starts, change);
    }
}

fn wait(full: Full) -> Option<Duration> {
    match full {
        Full::For(micros) => Some(Duration::from_micros(micros)),
        Full::Always => None,
    }
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(0))
}

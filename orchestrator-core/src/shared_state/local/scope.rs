//! What one scope has used.

use std::time::Duration;

use orchestrator_base::clock::UnixMicros;
use smallvec::SmallVec;

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

/// What was spent in each kind of period, the latest last.
#[derive(Debug)]
struct Money {
    /// A period that begins after this began at nothing; of the others only those are known that have a sum.
    known_from: UnixMicros,
    sums: [Sums; 3],
}

/// Of one kind of period there is nearly always one, which is kept in place: a request touches little memory while it holds the lock.
type Sums = SmallVec<[Sum; 1]>;

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

fn place(period: Period) -> usize {
    match period {
        Period::Day => 0,
        Period::Month => 1,
        Period::Total => 2,
    }
}

impl ScopeState {
    /// As it is kept elsewhere.
    pub(super) fn kept_elsewhere(
        (requests, tokens): (Gcra, Gcra),
        running: u32,
        budget: Option<(Period, Sum)>,
    ) -> Self {
        let money = budget.map(|(period, sum)| {
            let mut sums = <[Sums; 3]>::default();
            sums[place(period)].push(sum);
            Money { known_from: sum.start, sums }
        });
        Self { requests, tokens, running, touched: 0, money }
    }

    /// What is known of a period.
    pub(super) fn sum_of(&self, period: Period, start: UnixMicros) -> Option<Sum> {
        self.money.as_ref()?.find(place(period), start).copied()
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
            let Some(sum) = self.known_sum(place(limit.period), charge) else { return Err(Denial::Unknown) };
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
            self.each_sum(charge, |sum| sum.reserve(charge.ask.nanos));
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
            self.each_sum(charge, |sum| sum.settle(charge.ask.nanos, nanos));
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
        let Some(money) = &self.money else { return false };
        (0..).zip(budget::starts(at)).all(|(place, start)| money.knows(place, start))
    }

    /// The database has said what was spent in the periods of a moment.
    pub(super) fn learn(&mut self, at: UnixMicros, sums: &[u64; 3]) {
        let money = self.money.get_or_insert_with(|| Money { known_from: at, sums: Default::default() });
        for (place, start) in (0..).zip(budget::starts(at)) {
            money.sum(place, start).store(0, sums[place]);
        }
    }

    /// A batch of records was stored.
    pub(super) fn stored(&mut self, stored: &Stored) {
        let Some(money) = &mut self.money else { return };
        for (place, start) in (0..).zip(budget::starts(stored.day)) {
            if stored.added > 0 || money.knows(place, start) {
                money.sum(place, start).store(stored.added, stored.totals[place]);
            }
        }
    }

    /// Whether it has, or had, a budget.
    pub(super) fn follows_money(&self) -> bool {
        self.money.is_some()
    }

    /// What a period has used, if it is known.
    pub(super) fn used(&self, period: Period, at: UnixMicros) -> Option<u64> {
        let start = budget::start(period, at);
        self.money.as_ref()?.find(place(period), start).map(Sum::used)
    }

    pub(super) fn outstanding(&self) -> Outstanding {
        let of_all_time = self.money.as_ref().map(|money| &money.sums[place(Period::Total)]);
        let nanos = of_all_time.into_iter().flatten().map(|sum| sum.outstanding).sum();
        Outstanding { nanos, running: self.running }
    }

    pub(super) fn is_idle(&self, now: u64) -> bool {
        let settled = |money: &Money| money.sums.iter().flatten().all(Sum::is_settled);
        let rates = self.requests.is_idle(now) && self.tokens.is_idle(now);
        let touched = now.saturating_sub(self.touched) < KEPT;
        !touched && rates && self.running == 0 && self.money.as_ref().is_none_or(settled)
    }

    fn known_sum(&mut self, place: usize, charge: &Charge) -> Option<&mut Sum> {
        let money = self.money.as_mut()?;
        let start = charge.starts[place];
        money.knows(place, start).then(|| money.sum(place, start))
    }

    /// The sum of each kind of period, so that a budget of another kind finds what is spent counted.
    fn each_sum(&mut self, charge: &Charge, change: impl Fn(&mut Sum)) {
        let known_from = charge.ask.at;
        let money = self.money.get_or_insert_with(|| Money { known_from, sums: Default::default() });
        for (place, start) in (0..).zip(charge.starts) {
            change(money.sum(place, start));
        }
    }
}

impl Money {
    fn knows(&self, place: usize, start: UnixMicros) -> bool {
        start > self.known_from || self.find(place, start).is_some()
    }

    fn find(&self, place: usize, start: UnixMicros) -> Option<&Sum> {
        self.sums[place].iter().find(|sum| sum.start == start)
    }

    fn sum(&mut self, place: usize, start: UnixMicros) -> &mut Sum {
        let sums = &mut self.sums[place];
        let known = sums.iter().position(|sum| sum.start == start);
        let known = known.unwrap_or_else(|| {
            // A period that is over is kept for as long as something in it is outstanding; what is dropped is not known any more.
            let known_from = &mut self.known_from;
            sums.retain(|sum| {
                let kept = sum.start > start || !sum.is_settled();
                *known_from = if kept { *known_from } else { sum.start.max(*known_from) };
                kept
            });
            sums.push(Sum::beginning(start));
            sums.len() - 1
        });
        &mut sums[known]
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

//! What a scope has spent in each kind of period, as one core knows it.

use orchestrator_base::clock::UnixMicros;
use smallvec::SmallVec;

use crate::{
    catalog::limits::Period,
    policy::budget::{self, Sum},
    shared_state::Stored,
};

/// See the module. It keeps the sums of every kind of period, so that a budget of another kind finds what is spent counted.
#[derive(Debug)]
pub(super) struct Money {
    /// A period that begins after this began at nothing; of the others only those are known that have a sum.
    known_from: UnixMicros,
    /// Of days, months and all time, the latest last.
    sums: [Sums; 3],
    unwritten: Unwritten,
}

/// Of one kind of period there is nearly always one, which is kept in place: a request touches little memory while it holds the lock.
type Sums = SmallVec<[Sum; 1]>;

/// What requests of one day have changed. They change the sums of their day, its month and all time by the same: so it is noted here,
/// and written into all three when another day, or what is stored, is spoken of. It spares the memory that other threads want as well.
#[derive(Debug, Default)]
struct Unwritten {
    /// When the periods of the three sums begin, all of which are there; `None`: nothing has changed.
    starts: Option<[UnixMicros; 3]>,
    change: Sum,
}

fn place(period: Period) -> usize {
    match period {
        Period::Day => 0,
        Period::Month => 1,
        Period::Total => 2,
    }
}

impl Money {
    /// Of a scope of which no more is known than that what begins after this begins at nothing.
    pub(super) fn beginning(known_from: UnixMicros) -> Self {
        Self { known_from, sums: Default::default(), unwritten: Unwritten::default() }
    }

    /// Of one period.
    pub(super) fn of_one(period: Period, sum: Sum) -> Self {
        let mut money = Self::beginning(sum.start);
        money.sums[place(period)].push(sum);
        money
    }

    /// The sum of a period, if there is one.
    pub(super) fn find(&self, period: Period, start: UnixMicros) -> Option<Sum> {
        let place = place(period);
        let mut sum = *self.written(place, start)?;
        if self.unwritten.starts.is_some_and(|starts| starts[place] == start) {
            sum.add(&self.unwritten.change);
        }
        Some(sum)
    }

    /// The sum of the period that a request is in; `None`: it is not known.
    pub(super) fn now(&self, period: Period, starts: [UnixMicros; 3]) -> Option<Sum> {
        let start = starts[place(period)];
        let begins = || (start > self.known_from).then(|| Sum::beginning(start));
        self.find(period, start).or_else(begins)
    }

    /// Whether the sums of a moment's periods are known.
    pub(super) fn knows(&self, at: UnixMicros) -> bool {
        (0..).zip(budget::starts(at)).all(|(place, start)| self.knows_one(place, start))
    }

    /// A request changes the sums of its periods.
    pub(super) fn change(&mut self, starts: [UnixMicros; 3], change: impl FnOnce(&mut Sum)) {
        if self.unwritten.starts != Some(starts) {
            self.write();
            for (place, start) in (0..).zip(starts) {
                self.sum(place, start);
            }
            self.unwritten.starts = Some(starts);
        }
        change(&mut self.unwritten.change);
    }

    /// The database has said what was spent in the periods of a moment.
    pub(super) fn learn(&mut self, at: UnixMicros, sums: &[u64; 3]) {
        self.write();
        for (place, start) in (0..).zip(budget::starts(at)) {
            self.sum(place, start).store(0, sums[place]);
        }
    }

    /// A batch of records was stored.
    pub(super) fn stored(&mut self, stored: &Stored) {
        self.write();
        for (place, start) in (0..).zip(budget::starts(stored.day)) {
            if stored.added > 0 || self.knows_one(place, start) {
                self.sum(place, start).store(stored.added, stored.totals[place]);
            }
        }
    }

    /// What is not stored yet, in nano-dollars, of all periods together.
    pub(super) fn outstanding(&self) -> i128 {
        let of_all_time = &self.sums[place(Period::Total)];
        of_all_time.iter().map(|sum| sum.outstanding).sum::<i128>() + self.unwritten.change.outstanding
    }

    /// Whether all is stored. Where what is unwritten cancels what is written, that is seen once it is written.
    pub(super) fn is_settled(&self) -> bool {
        self.unwritten.change.is_settled() && self.sums.iter().flatten().all(Sum::is_settled)
    }

    fn knows_one(&self, place: usize, start: UnixMicros) -> bool {
        start > self.known_from || self.written(place, start).is_some()
    }

    fn written(&self, place: usize, start: UnixMicros) -> Option<&Sum> {
        self.sums[place].iter().find(|sum| sum.start == start)
    }

    fn write(&mut self) {
        let Unwritten { starts, change } = std::mem::take(&mut self.unwritten);
        for (place, start) in (0..).zip(starts.into_iter().flatten()) {
            self.sum(place, start).add(&change);
        }
    }

    /// It is made if it is not there; nothing may be unwritten then.
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

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = budget::DAY;

    #[test]
    fn what_is_unwritten_counts_wherever_a_sum_is_looked_at() {
        let mut money = Money::beginning(UnixMicros(0));
        let (today, tomorrow) = (UnixMicros(40 * DAYS), UnixMicros(41 * DAYS));
        money.learn(today, &[10, 20, 30]);
        money.change(budget::starts(today), |sum| sum.reserve(7));
        money.change(budget::starts(today), |sum| sum.settle(7, 5));
        let used =
            |money: &Money, period| money.find(period, budget::start(period, today)).map(|sum| sum.used());
        let each =
            |money: &Money| [Period::Day, Period::Month, Period::Total].map(|period| used(money, period));
        assert_eq!(each(&money), [Some(15), Some(25), Some(35)]);
        assert_eq!((money.outstanding(), money.is_settled()), (5, false));

        // Another day is spoken of: what was unwritten stands in the sums of its own, and all time has both.
        money.change(budget::starts(tomorrow), |sum| sum.reserve(100));
        assert_eq!(each(&money), [Some(15), Some(125), Some(135)]);
        money.change(budget::starts(tomorrow), |sum| sum.settle(100, 0));
        money.stored(&Stored { scope: "key:k".into(), day: today, added: 5, totals: [15, 25, 35] });
        assert_eq!(each(&money), [Some(15), Some(25), Some(35)]);
        assert_eq!((money.outstanding(), money.is_settled()), (0, true));
    }
}

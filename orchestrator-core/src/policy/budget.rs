//! How a budget adds up, and when its periods begin and end.
//!
//! Money is whole nano-dollars. See `shared_state.rs` for what is stored and what is outstanding.

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use orchestrator_base::clock::UnixMicros;

use crate::catalog::limits::{Budget, Period};

/// A day in microseconds: those of UTC are all as long.
pub const DAY: i64 = 86_400_000_000;

/// The first microsecond of the period that a moment is in. All time has none, and says 0.
pub fn start(period: Period, at: UnixMicros) -> UnixMicros {
    let day = UnixMicros(at.0 - at.0.rem_euclid(DAY));
    match period {
        Period::Day => day,
        Period::Total => UnixMicros(0),
        Period::Month => UnixMicros(day.0 - DAY * days_before(at)),
    }
}

/// The first microseconds of the day, the month and all time that a moment is in.
pub fn starts(at: UnixMicros) -> [UnixMicros; 3] {
    [Period::Day, Period::Month, Period::Total].map(|period| start(period, at))
}

/// The first microsecond after the period that a moment is in; `None`: it never ends.
pub fn end(period: Period, at: UnixMicros) -> Option<UnixMicros> {
    let tomorrow = UnixMicros(start(Period::Day, at).0.saturating_add(DAY));
    match period {
        Period::Day => Some(tomorrow),
        Period::Month => Some(next_month(at).unwrap_or(tomorrow)),
        Period::Total => None,
    }
}

/// How many days of its month came before a moment's. None thousands of years from now.
fn days_before(at: UnixMicros) -> i64 {
    date(at).map_or(0, |date| i64::from(date.day()) - 1)
}

/// The first microsecond of the month after a moment's. `None` thousands of years from now.
fn next_month(at: UnixMicros) -> Option<UnixMicros> {
    let first = date(at)?.first_of_month().checked_add(Span::new().months(1)).ok()?;
    let zoned = first.to_zoned(TimeZone::UTC).ok()?;
    Some(UnixMicros(zoned.timestamp().as_microsecond()))
}

fn date(at: UnixMicros) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_microsecond(at.0).ok()?).date())
}

/// What is known of a budget's use in one period, in nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The period's first microsecond.
    pub start: UnixMicros,
    /// What the database has, as last heard: it only grows.
    pub stored: u64,
    /// What is not stored yet, of requests that run (as they ask) and that are over (as they came to). For a moment it may be less
    /// than nothing: what a request came to may be stored before it is settled.
    pub outstanding: i128,
    /// Of it, what requests that run have asked for, and may give back.
    pub reserved: i128,
}

/// A budget has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// What runs may leave enough.
    ByWhatRuns,
    /// There will not be enough before the period ends.
    UntilItEnds,
}

impl Sum {
    /// Nothing known of a period yet.
    pub fn beginning(start: UnixMicros) -> Self {
        Self { start, ..Self::default() }
    }

    /// Stored and outstanding.
    pub fn used(&self) -> u64 {
        narrow(i128::from(self.stored) + self.outstanding)
    }

    /// Whether so much more has room. What costs nothing always has.
    pub fn room(&self, budget: &Budget, nanos: u64) -> Result<(), Spent> {
        let with = |used: i128| used + i128::from(nanos) <= i128::from(budget.nanos);
        let used = i128::from(self.stored) + self.outstanding;
        if nanos == 0 || with(used) {
            return Ok(());
        }
        Err(if with(used - self.reserved) { Spent::ByWhatRuns } else { Spent::UntilItEnds })
    }

    /// A request may cost so much.
    pub fn reserve(&mut self, nanos: u64) {
        self.outstanding += i128::from(nanos);
        self.reserved += i128::from(nanos);
    }

    /// A request that might have cost `reserved` came to `nanos`.
    pub fn settle(&mut self, reserved: u64, nanos: u64) {
        self.outstanding += i128::from(nanos) - i128::from(reserved);
        self.reserved -= i128::from(reserved);
    }

    /// What has changed since, of requests alone.
    pub fn add(&mut self, change: &Self) {
        self.outstanding += change.outstanding;
        self.reserved += change.reserved;
    }

    /// So much of what was outstanding is stored, and the database has so much in all.
    pub fn store(&mut self, added: u64, stored: u64) {
        self.outstanding -= i128::from(added);
        self.stored = self.stored.max(stored);
    }

    /// Whether all is stored.
    pub fn is_settled(&self) -> bool {
        self.outstanding == 0 && self.reserved == 0
    }
}

fn narrow(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

/// The highest of these thresholds (percent) that a sum has reached.
pub fn reached(thresholds: &[u32], used: u64, budget: u64) -> Option<u32> {
    let of_budget = |percent: u32| u128::from(used) * 100 >= u128::from(budget) * u128::from(percent);
    thresholds.iter().copied().filter(|percent| of_budget(*percent)).max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMicros {
        UnixMicros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn periods_are_those_of_the_calendar_in_utc() {
        let cases = [
            ("2026-11-21T03:02:08Z", "2026-11-21T00:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (
                "2024-02-29T23:59:59.999999Z",
                "2024-02-29T00:00:00Z",
                "2024-02-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            ("2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ];
        for (moment, day, month, next_month) in cases {
            let moment = at(moment);
            assert_eq!(start(Period::Day, moment), at(day));
            assert_eq!(end(Period::Day, moment), Some(UnixMicros(at(day).0 + DAY)));
            assert_eq!(start(Period::Month, moment), at(month));
            assert_eq!(end(Period::Month, moment), Some(at(next_month)));
            assert_eq!((start(Period::Total, moment), end(Period::Total, moment)), (UnixMicros(0), None));
        }
        for moment in [i64::MIN + DAY, i64::MAX - DAY] {
            end(Period::Month, UnixMicros(moment));
        }
    }

    #[test]
    fn the_last_nano_dollar_has_room_and_the_next_has_not() {
        let budget = Budget { nanos: 100, period: Period::Day };
        let mut sum = Sum { stored: 40, ..Sum::default() };
        assert_eq!(sum.room(&budget, 61), Err(Spent::UntilItEnds));
        sum.reserve(60);
        assert_eq!(sum.room(&budget, 1), Err(Spent::ByWhatRuns));
        assert_eq!(sum.room(&budget, 0), Ok(()));
        sum.settle(60, 59);
        assert_eq!((sum.room(&budget, 1), sum.room(&budget, 2)), (Ok(()), Err(Spent::UntilItEnds)));
        sum.store(59, 99);
        assert_eq!(sum, Sum { stored: 99, ..Sum::default() });
    }

    #[test]
    fn a_threshold_is_reached_at_its_share() {
        assert_eq!(reached(&[80, 100], 79, 100), None);
        assert_eq!(reached(&[80, 100], 80, 100), Some(80));
        assert_eq!(reached(&[100, 80], 250, 100), Some(100));
        assert_eq!(reached(&[], 100, 100), None);
        assert_eq!(reached(&[80], u64::MAX, u64::MAX), Some(80));
    }

    proptest! {
        /// What is stored may be heard before or after a request is settled, and sums in any order.
        #[test]
        fn money_is_conserved_in_any_order(
            requests in prop::collection::vec((0_u64..1_000, 0_u64..1_000), 1..30),
            order in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3), 0..200),
        ) {
            let mut sum = Sum::default();
            let mut done = vec![[false; 3]; requests.len()];
            let mut in_database = 0;
            let everything = (0..requests.len()).flat_map(|request| [(request, 0), (request, 1), (request, 2)]);
            let order = order.into_iter().map(|(request, step)| (request.index(requests.len()), step));
            for (request, step) in order.chain(everything) {
                let (asked, came_to) = requests[request];
                // A request begins before it ends in either way.
                if step > 0 && !done[request][0] || std::mem::replace(&mut done[request][step], true) {
                    continue;
                }
                match step {
                    0 => sum.reserve(asked),
                    1 => sum.settle(asked, came_to),
                    _ => {
                        in_database += came_to;
                        sum.store(came_to, in_database);
                    }
                }
                let truth: u64 = requests.iter().zip(&done).map(|((asked, came_to), done)| match done {
                    [false, ..] => 0,
                    // Stored and not settled: the estimate stands beside what is stored until it is.
                    [_, false, _] => *asked,
                    _ => *came_to,
                }).sum();
                prop_assert_eq!(sum.used(), truth);
            }
            prop_assert!(sum.is_settled());
        }
    }
}

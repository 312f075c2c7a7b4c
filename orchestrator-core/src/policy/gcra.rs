//! So much a minute, by the generic cell rate algorithm (ITU-T I.371), for things of any size: requests, tokens.
//!
//! All that is remembered is when what was taken so far would be used up, had it come as evenly as the limit says: a moment, as
//! whole microseconds and a fraction of one. The fraction is exact (its denominator is the limit), so that a limit of 700 a minute lets 700
//! pass and not 699. A taking may lie ahead of the evenly spread ones by a burst; so no window sees more than what the limit allows in
//! it, and a burst.
//!
//! Moments are microseconds since any beginning. The same arithmetic stands in the script that Redis runs, whose numbers are exact up
//! to 2^53: what is taken at once counts as [`LARGEST`] at most.

use std::cmp::Ordering;

/// A minute in microseconds.
const MINUTE: u64 = 60_000_000;
/// The most that is taken at once: times [`MINUTE`] it is below 2^53.
pub const LARGEST: u64 = 150_000_000;

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In a minute; 0 counts as 1.
    pub per_minute: u64,
    /// At once; 0 counts as 1.
    pub burst: u64,
}

impl Rate {
    /// A whole minute's at once.
    pub fn by_the_minute(per_minute: u64) -> Self {
        Self { per_minute, burst: per_minute }
    }

    /// What ten seconds allow at once.
    pub fn evenly(per_minute: u64) -> Self {
        Self { per_minute, burst: (per_minute / 6).max(1) }
    }

    fn limit(self) -> u64 {
        self.per_minute.max(1)
    }

    /// How long so much takes if it comes evenly.
    fn span(self, amount: u64) -> Span {
        let (micros, rest) = divided(u128::from(amount.max(1)) * u128::from(MINUTE), self.limit());
        Span { micros, rest }
    }

    fn tolerance(self) -> Span {
        if self.burst == self.per_minute { Span { micros: MINUTE, rest: 0 } } else { self.span(self.burst) }
    }

    /// How much fits into a time.
    fn fits(self, span: Span) -> u64 {
        divided(u128::from(span.micros) * u128::from(self.limit()) + u128::from(span.rest), MINUTE).0
    }
}

/// The quotient and the rest. Nearly all numbers fit into the machine's own division, which is many times as fast.
fn divided(number: u128, by: u64) -> (u64, u64) {
    match u64::try_from(number) {
        Ok(number) => (number / by, number % by),
        Err(_) => (narrow(number / u128::from(by)), narrow(number % u128::from(by))),
    }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// `micros` and `rest / limit` microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    micros: u64,
    rest: u64,
}

impl Span {
    fn plus(self, other: Self, limit: u64) -> Self {
        let rest = u128::from(self.rest) + u128::from(other.rest);
        let carry = u64::from(rest >= u128::from(limit));
        let rest = narrow(rest - u128::from(carry) * u128::from(limit));
        Self { micros: self.micros.saturating_add(other.micros).saturating_add(carry), rest }
    }

    /// Nothing where `other` is more.
    fn minus(self, other: Self, limit: u64) -> Self {
        if self.cmp(&other) != Ordering::Greater {
            return Self::default();
        }
        let borrow = u64::from(self.rest < other.rest);
        let rest =
            narrow(u128::from(self.rest) + u128::from(borrow) * u128::from(limit) - u128::from(other.rest));
        Self { micros: self.micros - other.micros - borrow, rest }
    }

    /// In whole microseconds, rounded up.
    fn ceiling(self) -> u64 {
        self.micros.saturating_add(u64::from(self.rest > 0))
    }
}

/// No room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There may be after so many microseconds.
    For(u64),
    /// There will never be: more is asked than fits at once.
    Always,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gcra {
    /// When all that was taken is used up.
    due: Span,
}

impl Gcra {
    /// As it is kept elsewhere: when all that was taken is used up, in microseconds and a fraction whose denominator is the limit.
    pub fn due_at(micros: u64, rest: u64) -> Self {
        Self { due: Span { micros, rest } }
    }

    /// How it stands once so much is taken, if that has room.
    pub fn after(&self, now: u64, rate: Rate, amount: u64) -> Result<Self, Full> {
        let amount = amount.min(LARGEST);
        if amount == 0 {
            return Ok(*self);
        }
        let limit = rate.limit();
        let (span, tolerance) = (rate.span(amount), rate.tolerance());
        if span > tolerance {
            return Err(Full::Always);
        }
        let then = self.from(now, rate).plus(span, limit);
        let most = Span { micros: now, rest: 0 }.plus(tolerance, limit);
        if then <= most { Ok(Self { due: then }) } else { Err(Full::For(then.minus(most, limit).ceiling())) }
    }

    /// Whether so much has room.
    pub fn room(&self, now: u64, rate: Rate, amount: u64) -> Result<(), Full> {
        self.after(now, rate, amount).map(drop)
    }

    /// So much is taken, whether it has room or not.
    pub fn take(&mut self, now: u64, rate: Rate, amount: u64) {
        let amount = amount.min(LARGEST);
        if amount > 0 {
            self.due = self.from(now, rate).plus(rate.span(amount), rate.limit());
        }
    }

    /// So much of what was taken was not used.
    pub fn give_back(&mut self, rate: Rate, amount: u64) {
        let amount = amount.min(LARGEST);
        if amount > 0 {
            self.due = self.known(rate).minus(rate.span(amount), rate.limit());
        }
    }

    /// How much has room now, and in how many microseconds all has.
    pub fn meter(&self, now: u64, rate: Rate) -> (u64, u64) {
        let limit = rate.limit();
        let taken = self.from(now, rate).minus(Span { micros: now, rest: 0 }, limit);
        (rate.fits(rate.tolerance().minus(taken, limit)).min(rate.burst.max(1)), taken.ceiling())
    }

    /// Whether it may be forgotten.
    pub fn is_idle(&self, now: u64) -> bool {
        self.due.ceiling() <= now
    }

    fn from(&self, now: u64, rate: Rate) -> Span {
        self.known(rate).max(Span { micros: now, rest: 0 })
    }

    /// The fraction of another limit may be more than a whole of this one.
    fn known(&self, rate: Rate) -> Span {
        Span { rest: self.due.rest.min(rate.limit() - 1), ..self.due }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn takes(gcra: &mut Gcra, now: u64, rate: Rate, amount: u64) -> bool {
        let room = gcra.room(now, rate, amount).is_ok();
        if room {
            gcra.take(now, rate, amount);
        }
        room
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let (rate, mut gcra) = (Rate::evenly(60), Gcra::default());
        for _ in 0..10 {
            assert!(takes(&mut gcra, 7, rate, 1));
        }
        assert_eq!(gcra.room(7, rate, 1), Err(Full::For(SECOND)));
        assert_eq!(gcra.room(7 + SECOND, rate, 1), Ok(()));
    }

    #[test]
    fn all_of_a_minute_fits_at_once_whatever_the_limit_is_divided_by() {
        for limit in [1, 7, 60, 700, 999_983, 1_000_000_000_007] {
            let (rate, mut gcra) = (Rate::by_the_minute(limit), Gcra::default());
            let part = (limit / 7).clamp(1, LARGEST);
            for _ in 0..(limit / part).min(100) {
                assert!(takes(&mut gcra, 0, rate, part), "{part} of {limit}");
            }
            let left = limit - part * (limit / part).min(100);
            assert_eq!(gcra.meter(0, rate).0, left, "of {limit}");
        }
    }

    #[test]
    fn what_is_given_back_has_room_again() {
        let (rate, mut gcra) = (Rate::by_the_minute(700), Gcra::default());
        assert!(takes(&mut gcra, 0, rate, 700));
        assert_eq!(gcra.room(0, rate, 1), Err(Full::For(85_715)));
        assert_eq!(gcra.meter(0, rate), (0, 60 * SECOND));
        gcra.give_back(rate, 100);
        assert_eq!(gcra.meter(0, rate), (100, 51_428_572));
        assert!(takes(&mut gcra, 0, rate, 100));
        gcra.take(0, rate, 700);
        assert_eq!(gcra.room(60 * SECOND, rate, 1), Err(Full::For(85_715)), "a debt is waited for");
        assert_eq!(gcra.room(0, rate, 701), Err(Full::Always));
        gcra.give_back(rate, LARGEST);
        assert!(gcra.is_idle(0));
        assert_eq!(gcra.meter(9, rate), (700, 0), "more than all is not given back");
    }

    #[test]
    fn another_limit_takes_over_what_is_due() {
        let mut gcra = Gcra::default();
        gcra.take(0, Rate::by_the_minute(7), 3);
        assert_eq!(gcra.meter(0, Rate::by_the_minute(2)).0, 1);
        assert_eq!(gcra.meter(0, Rate::by_the_minute(7)).0, 4);
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_the_limit_and_the_burst(
            per_minute in 1_u64..2_000,
            burst in 1_u64..2_000,
            window in 1_u64..200,
            steps in prop::collection::vec((0_u64..3_000_000, 1_u64..50), 1..300),
        ) {
            let rate = Rate { per_minute, burst };
            let (mut now, mut gcra, mut passed) = (5, Gcra::default(), Vec::new());
            for (step, amount) in steps {
                now += step;
                match gcra.room(now, rate, amount) {
                    Ok(()) => {
                        gcra.take(now, rate, amount);
                        passed.push((now, amount));
                    }
                    Err(Full::For(wait)) => {
                        prop_assert!(wait > 0 && gcra.room(now + wait, rate, amount).is_ok());
                        prop_assert!(gcra.room(now + wait - 1, rate, amount).is_err());
                    }
                    Err(Full::Always) => prop_assert!(amount > burst),
                }
            }
            let window = window * SECOND;
            for (from, _) in &passed {
                let within = passed.iter().filter(|(at, _)| at >= from && *at < from + window);
                let sum: u64 = within.map(|(_, amount)| amount).sum();
                let most = per_minute * window / MINUTE + burst + 1;
                prop_assert!(sum <= most, "{sum} of {most}");
            }
        }

        #[test]
        fn what_the_meter_says_has_room_and_no_more(
            limit in 1_u64..1_000_000, takings in prop::collection::vec((0_u64..9_000_000, 1_u64..100_000), 0..40),
        ) {
            let (rate, mut gcra, mut now) = (Rate::by_the_minute(limit), Gcra::default(), 0);
            for (step, amount) in takings {
                now += step;
                takes(&mut gcra, now, rate, amount);
            }
            let (remaining, reset) = gcra.meter(now, rate);
            prop_assert!(gcra.room(now, rate, remaining).is_ok());
            prop_assert!(gcra.room(now, rate, remaining + 1).is_err());
            prop_assert_eq!(gcra.meter(now + reset, rate), (limit, 0));
        }

        #[test]
        fn taking_and_giving_back_is_nothing(
            limit in 1_u64..1_000_000_000_000, before in 1_u64..LARGEST, amount in 1_u64..LARGEST,
        ) {
            let (rate, mut gcra) = (Rate::by_the_minute(limit), Gcra::default());
            gcra.take(3, rate, before);
            let was = gcra;
            gcra.take(3, rate, amount);
            gcra.give_back(rate, amount);
            prop_assert_eq!(gcra, was);
        }
    }
}

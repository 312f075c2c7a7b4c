//! Times in a histogram: every value is kept, to three digits.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart from longer ones.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// How long things took, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub(crate) fn new() -> Self {
        // From 1 ns to an hour with three digits: bounds that are always valid.
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("fixed bounds")))
    }

    /// One more.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be outside.
        let _ = self.0.add(&other.0);
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share of them did not exceed, in microseconds.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_everything_that_was_added() {
        let (mut one, mut other) = (Times::new(), Times::new());
        (1..=90).for_each(|ms| one.add(Duration::from_millis(ms)));
        (91..=100).for_each(|ms| other.add(Duration::from_millis(ms)));
        one.merge(&other);
        assert_eq!(one.count(), 100);
        for (share, ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = one.quantile_us(share) / 1000.0;
            assert!((found - ms).abs() < ms / 500.0, "{share}: {found}");
        }
    }
}

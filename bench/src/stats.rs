//! What is said of several rounds: medians with their range, and for comparisons an interval that assumes nothing.

/// The middle value, the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) median: f64,
    /// The lowest.
    pub(crate) min: f64,
    /// The highest.
    pub(crate) max: f64,
}

/// Of these values; `None` when there are none.
pub(crate) fn summary(values: &[f64]) -> Option<Summary> {
    let sorted = sorted(values);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    Some(Summary { median: middle(&sorted), min, max })
}

/// An interval for the median of what the values are a sample of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// Its lower end, one of the values.
    pub(crate) lower: f64,
    /// The sample's median.
    pub(crate) median: f64,
    /// Its upper end, one of the values.
    pub(crate) upper: f64,
    /// How surely it holds the median: at least [`CONFIDENCE`].
    pub(crate) confidence: f64,
}

/// What an interval must reach.
const CONFIDENCE: f64 = 0.95;

/// The sign test's interval: from the k-th lowest to the k-th highest value, with the largest k that is sure enough.
///
/// It holds whatever the values' distribution is, as long as rounds are independent, and needs no random numbers. With fewer than six
/// values even the whole range is not sure enough: `None`.
pub(crate) fn interval(values: &[f64]) -> Option<Interval> {
    let sorted = sorted(values);
    let count = sorted.len();
    // How likely it is that the median lies outside: at most `below` of `count` coins show heads, or tails.
    let (mut ways, mut outside) = (1.0, 0.0);
    let mut best = None;
    for below in 0..count / 2 {
        outside += 2.0 * ways / 2_f64.powi(count as i32);
        ways = ways * (count - below) as f64 / (below + 1) as f64;
        let confidence = 1.0 - outside;
        if confidence < CONFIDENCE {
            break;
        }
        let (lower, upper) = (sorted[below], sorted[count - 1 - below]);
        best = Some(Interval { lower, median: middle(&sorted), upper, confidence });
    }
    best
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median of values that are sorted, at least one.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_median_and_range() {
        let some = |median, min, max| Some(Summary { median, min, max });
        assert_eq!(summary(&[3.0, 1.0, 2.0]), some(2.0, 1.0, 3.0));
        assert_eq!(summary(&[4.0, 1.0]), some(2.5, 1.0, 4.0));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn the_interval_is_the_sign_tests() {
        let values = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<_>>();
        // Ranks and confidences as tables of the binomial distribution have them.
        for (count, lower, upper, confidence) in
            [(6, 1.0, 6.0, 0.969), (10, 2.0, 9.0, 0.979), (12, 3.0, 10.0, 0.961), (20, 6.0, 15.0, 0.959)]
        {
            let found = interval(&values(count)).unwrap();
            assert_eq!((found.lower, found.upper), (lower, upper), "{count}");
            assert!((found.confidence - confidence).abs() < 0.001, "{count}: {}", found.confidence);
        }
        assert_eq!(interval(&values(5)), None);
    }
}

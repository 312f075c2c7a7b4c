//! Percentiles from counts by size.
//!
//! Sums of many hours must give percentiles too, so latencies are counted in buckets whose counts can be added. A bucket's bound is
//! the square root of two times the one before: what is told lies in the exact percentile's bucket, at most 41 % off.

/// How many buckets there are: columns `latency_00` to `latency_39` of `usage_hourly`.
pub const BUCKETS: usize = 40;

/// Counts of latencies, by bucket.
pub type Counts = [u64; BUCKETS];

/// The longest latency of a bucket, in whole microseconds: 1 ms * 2^(i/2). The last bucket has none.
pub fn longest_us(bucket: usize) -> Option<u64> {
    if bucket + 1 >= BUCKETS {
        return None;
    }
    let doubled = 1_u64 << (bucket / 2);
    // 1 ms and 1 ms * sqrt(2), in millionths of a nanosecond, so that the last bound is exact too.
    let first: u64 = if bucket.is_multiple_of(2) { 1_000_000_000_000 } else { 1_414_213_562_373 };
    Some(first * doubled / 1_000_000_000)
}

/// The bucket that a latency counts in.
pub fn bucket_of(latency_us: u64) -> usize {
    (0..BUCKETS - 1)
        .find(|bucket| longest_us(*bucket).is_some_and(|longest| latency_us <= longest))
        .unwrap_or(BUCKETS - 1)
}

/// The latency, in microseconds, that `percent` percent of those counted do not pass; `None` when nothing was counted.
///
/// Inside a bucket latencies are taken to lie evenly. Of what is in the last one only its shortest is known, and told.
pub fn percentile_us(counts: &Counts, percent: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = (total as f64 * percent / 100.0).ceil().clamp(1.0, total as f64);
    let mut before = 0.0;
    for (bucket, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if before + count < rank {
            before += count;
            continue;
        }
        let shortest = bucket.checked_sub(1).and_then(longest_us).unwrap_or(0) as f64;
        let Some(longest) = longest_us(bucket) else { return Some(shortest) };
        return Some(shortest + (longest as f64 - shortest) * (rank - before) / count);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(latencies: &[u64]) -> Counts {
        let mut counts = [0; BUCKETS];
        for latency in latencies {
            counts[bucket_of(*latency)] += 1;
        }
        counts
    }

    #[test]
    fn a_bucket_ends_where_the_table_says() {
        let expected = [(0, 0), (1_000, 0), (1_001, 1), (1_414, 1), (1_415, 2), (2_000, 2), (2_001, 3)];
        for (latency, bucket) in expected {
            assert_eq!(bucket_of(latency), bucket, "{latency} us");
        }
        assert_eq!(longest_us(38), Some(524_288_000), "1 ms * 2^19");
        assert_eq!((bucket_of(524_288_000), bucket_of(524_288_001), bucket_of(u64::MAX)), (38, 39, 39));
        for bucket in 0..BUCKETS - 1 {
            let exact = (1_000.0 * 2_f64.powf(bucket as f64 / 2.0) + 1e-9).floor();
            assert_eq!(longest_us(bucket), Some(exact as u64), "bucket {bucket}");
        }
    }

    #[test]
    fn nothing_counted_has_no_percentile_and_what_is_longest_is_told_as_its_least() {
        assert_eq!(percentile_us(&[0; BUCKETS], 50.0), None);
        assert_eq!(percentile_us(&counted(&[u64::MAX]), 99.0), Some(524_288_000.0));
    }

    proptest! {
        #[test]
        fn a_percentile_lies_in_the_exact_ones_bucket(
            mut latencies in prop::collection::vec(0_u64..600_000_000, 1..300),
            percent in 1_u32..=100,
        ) {
            let told = percentile_us(&counted(&latencies), f64::from(percent)).unwrap();
            latencies.sort_unstable();
            let rank = (latencies.len() as u64 * u64::from(percent)).div_ceil(100).max(1);
            let bucket = bucket_of(latencies[rank as usize - 1]);
            let shortest = bucket.checked_sub(1).and_then(longest_us).unwrap_or(0) as f64;
            let longest = longest_us(bucket).map_or(f64::MAX, |longest| longest as f64);
            prop_assert!(shortest <= told && told <= longest, "{told} is not in {shortest}..={longest}");
        }
    }
}

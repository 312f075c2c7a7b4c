//! Sums of records, and percentiles from buckets.

use proptest::prelude::*;

use super::*;
use crate::ledger::record::UsageRecord;

/// A bucket's upper bound, in microseconds.
fn bound(bucket: usize) -> f64 {
    1000.0 * 2f64.powf(bucket as f64 / 2.0)
}

#[test]
fn a_bucket_holds_what_does_not_pass_its_bound() {
    assert_eq!([0, 1, 1000, 1001, 1414, 1415, 2000, 2001].map(latency_bucket), [0, 0, 0, 1, 1, 2, 2, 3]);
    assert_eq!([524_288_000, 524_288_001, u64::MAX].map(latency_bucket), [38, 39, 39]);
}

proptest! {
    /// Buckets are good for percentiles: never too low, never 1.42 times too high.
    #[test]
    fn a_percentile_from_buckets_is_within_its_bound_of_the_exact_one(
        mut latencies in prop::collection::vec(1_000u64..524_000_000, 1..200),
        percent in 1usize..=100,
    ) {
        let mut counts = [0u64; LATENCY_BUCKETS];
        for latency in &latencies {
            counts[latency_bucket(*latency)] += 1;
        }
        latencies.sort_unstable();
        let rank = (latencies.len() * percent).div_ceil(100);
        let exact = latencies[rank - 1] as f64;
        let mut below = 0;
        let bucket = counts.iter().position(|count| { below += count; below >= rank as u64 }).unwrap();
        prop_assert!(bound(bucket) >= exact - 1e-6, "{} < {exact}", bound(bucket));
        prop_assert!(bound(bucket) <= exact * 1.4143, "{} > {exact}", bound(bucket));
    }

    /// However records come in batches, the sums are those of all of them.
    #[test]
    fn sums_are_those_of_the_records(records in prop::collection::vec(record(), 0..40)) {
        let sums = Rollups::of(&records);
        let callers: Vec<_> = records.iter().filter(|record| record.origin == Origin::Caller).collect();
        let total = |of: fn(&RequestRecord) -> u64| callers.iter().map(|record| of(record)).sum::<u64>();
        let usage = |of: fn(&UsageSums) -> u64| sums.usage.values().map(of).sum::<u64>();
        prop_assert_eq!(usage(|row| row.requests), callers.len() as u64);
        prop_assert_eq!(usage(|row| row.latencies.0.iter().sum()), callers.len() as u64);
        prop_assert_eq!(usage(|row| row.tokens.prompt), total(|record| record.usage.prompt));
        prop_assert_eq!(usage(|row| row.cost.nanos), total(|record| record.cost_nanos.unwrap_or_default()));
        prop_assert_eq!(usage(|row| row.latency_us), total(|record| record.latency_us));
        prop_assert_eq!(usage(|row| row.attempts), total(|record| u64::from(record.attempts)));
        let tags: u64 = sums.tags.values().map(|row| row.requests).sum();
        prop_assert_eq!(tags, total(|record| record.tags.len() as u64));
        let providers = |of: fn(&ProviderSums) -> u64| sums.providers.values().map(of).sum::<u64>();
        prop_assert_eq!(providers(|row| row.attempts), total(|record| record.tried.len() as u64));
        let asked = |record: &&&RequestRecord| !record.tried.is_empty();
        let tokens: u64 = callers.iter().filter(asked).map(|record| record.usage.completion).sum();
        prop_assert_eq!(providers(|row| row.tokens.completion), tokens);
        for key in sums.usage.keys() {
            prop_assert_eq!(key.hour % HOUR_MICROS, 0);
        }
    }
}

/// A record of few keys, models, providers and hours, so that sums meet.
pub(crate) fn record() -> impl Strategy<Value = RequestRecord> {
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    let attempt = (word(&["p1", "p2"]), word(&["ok", "timeout"]), 0i64..3 * DAY_MICROS, 0u64..90_000_000)
        .prop_map(|(provider_id, outcome, at, latency_us)| AttemptRecord {
            started_at: UnixMicros(at),
            provider: format!("name of {provider_id}"),
            provider_id,
            upstream_model: "m".into(),
            outcome,
            latency_us,
            ttft_us: (latency_us % 2 == 0).then_some(latency_us / 2),
            ..AttemptRecord::default()
        });
    let who = (word(&["", "k1", "k2"]), word(&["m1", "m2"]), word(&["", "one", "two"]), word(&["", "blue"]));
    let how =
        (word(&["ok", "truncated", "not_found", "cancelled"]), any::<bool>(), prop::bool::weighted(0.1));
    let used = (0u64..5, 0u64..5, prop::option::of(0u64..1000), any::<bool>());
    let times = (0i64..3 * DAY_MICROS, 0u64..90_000_000, prop::option::of(0u64..5_000_000));
    let tags = prop::collection::btree_map(word(&["app", "team"]), word(&["a", "b"]), 0..3);
    (who, how, used, times, tags, prop::collection::vec(attempt, 0..4)).prop_map(
        |(who, how, used, times, tags, tried)| RequestRecord {
            api_key_name: format!("name of {}", who.0),
            api_key_id: who.0,
            model: who.1,
            provider: who.2,
            team: who.3,
            outcome: how.0,
            stream: how.1,
            origin: if how.2 { Origin::Probe } else { Origin::Caller },
            usage: UsageRecord {
                prompt: used.0,
                completion: used.1,
                source: if used.3 { UsageSource::Provider } else { UsageSource::Estimated },
                ..UsageRecord::default()
            },
            cost_nanos: used.2,
            started_at: UnixMicros(times.0),
            latency_us: times.1,
            ttft_us: times.2,
            attempts: u32::try_from(tried.len()).unwrap(),
            tags,
            tried,
            ..RequestRecord::default()
        },
    )
}

//! What records add to the sums that outlive them. Pure: the writer adds a batch's, `stats rebuild` an hour's, and both come to the
//! same.
//!
//! Latencies are counted in buckets whose bounds grow by √2, so that percentiles of any stretch of hours come from sums. A percentile
//! read as its bucket's upper bound is at least the exact one, and less than 1.42 times as much, for latencies from 1 ms to 524 s.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;

use super::record::{AttemptRecord, Origin, RequestRecord};
use crate::{call::UsageSource, error::ErrorKind};

/// How many buckets there are.
pub const LATENCY_BUCKETS: usize = 40;
/// One hour.
pub const HOUR_MICROS: i64 = 3_600_000_000;
/// One day.
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// The bucket of a latency: the first whose bound, 1 ms × 2^(i/2), it does not pass; the last for everything longer.
pub fn latency_bucket(latency_us: u64) -> usize {
    // Compared as squares, so that all is whole numbers: latency² ≤ 1000² × 2^i.
    let square = u128::from(latency_us) * u128::from(latency_us);
    let powers = square.div_ceil(1_000_000);
    let bucket = if powers <= 1 { 0 } else { (powers - 1).ilog2() as usize + 1 };
    bucket.min(LATENCY_BUCKETS - 1)
}

/// The first microsecond of the hour that a moment lies in, UTC.
pub fn hour_of(moment: UnixMicros) -> i64 {
    moment.0 - moment.0.rem_euclid(HOUR_MICROS)
}

/// The first microsecond of the day that a moment lies in, UTC.
pub fn day_of(moment: UnixMicros) -> i64 {
    moment.0 - moment.0.rem_euclid(DAY_MICROS)
}

/// What some records add to each table of sums. Sorted by key, so that cores that add at once lock rows in one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// Table `usage_hourly`, and summed up further `usage_daily`.
    pub usage: BTreeMap<UsageKey, UsageSums>,
    /// Table `usage_tags_hourly`.
    pub tags: BTreeMap<TagKey, TagSums>,
    /// Table `provider_stats`.
    pub providers: BTreeMap<ProviderKey, ProviderSums>,
}

/// A row of `usage_hourly`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// Its first microsecond.
    pub hour: i64,
    /// The caller's key.
    pub api_key_id: String,
    /// The model asked for; empty where there is no such model.
    pub model: String,
    /// The provider's name; empty where none answered.
    pub provider: String,
    /// The key's team at that time.
    pub team: String,
}

/// What is summed up by hour, key, model, provider and team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// The key's latest name.
    pub api_key_name: String,
    /// Records.
    pub requests: u64,
    /// Those that ended well.
    pub successes: u64,
    /// Those that streamed.
    pub streams: u64,
    /// How often a provider was asked.
    pub attempts: u64,
    /// Tokens.
    pub tokens: TokenSums,
    /// Those whose tokens were estimated.
    pub estimated: u64,
    /// Cost.
    pub cost: CostSums,
    /// Whole latencies.
    pub latency_us: u64,
    /// Times to the first content.
    pub ttft: TtftSums,
    /// Whole latencies by size.
    pub latencies: Latencies,
}

/// Latencies by [bucket](latency_bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies(pub [u64; LATENCY_BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([0; LATENCY_BUCKETS])
    }
}

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSums {
    /// All tokens read.
    pub prompt: u64,
    /// All tokens written.
    pub completion: u64,
    /// Of those read: from a provider's cache.
    pub cached_read: u64,
    /// Of those read: into a provider's cache.
    pub cache_write: u64,
    /// Of those written: reasoning.
    pub reasoning: u64,
}

/// Cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostSums {
    /// In nano-dollars, of what has a price.
    pub nanos: u64,
    /// Requests that used tokens of unknown price.
    pub unpriced: u64,
}

/// Times to the first content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TtftSums {
    /// Their sum.
    pub us: u64,
    /// How many have one.
    pub count: u64,
}

/// A row of `usage_tags_hourly`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey {
    /// Its first microsecond.
    pub hour: i64,
    /// The tag's name.
    pub tag: String,
    /// The tag's value.
    pub value: String,
}

/// What is summed up by hour and tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagSums {
    /// Records.
    pub requests: u64,
    /// Those that ended well.
    pub successes: u64,
    /// All tokens read.
    pub prompt: u64,
    /// All tokens written.
    pub completion: u64,
    /// Cost.
    pub cost: CostSums,
}

/// A row of `provider_stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderKey {
    /// Its first microsecond.
    pub day: i64,
    /// The provider.
    pub provider_id: String,
    /// The model's name there.
    pub upstream_model: String,
}

/// What is summed up by day, provider and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderSums {
    /// The provider's latest name.
    pub provider: String,
    /// How often it was asked.
    pub attempts: u64,
    /// How often it answered well.
    pub successes: u64,
    /// Tokens.
    pub tokens: TokenSums,
    /// In nano-dollars.
    pub cost_nanos: u64,
    /// From asking to the end.
    pub latency_us: u64,
    /// From asking to the first content.
    pub ttft: TtftSums,
    /// When it was last asked.
    pub last_used_at: i64,
}

impl Rollups {
    /// What these records add.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a RequestRecord>) -> Self {
        let mut sums = Self::default();
        for record in records {
            sums.add_request(record);
            sums.add_attempts(record);
        }
        sums
    }

    /// What a record adds by hour.
    pub fn add_request(&mut self, record: &RequestRecord) {
        if record.origin == Origin::Probe {
            return;
        }
        let hour = hour_of(record.started_at);
        let key = UsageKey {
            hour,
            api_key_id: record.api_key_id.clone(),
            model: if names_no_model(record) { String::new() } else { record.model.clone() },
            provider: record.provider.clone(),
            team: record.team.clone(),
        };
        self.usage.entry(key).or_default().add(record);
        for (tag, value) in &record.tags {
            let key = TagKey { hour, tag: tag.clone(), value: value.clone() };
            self.tags.entry(key).or_default().add(record);
        }
    }

    /// What a record's attempts add by day: the request's, so that a day's sums come from that day's records.
    pub fn add_attempts(&mut self, record: &RequestRecord) {
        if record.origin == Origin::Probe {
            return;
        }
        let last = record.tried.len().saturating_sub(1);
        for (index, attempt) in record.tried.iter().enumerate() {
            let key = ProviderKey {
                day: day_of(record.started_at),
                provider_id: attempt.provider_id.clone(),
                upstream_model: attempt.upstream_model.clone(),
            };
            // Only the last can have answered.
            let answered = (index == last).then_some(record);
            self.providers.entry(key).or_default().add(attempt, answered);
        }
    }
}

/// A request that no model of ours was found for, or that was not looked into that far: what its caller wrote is no model.
fn names_no_model(record: &RequestRecord) -> bool {
    let callers = [
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::InvalidRequest,
        ErrorKind::Unauthenticated,
        ErrorKind::TooLarge,
    ];
    record.attempts == 0 && callers.iter().any(|kind| kind.name() == record.outcome)
}

fn succeeded(outcome: &str) -> u64 {
    u64::from(outcome == "ok")
}

impl UsageSums {
    /// Adds later sums.
    pub fn merge(&mut self, later: &Self) {
        self.api_key_name.clone_from(&later.api_key_name);
        self.requests += later.requests;
        self.successes += later.successes;
        self.streams += later.streams;
        self.attempts += later.attempts;
        self.tokens.prompt += later.tokens.prompt;
        self.tokens.completion += later.tokens.completion;
        self.tokens.cached_read += later.tokens.cached_read;
        self.tokens.cache_write += later.tokens.cache_write;
        self.tokens.reasoning += later.tokens.reasoning;
        self.estimated += later.estimated;
        self.cost.nanos += later.cost.nanos;
        self.cost.unpriced += later.cost.unpriced;
        self.latency_us += later.latency_us;
        self.ttft.us += later.ttft.us;
        self.ttft.count += later.ttft.count;
        for (sum, count) in self.latencies.0.iter_mut().zip(later.latencies.0) {
            *sum += count;
        }
    }

    fn add(&mut self, record: &RequestRecord) {
        self.api_key_name.clone_from(&record.api_key_name);
        self.requests += 1;
        self.successes += succeeded(&record.outcome);
        self.streams += u64::from(record.stream);
        self.attempts += u64::from(record.attempts);
        self.tokens.add(record);
        let used = record.usage.prompt > 0 || record.usage.completion > 0;
        self.estimated += u64::from(used && record.usage.source == UsageSource::Estimated);
        self.cost.add(record);
        self.latency_us += record.latency_us;
        self.ttft.add(record.ttft_us);
        self.latencies.0[latency_bucket(record.latency_us)] += 1;
    }
}

impl TagSums {
    fn add(&mut self, record: &RequestRecord) {
        self.requests += 1;
        self.successes += succeeded(&record.outcome);
        self.prompt += record.usage.prompt;
        self.completion += record.usage.completion;
        self.cost.add(record);
    }
}

impl ProviderSums {
    fn add(&mut self, attempt: &AttemptRecord, answered: Option<&RequestRecord>) {
        self.provider.clone_from(&attempt.provider);
        self.attempts += 1;
        self.successes += succeeded(&attempt.outcome);
        if let Some(record) = answered {
            self.tokens.add(record);
            self.cost_nanos += record.cost_nanos.unwrap_or_default();
        }
        self.latency_us += attempt.latency_us;
        self.ttft.add(attempt.ttft_us);
        self.last_used_at = self.last_used_at.max(attempt.started_at.0);
    }
}

impl TokenSums {
    fn add(&mut self, record: &RequestRecord) {
        let usage = &record.usage;
        self.prompt += usage.prompt;
        self.completion += usage.completion;
        self.cached_read += usage.cached_read;
        self.cache_write += usage.cache_write;
        self.reasoning += usage.reasoning;
    }
}

impl CostSums {
    fn add(&mut self, record: &RequestRecord) {
        let used = record.usage.prompt > 0 || record.usage.completion > 0;
        match record.cost_nanos {
            Some(nanos) => self.nanos += nanos,
            None => self.unpriced += u64::from(used),
        }
    }
}

impl TtftSums {
    fn add(&mut self, ttft_us: Option<u64>) {
        if let Some(us) = ttft_us {
            self.us += us;
            self.count += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

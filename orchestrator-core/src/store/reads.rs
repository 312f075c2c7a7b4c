//! What is read of the account, and how long it is kept: the traits, and the words in which they are asked.
//!
//! Request logs are asked for by ids, which are UUID v7 and so sort by time. However rare what is looked for is, one question looks
//! at a bounded number of rows: [`LogPage::next`] goes on where it ended.

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;
use uuid::Uuid;

use super::StoreError;
use crate::{
    ledger::{RequestRecord, record::AttemptRecord},
    policy::percentile::{BUCKETS, Counts},
};

/// Which requests. What is `None` excludes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Arrived then or later, to the millisecond.
    pub from: Option<UnixMicros>,
    /// Arrived before.
    pub to: Option<UnixMicros>,
    /// The model asked for.
    pub model: Option<String>,
    /// The provider's name at that time.
    pub provider: Option<String>,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// The id of the caller's key.
    pub api_key_id: Option<String>,
    /// The name that the caller's key had: for keys that are no more.
    pub api_key_name: Option<String>,
    /// The least and the greatest HTTP status.
    pub status: Option<(u16, u16)>,
    /// `ok`, `truncated`, or an error kind.
    pub outcome: Option<String>,
    /// The error's kind, truncated answers included.
    pub error_kind: Option<String>,
    /// The caller's session.
    pub session_id: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The trace's id.
    pub trace_id: Option<String>,
    /// Streamed, or not.
    pub stream: Option<bool>,
    /// Ended then or later. For the tail alone.
    pub ended_from: Option<UnixMicros>,
}

/// A stretch of the request logs, newest first.
#[derive(Clone, Debug, Default)]
pub struct LogScan {
    /// Which.
    pub filter: LogFilter,
    /// Only what is older than this id.
    pub before: Option<String>,
    /// The most to return.
    pub limit: u32,
    /// The most to look at.
    pub examine: u32,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// Newest first, without attempts and bodies.
    pub records: Vec<RequestRecord>,
    /// Goes on as [`LogScan::before`]; `None` where nothing is left. There may be one after a page that is short, or empty.
    pub next: Option<String>,
}

/// Reads request logs.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// A stretch of the logs.
    async fn request_logs(&self, scan: &LogScan) -> Result<LogPage, StoreError>;

    /// One request with its attempts, by its own id or else the newest with this request id; with what was said only where that is
    /// wanted.
    async fn request_log(&self, id: &str, with_bodies: bool) -> Result<Option<RequestRecord>, StoreError>;

    /// The names under which models have been asked of a provider, in order, at most `limit`.
    async fn upstream_models(&self, provider_id: &str, limit: u32) -> Result<Vec<String>, StoreError>;

    /// The last attempts at a provider's model, newest first, each with the id of its request.
    async fn last_attempts(
        &self,
        provider_id: &str,
        upstream_model: &str,
        limit: u32,
    ) -> Result<Vec<(String, AttemptRecord)>, StoreError>;
}

/// What statistics are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The provider's name.
    Provider,
    /// The model asked for.
    Model,
    /// The caller's key.
    Key,
    /// That key's team.
    Team,
}

/// How long a row of usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Everything from the first to the last moment asked for.
    Whole,
}

/// Which sums of usage.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The first hour.
    pub from: UnixMicros,
    /// The first hour that is not counted any more.
    pub to: UnixMicros,
    /// How long each row is.
    pub step: Step,
    /// What rows are kept apart by.
    pub by: Vec<Dimension>,
    /// The most rows.
    pub limit: u32,
}

/// Sums of usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Requests.
    pub requests: u64,
    /// Those that were answered well.
    pub successes: u64,
    /// Those that were streamed.
    pub streams: u64,
    /// Attempts at providers.
    pub attempts: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Of those read: from the provider's cache.
    pub cached_read_tokens: u64,
    /// Of those read: written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Of those written: reasoning.
    pub reasoning_tokens: u64,
    /// Requests whose tokens are our estimate.
    pub estimated: u64,
    /// What the requests with a known price cost, in nano-dollars.
    pub cost_nanos: u64,
    /// Requests without a known price.
    pub unpriced: u64,
    /// All latencies together, in microseconds.
    pub latency_us: u64,
    /// All times to the first token together, in microseconds.
    pub ttft_us: u64,
    /// How many those are.
    pub ttft_count: u64,
    /// Latencies by size, where they are counted.
    pub latencies: Option<Counts>,
}

impl UsageSums {
    /// Adds another stretch or part.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successes += other.successes;
        self.streams += other.streams;
        self.attempts += other.attempts;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_read_tokens += other.cached_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.estimated += other.estimated;
        self.cost_nanos += other.cost_nanos;
        self.unpriced += other.unpriced;
        self.latency_us += other.latency_us;
        self.ttft_us += other.ttft_us;
        self.ttft_count += other.ttft_count;
        if let Some(counts) = &other.latencies {
            let sums = self.latencies.get_or_insert([0; BUCKETS]);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }
}

/// Sums of what is alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// When the row begins.
    pub start: UnixMicros,
    /// The provider's name, where that is asked for; so with the others.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The id of the caller's key.
    pub api_key_id: String,
    /// One of the names that it had.
    pub api_key_name: String,
    /// The team.
    pub team: String,
    /// The tag's value.
    pub tag_value: String,
    /// The sums.
    pub sums: UsageSums,
}

/// A provider's day with one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderDay {
    /// The day's first moment, UTC.
    pub day: UnixMicros,
    /// The provider's id.
    pub provider_id: String,
    /// Its name.
    pub provider: String,
    /// The model's name there.
    pub upstream_model: String,
    /// The last time that it was asked.
    pub last_used_at: UnixMicros,
    /// Sums; `attempts` and what successful ones took, no request's own sums.
    pub sums: UsageSums,
}

/// Reads sums, which outlive the logs.
#[async_trait]
pub trait StatsReader: Send + Sync {
    /// Sums of usage, by time and then by what they are grouped by.
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// The same by the values of a tag, for which less is summed: no latencies, attempts, streams, and of tokens only what was read and
    /// written. [`UsageQuery::by`] does not count.
    async fn usage_by_tag(&self, query: &UsageQuery, tag: &str) -> Result<Vec<UsageRow>, StoreError>;

    /// Days of providers, oldest first; of one by its id, or of all.
    async fn provider_days(
        &self,
        (from, to): (UnixMicros, UnixMicros),
        provider_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ProviderDay>, StoreError>;
}

/// How long the account is kept, in days; 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Requests with their attempts and bodies.
    pub logs_days: u32,
    /// Bodies; 0: as long as their request.
    pub bodies_days: u32,
}

/// Keeps request logs, and forgets them. Statistics stay.
#[async_trait]
pub trait LogKeeper: Send + Sync {
    /// How long they are kept. Where nothing has been chosen yet, `first` is from now on.
    async fn retention(&self, first: Retention) -> Result<Retention, StoreError>;

    /// Operators have chosen otherwise.
    async fn set_retention(&self, retention: Retention) -> Result<(), StoreError>;

    /// Deletes the oldest requests that arrived before `before`, with all that belongs to them, at most `batch`, in one transaction.
    /// Says how many: less than `batch` when none is left.
    async fn forget_logs(&self, before: UnixMicros, batch: u32) -> Result<u64, StoreError>;

    /// The same of bodies alone.
    async fn forget_bodies(&self, before: UnixMicros, batch: u32) -> Result<u64, StoreError>;
}

/// The first id of that millisecond: whatever arrived earlier has a smaller one.
pub fn first_id_at(moment: UnixMicros) -> String {
    // An id has 48 bits for its time; what is later than that comes after every id.
    let millis = u64::try_from(moment.0.div_euclid(1000)).unwrap_or(0).min((1 << 48) - 1);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid().to_string()
}

/// Whether a text is an id as this program makes them.
pub fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

//! What is counted for a model and a provider.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use orchestrator_base::metrics::{Counter, Histogram};

use super::{Ending, Gaps, Name, buckets};

/// Kinds of tokens, as in label `kind`.
pub(super) const TOKENS: [&str; 5] = ["prompt", "completion", "cached_read", "cache_write", "reasoning"];

/// Through which door a request came: its dialect and what is done, as places in tables and as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its place among the dialects.
    pub dialect_place: usize,
    /// Its word.
    pub dialect: &'static str,
    /// Its place among the operations.
    pub operation_place: usize,
    /// Its word.
    pub operation: &'static str,
}

/// The most dialects and operations that there may be: a test of the ledger counts them.
pub(crate) const DIALECTS: usize = 16;
pub(crate) const OPERATIONS: usize = 8;

/// Requests through one door, by how they ended.
pub(super) struct Requests {
    pub(super) door: Door,
    pub(super) endings: [Counter; Ending::COUNT],
}

/// How many tokens of each kind.
pub type TokenCounts = [u64; TOKENS.len()];

/// See the module. Most pairs see one dialect or two, so what they never see is never made.
pub struct Pair {
    pub(super) model: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) requests: Box<[[OnceLock<Box<Requests>>; OPERATIONS]; DIALECTS]>,
    /// By operation, and whether it was a stream.
    pub(super) durations: [[OnceLock<Box<Duration>>; 2]; OPERATIONS],
    pub(super) streams: OnceLock<Box<Streams>>,
    pub(super) tokens: [Counter; TOKENS.len()],
    /// Nano-dollars.
    pub(super) cost: Counter,
    pub(super) attempts: [Counter; Ending::COUNT],
    pub(super) attempt_duration: Histogram,
    pub(super) retries: Counter,
    pub(super) failovers: Counter,
}

/// How long requests of one operation took.
pub(super) struct Duration {
    pub(super) operation: &'static str,
    pub(super) took: Histogram,
}

/// What only streams have.
pub(super) struct Streams {
    pub(super) first_token: Histogram,
    pub(super) longest_gap: Histogram,
    pub(super) mean_gap: Histogram,
}

impl Pair {
    pub(super) fn new((model, provider): (Name, Name)) -> Self {
        Self {
            model: model.text(),
            provider: provider.text(),
            requests: Box::default(),
            durations: Default::default(),
            streams: OnceLock::new(),
            tokens: Default::default(),
            cost: Counter::default(),
            attempts: Default::default(),
            attempt_duration: Histogram::new(&buckets::ANSWER),
            retries: Counter::default(),
            failovers: Counter::default(),
        }
    }

    /// A request is over, after so many nanoseconds.
    pub fn request(&self, door: Door, ending: Ending, stream: bool, nanos: u64) {
        let requests = &self.requests[door.dialect_place % DIALECTS][door.operation_place % OPERATIONS];
        let requests = requests.get_or_init(|| Box::new(Requests { door, endings: Default::default() }));
        requests.endings[usize::from(ending.0)].inc();
        let duration = &self.durations[door.operation_place % OPERATIONS][usize::from(stream)];
        let make =
            || Box::new(Duration { operation: door.operation, took: Histogram::new(&buckets::ANSWER) });
        duration.get_or_init(make).took.record_nanos(nanos);
    }

    /// A stream is over whose first content came after so many microseconds.
    pub fn stream(&self, first_token_micros: u64, gaps: Gaps) {
        let streams = self.streams.get_or_init(|| {
            Box::new(Streams {
                first_token: Histogram::new(&buckets::FIRST_TOKEN),
                longest_gap: Histogram::new(&buckets::GAP),
                mean_gap: Histogram::new(&buckets::GAP),
            })
        });
        streams.first_token.record_nanos(first_token_micros.saturating_mul(1000));
        if let Some((longest, mean)) = gaps.summary() {
            streams.longest_gap.record_nanos(longest);
            streams.mean_gap.record_nanos(mean);
        }
    }

    /// Tokens were used, and so many nano-dollars were spent on them.
    pub fn used(&self, tokens: TokenCounts, cost: Option<u64>) {
        for (counter, count) in self.tokens.iter().zip(tokens) {
            if count > 0 {
                counter.add(count);
            }
        }
        if let Some(nanos) = cost.filter(|nanos| *nanos > 0) {
            self.cost.add(nanos);
        }
    }

    /// An attempt is over, after so many microseconds.
    pub fn attempt(&self, ending: Ending, micros: u64) {
        self.attempts[usize::from(ending.0)].inc();
        self.attempt_duration.record_nanos(micros.saturating_mul(1000));
    }

    /// The provider has failed and is asked again.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// The provider has failed and another is asked.
    pub fn failed_over(&self) {
        self.failovers.inc();
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("model", &self.model)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

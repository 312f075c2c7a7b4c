//! Every instrument of the core, named once: `docs/METRICS.md` has a row for each, and a test holds the two together.
//!
//! What requests count has a handle that is found by numbers, never by text: the catalog gives its models and providers a [`Name`]
//! each, and a pair of names leads to a [`Pair`] with all that is counted for them. Of pairs there are at most as many as the
//! operator allows; what comes then is counted as `other`. What is a state rather than a count (queue, journal, breakers) is looked
//! at when somebody scrapes, by whoever knows it, under the descriptions in [`states`].

mod buckets;
mod names;
mod pair;
mod show;
pub mod states;
mod store;

use std::{
    collections::HashMap,
    fmt,
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use orchestrator_base::{
    clock::UnixMicros,
    metrics::{Counter, Gauge, Histogram},
};

use crate::error::ErrorKind;

pub use names::Name;
use names::NameHasher;
#[cfg(test)]
pub(crate) use pair::{DIALECTS, OPERATIONS};
pub use pair::{Door, Pair, TokenCounts};
pub use store::{Access, DatabaseMeter, RedisMeter, Timer};

/// How many pairs of a model and a provider have series of their own, where nobody says otherwise.
const MOST_PAIRS: usize = 1000;

/// How a request, or an attempt, ended. A place in tables of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending(u8);

impl Ending {
    /// Well.
    pub const OK: Self = Self(0);
    /// It broke after it had begun.
    pub const TRUNCATED: Self = Self(1);
    /// How many there are.
    const COUNT: usize = 2 + ErrorKind::ALL.len();

    /// It failed.
    pub fn failed(kind: ErrorKind) -> Self {
        Self(2 + kind as u8)
    }

    /// The word in label `outcome`, by its place.
    fn word(place: usize) -> &'static str {
        match place.checked_sub(2) {
            Some(kind) => ErrorKind::ALL.get(kind).map_or("internal", |kind| kind.name()),
            None if place == 0 => "ok",
            None => "truncated",
        }
    }
}

/// What the gateway itself does for a request, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The caller's key, the body's facts, route and plan.
    Prepare,
    /// Taking limits.
    Limits,
    /// Until a provider is found that may be asked.
    Route,
    /// Writing the request for it.
    Translate,
    /// From the provider's answer to the caller's.
    Deliver,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Prepare, Self::Limits, Self::Route, Self::Translate, Self::Deliver];

    fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Limits => "limits",
            Self::Route => "route",
            Self::Translate => "translate",
            Self::Deliver => "deliver",
        }
    }
}

/// Which limit had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests at once.
    Concurrency,
    /// Money.
    Budget,
    /// What was spent cannot be read.
    UnknownSpend,
}

const LIMITS: [&str; 5] = ["requests", "tokens", "concurrency", "budget", "unknown_spend"];
const SCOPES: [&str; 3] = ["key", "team", "model"];
/// The words of `alerts.kind`; the module above has them too.
const ALERTS: [&str; 3] = ["budget_threshold", "budget_exhausted", "provider_key_refused"];
const PROBES: [&str; 2] = ["ok", "failed"];

/// The waits between the pieces of a stream, after its first content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    count: u32,
    longest: u64,
    total: u64,
}

impl Gaps {
    /// A piece has come, so long after the one before.
    pub fn piece(&mut self, gap: Duration) {
        // 584 years fit.
        let nanos = gap.as_nanos() as u64;
        self.count += 1;
        self.longest = self.longest.max(nanos);
        self.total += nanos;
    }

    /// The longest and the mean, in nanoseconds; `None`: there was one piece at most.
    fn summary(self) -> Option<(u64, u64)> {
        Some((self.longest, self.total.checked_div(self.count.into())?))
    }
}

type Pairs = HashMap<(Name, Name), Arc<Pair>, BuildHasherDefault<NameHasher>>;

/// What a core counts. See the module.
pub struct Metrics {
    /// By the numbers of the model's and the provider's name.
    pairs: ArcSwap<Pairs>,
    most_pairs: usize,
    overhead: Histogram,
    phases: [Histogram; Phase::ALL.len()],
    queue_wait: Histogram,
    streams: Gauge,
    refusals: [[Counter; SCOPES.len()]; LIMITS.len()],
    alerts: [Counter; ALERTS.len()],
    probes: [Counter; PROBES.len()],
    last_probe: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(MOST_PAIRS)
    }
}

impl Metrics {
    /// Nothing was counted yet. `most_pairs`: so many pairs of a model and a provider have series of their own.
    pub fn new(most_pairs: usize) -> Self {
        Self {
            pairs: ArcSwap::default(),
            most_pairs,
            overhead: Histogram::new(&buckets::OVERHEAD),
            phases: std::array::from_fn(|_| Histogram::new(&buckets::OVERHEAD)),
            queue_wait: Histogram::new(&buckets::WAIT),
            streams: Gauge::default(),
            refusals: std::array::from_fn(|_| std::array::from_fn(|_| Counter::default())),
            alerts: std::array::from_fn(|_| Counter::default()),
            probes: std::array::from_fn(|_| Counter::default()),
            last_probe: AtomicI64::default(),
        }
    }

    /// What is counted for a model and a provider.
    pub fn pair(&self, model: Name, provider: Name) -> Arc<Pair> {
        match self.pairs.load().get(&(model, provider)) {
            Some(pair) => Arc::clone(pair),
            None => self.insert(model, provider),
        }
    }

    /// Of two that insert at once, both get what the first has made.
    fn insert(&self, model: Name, provider: Name) -> Arc<Pair> {
        let others = (Name::OTHER, Name::OTHER);
        let pairs = self.pairs.load();
        if let Some(pair) = pairs.get(&others).filter(|_| pairs.len() > self.most_pairs) {
            return Arc::clone(pair);
        }
        let mut found = None;
        self.pairs.rcu(|pairs| {
            let names = if pairs.len() < self.most_pairs { (model, provider) } else { others };
            let pair = pairs.get(&names).map_or_else(|| Arc::new(Pair::new(names)), Arc::clone);
            let mut more = Pairs::clone(pairs);
            more.insert(names, Arc::clone(&pair));
            found = Some(pair);
            more
        });
        found.unwrap_or_else(|| Arc::new(Pair::new(others)))
    }

    /// A phase took so long, in nanoseconds.
    pub fn phase(&self, phase: Phase, nanos: u64) {
        self.phases[phase as usize].record_nanos(nanos);
    }

    /// All of the gateway's own work for a request took so long, in nanoseconds.
    pub fn overhead(&self, nanos: u64) {
        self.overhead.record_nanos(nanos);
    }

    /// A request waited so long for a place.
    pub fn queue_wait(&self, waited: Duration) {
        self.queue_wait.record(waited);
    }

    /// Streams that are under way.
    pub fn streams(&self) -> &Gauge {
        &self.streams
    }

    /// A limit had no room. `scope`: whose, as in `key:ID`.
    pub fn refused(&self, limit: Limit, scope: &str) {
        let whose = scope.split_once(':').map_or(scope, |(whose, _)| whose);
        let place = SCOPES.iter().position(|scope| *scope == whose).unwrap_or_default();
        self.refusals[limit as usize][place].inc();
    }

    /// An alert was raised, by its kind.
    pub fn alerted(&self, kind: &str) {
        if let Some(place) = ALERTS.iter().position(|known| *known == kind) {
            self.alerts[place].inc();
        }
    }

    /// A probe is over.
    pub fn probed(&self, good: bool, at: UnixMicros) {
        self.probes[usize::from(!good)].inc();
        self.last_probe.fetch_max(at.0, Ordering::Relaxed);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("pairs", &self.pairs.load().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

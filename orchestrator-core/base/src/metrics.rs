//! Numbers that operators watch: counters, gauges and histograms, and their text for Prometheus.
//!
//! Instruments are plain atomics that whoever counts holds a handle of: to count is one or two additions, whatever is scraped and
//! whenever. Histograms have fixed buckets, so they never grow and nothing has to be drained. An instrument belongs to the program
//! that made it, not to the process: several cores in one process (as in tests) do not count each other's requests.
//!
//! A [`Registry`] holds what [`Collect`]s; it is asked when somebody scrapes.

pub mod process;
mod text;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::text::Text;

/// The media type of [`Registry::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family of series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How often it was at most so much.
    Histogram,
}

impl Kind {
    /// Prometheus' word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of series: what `docs/METRICS.md` has a row for.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    /// `orchestrator_requests_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Description {
    /// A counter.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    /// A histogram of seconds.
    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, labels, help }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that is set, or goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// This it is now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took at most so long.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in microseconds, ascending.
    bounds: &'static [u64],
    /// One more than bounds: the last is for what took longer than all of them.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl Histogram {
    /// Nothing was measured yet. `bounds`: of its buckets, in microseconds, ascending.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, counts, nanos: AtomicU64::default() }
    }

    /// It took so long.
    pub fn record(&self, took: Duration) {
        self.record_nanos(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// It took so many nanoseconds.
    #[inline]
    pub fn record_nanos(&self, nanos: u64) {
        let micros = nanos.div_ceil(1000);
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How often something was measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// Something that has numbers to show.
pub trait Collect: Send + Sync {
    /// Its families.
    fn descriptions(&self) -> Vec<&'static Description>;

    /// Writes each family, with all of its series.
    fn collect(&self, text: &mut Text);
}

/// All that a process shows of itself. Clones are the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<RwLock<Vec<Arc<dyn Collect>>>>);

impl Registry {
    /// Shows these too.
    pub fn add(&self, collector: Arc<dyn Collect>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(collector);
    }

    /// The families of all.
    pub fn descriptions(&self) -> Vec<&'static Description> {
        self.collectors().iter().flat_map(|collector| collector.descriptions()).collect()
    }

    /// The text for a scrape. It looks at files: not for a thread that has requests to serve.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        for collector in self.collectors() {
            collector.collect(&mut text);
        }
        text.finish()
    }

    fn collectors(&self) -> Vec<Arc<dyn Collect>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Description = Description::histogram("x_seconds", &["who"], "How long.");
    const SEEN: Description = Description::counter("x_total", &["who"], "How many.");

    struct Sample;

    impl Collect for Sample {
        fn descriptions(&self) -> Vec<&'static Description> {
            vec![&SEEN, &TOOK]
        }

        fn collect(&self, text: &mut Text) {
            let counter = Counter::default();
            counter.add(3);
            text.family(&SEEN);
            text.whole(&SEEN, &["a \"b\\c\"\n"], counter.get());
            let histogram = Histogram::new(&[10, 1_000, 2_500_000]);
            for micros in [10, 11, 3_000_000] {
                histogram.record(Duration::from_micros(micros));
            }
            text.family(&TOOK);
            text.histogram(&TOOK, &["d"], &histogram);
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let registry = Registry::default();
        registry.add(Arc::new(Sample));
        insta::assert_snapshot!(registry.render(), @r#"
        # HELP x_total How many.
        # TYPE x_total counter
        x_total{who="a \"b\\c\"\n"} 3
        # HELP x_seconds How long.
        # TYPE x_seconds histogram
        x_seconds_bucket{who="d",le="0.00001"} 1
        x_seconds_bucket{who="d",le="0.001"} 2
        x_seconds_bucket{who="d",le="2.5"} 2
        x_seconds_bucket{who="d",le="+Inf"} 3
        x_seconds_sum{who="d"} 3.000021
        x_seconds_count{who="d"} 3
        "#);
    }
}

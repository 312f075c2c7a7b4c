//! Many streams side by side.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use orchestrator_base::{
    clock::Clock,
    runtime::{self, Workers},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Connection, Errors, Failure, Target},
    times::Times,
};
use crate::script::request::Bodies;

/// Streams under way.
#[derive(Debug)]
pub(crate) struct Streams {
    shared: Shared,
    workers: Workers<Seen>,
}

/// What was seen of the chunks that came while it was [recorded](Streams::record).
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// From when the upstream made a chunk to when it was read.
    pub(crate) transit: Times,
    /// Between two chunks of one stream.
    pub(crate) gap: Times,
}

#[derive(Clone, Debug)]
struct Shared {
    target: Target,
    bodies: Bodies,
    chunks: Arc<AtomicU64>,
    /// Streams whose first chunk has come.
    begun: Arc<AtomicU64>,
    recording: Arc<AtomicBool>,
    stop: CancellationToken,
    errors: Errors,
}

impl Streams {
    /// Opens `count` streams, evenly over `ramp`.
    pub(crate) fn start(target: &Target, bodies: &Bodies, count: usize, ramp: Duration) -> io::Result<Self> {
        let shared = Shared {
            target: target.clone(),
            bodies: bodies.clone(),
            chunks: Arc::default(),
            begun: Arc::default(),
            recording: Arc::default(),
            stop: CancellationToken::new(),
            errors: Errors::default(),
        };
        let threads = runtime::threads(0).min(count);
        let for_workers = shared.clone();
        let workers = Workers::start(threads, move |thread| {
            let seen = Rc::new(RefCell::new(Seen { transit: Times::new(), gap: Times::new() }));
            let own = (thread..count).step_by(threads).map(|number| {
                let begin = ramp.mul_f64(number as f64 / count as f64);
                for_workers.clone().stream(number as u64, begin, Rc::clone(&seen))
            });
            let all = join_all(own);
            async move {
                all.await;
                seen.borrow().clone()
            }
        })?;
        Ok(Self { shared, workers })
    }

    /// Chunks that came so far, all streams together.
    pub(crate) fn chunks(&self) -> u64 {
        self.shared.chunks.load(Ordering::Relaxed)
    }

    /// Streams that have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// What went wrong so far.
    pub(crate) fn errors(&self) -> &Errors {
        &self.shared.errors
    }

    /// Whether times are recorded from now on.
    pub(crate) fn record(&self, whether: bool) {
        self.shared.recording.store(whether, Ordering::Relaxed);
    }

    /// Leaves the streams that have not ended.
    pub(crate) fn leave(&self) {
        self.shared.stop.cancel();
    }

    /// Waits until every stream has ended. Blocks.
    pub(crate) fn join(self) -> (Seen, Errors) {
        let mut all = Seen { transit: Times::new(), gap: Times::new() };
        for seen in self.workers.join().iter().flatten() {
            all.transit.merge(&seen.transit);
            all.gap.merge(&seen.gap);
        }
        (all, self.shared.errors)
    }
}

impl Shared {
    async fn stream(self, number: u64, begin: Duration, seen: Rc<RefCell<Seen>>) {
        sleep(begin).await;
        let stop = self.stop.clone();
        // A stream that is left says nothing about the target.
        if let Some(Err(failure)) = stop.run_until_cancelled(self.read(number, &seen)).await {
            self.errors.add(&failure);
        }
    }

    async fn read(&self, number: u64, seen: &RefCell<Seen>) -> Result<(), Failure> {
        let clock = Clock::system();
        let mut last = None;
        let mut connection = Connection::new(self.target.clone());
        let on_chunk = |made_at: i64| {
            let now = clock.now().0;
            if last.is_none() {
                self.begun.fetch_add(1, Ordering::Relaxed);
            }
            self.chunks.fetch_add(1, Ordering::Relaxed);
            let before = last.replace(now);
            if self.recording.load(Ordering::Relaxed) {
                let mut seen = seen.borrow_mut();
                seen.transit.add(micros(now - made_at));
                if let Some(before) = before {
                    seen.gap.add(micros(now - before));
                }
            }
        };
        connection.stream(&self.bodies, number, on_chunk).await
    }
}

/// A clock that is set back in between gives nothing rather than centuries.
fn micros(difference: i64) -> Duration {
    Duration::from_micros(difference.max(0) as u64)
}

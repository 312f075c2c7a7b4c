//! Threads: request work on single-threaded runtimes that share nothing, background work on a runtime of its own.
//!
//! Each worker has its own listener on the same address (SO_REUSEPORT), so the kernel spreads connections and no task ever
//! moves between cores. The price is that a worker that blocks stops its share of the connections; nothing blocks there.

mod listen;

use std::{
    future::Future,
    io,
    num::NonZero,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

pub use listen::{listen, listen_all};

use crate::task;

/// How long a runtime that ends waits for its blocking calls (name resolution, mostly) before it leaves them behind.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);

/// How many request threads the setting `runtime.threads` asks for: 0 means one a core that this process may use.
pub fn threads(setting: usize) -> usize {
    if setting > 0 {
        return setting;
    }
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The request threads, each with a single-threaded runtime.
#[derive(Debug)]
pub struct Workers<T>(Vec<JoinHandle<io::Result<T>>>);

/// Why a worker gave no result.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its future panicked.
    #[error("worker {0} panicked")]
    Panicked(usize),
    /// Its runtime could not be made.
    #[error("worker {index} could not start: {source}")]
    Start {
        /// Which worker, counted from 0.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `count` workers that need nothing of their own: see [`Workers::start_with`].
    pub fn start<M, F>(count: usize, make: M) -> io::Result<Self>
    where
        M: Fn(usize) -> F + Send + Sync + 'static,
        F: Future<Output = T>,
    {
        Self::start_with(0..count, move |index, _| make(index))
    }

    /// Starts a thread for each of `items`, named `worker-0`, `worker-1`, …. Each calls `make` with its index and its item (its
    /// listener, say, which then closes when that worker is done with it) and runs the future to its end. The future stays on
    /// its thread and need not be `Send`; tasks that it leaves behind are dropped with the runtime.
    ///
    /// The other workers go on when one panics, which is logged at once. A future that holds a `DropGuard` of the shutdown's
    /// token makes them all stop.
    ///
    /// # Errors
    /// A thread could not be made. The earlier ones run on, detached: such a process should end.
    pub fn start_with<I, M, F>(items: impl IntoIterator<Item = I>, make: M) -> io::Result<Self>
    where
        I: Send + 'static,
        M: Fn(usize, I) -> F + Send + Sync + 'static,
        F: Future<Output = T>,
    {
        let make = Arc::new(make);
        let mut workers = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let make = Arc::clone(&make);
            let thread = thread::Builder::new().name(format!("worker-{index}"));
            workers.push(thread.spawn(move || {
                let _alarm = Alarm(index);
                let runtime = Builder::new_current_thread().enable_all().build()?;
                // The call stands inside the block so that `make` too runs on the runtime.
                let result = runtime.block_on(async { make(index, item).await });
                runtime.shutdown_timeout(BLOCKING_GRACE);
                Ok(result)
            })?);
        }
        Ok(Self(workers))
    }

    /// Waits for every worker; the results stand in the order of their indices. Blocks: not for use on a runtime.
    pub fn join(self) -> Vec<Result<T, WorkerError>> {
        let mut results = Vec::with_capacity(self.0.len());
        for (index, worker) in self.0.into_iter().enumerate() {
            results.push(match worker.join() {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(source)) => Err(WorkerError::Start { index, source }),
                Err(_panic) => Err(WorkerError::Panicked(index)),
            });
        }
        results
    }
}

/// Says at once that a worker panicked: [`Workers::join`] would only say so when the others end too.
struct Alarm(usize);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(worker = self.0, "a worker panicked");
        }
    }
}

/// The runtime of everything that is not a request: writers, probes, refreshers. One thread, named `background`.
#[derive(Debug)]
pub struct Background(Option<Runtime>, Handle);

impl Background {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("background").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// For what wants to put work here from elsewhere.
    pub fn handle(&self) -> &Handle {
        &self.1
    }

    /// Runs a named task here: see [`task::spawn`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let _entered = self.1.enter();
        task::spawn(name, future)
    }

    /// Runs `future` to its end on the calling thread, which must not be a runtime's; what it spawns runs in the background.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.1.block_on(future)
    }

    /// Ends the runtime; tasks that still run are dropped. Blocks for a moment: not for use on a runtime.
    pub fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(BLOCKING_GRACE);
        }
    }
}

/// A forgotten [`Background::stop`] must not wait: tokio panics when a runtime is waited for on another.
impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn each_worker_runs_its_own_future_on_its_own_thread() {
        let workers = Workers::start_with(["a", "b"], |index, item| async move {
            let not_send = Rc::new(item);
            tokio::task::yield_now().await;
            (index, *not_send, thread::current().name().unwrap().to_owned())
        });
        let results: Vec<_> = workers.unwrap().join().into_iter().map(Result::unwrap).collect();
        assert_eq!(results, [(0, "a", "worker-0".into()), (1, "b", "worker-1".into())]);
    }

    #[test]
    fn a_panic_is_an_error_and_the_other_workers_finish() {
        let workers = Workers::start(2, |index| async move {
            assert_ne!(index, 0, "on purpose");
            index
        });
        let results = workers.unwrap().join();
        assert!(matches!(results[0], Err(WorkerError::Panicked(0))));
        assert!(matches!(results[1], Ok(1)));
    }

    #[test]
    fn background_tasks_run_on_the_background_thread() {
        let background = Background::start().unwrap();
        let task = background.spawn("name", async { thread::current().name().map(str::to_owned) });
        let name = background.block_on(task).unwrap().flatten();
        assert_eq!(name.as_deref(), Some("background"));
        background.stop();
    }

    #[tokio::test]
    async fn a_background_may_be_dropped_on_another_runtime() {
        drop(Background::start().unwrap());
    }

    #[test]
    fn zero_threads_means_one_a_core() {
        assert_eq!(threads(3), 3);
        assert!(threads(0) >= 1);
    }
}

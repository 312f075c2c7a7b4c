//! What becomes of a provider's answer when its caller leaves before the end.
//!
//! A stream, or the wait for an answer, that is dropped has lost its caller. The key's policy says what follows. To cancel is to
//! drop everything: the provider sees its connection close, and the account closes itself with an estimate. To drain is to read
//! on for the provider's own count of its tokens, for a while and up to a size; the account closes itself when that is over,
//! or ended. Either way the record says that the caller left, and is written once.
//!
//! What is drained keeps its place among the requests that run at once, so that there are never more of both than may be.

use std::{future::poll_fn, time::Duration};

use orchestrator_base::task;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{admission::gate::Place, attempt::UpstreamStream, call::Signals, ledger::Entry, origins::Keeper};

/// For how long an answer is read on.
const LONGEST: Duration = Duration::from_mins(1);
/// Up to how many bytes.
const LARGEST: usize = 8 << 20;

/// Answers that are read on for callers who have left. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Drains {
    running: TaskTracker,
    stop: CancellationToken,
}

impl Drains {
    /// Ends them all, and comes back when each is accounted for.
    pub async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }

    /// Runs what must not end with the caller that it began for. It is dropped when the process ends, and where there is nothing to
    /// run it.
    pub(super) fn run(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        if Handle::try_current().is_err() {
            return;
        }
        let stop = self.stop.clone();
        let bounded = async move {
            let _ = stop.run_until_cancelled(work).await;
        };
        drop(task::spawn(name, self.running.track_future(bounded)));
    }

    /// Goes on with `reading` in the background. It is dropped when it takes too long, when the process ends, and where there
    /// is nothing to run it.
    pub(super) fn go_on(self, reading: impl Future<Output = ()> + Send + 'static) {
        self.run("drain", async {
            let _ = timeout(LONGEST, reading).await;
        });
    }
}

/// What a running request holds, and whether its answer is read on when its caller leaves.
#[derive(Debug)]
pub(super) struct Stay {
    #[expect(dead_code, reason = "it is held, and given back by being dropped")]
    pub(super) place: Place,
    /// `None`: it is not.
    pub(super) drains: Option<Drains>,
}

/// A committed stream with its account.
pub(super) struct Open {
    pub(super) upstream: UpstreamStream,
    pub(super) entry: Box<Entry>,
    pub(super) keeper: Option<Keeper>,
    pub(super) stay: Stay,
}

impl Open {
    /// A part of the answer has passed.
    pub(super) fn saw(&mut self, signals: Signals) {
        if let (Some(keeper), Some(id)) = (&self.keeper, &signals.stored_id) {
            keeper.keep(id);
        }
        self.entry.paced(self.upstream.gaps());
        self.entry.saw(signals);
    }

    /// Nobody reads it any more.
    pub(super) fn left(self) {
        if self.entry.is_closed() {
            return;
        }
        if let Some(drains) = self.stay.drains.clone() {
            drains.go_on(self.read_on());
        }
    }

    /// Reads the rest for what it says of itself.
    pub(super) async fn read_on(mut self) {
        let mut read = 0;
        while read < LARGEST {
            let next = poll_fn(|context| self.upstream.poll_batch(context)).await;
            let Some(Ok(batch)) = next else { return };
            read += batch.raw.len().max(batch.signals.output_bytes);
            let terminator = batch.signals.terminator;
            self.saw(batch.signals);
            if terminator {
                // The connection can be used again.
                poll_fn(|context| self.upstream.poll_drained::<()>(context)).await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use tokio::runtime::Builder;

    use super::*;

    /// Says when it is dropped, as an account closes itself.
    struct Account(Arc<AtomicBool>);

    impl Drop for Account {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn endless() -> (Arc<AtomicBool>, impl Future<Output = ()> + Send + 'static) {
        let closed = Arc::new(AtomicBool::new(false));
        let account = Account(Arc::clone(&closed));
        let reading = async move {
            let _account = account;
            std::future::pending::<()>().await;
        };
        (closed, reading)
    }

    #[tokio::test]
    async fn whoever_ends_them_finds_them_accounted_for() {
        let drains = Drains::default();
        let (closed, reading) = endless();
        drains.clone().go_on(reading);
        tokio::task::yield_now().await;
        assert!(!closed.load(Ordering::Relaxed));
        drains.end().await;
        assert!(closed.load(Ordering::Relaxed));
        let (closed, late) = endless();
        drains.clone().go_on(late);
        drains.end().await;
        assert!(closed.load(Ordering::Relaxed), "one that began too late is ended too");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_on_for_longer_than_a_minute() {
        let (closed, reading) = endless();
        Drains::default().go_on(reading);
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(!closed.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(closed.load(Ordering::Relaxed));
    }

    /// A stream that is dropped because its thread ends: there is nothing left to read on with.
    #[test]
    fn what_is_left_while_a_runtime_ends_or_outside_of_one_is_accounted_for_at_once() {
        struct Stream(Option<Box<dyn FnOnce() + Send>>);
        impl Drop for Stream {
            fn drop(&mut self) {
                self.0.take().unwrap()();
            }
        }
        let (closed, reading) = endless();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let stream = Stream(Some(Box::new(|| Drains::default().go_on(reading))));
        runtime.block_on(async {
            drop(task::spawn("request", async move {
                let _stream = stream;
                std::future::pending::<()>().await;
            }));
            tokio::task::yield_now().await;
        });
        drop(runtime);
        assert!(closed.load(Ordering::Relaxed));
        let (closed, reading) = endless();
        Drains::default().go_on(reading);
        assert!(closed.load(Ordering::Relaxed));
    }
}

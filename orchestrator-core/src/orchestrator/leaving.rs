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
const LONGEST: Duration = Duration::from_secs(60);
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

    /// Goes on with `reading` in the background. It is dropped when it takes too long, when the process ends, and where there
    /// is nothing to run it.
    pub(super) fn go_on(self, reading: impl Future<Output = ()> + Send + 'static) {
        if Handle::try_current().is_err() {
            return;
        }
        let stop = self.stop.clone();
        let bounded = async move {
            let reading = timeout(LONGEST, reading);
            let _ = stop.run_until_cancelled(reading).await;
        };
        drop(task::spawn("drain", self.running.track_future(bounded)));
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
    pub(super) entry: Entry,
    pub(super) keeper: Option<Keeper>,
    pub(super) stay: Stay,
}

impl Open {
    /// A part of the answer has passed.
    pub(super) fn saw(&mut self, signals: Signals) {
        if let (Some(keeper), Some(id)) = (&self.keeper, &signals.stored_id) {
            keeper.keep(id);
        }
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

//! How long a client may take over a request's head, and why hyper's own clock is not enough.
//!
//! hyper's header time-out begins to run as soon as the last answer is out: an idle connection would be closed after it, and
//! load balancers that keep connections for a minute would meet closed ones. So hyper bounds idleness, and this clock runs
//! from a head's first byte until the request is there.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

/// Whether a request is under way on an HTTP/1 connection: said by the service, read by [`HeadClock`].
#[derive(Clone, Default)]
pub(super) struct UnderWay(Arc<AtomicBool>);

impl UnderWay {
    /// Whether one is.
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The head is complete; the request is under way until the guard is dropped.
    pub(super) fn begin(&self) -> UnderWayGuard {
        self.0.store(true, Ordering::Relaxed);
        UnderWayGuard(self.clone())
    }
}

/// Ends a request when dropped.
pub(super) struct UnderWayGuard(UnderWay);

impl Drop for UnderWayGuard {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

pin_project! {
    /// An answer's body that keeps its request under way until it is written or dropped.
    pub(super) struct GuardedBody {
        #[pin]
        body: Body,
        _guard: UnderWayGuard,
    }
}

impl GuardedBody {
    pub(super) fn new(body: Body, guard: UnderWayGuard) -> Self {
        Self { body, _guard: guard }
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The clock of one connection. One sleep, made for the first head that is not there at once.
pub(super) struct HeadClock {
    patience: Duration,
    under_way: UnderWay,
    /// When the head that has begun must be complete.
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl HeadClock {
    pub(super) fn new(patience: Duration, under_way: UnderWay) -> Self {
        Self { patience, under_way, deadline: None, sleep: None }
    }

    /// Bytes were read: outside a request they begin a head.
    pub(super) fn bytes_came(&mut self) {
        if self.under_way.0.load(Ordering::Relaxed) {
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.patience);
        }
    }

    /// Ready when a head has taken too long.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.under_way.0.load(Ordering::Relaxed) {
            self.deadline = None;
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let patience = self.patience;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(patience)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

//! Requests under an idempotency key: made once, told to everybody who asks the same under it.
//!
//! The first that comes is driven by a task of its own, the pump, which writes the answer into a [`Recorder`]; its caller reads it
//! from there as all others do. So the answer is made to its end though its caller has left: a client that comes again finds it.
//! When nobody has followed for a while the pump gives up, and the key is free. The first request's record says how its answer
//! ended, not whether its caller was still there.
//!
//! Whoever joins or comes later costs no provider anything: it is admitted as far as key, permissions and model go, counts
//! as a request of its key's limits, and has a record of its own (tag `idempotency`, no attempts, no tokens).

pub(super) mod native;
pub(super) mod typed;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tracing::Instrument as _;

use super::{
    Orchestrator,
    asking::{Limited, refused},
    prepare::{PreparedCall, Refusal},
};
use crate::{
    attempt::Job,
    error::{Error, ErrorKind, Result},
    ledger::{Entry, Outcome},
    recording::{
        Ending, Follow, Opening, Part,
        claims::{Again, Claim, Recorder, Wish},
    },
};

/// For how long an answer is made that nobody reads.
const UNREAD: Duration = Duration::from_mins(1);

/// Makes an answer and writes it down.
pub(super) type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer that is being read.
pub(super) struct Reading {
    pub(super) job: Arc<Job>,
    follow: Follow,
    /// What only a caller has whose answer is made for another request.
    twin: Option<Twin>,
}

/// See [`Reading::twin`].
struct Twin {
    again: Again,
    /// Its own account.
    entry: Box<Entry>,
    /// When it stops to wait. The first caller's deadline is the pump's.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    /// The account of a twin is over. Must come before the last byte leaves. The first caller's is the pump's to close.
    pub(super) fn close(&mut self, outcome: Outcome<'_>) {
        if let Some(twin) = &mut self.twin {
            twin.entry.close(outcome);
        }
    }

    /// A part of the answer's body is about to be sent to a twin.
    pub(super) fn sent(&mut self, part: &[u8]) {
        if let Some(twin) = &mut self.twin {
            twin.entry.sent(part);
        }
    }

    /// Whether, and how, the answer was made for another request.
    pub(super) fn again(&self) -> Option<Again> {
        self.twin.as_ref().map(|twin| twin.again)
    }

    /// The next of the answer.
    pub(super) async fn next(&mut self) -> Part {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same, polled.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        let next = self.follow.poll_next(context);
        let deadline = self.twin.as_mut().and_then(|twin| twin.deadline.as_mut());
        if next.is_pending()
            && let Some(deadline) = deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let ending = Ending::Cut { error: too_late(), told: false };
            return Poll::Ready(Part::Last(Bytes::new(), Arc::new(ending)));
        }
        next
    }
}

/// How far an answer is.
pub(super) enum Begun {
    /// It has begun.
    Opening(Arc<Opening>),
    /// It ended without a beginning.
    Ending(Arc<Ending>),
    /// Nothing came in the time that its caller has for the head.
    NotYet,
}

/// Joins whoever holds the call's key; if nobody does, has `pump` made and runs it. Waits for the answer's beginning, but for no longer
/// than `patience`.
///
/// Errors: 409 for a key that was used for something else; 429 where a limit has no room.
pub(super) async fn read(
    core: &Arc<Orchestrator>,
    mut prepared: PreparedCall,
    wish: &Wish,
    patience: Option<Duration>,
    pump: impl FnOnce(Arc<Orchestrator>, Limited, Recorder) -> Pump,
) -> Result<(Reading, Begun), Box<Refusal>> {
    let head_by = patience.map(|patience| Instant::now() + patience);
    let mut is_counted = false;
    loop {
        match core.shared.claims.claim(wish).await {
            Claim::First(recorder, follow) => {
                prepared.entry.again(None);
                return first(core, prepared, (recorder, follow), head_by, pump).await;
            }
            Claim::Again(again, mut follow) => {
                prepared.entry.again(Some(again.name()));
                if !std::mem::replace(&mut is_counted, true) {
                    let counted = core.count_twin(&prepared.under, &prepared.job, &prepared.entry).await;
                    counted.map_err(|error| Box::new(refused(error, &prepared.job, &mut prepared.entry)))?;
                }
                let begun = begin(&mut follow, head_by, prepared.job.deadline).await;
                if matches!(&begun, Begun::Ending(ending) if matches!(**ending, Ending::Vacated)) {
                    continue;
                }
                let PreparedCall { job, entry, .. } = prepared;
                let deadline = job.deadline.map(|deadline| Box::pin(sleep_until(deadline)));
                let twin = Some(Twin { again, entry, deadline });
                return Ok((Reading { job, follow, twin }, begun));
            }
            Claim::Reused => {
                return Err(Box::new(refused(reused(), &prepared.job, &mut prepared.entry)));
            }
        }
    }
}

/// Has the answer made.
async fn first(
    core: &Arc<Orchestrator>,
    prepared: PreparedCall,
    (recorder, mut follow): (Recorder, Follow),
    head_by: Option<Instant>,
    pump: impl FnOnce(Arc<Orchestrator>, Limited, Recorder) -> Pump,
) -> Result<(Reading, Begun), Box<Refusal>> {
    let limited = match core.limit(prepared).await {
        Ok(limited) => limited,
        Err(refusal) => {
            recorder.fail(refusal.error.clone(), None).await;
            return Err(refusal);
        }
    };
    let job = Arc::clone(&limited.job);
    let deserted = recorder.deserted(UNREAD);
    let pumping = pump(Arc::clone(core), limited, recorder);
    core.shared.drains.run("recording", bounded(pumping, deserted).in_current_span());
    let begun = begin(&mut follow, head_by, None).await;
    Ok((Reading { job, follow, twin: None }, begun))
}

async fn bounded(pumping: Pump, deserted: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = pumping => {}
        () = deserted => {}
    }
}

async fn begin(follow: &mut Follow, head_by: Option<Instant>, deadline: Option<Instant>) -> Begun {
    let opening = follow.opening();
    let until = match (head_by, deadline) {
        (Some(head_by), Some(deadline)) => Some(head_by.min(deadline)),
        (head_by, deadline) => head_by.or(deadline),
    };
    let opening = match until {
        None => Ok(opening.await),
        Some(until) => timeout_at(until, opening).await,
    };
    match opening {
        Ok(Ok(opening)) => Begun::Opening(opening),
        Ok(Err(ending)) => Begun::Ending(ending),
        Err(_) if deadline.is_some() && deadline == until => {
            Begun::Ending(Arc::new(Ending::Failed { error: too_late(), served: None }))
        }
        Err(_) => Begun::NotYet,
    }
}

/// What a caller is told of an ending that is not a good one.
pub(super) fn told(ending: &Ending) -> Error {
    match ending {
        Ending::Complete => Error::internal("the answer ended before it began"),
        Ending::Cut { error, .. } | Ending::Failed { error, .. } => error.clone(),
        Ending::TooLarge => {
            let message = "another request runs under this idempotency key, and its answer is too large to be shared; \
                           the key is free when it is over";
            Error::new(ErrorKind::Conflict, message).with_code("idempotency_answer_too_large")
        }
        Ending::Vacated => {
            let message = "the request was given up before its answer began; try again";
            Error::new(ErrorKind::Unavailable, message).with_code("request_given_up")
        }
    }
}

/// A twin has waited for long enough.
fn too_late() -> Error {
    Error::new(ErrorKind::Timeout, "the answer did not come in the time that its caller allows")
}

fn reused() -> Error {
    let message = "the idempotency key was used before, for another request";
    Error::new(ErrorKind::Conflict, message).with_code("idempotency_key_reused").with_param("idempotency_key")
}

//! Delivery on the native plane: bytes of the caller's dialect, failures included.

mod framing;
pub(super) mod headers;
pub(super) mod live;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, StatusCode};
use tokio::time::{Sleep, sleep, timeout};

use super::{
    Orchestrator,
    asking::{self, Admitted, Asking, Driven},
    keyed::native::Told,
    leaving::{Open, Stay},
    prepare::Refusal,
};
use crate::{
    attempt::{Committed, CommittedAnswer, Job, WholeAnswer},
    call::{Head, UsageSource},
    dialect::{Dialect, HubReply, HubRequest, Wire},
    error::Error,
    ledger::{Entry, Outcome},
};
use framing::Framing;
use live::Live;

/// An answer on the native plane.
#[derive(Debug)]
pub struct NativeReply {
    /// Status and headers.
    pub head: Head,
    /// The bytes.
    pub body: NativeBody,
}

/// The bytes of an answer on the native plane.
#[derive(Debug)]
pub enum NativeBody {
    /// A whole answer.
    Whole(Bytes),
    /// A stream; each item ends on an event's border.
    Stream(NativeStream),
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativePart {
    /// Its bytes.
    pub data: Bytes,
    /// The answer ends with it and is accounted for: whatever breaks now is no affair of the caller's.
    pub last: bool,
}

/// A list of models, or one.
pub(super) fn json(body: Bytes, request_id: &str) -> NativeReply {
    NativeReply { head: headers::plain(request_id), body: NativeBody::Whole(body) }
}

/// An answer to a call that no provider was asked for.
pub(super) fn refusal(error: &Error, request_id: &str, wire: &dyn Wire) -> NativeReply {
    failure(error, request_id, wire, None)
}

/// An answer to a call that was refused before anybody was asked, in the caller's dialect.
pub(super) fn refused(refusal: &Refusal, dialect: Dialect) -> NativeReply {
    let mut reply = failure(&refusal.error, &refusal.request_id, dialect.wire(), None);
    reply.head.limits = refusal.limits;
    reply
}

/// What a provider answered to a request that was not for a model, as it came.
pub(super) fn passed(
    status: StatusCode,
    upstream: &HeaderMap,
    body: Bytes,
    job: &Job,
    entry: &mut Entry,
) -> NativeReply {
    let head = headers::answered(status, upstream, &[], job, entry);
    entry.sent(&body);
    entry.close(Outcome::Answered(status.as_u16()));
    NativeReply { head, body: NativeBody::Whole(body) }
}

/// The events of a response that its provider stores, as they come. What it cost was written down when it was made.
pub(super) fn passed_stream(
    (status, upstream): (StatusCode, &HeaderMap),
    mut open: Open,
    job: Job,
    idle_bytes: Duration,
) -> NativeReply {
    let head = headers::answered(status, upstream, &[], &job, &open.entry);
    open.entry.passes(status.as_u16());
    let wire = Dialect::OpenAiResponses.wire();
    let state = State::Live(Box::new(Live::new(open, &job, wire)));
    let stream = NativeStream::new(state, Arc::new(job), wire, idle_bytes);
    NativeReply { head, body: NativeBody::Stream(stream) }
}

/// An answer to a call that failed, and the end of its account.
pub(super) fn failed(error: &Error, request_id: &str, wire: &dyn Wire, entry: &mut Entry) -> NativeReply {
    let reply = failure(error, request_id, wire, Some(entry));
    if let NativeBody::Whole(body) = &reply.body {
        entry.sent(body);
    }
    entry.close(Outcome::Failed(error));
    reply
}

/// The same for a call that was admitted.
fn failed_job(error: &Error, job: &Job, wire: &dyn Wire, entry: &mut Entry) -> NativeReply {
    let mut reply = failed(error, &job.request_id, wire, entry);
    reply.head.limits = job.limits.get().copied();
    reply
}

fn failure(error: &Error, request_id: &str, wire: &dyn Wire, entry: Option<&Entry>) -> NativeReply {
    let body = wire.render_error(error, request_id);
    let head = headers::failed(error, request_id, entry.map(Entry::served));
    NativeReply { head, body: NativeBody::Whole(body) }
}

/// Answers a request that does not stream.
pub(super) async fn whole(core: &Arc<Orchestrator>, admitted: Admitted, wire: &dyn Wire) -> NativeReply {
    let job = Arc::clone(&admitted.job);
    match asked(core, admitted, wire).await {
        Ok((head, body)) => NativeReply { head, body: NativeBody::Whole(body) },
        Err((error, mut entry)) => failed_job(&error, &job, wire, &mut entry),
    }
}

/// A whole answer, accounted for; or why there is none, with its account.
pub(super) async fn asked(
    core: &Arc<Orchestrator>,
    admitted: Admitted,
    wire: &dyn Wire,
) -> Result<(Head, Bytes), (Error, Box<Entry>)> {
    let job = Arc::clone(&admitted.job);
    let Driven { result, mut entry, stay: _stay } = asking::whole(core, admitted).await;
    let answered = result.and_then(|committed| {
        let Committed { keeper, status, headers, dropped, answer, .. } = *committed;
        let CommittedAnswer::Whole(answer, signals) = answer else {
            return Err(Error::internal("a stream came for a request that asked for none"));
        };
        entry.committed(false);
        if let (Some(keeper), Some(id)) = (&keeper, &signals.stored_id) {
            keeper.keep(id);
        }
        entry.saw(signals);
        let mut head = headers::answered(status, &headers, &dropped, &job, &entry);
        let body = match answer {
            WholeAnswer::Raw(bytes) => bytes,
            WholeAnswer::Hub(reply) => {
                if matches!(*reply, HubReply::Count { source: UsageSource::Estimated, .. }) {
                    headers::estimated(&mut head);
                }
                wire.encode_reply(&completed(*reply, &job, &entry))?
            }
        };
        Ok((head, body))
    });
    match answered {
        Ok((head, body)) => {
            entry.sent(&body);
            entry.close(Outcome::Answered(head.status.as_u16()));
            Ok((head, body))
        }
        Err(error) => Err((error, entry)),
    }
}

/// An answer with what only the request tells: how its vectors are to be written, of which model they are where the provider does
/// not say, and an estimate of the tokens that it did not count.
fn completed(mut reply: HubReply, job: &Job, entry: &Entry) -> HubReply {
    if let HubReply::Chat(reply) = &mut reply {
        reply.usage = reply.usage.or_else(|| entry.estimated());
    }
    if let (HubReply::Embed(reply), Ok(HubRequest::Embed(request))) = (&mut reply, job.hub()) {
        reply.encoding = request.encoding;
        if reply.model.is_empty() {
            reply.model = entry.served().upstream_model;
        }
    }
    reply
}

/// Answers a request that streams. The head waits for the commit point, so that a failure before it has a status of its own;
/// but not for longer than the early head allows, since proxies hang up on silence.
pub(super) async fn stream(
    core: &Arc<Orchestrator>,
    admitted: Admitted,
    wire: &'static dyn Wire,
) -> NativeReply {
    let early_head = core.early_head();
    let idle_bytes = core.idle_bytes();
    let job = Arc::clone(&admitted.job);
    let mut asking = Asking::new(core, admitted);
    match timeout(early_head, &mut asking).await {
        Ok(Driven { result: Ok(committed), entry, stay }) => {
            let Committed { status, headers, dropped, .. } = &*committed;
            let head = headers::answered(*status, headers, dropped, &job, &entry);
            let state = State::live(committed, &job, wire, entry, stay);
            NativeReply { head, body: NativeBody::Stream(NativeStream::new(state, job, wire, idle_bytes)) }
        }
        Ok(Driven { result: Err(error), mut entry, .. }) => failed_job(&error, &job, wire, &mut entry),
        Err(_) => {
            let head = headers::early(&job);
            let stream = NativeStream::new(State::Asking(asking), job, wire, idle_bytes);
            NativeReply { head, body: NativeBody::Stream(stream) }
        }
    }
}

/// A stream of [parts](NativePart) in the caller's dialect. It ends; it never fails: a failure is an event of the dialect. Dropping it tells
/// the provider to stop, or reads on in the background, and tells the ledger that the caller left.
pub struct NativeStream {
    state: State,
    job: Arc<Job>,
    wire: &'static dyn Wire,
    framing: Framing,
    /// Fires when nothing was sent for a while; armed again at each firing, not at each piece.
    quiet: Pin<Box<Sleep>>,
    quiet_for: Duration,
    sent: tokio::time::Instant,
}

pub(super) enum State {
    /// The head was sent early; no provider has answered yet.
    Asking(Asking),
    /// A provider answers.
    Live(Box<Live>),
    /// The answer is in a recording.
    Told(Box<Told>),
    /// Nothing more comes.
    Ended,
}

impl State {
    /// Whether the answer is over and accounted for.
    fn is_over(&self) -> bool {
        match self {
            Self::Asking(_) => false,
            Self::Live(live) => live.is_over(),
            Self::Told(told) => told.is_over(),
            Self::Ended => true,
        }
    }

    pub(super) fn live(
        committed: Box<Committed>,
        job: &Job,
        wire: &'static dyn Wire,
        mut entry: Box<Entry>,
        stay: Stay,
    ) -> Self {
        let Committed { keeper, answer, .. } = *committed;
        match answer {
            CommittedAnswer::Stream(upstream) => {
                entry.committed(true);
                let open = Open { upstream, entry, keeper, stay };
                Self::Live(Box::new(Live::new(open, job, wire)))
            }
            CommittedAnswer::Whole(..) => {
                entry.close(Outcome::Failed(&Error::internal(
                    "a whole answer came for a request that streams",
                )));
                Self::Ended
            }
        }
    }
}

impl NativeStream {
    pub(super) fn new(state: State, job: Arc<Job>, wire: &'static dyn Wire, quiet_for: Duration) -> Self {
        let sent = tokio::time::Instant::now();
        let framing = Framing::of(&job);
        Self { state, job, wire, framing, quiet: Box::pin(sleep(quiet_for)), quiet_for, sent }
    }

    fn poll_state(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Asking(asking) => {
                    let Driven { result, mut entry, stay } = ready!(Pin::new(asking).poll(context));
                    match result {
                        Ok(committed) => {
                            self.state = State::live(committed, &self.job, self.wire, entry, stay);
                        }
                        Err(error) => {
                            let event = self.wire.render_error_event(&error, &self.job.request_id);
                            entry.sent(&event);
                            entry.close(Outcome::Failed(&error));
                            self.state = State::Ended;
                            return Poll::Ready(Some(event));
                        }
                    }
                }
                State::Live(live) => {
                    let next = ready!(live.poll_bytes(context));
                    if next.is_none() {
                        self.state = State::Ended;
                    }
                    return Poll::Ready(next);
                }
                State::Told(told) => return told.poll_bytes(context),
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Bytes that keep a silent connection open, when it has been silent for long enough.
    fn poll_quiet(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            ready!(self.quiet.as_mut().poll(context));
            let due = self.sent + self.quiet_for;
            let now = tokio::time::Instant::now();
            if due > now {
                self.quiet.as_mut().reset(due);
                continue;
            }
            self.quiet.as_mut().reset(now + self.quiet_for);
            if let Some(bytes) = self.framing.idle_bytes(self.wire) {
                return Poll::Ready(bytes);
            }
        }
    }
}

impl Stream for NativeStream {
    type Item = NativePart;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Poll::Ready(next) = this.poll_state(context) {
            this.sent = tokio::time::Instant::now();
            let Some(events) = next else {
                return Poll::Ready(this.framing.end().map(|data| NativePart { data, last: true }));
            };
            let (mut data, last) = (this.framing.frame(events), this.state.is_over());
            if last && let Some(end) = this.framing.end() {
                data = live::joined(data, &end);
            }
            if !data.is_empty() {
                return Poll::Ready(Some(NativePart { data, last }));
            }
        }
        let idle = ready!(this.poll_quiet(context));
        this.sent = tokio::time::Instant::now();
        Poll::Ready(Some(NativePart { data: idle, last: false }))
    }
}

impl Drop for NativeStream {
    fn drop(&mut self) {
        if let State::Live(live) = std::mem::replace(&mut self.state, State::Ended) {
            live.left();
        }
    }
}

impl fmt::Debug for NativeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeStream").field("request_id", &self.job.request_id).finish_non_exhaustive()
    }
}

//! The native plane: frames are whole events of the caller's dialect, and a whole answer is one frame. How they are framed and kept
//! alive on the way is each caller's own.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use super::{Begun, Pump, Reading, read, told};
use crate::{
    attempt::Job,
    call::{Head, Served},
    dialect::{Dialect, Wire},
    error::Error,
    ledger::{Entry, Outcome},
    orchestrator::{
        NativeBody, NativeReply, NativeStream, Orchestrator,
        asking::{Admitted, Asking, Driven, Limited},
        native::{self, State, headers, live::Tail},
        prepare::PreparedCall,
    },
    recording::{
        Ending, Opening, Part,
        claims::{Recorder, Wish},
    },
};

/// Answers a request under an idempotency key.
pub(in crate::orchestrator) async fn reply(
    core: &Arc<Orchestrator>,
    prepared: PreparedCall,
    wish: Box<Wish>,
    dialect: Dialect,
) -> NativeReply {
    let wire = dialect.wire();
    let patience = prepared.job.facts.stream.then(|| core.early_head());
    let pump = |core, limited, recorder| -> Pump { Box::pin(pump(core, limited, recorder, wire)) };
    let (mut reading, begun) = match read(core, prepared, &wish, patience, pump).await {
        Ok(read) => read,
        Err(refusal) => return native::refused(&refusal, dialect),
    };
    let stream = reading.job.facts.stream;
    match begun {
        Begun::Opening(opening) if stream => {
            let head = headers::told(&opening, &reading);
            stream_reply(core, head, reading, wire)
        }
        Begun::Opening(opening) => whole(&opening, reading, wire).await,
        Begun::NotYet => {
            let head = headers::early(&reading.job);
            stream_reply(core, head, reading, wire)
        }
        Begun::Ending(ending) => failed(&ending, &mut reading, wire),
    }
}

fn stream_reply(
    core: &Orchestrator,
    mut head: Head,
    reading: Reading,
    wire: &'static dyn Wire,
) -> NativeReply {
    headers::again(&mut head, &reading);
    let job = Arc::clone(&reading.job);
    let state = State::Told(Box::new(Told { reading, wire, over: false }));
    NativeReply { head, body: NativeBody::Stream(NativeStream::new(state, job, wire, core.idle_bytes())) }
}

async fn whole(opening: &Opening, mut reading: Reading, wire: &dyn Wire) -> NativeReply {
    let mut body = BytesMut::new();
    let (last, ending) = loop {
        match reading.next().await {
            Part::Frame(frame) => body.extend_from_slice(&frame),
            Part::Last(frame, ending) => break (frame, ending),
        }
    };
    if !matches!(*ending, Ending::Complete) {
        return failed(&ending, &mut reading, wire);
    }
    // A whole answer is one frame, as a rule: nobody has to copy it.
    let body = if body.is_empty() { last } else { [body, last.into()].concat().into() };
    let mut head = headers::told(opening, &reading);
    headers::again(&mut head, &reading);
    reading.sent(&body);
    reading.close(Outcome::Answered(opening.status));
    NativeReply { head, body: NativeBody::Whole(body) }
}

fn failed(ending: &Ending, reading: &mut Reading, wire: &dyn Wire) -> NativeReply {
    let error = told(ending);
    let served = match ending {
        Ending::Failed { served, .. } => served.clone(),
        _ => None,
    };
    let id = &reading.job.request_id;
    let body = wire.render_error(&error, id);
    let mut head = headers::failed(&error, id, served);
    head.limits = reading.job.limits.get().copied();
    headers::again(&mut head, reading);
    reading.sent(&body);
    reading.close(Outcome::Failed(&error));
    NativeReply { head, body: NativeBody::Whole(body) }
}

/// Makes the answer.
async fn pump(core: Arc<Orchestrator>, limited: Limited, recorder: Recorder, wire: &'static dyn Wire) {
    let job = Arc::clone(&limited.job);
    match core.place(limited).await {
        Ok(admitted) if admitted.job.facts.stream => stream(&core, admitted, recorder, wire).await,
        Ok(admitted) => match native::asked(&core, admitted, wire).await {
            Ok((head, body)) => {
                recorder.open(opening(head));
                recorder.complete(body).await;
            }
            Err((error, mut entry)) => {
                let served = end_badly(&error, &job, &mut entry, wire);
                recorder.fail(error, Some(served)).await;
            }
        },
        Err(refusal) => recorder.fail(refusal.error, None).await,
    }
}

fn opening(head: Head) -> Opening {
    let id = head.headers.get(&headers::REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = id.unwrap_or_default().to_owned();
    Opening { request_id, status: head.status.as_u16(), headers: head.headers, ..Opening::default() }
}

/// Closes the account of a call that failed, as if its answer was sent from here.
fn end_badly(error: &Error, job: &Job, entry: &mut Entry, wire: &dyn Wire) -> Served {
    let served = entry.served();
    drop(native::failed(error, &job.request_id, wire, entry));
    served
}

async fn stream(core: &Arc<Orchestrator>, admitted: Admitted, recorder: Recorder, wire: &'static dyn Wire) {
    let job = Arc::clone(&admitted.job);
    let Driven { result, mut entry, stay } = Asking::new(core, admitted).await;
    let committed = match result {
        Ok(committed) => committed,
        Err(error) => {
            let served = end_badly(&error, &job, &mut entry, wire);
            return recorder.fail(error, Some(served)).await;
        }
    };
    let head = headers::answered(committed.status, &committed.headers, &committed.dropped, &job, &entry);
    let State::Live(mut live) = State::live(committed, &job, wire, entry, stay) else { return };
    recorder.open(opening(head));
    while recorder.ready().await {
        match live.next().await {
            (bytes, Tail::Open) => recorder.append(bytes),
            (bytes, Tail::Well) => {
                recorder.complete(bytes).await;
                // The connection can be used again.
                live.drained().await;
                return;
            }
            (bytes, Tail::Badly(error)) => return recorder.cut(bytes, error).await,
        }
    }
    live.left();
}

/// A stream that is read from a recording.
pub(in crate::orchestrator) struct Told {
    reading: Reading,
    wire: &'static dyn Wire,
    over: bool,
}

impl Told {
    /// Whether the answer is over and accounted for.
    pub(in crate::orchestrator) fn is_over(&self) -> bool {
        self.over
    }

    /// The next bytes; `None` when nothing more comes.
    pub(in crate::orchestrator) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.reading.poll_next(context)) {
            Part::Frame(frame) => {
                self.reading.sent(&frame);
                Some(frame)
            }
            Part::Last(frame, ending) => self.end(frame, &ending),
        })
    }

    fn end(&mut self, last: Bytes, ending: &Ending) -> Option<Bytes> {
        self.over = true;
        let error = told(ending);
        let bytes = match ending {
            Ending::Complete | Ending::Cut { told: true, .. } => last,
            _ => self.wire.render_error_event(&error, &self.reading.job.request_id),
        };
        self.reading.sent(&bytes);
        self.reading.close(match ending {
            Ending::Complete => Outcome::Answered(200),
            Ending::Failed { .. } | Ending::Vacated => Outcome::Failed(&error),
            Ending::Cut { .. } | Ending::TooLarge => Outcome::Truncated(&error),
        });
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}

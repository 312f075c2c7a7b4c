//! The typed plane: frames are messages of the contract, which the boundary writes and reads ([`Form`]); here they are bytes.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{Begun, Pump, Reading, read, told};
use crate::{
    call::{Call, Repeat, Served},
    chat::ChatReply,
    embedding::EmbedReply,
    error::{Error, Result},
    ledger::Outcome,
    orchestrator::{Answered, ChatStream, Orchestrator, TypedEvent, asking::Limited, typed},
    recording::{Ending, Opening, Part, claims::Recorder},
};

/// Writes the events of one stream: those that it is handed, each as no message, one or more.
pub type WriteEvents = Box<dyn FnMut(TypedEvent) -> Vec<Bytes> + Send>;

/// What is asked, and how its answer is written down.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A chat, whole.
    Chat(fn(Answered<ChatReply>) -> Bytes),
    /// A chat, streamed.
    Stream(fn(Served) -> WriteEvents),
    /// Embeddings.
    Embed(fn(Answered<EmbedReply>) -> Bytes),
    /// A count of tokens.
    Count(fn(Answered<u64>) -> Bytes),
}

/// An answer on the typed plane as it was written down: the messages as a stream, of which the last item may be an error. Dropping it
/// is to leave.
pub struct Retelling {
    /// How it was served, and for whom it was made.
    pub served: Served,
    reading: Reading,
    over: bool,
}

impl Orchestrator {
    /// Answers a typed request under an idempotency key.
    pub async fn retell(self: &Arc<Self>, call: Call, form: Form) -> Result<Retelling> {
        let mut prepared = self.prepare(call)?;
        let Some(wish) = prepared.wish.take() else {
            return Err(Error::internal("a request without an idempotency key is not told again"));
        };
        let pump = |core, limited, recorder| -> Pump { Box::pin(pump(core, limited, recorder, form)) };
        let (mut reading, begun) = read(self, prepared, &wish, None, pump).await?;
        match begun {
            Begun::Opening(opening) => Ok(Retelling::of(&opening, reading)),
            Begun::Ending(ending) => {
                let error = told(&ending);
                reading.close(Outcome::Failed(&error));
                Err(error)
            }
            Begun::NotYet => Err(Error::internal("a typed answer's head is never early")),
        }
    }
}

impl Retelling {
    fn of(opening: &Opening, reading: Reading) -> Self {
        let again = reading.again();
        let repeat = again.map(|again| Repeat { how: again.name(), original: opening.request_id.clone() });
        let served = Served { repeat: repeat.map(Box::new), ..opening.served.clone() };
        Self { served, reading, over: false }
    }

    /// The one message of a whole answer.
    pub async fn whole(mut self) -> Result<Bytes> {
        let message = poll_fn(|context| Pin::new(&mut self).poll_next(context)).await;
        message.unwrap_or_else(|| Err(Error::internal("the answer holds no message")))
    }
}

impl Stream for Retelling {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let (last, ending) = match ready!(self.reading.poll_next(context)) {
            Part::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
            Part::Last(last, ending) => (last, ending),
        };
        self.over = true;
        if matches!(*ending, Ending::Complete) {
            self.reading.close(Outcome::Answered(200));
            return Poll::Ready(Some(Ok(last)));
        }
        let error = told(&ending);
        self.reading.close(Outcome::Truncated(&error));
        Poll::Ready(Some(Err(error)))
    }
}

impl fmt::Debug for Retelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retelling").field("served", &self.served).finish_non_exhaustive()
    }
}

/// Makes the answer.
async fn pump(core: Arc<Orchestrator>, limited: Limited, recorder: Recorder, form: Form) {
    let request_id = limited.job.request_id.clone();
    let admitted = match core.place(limited).await {
        Ok(admitted) => admitted,
        Err(refusal) => return recorder.fail(refusal.error, None).await,
    };
    let made = match form {
        Form::Chat(write) => typed::chat(&core, admitted).await.map(|answered| written(answered, write)),
        Form::Embed(write) => typed::embed(&core, admitted).await.map(|answered| written(answered, write)),
        Form::Count(write) => typed::count(&core, admitted).await.map(|answered| written(answered, write)),
        Form::Stream(write) => match typed::stream_chat(&core, admitted).await {
            Ok(stream) => return record(stream, request_id, recorder, write).await,
            Err(error) => Err(error),
        },
    };
    match made {
        Ok((served, message)) => {
            recorder.open(opening(request_id, served));
            recorder.complete(message).await;
        }
        Err(error) => recorder.fail(error, None).await,
    }
}

fn written<T>(answered: Answered<T>, write: fn(Answered<T>) -> Bytes) -> (Served, Bytes) {
    (answered.served.clone(), write(answered))
}

fn opening(request_id: String, served: Served) -> Opening {
    Opening { request_id, status: 200, served, ..Opening::default() }
}

async fn record(
    mut stream: ChatStream,
    request_id: String,
    recorder: Recorder,
    write: fn(Served) -> WriteEvents,
) {
    let mut write = write(stream.served.clone());
    recorder.open(opening(request_id, stream.served.clone()));
    while recorder.ready().await {
        match poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
            Some(Ok(event)) => {
                let is_last = matches!(event, TypedEvent::Finished { .. });
                let mut messages = write(event);
                let last = if is_last { messages.pop() } else { None };
                for message in messages {
                    recorder.append(message);
                }
                if is_last {
                    return recorder.complete(last.unwrap_or_default()).await;
                }
            }
            Some(Err(error)) => return recorder.cut(Bytes::new(), error).await,
            None => return,
        }
    }
}

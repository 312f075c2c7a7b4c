//! Delivery on the typed plane: the hub's words, or an error.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use futures_core::Stream;

use super::{
    Orchestrator,
    asking::{self, Admitted, Asking, Driven},
    leaving::Open,
};
use crate::{
    attempt::{Committed, CommittedAnswer, WholeAnswer},
    call::{Batch, Served, UsageSource},
    chat::{ChatEvent, ChatReply, OpenChoices, Usage},
    dialect::HubReply,
    embedding::EmbedReply,
    error::{Error, ErrorKind, Result},
    ledger::{Entry, Outcome},
};

/// A whole answer on the typed plane.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The answer.
    pub reply: T,
    /// Tokens used.
    pub usage: Usage,
    /// Who counted.
    pub usage_source: UsageSource,
    /// How it was served.
    pub served: Served,
}

pub(super) async fn chat(core: &Arc<Orchestrator>, admitted: Admitted) -> Result<Answered<ChatReply>> {
    let (reply, entry, dropped) = whole(core, admitted).await?;
    match reply {
        HubReply::Chat(reply) => Ok(answered(reply, &entry, dropped)),
        HubReply::Embed(_) | HubReply::Count { .. } => Err(Error::internal("a chat was asked for")),
    }
}

pub(super) async fn embed(core: &Arc<Orchestrator>, admitted: Admitted) -> Result<Answered<EmbedReply>> {
    let (reply, entry, dropped) = whole(core, admitted).await?;
    match reply {
        HubReply::Embed(reply) => Ok(answered(reply, &entry, dropped)),
        HubReply::Chat(_) | HubReply::Count { .. } => Err(Error::internal("embeddings were asked for")),
    }
}

pub(super) async fn count(core: &Arc<Orchestrator>, admitted: Admitted) -> Result<Answered<u64>> {
    let (reply, entry, dropped) = whole(core, admitted).await?;
    match reply {
        // Tokens were counted, and none used.
        HubReply::Count { tokens, source } => {
            Ok(Answered { usage_source: source, ..answered(tokens, &entry, dropped) })
        }
        HubReply::Chat(_) | HubReply::Embed(_) => Err(Error::internal("a count was asked for")),
    }
}

async fn whole(core: &Arc<Orchestrator>, admitted: Admitted) -> Result<(HubReply, Box<Entry>, Vec<String>)> {
    let Driven { result, mut entry, stay: _stay } = asking::whole(core, admitted).await;
    match result.map(|committed| *committed) {
        Ok(Committed {
            answer: CommittedAnswer::Whole(WholeAnswer::Hub(reply), signals), dropped, ..
        }) => {
            entry.committed(false);
            entry.saw(signals);
            entry.close(Outcome::Answered(200));
            Ok((*reply, entry, dropped))
        }
        Ok(_) => Err(Error::internal("the answer came in another form than asked")),
        Err(error) => {
            entry.close(Outcome::Failed(&error));
            Err(error)
        }
    }
}

fn answered<T>(reply: T, entry: &Entry, dropped: Vec<String>) -> Answered<T> {
    let (usage, usage_source) = entry.usage();
    Answered { reply, usage, usage_source, served: Served { dropped, ..entry.served() } }
}

pub(super) async fn stream_chat(core: &Arc<Orchestrator>, admitted: Admitted) -> Result<ChatStream> {
    let Driven { result, mut entry, stay } = Asking::new(core, admitted).await;
    match result.map(|committed| *committed) {
        Ok(Committed { answer: CommittedAnswer::Stream(upstream), dropped, keeper, .. }) => {
            entry.committed(true);
            let served = Served { dropped, ..entry.served() };
            Ok(ChatStream {
                served,
                telling: Some(Telling {
                    open: Open { upstream, entry, keeper, stay },
                    choices: OpenChoices::default(),
                    ready: Vec::new().into_iter(),
                    last: None,
                    over: false,
                }),
            })
        }
        Ok(_) => Err(Error::internal("a whole answer came for a request that streams")),
        Err(error) => {
            entry.close(Outcome::Failed(&error));
            Err(error)
        }
    }
}

/// A streamed answer on the typed plane. The last item is [`TypedEvent::Finished`], or an error. Dropping it tells the provider
/// to stop, or reads on in the background, and tells the ledger that the caller left.
pub struct ChatStream {
    /// How it is served.
    pub served: Served,
    /// `None` once it is dropped.
    telling: Option<Telling>,
}

/// One item of a [`ChatStream`].
#[derive(Clone, Debug)]
pub enum TypedEvent {
    /// What the provider said. Never `Usage` or `Done`.
    Event(ChatEvent),
    /// The answer is complete.
    Finished {
        /// Tokens used.
        usage: Usage,
        /// Who counted.
        usage_source: UsageSource,
        /// The provider's service tier.
        service_tier: Option<String>,
    },
}

/// A committed stream on its way to a caller.
struct Telling {
    open: Open,
    choices: OpenChoices,
    /// Events of the last batch that were not handed out yet.
    ready: vec::IntoIter<ChatEvent>,
    /// The item that ends the stream, once it is known; it goes out behind the events before it.
    last: Option<Result<TypedEvent>>,
    over: bool,
}

impl Telling {
    /// Takes a batch in; answers the stream's last item if this was the end.
    fn take_in(&mut self, mut batch: Batch) -> Option<Result<TypedEvent>> {
        let error = batch.signals.error.take();
        let terminator = batch.signals.terminator;
        self.open.saw(batch.signals);
        self.choices.saw(&batch.events);
        self.ready = batch.events.into_iter();
        match error {
            Some(error) => Some(Err(self.end_badly(error))),
            None if terminator => Some(Ok(self.end_well())),
            None => None,
        }
    }

    fn end_well(&mut self) -> TypedEvent {
        self.over = true;
        self.open.entry.close(Outcome::Answered(200));
        let (usage, usage_source) = self.open.entry.usage();
        let service_tier = self.open.entry.signals().service_tier.clone();
        TypedEvent::Finished { usage, usage_source, service_tier }
    }

    /// A stream belongs to one provider by now: its caller is told which, and how many attempts there were.
    fn end_badly(&mut self, mut error: Error) -> Error {
        self.over = true;
        self.open.entry.close(Outcome::Truncated(&error));
        let served = self.open.entry.served();
        error.attempts = served.attempts;
        let upstream = error.upstream.get_or_insert_with(Box::default);
        if upstream.provider.is_empty() {
            upstream.provider = served.provider;
        }
        error
    }

    /// The connection has ended. That is the answer's end only if the provider has said why it stopped, of every choice.
    fn end_of_connection(&mut self) -> Result<TypedEvent> {
        if self.open.entry.signals().finish.is_some() && self.choices.is_empty() {
            return Ok(self.end_well());
        }
        let message = "the provider's answer was cut off before its end";
        Err(self.end_badly(Error::new(ErrorKind::ProviderFailed, message).with_code("stream_truncated")))
    }

    fn next_ready(&mut self) -> Option<ChatEvent> {
        self.ready.find(|event| !matches!(event, ChatEvent::Usage(_) | ChatEvent::Done))
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<TypedEvent>>> {
        loop {
            if let Some(event) = self.next_ready() {
                return Poll::Ready(Some(Ok(TypedEvent::Event(event))));
            }
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(last));
            }
            if self.over {
                return Poll::Ready(None);
            }
            self.last = match ready!(self.open.upstream.poll_batch(context)) {
                Some(Ok(batch)) => self.take_in(batch),
                Some(Err(error)) => Some(Err(self.end_badly(error))),
                None => Some(self.end_of_connection()),
            };
        }
    }
}

impl Stream for ChatStream {
    type Item = Result<TypedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.telling {
            Some(telling) => telling.poll_item(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for ChatStream {
    fn drop(&mut self) {
        if let Some(telling) = self.telling.take() {
            telling.open.left();
        }
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("served", &self.served).finish_non_exhaustive()
    }
}

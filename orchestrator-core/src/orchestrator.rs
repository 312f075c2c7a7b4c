//! The front door. Reads like the life of a request.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use secrecy::SecretString;

use crate::{
    call::{Call, Head, ModelInfo, Served, UsageSource},
    chat::{ChatEvent, ChatReply, Usage},
    embedding::EmbedReply,
    error::{Error, Result},
};

/// The core, as one request thread sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orchestrator {}

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

/// A stream of bytes in the caller's dialect. It ends; it never fails: a failure is an event of the dialect.
#[derive(Debug)]
pub struct NativeStream {}

impl Stream for NativeStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }
}

/// A streamed answer on the typed plane. The last item is [`TypedEvent::Finished`], or an error.
#[derive(Debug)]
pub struct ChatStream {
    /// How it is served.
    pub served: Served,
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
    },
}

impl Stream for ChatStream {
    type Item = Result<TypedEvent>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<TypedEvent>>> {
        Poll::Ready(None)
    }
}

#[expect(clippy::unused_async, reason = "signatures first")]
impl Orchestrator {
    /// One request in a public dialect: whole or streamed, as the request says. Failures come in the dialect's own shape.
    pub async fn invoke(&self, _call: Call) -> NativeReply {
        NativeReply {
            head: Head { status: http::StatusCode::OK, headers: http::HeaderMap::new(), failure: None },
            body: NativeBody::Whole(Bytes::new()),
        }
    }

    /// One chat completion in the hub's words, whole.
    pub async fn chat(&self, _call: Call) -> Result<Answered<ChatReply>> {
        Err(Error::internal("not yet"))
    }

    /// One chat completion in the hub's words, as it is made. Returns when the first content is there.
    pub async fn stream_chat(&self, _call: Call) -> Result<ChatStream> {
        Err(Error::internal("not yet"))
    }

    /// Embeddings in the hub's words.
    pub async fn embed(&self, _call: Call) -> Result<Answered<EmbedReply>> {
        Err(Error::internal("not yet"))
    }

    /// An estimate of a prompt's tokens.
    pub fn count_tokens(&self, _call: &Call) -> Result<u64> {
        Err(Error::internal("not yet"))
    }

    /// The models that the holder of these keys may use, sorted by id.
    pub fn list_models(&self, _keys: &[SecretString]) -> Result<Vec<ModelInfo>> {
        Err(Error::internal("not yet"))
    }
}

//! Anthropic Messages, after <https://docs.anthropic.com/en/api/messages>.
//!
//! What the hub has no word for travels as follows, and comes back out where Anthropic is spoken again:
//!
//! * unknown top-level fields: extras named `anthropic.FIELD`; so does a `thinking` that says more than type and budget;
//! * tools that the provider runs itself (`web_search_20250305`): the extra `anthropic.tools`, an array;
//! * unknown fields of a tool (its cache mark): the extra `anthropic.tool_fields`, an object by the tool's name;
//! * unknown blocks: [`PartKind::Opaque`](crate::chat::PartKind::Opaque) of dialect `anthropic`;
//! * unknown fields of a block: the same, of dialect `anthropic.part`, behind that block.
//!
//! `thinking` and `output_config.effort` are the hub's reasoning: a budget is a budget, `disabled` is the effort `none`, `adaptive` is
//! reasoning whose text is wanted, and an effort without thinking is one whose text is not. Another vendor's signature over a call is
//! shown as a thinking block without text in front of it.

mod citation;
pub mod count;
mod event;
mod finish;
mod usage;

mod blocks;
mod decode;
mod media;

mod encode;
mod encode_messages;
mod thinking;
mod write;

mod reply;
mod stream_decoder;
mod stream_encoder;

pub(in crate::dialect) mod error;
mod models;
mod peek;
mod tap;

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
};
use crate::{
    call::{Facts, ModelInfo, Signals},
    error::{Error, Result},
};

/// The prefix of this dialect's extras.
const EXTRA: &str = "anthropic.";
/// Opaque parts, and native citations.
const OWN: &str = "anthropic";
/// Opaque fields of the part before.
const OPAQUE_FIELDS: &str = "anthropic.part";

/// What a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// An answer, whose length it must bound.
    Answer,
    /// The tokens of its prompt.
    Count,
}

/// Anthropic Messages.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Wire for Anthropic {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        peek::peek(body, max_depth)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        peek::splice_model(body, edits)
    }

    fn tap(&self, _drop_injected_usage: bool) -> Box<dyn Tap> {
        Box::new(tap::AnthropicTap::new())
    }

    fn inspect(&self, body: &Bytes) -> Signals {
        reply::inspect(body)
    }

    fn decode_request(&self, body: &Bytes) -> Result<HubRequest> {
        Ok(HubRequest::Chat(Box::new(decode::request(body)?)))
    }

    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        match request {
            HubRequest::Chat(chat) => encode::request(chat, target),
            HubRequest::Embed(_) => Err(Error::internal("embeddings cannot be asked for in a chat dialect")),
        }
    }

    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        Ok(HubReply::Chat(reply::decode(body)?))
    }

    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        match reply {
            HubReply::Chat(chat) => reply::encode(chat),
            HubReply::Embed(_) | HubReply::Count { .. } => {
                Err(Error::internal("only a chat can be told in a chat dialect"))
            }
        }
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream_decoder::AnthropicDecoder::new())
    }

    fn stream_encoder(&self, _facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::AnthropicEncoder::new())
    }

    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error {
        error::read_error(answer)
    }

    fn render_error(&self, error: &Error, request_id: &str) -> Bytes {
        error::render_error(error, request_id)
    }

    fn render_error_event(&self, error: &Error, request_id: &str) -> Bytes {
        error::render_error_event(error, request_id)
    }

    fn render_models(&self, models: &[ModelInfo]) -> Bytes {
        models::render_models(models)
    }

    fn render_model(&self, model: &ModelInfo) -> Bytes {
        models::render_model(model)
    }

    /// Anthropic itself sends pings, which its clients skip wherever they stand.
    fn idle_bytes(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"))
    }
}

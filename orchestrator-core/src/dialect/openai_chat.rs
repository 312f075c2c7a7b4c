//! OpenAI Chat Completions, after <https://platform.openai.com/docs/api-reference/chat>, and what the many servers that imitate
//! it add.
//!
//! What the hub has no word for travels as follows, and comes back out where Chat is spoken again:
//!
//! * unknown top-level fields: extras named `openai_chat.FIELD`;
//! * tools that are no functions: the extra `openai_chat.tools`, an array;
//! * unknown content parts: [`PartKind::Opaque`](crate::chat::PartKind::Opaque) of dialect `openai_chat`;
//! * tool calls that call no function: the same, of dialect `openai_chat.tool_call`;
//! * unknown fields of a message, as one object: the same, of dialect `openai_chat.message`.
//!
//! What other vendors have and OpenAI's Chat has not is written as servers of this dialect publish it: reasoning in
//! `reasoning_content` (DeepSeek), its signatures in `reasoning_details` (OpenRouter), those of tool calls in
//! `extra_content.google` (Gemini's compatible endpoint). What stands in the order reasoning, text, calls in a message of Chat may
//! have been interleaved elsewhere: that order is lost.

pub(in crate::dialect) mod decode;
mod decode_messages;
pub(in crate::dialect) mod media;

pub(in crate::dialect) mod encode;
mod encode_messages;
mod results;
mod thoughts;

pub(in crate::dialect) mod reply;
mod stream;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
    openai::{error, inspect, models, peek, stream::OpenAiDecoder, tap::OpenAiTap},
    splice,
};
use crate::{
    call::{Facts, ModelInfo, Signals},
    error::{Error, Result},
};

const NEEDS: peek::Needs = peek::Needs { field: "messages", array: true, streams: true };

/// The prefix of this dialect's extras.
const EXTRA: &str = "openai_chat.";

/// Opaque content parts.
const OPAQUE_PART: &str = "openai_chat";
/// Opaque tool calls.
const OPAQUE_CALL: &str = "openai_chat.tool_call";
/// Opaque fields of a message.
const OPAQUE_MESSAGE: &str = "openai_chat.message";

/// OpenAI Chat Completions.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiChat;

impl Wire for OpenAiChat {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiChat
    }

    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        peek::peek(body, max_depth, NEEDS)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        splice::splice_openai(body, edits)
    }

    fn tap(&self, drop_injected_usage: bool) -> Box<dyn Tap> {
        Box::new(OpenAiTap::new(self.dialect(), drop_injected_usage))
    }

    fn inspect(&self, body: &Bytes) -> Signals {
        inspect::inspect(body, self.dialect())
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
        Box::new(OpenAiDecoder::new(self.dialect()))
    }

    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(stream::ChatEncoder::new(facts.include_usage))
    }

    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error {
        error::read_error(answer, self.dialect())
    }

    fn render_error(&self, error: &Error, _request_id: &str) -> Bytes {
        error::render_error(error)
    }

    fn render_error_event(&self, error: &Error, _request_id: &str) -> Bytes {
        error::render_error_event(error)
    }

    fn render_models(&self, models: &[ModelInfo]) -> Bytes {
        models::render_models(models)
    }

    fn render_model(&self, model: &ModelInfo) -> Bytes {
        models::render_model(model)
    }

    fn idle_bytes(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": idle\n\n"))
    }
}

//! Gemini's generateContent, after <https://ai.google.dev/api/generate-content>, in either spelling of its fields (`systemInstruction`
//! or `system_instruction`). Model and stream stand in the path, so a body need not say them.
//!
//! What the hub has no word for travels as follows, and comes back out where Gemini is spoken again:
//!
//! * unknown top-level fields, and what is unknown in `generationConfig`: extras named `gemini.FIELD`;
//! * tools that the provider runs itself (`googleSearch`): the extra `gemini.tools`, an array;
//! * a `toolConfig` that says more than the hub's tool choice: the extra `gemini.toolConfig`;
//! * unknown parts: [`PartKind::Opaque`](crate::chat::PartKind::Opaque) of dialect `gemini`;
//! * unknown fields of a part: the same, of dialect `gemini.part`, behind that part;
//! * what an answer says beside its content: extras `gemini.promptFeedback`, `gemini.candidates`.
//!
//! A text's `thoughtSignature` is reasoning without text in front of it. A stream has no terminator: its end is the end of the
//! connection after a `finishReason`.

mod chunk;
mod citation;
pub mod count;
mod finish;
mod usage;

mod decode;
mod decode_parts;
mod schema;

mod encode;
mod encode_contents;
mod encode_parts;
mod version;

mod reply;
mod stream_decoder;
mod stream_encoder;

pub(in crate::dialect) mod error;
pub(in crate::dialect) mod models;
pub(in crate::dialect) mod peek;
pub(in crate::dialect) mod tap;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

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
const EXTRA: &str = "gemini.";

/// Opaque parts.
const OPAQUE_PART: &str = "gemini";
/// Opaque fields of the part before.
const OPAQUE_FIELDS: &str = "gemini.part";

/// Gemini generateContent.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

impl Wire for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        peek::peek(body, max_depth)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        peek::splice_model(body, edits)
    }

    fn tap(&self, _drop_injected_usage: bool) -> Box<dyn Tap> {
        Box::new(tap::GeminiTap::new())
    }

    fn inspect(&self, body: &Bytes) -> Signals {
        tap::inspect(body)
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
        Box::new(stream_decoder::GeminiDecoder::new())
    }

    fn stream_encoder(&self, _facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::GeminiEncoder::new())
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

    /// Comments in a stream break google-genai, Gemini CLI and others.
    fn idle_bytes(&self) -> Option<Bytes> {
        None
    }
}

//! OpenAI Responses, after <https://platform.openai.com/docs/api-reference/responses>.
//!
//! `input` is a list of items, not of messages: what one assistant said is a run of items (reasoning, messages, function calls, calls
//! of OpenAI's own tools), which the hub holds as the parts of one message. What the hub has no word for travels as follows, and
//! comes back out where Responses is spoken again:
//!
//! * unknown top-level fields: extras named `openai_responses.FIELD`;
//! * tools that are no functions (`web_search`, `namespace`, `custom`): the extra `openai_responses.tools`, an array;
//! * what else `reasoning` and `text` hold: the extras `openai_responses.reasoning`, an object, and `openai_responses.verbosity`;
//! * unknown items: [`PartKind::Opaque`](crate::chat::PartKind::Opaque) of dialect `openai_responses`;
//! * unknown content parts: the same, of dialect `openai_responses.part`;
//! * unknown fields of a message or a call, as one object behind it: the same, of dialect `openai_responses.fields`.
//!
//! A reasoning item has one place for what only its provider can read, `encrypted_content`. Signatures of other vendors stand there
//! behind a word that says what they are; see [`signed`].

pub mod count;
mod decode;
mod decode_items;
mod encode;
mod event;
mod inspect;
mod items;
mod media;
mod object;
mod peek;
mod reply;
mod signed;
mod stream;
mod tap;
mod usage;
mod write;

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
    json::ObjectWriter,
    openai::{error, models},
    splice::{self, Edit, quoted},
};
use crate::{
    call::{Facts, ModelInfo, Signals},
    error::{Error, Result},
};

/// The dialect, for seals and errors.
const OWN: Dialect = Dialect::OpenAiResponses;

/// The prefix of this dialect's extras.
const EXTRA: &str = "openai_responses.";

/// Opaque items.
const OPAQUE_ITEM: &str = "openai_responses";
/// Opaque content parts.
const OPAQUE_PART: &str = "openai_responses.part";
/// Opaque fields of the item before.
const OPAQUE_FIELDS: &str = "openai_responses.fields";

/// OpenAI Responses.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiResponses;

impl Wire for OpenAiResponses {
    fn dialect(&self) -> Dialect {
        OWN
    }

    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        peek::peek(body, max_depth)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        // Usage comes with every answer: there is nothing to ask for.
        let mut list: Vec<Edit> =
            edits.overrides.iter().map(|(key, json)| Edit::Set(key.clone(), json.clone())).collect();
        list.push(Edit::Set("model".to_owned(), quoted(edits.model)));
        splice::splice(body, &list)
    }

    fn tap(&self, _drop_injected_usage: bool) -> Box<dyn Tap> {
        Box::new(tap::ResponsesTap::new())
    }

    fn inspect(&self, body: &Bytes) -> Signals {
        inspect::inspect(body)
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
        Box::new(stream::ResponsesDecoder::new())
    }

    fn stream_encoder(&self, _facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(write::ResponsesEncoder::new())
    }

    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error {
        error::read_error(answer, OWN)
    }

    fn render_error(&self, error: &Error, _request_id: &str) -> Bytes {
        error::render_error_of(error, self.dialect())
    }

    fn render_error_event(&self, error: &Error, _request_id: &str) -> Bytes {
        // The published event is flat; OpenAI's SDKs raise what stands in `error`.
        let envelope = String::from_utf8_lossy(&error::render_error(error)).into_owned();
        let mut out = ObjectWriter::new();
        out.string("type", "error");
        for (name, word) in [("code", &error.code), ("param", &error.param)] {
            match word {
                Some(word) => out.string(name, word),
                None => out.raw(name, "null"),
            }
        }
        out.string("message", &error.message);
        out.plain("sequence_number", 0);
        let inner = scan_error(&envelope).unwrap_or("null");
        out.raw("error", inner);
        Bytes::from(format!("event: error\ndata: {}\n\n", out.finish().replace(['\n', '\r'], " ")))
    }

    fn render_models(&self, list: &[ModelInfo]) -> Bytes {
        models::render_models(list)
    }

    fn render_model(&self, model: &ModelInfo) -> Bytes {
        models::render_model(model)
    }

    fn idle_bytes(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": idle\n\n"))
    }
}

/// What stands in an envelope's `error`.
fn scan_error(envelope: &str) -> Option<&str> {
    let object = super::scan::Object::scan(envelope.as_bytes(), usize::MAX).ok()?;
    std::str::from_utf8(object.get_non_null("error")?).ok()
}

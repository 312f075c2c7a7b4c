//! OpenAI's legacy Completions, after <https://platform.openai.com/docs/api-reference/completions>: a prompt in, text out. The hub
//! treats it as a chat of one user message; what only this dialect has travels in extras named `openai_completions.FIELD`, and
//! what Chat has alike (`logit_bias`, options of streams) under Chat's names.

mod reply;
mod request;
mod stream;

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

const NEEDS: peek::Needs = peek::Needs { field: "prompt", array: false, streams: true };

/// OpenAI's legacy Completions.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiCompletions;

impl Wire for OpenAiCompletions {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiCompletions
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
        Ok(HubRequest::Chat(Box::new(request::decode(body)?)))
    }

    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        match request {
            HubRequest::Chat(chat) => request::encode(chat, target),
            HubRequest::Embed(_) => Err(Error::internal("embeddings cannot be asked for in a chat dialect")),
        }
    }

    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        Ok(HubReply::Chat(reply::decode(body)?))
    }

    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        match reply {
            HubReply::Chat(chat) => Ok(reply::encode(chat)),
            HubReply::Embed(_) | HubReply::Count { .. } => {
                Err(Error::internal("only a chat can be told in a chat dialect"))
            }
        }
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(OpenAiDecoder::new(self.dialect()))
    }

    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(stream::CompletionsEncoder::new(facts.include_usage))
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

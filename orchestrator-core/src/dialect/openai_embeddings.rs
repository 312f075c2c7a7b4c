//! OpenAI Embeddings, after <https://platform.openai.com/docs/api-reference/embeddings>. There are no streams in it. What the hub has
//! no word for travels in extras named `openai_embeddings.FIELD`.

mod reply;
mod request;

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
    chat::ChatEvent,
    error::{Error, Result},
};

const NEEDS: peek::Needs = peek::Needs { field: "input", array: false, streams: false };

/// OpenAI Embeddings.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiEmbeddings;

impl Wire for OpenAiEmbeddings {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiEmbeddings
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
        Ok(HubRequest::Embed(Box::new(request::decode(body)?)))
    }

    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        match request {
            HubRequest::Embed(embed) => request::encode(embed, target),
            HubRequest::Chat(_) => {
                Err(Error::internal("a chat cannot be asked for in an embeddings dialect"))
            }
        }
    }

    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        Ok(HubReply::Embed(reply::decode(body)?))
    }

    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        match reply {
            HubReply::Embed(embed) => Ok(reply::encode(embed)),
            HubReply::Chat(_) | HubReply::Count { .. } => {
                Err(Error::internal("only embeddings can be told in an embeddings dialect"))
            }
        }
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(OpenAiDecoder::new(self.dialect()))
    }

    /// Streams of embeddings do not exist: `peek` refuses `stream`.
    fn stream_encoder(&self, _facts: &Facts) -> Box<dyn StreamEncoder> {
        Box::new(NoStream)
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
        None
    }
}

/// Writes nothing, for there is nothing to stream.
#[derive(Clone, Copy, Debug)]
struct NoStream;

impl StreamEncoder for NoStream {
    fn encode(&mut self, _events: &[ChatEvent]) -> Bytes {
        Bytes::new()
    }

    fn finish(&mut self) -> Bytes {
        Bytes::new()
    }
}

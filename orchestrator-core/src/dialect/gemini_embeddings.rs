//! Gemini's embeddings, after <https://ai.google.dev/api/embeddings>: `embedContent` gives one, `batchEmbedContents` a list. Both are the
//! same words in another wrapping, so one code speaks them as two dialects. There are no streams in them. What the hub has no
//! word for (`taskType`, `title`) travels in extras named `gemini_embeddings.FIELD`.

mod reply;
mod request;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
    gemini::{Gemini, error, models, tap::GeminiTap},
};
use crate::{
    call::{Facts, ModelInfo, Signals},
    error::{Error, Result},
};

/// `batchEmbedContents`.
pub const BATCH: GeminiEmbeddings = GeminiEmbeddings { form: Form::Batch };
/// `embedContent`.
pub const SINGLE: GeminiEmbeddings = GeminiEmbeddings { form: Form::Single };

/// How requests and answers are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Batch,
    Single,
}

/// Gemini's embeddings in one of their forms.
#[derive(Clone, Copy, Debug)]
pub struct GeminiEmbeddings {
    form: Form,
}

impl Wire for GeminiEmbeddings {
    fn dialect(&self) -> Dialect {
        match self.form {
            Form::Batch => Dialect::GeminiEmbeddings,
            Form::Single => Dialect::GeminiEmbedContent,
        }
    }

    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        request::peek(body, max_depth, self.form)
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        request::splice_models(body, edits)
    }

    fn tap(&self, _drop_injected_usage: bool) -> Box<dyn Tap> {
        Box::new(GeminiTap::new())
    }

    fn inspect(&self, body: &Bytes) -> Signals {
        reply::inspect(body, self.dialect())
    }

    fn decode_request(&self, body: &Bytes) -> Result<HubRequest> {
        Ok(HubRequest::Embed(Box::new(request::decode(body, self.form)?)))
    }

    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        match request {
            HubRequest::Embed(embed) => request::encode(embed, target, self.form),
            HubRequest::Chat(_) => {
                Err(Error::internal("a chat cannot be asked for in an embeddings dialect"))
            }
        }
    }

    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        Ok(HubReply::Embed(reply::decode(body, self.dialect())?))
    }

    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        match reply {
            HubReply::Embed(embed) => reply::encode(embed, self.form),
            HubReply::Chat(_) | HubReply::Count { .. } => {
                Err(Error::internal("only embeddings can be told in an embeddings dialect"))
            }
        }
    }

    /// Streams of embeddings do not exist: no path asks for one.
    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Gemini.stream_decoder()
    }

    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder> {
        Gemini.stream_encoder(facts)
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

//! Being written.

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
};
use crate::{
    call::{Facts, ModelInfo, Signals},
    error::{Error, Result},
};

/// Being written.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiEmbeddings;

#[expect(unused_variables, clippy::unimplemented, reason = "being written")]
impl Wire for OpenAiEmbeddings {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiEmbeddings
    }
    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        unimplemented!()
    }
    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        unimplemented!()
    }
    fn tap(&self, drop_injected_usage: bool) -> Box<dyn Tap> {
        unimplemented!()
    }
    fn inspect(&self, body: &Bytes) -> Signals {
        unimplemented!()
    }
    fn decode_request(&self, body: &Bytes) -> Result<HubRequest> {
        unimplemented!()
    }
    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        unimplemented!()
    }
    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        unimplemented!()
    }
    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        unimplemented!()
    }
    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        unimplemented!()
    }
    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder> {
        unimplemented!()
    }
    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error {
        unimplemented!()
    }
    fn render_error(&self, error: &Error, request_id: &str) -> Bytes {
        unimplemented!()
    }
    fn render_error_event(&self, error: &Error, request_id: &str) -> Bytes {
        unimplemented!()
    }
    fn render_models(&self, models: &[ModelInfo]) -> Bytes {
        unimplemented!()
    }
    fn render_model(&self, model: &ModelInfo) -> Bytes {
        unimplemented!()
    }
    fn idle_bytes(&self) -> Option<Bytes> {
        unimplemented!()
    }
}

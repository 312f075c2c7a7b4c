//! Writes a stream of chunks for a caller, as Gemini does: each event a whole answer whose parts are the next piece.
//!
//! Calls come whole in Gemini's streams: their pieces are gathered until something else is said. Ends are held until the last chunk,
//! which has the usage too; nothing follows it. So a stream that breaks has neither an end nor half a call.

use bytes::Bytes;

use super::{citation, encode_parts, encode_parts::Written, finish, reply, usage};
use crate::{
    chat::{ChatEvent, Citation, Finish, ToolCall, ToolCallDelta, Usage},
    dialect::{
        Dialect, StreamEncoder,
        json::{ObjectWriter, array},
        seal,
    },
};

/// The encoder of one stream.
#[derive(Debug, Default)]
pub(super) struct GeminiEncoder {
    id: String,
    model: String,
    choices: Vec<Open>,
    usage: Option<Usage>,
}

/// What of a choice was not written yet.
#[derive(Debug, Default)]
struct Open {
    choice: u32,
    /// By index.
    calls: Vec<(u32, ToolCall)>,
    /// A signature that the next part bears.
    signature: Option<String>,
    text: String,
    citations: Vec<Citation>,
    finish: Option<Finish>,
}

impl Open {
    /// The gathered calls, and a signature that nothing followed.
    fn flush(&mut self) -> Vec<Written> {
        let mut parts = Vec::new();
        if let Some(signature) = self.signature.take() {
            parts.push(encode_parts::text("").sign(Some(signature)));
        }
        for (_, call) in std::mem::take(&mut self.calls) {
            let signature = call.signature.as_ref().map(|sealed| seal::show(Dialect::Gemini, sealed));
            parts.push(encode_parts::call(&call, true).sign(signature));
        }
        parts
    }

    fn gather(&mut self, delta: &ToolCallDelta) {
        let at = self.calls.iter().position(|(index, _)| *index == delta.index).unwrap_or_else(|| {
            self.calls.push((delta.index, ToolCall::default()));
            self.calls.len() - 1
        });
        let call = &mut self.calls[at].1;
        if let Some(id) = &delta.id {
            call.id.clone_from(id);
        }
        if let Some(name) = &delta.name {
            call.name.push_str(name);
        }
        call.arguments.push_str(&delta.arguments);
        if delta.signature.is_some() {
            call.signature.clone_from(&delta.signature);
        }
    }
}

impl GeminiEncoder {
    /// An encoder at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn open(&mut self, choice: u32) -> &mut Open {
        let at = self.choices.iter().position(|open| open.choice == choice).unwrap_or_else(|| {
            self.choices.push(Open { choice, ..Open::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn write(&mut self, said: &ChatEvent, out: &mut String) {
        match said {
            ChatEvent::Started { id, model, .. } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            ChatEvent::Text { choice, text } | ChatEvent::Refusal { choice, text } => {
                let open = self.open(*choice);
                open.text.push_str(text);
                let signature = open.signature.take();
                let mut parts = open.flush();
                parts.push(encode_parts::text(text).sign(signature));
                self.chunk(*choice, parts, None, out);
            }
            ChatEvent::Reasoning { choice, text } => {
                let mut parts = self.open(*choice).flush();
                parts.push(encode_parts::thought(text));
                self.chunk(*choice, parts, None, out);
            }
            ChatEvent::ReasoningBlock { choice, signature, encrypted } => {
                let open = self.open(*choice);
                let parts = open.flush();
                let signature = signature.as_ref().map(|sealed| seal::show(Dialect::Gemini, sealed));
                open.signature = signature.or_else(|| encrypted.as_deref().and_then(seal::mark_encrypted));
                if !parts.is_empty() {
                    self.chunk(*choice, parts, None, out);
                }
            }
            ChatEvent::ToolCall(delta) => self.open(delta.choice).gather(delta),
            ChatEvent::Citation { choice, citation } => self.open(*choice).citations.push(citation.clone()),
            ChatEvent::Logprobs { choice, json } => {
                if reply::logprobs(Some(json)).is_some() {
                    self.chunk(*choice, Vec::new(), Some(json), out);
                }
            }
            ChatEvent::Finished { choice, finish } => self.open(*choice).finish = Some(finish.clone()),
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            // Only the dialect that they are written in knows them.
            ChatEvent::Opaque { .. } | ChatEvent::Done => {}
        }
    }

    fn chunk(&self, choice: u32, parts: Vec<Written>, logprobs: Option<&str>, out: &mut String) {
        let mut candidate = ObjectWriter::new();
        candidate.raw("content", &reply::content(parts));
        candidate.plain("index", choice);
        if let Some(json) = logprobs {
            candidate.raw("logprobsResult", json);
        }
        self.event(&[candidate.finish()], out);
    }

    fn event(&self, candidates: &[String], out: &mut String) {
        let mut chunk = ObjectWriter::new();
        chunk.raw("candidates", &array(candidates));
        if let Some(usage) = &self.usage {
            chunk.raw("usageMetadata", &usage::write(usage));
        }
        if !self.model.is_empty() {
            chunk.string("modelVersion", &self.model);
        }
        if !self.id.is_empty() {
            chunk.string("responseId", &self.id);
        }
        // JSON has line breaks only between its tokens, where a space does as well.
        let json = chunk.finish().replace(['\n', '\r'], " ");
        out.extend(["data: ", &json, "\r\n\r\n"]);
    }

    /// The last piece of a choice.
    fn ending(open: &mut Open) -> String {
        let mut parts = open.flush();
        if parts.is_empty() {
            parts.push(encode_parts::text(""));
        }
        let mut candidate = ObjectWriter::new();
        candidate.raw("content", &reply::content(parts));
        let finish = open.finish.take().unwrap_or_default();
        candidate.string("finishReason", finish::write(&finish));
        candidate.plain("index", open.choice);
        for (name, json) in citation::write(&open.citations, &open.text) {
            candidate.raw(&name, &json);
        }
        candidate.finish()
    }
}

impl StreamEncoder for GeminiEncoder {
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes {
        let mut out = String::new();
        for event in events {
            self.write(event, &mut out);
        }
        Bytes::from(out)
    }

    fn finish(&mut self) -> Bytes {
        if self.choices.is_empty() {
            self.open(0);
        }
        let candidates: Vec<String> = self.choices.iter_mut().map(Self::ending).collect();
        let mut out = String::new();
        self.event(&candidates, &mut out);
        Bytes::from(out)
    }
}

//! Writes a stream of `text_completion` chunks for a caller: text, finish reasons and, if asked for, usage at the end; while it
//! is asked for, every other chunk has `usage: null`. Reasoning, refusals and tool calls have no place here.

use bytes::Bytes;

use crate::{
    chat::{ChatEvent, Usage},
    dialect::{
        StreamEncoder,
        json::ObjectWriter,
        openai::{
            usage,
            write::{DONE, Head, event, finish_reason, logprobs_with},
        },
    },
};

/// The encoder of one stream.
#[derive(Debug)]
pub(super) struct CompletionsEncoder {
    include_usage: bool,
    head: Head,
    usage: Option<Usage>,
}

impl CompletionsEncoder {
    /// An encoder at the beginning of a stream; `include_usage`: the caller asked for usage at its end. A stream whose provider
    /// gave no id gets `cmpl-0`.
    pub(super) fn new(include_usage: bool) -> Self {
        Self { include_usage, head: Head::new("", 0, "", "cmpl-0"), usage: None }
    }

    fn chunk(&self, choice: u32, text: &str, logprobs: Option<&str>, finish: &str) -> String {
        let mut piece = ObjectWriter::new();
        piece.string("text", text);
        piece.plain("index", choice);
        piece.raw("logprobs", logprobs.unwrap_or("null"));
        piece.raw("finish_reason", finish);
        let mut chunk = self.head.open("text_completion");
        chunk.raw("choices", &format!("[{}]", piece.finish()));
        if self.include_usage {
            chunk.raw("usage", "null");
        }
        event(&chunk.finish())
    }
}

impl StreamEncoder for CompletionsEncoder {
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes {
        let mut out = String::new();
        for said in events {
            match said {
                ChatEvent::Started { id, model, created } => {
                    self.head = Head::new(id, *created, model, "cmpl-0");
                }
                ChatEvent::Text { choice, text } => out.push_str(&self.chunk(*choice, text, None, "null")),
                ChatEvent::Logprobs { choice, json } => {
                    if let Some(json) = logprobs_with(Some(json), &["tokens"]) {
                        out.push_str(&self.chunk(*choice, "", Some(json), "null"));
                    }
                }
                ChatEvent::Finished { choice, finish } => {
                    out.push_str(&self.chunk(*choice, "", None, finish_reason(finish)));
                }
                ChatEvent::Usage(usage) => self.usage = Some(*usage),
                ChatEvent::Reasoning { .. }
                | ChatEvent::Refusal { .. }
                | ChatEvent::ReasoningBlock { .. }
                | ChatEvent::Citation { .. }
                | ChatEvent::ToolCall(_)
                | ChatEvent::Opaque { .. }
                | ChatEvent::Done => {}
            }
        }
        Bytes::from(out)
    }

    fn finish(&mut self) -> Bytes {
        let mut out = String::new();
        if let (true, Some(usage)) = (self.include_usage, &self.usage) {
            let mut chunk = self.head.open("text_completion");
            chunk.raw("choices", "[]");
            chunk.raw("usage", &usage::write(usage));
            out.push_str(&event(&chunk.finish()));
        }
        out.push_str(DONE);
        Bytes::from(out)
    }
}

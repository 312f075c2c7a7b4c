//! Writes a stream of chunks for a caller.
//!
//! As OpenAI does it: the first chunk of a choice has its role and an empty content, the last one an empty delta and the finish
//! reason; where usage was asked for, every chunk has `usage: null` and one more, without choices, has the usage. Usage is held
//! until the end, for some providers report it many times. Reasoning goes into `reasoning_content`, as most compatible servers
//! have it; its signatures have no place here. A stream whose provider gave no id gets `chatcmpl-0`.

use bytes::Bytes;

use super::encode_messages::signed;
use crate::{
    chat::{ChatEvent, ToolCallDelta, Usage},
    dialect::{
        Dialect, StreamEncoder,
        json::ObjectWriter,
        openai::{
            usage,
            write::{DONE, Head, event, finish_reason, logprobs_with},
        },
        seal,
    },
};

/// The encoder of one stream.
#[derive(Debug)]
pub(super) struct ChatEncoder {
    include_usage: bool,
    head: Head,
    /// Choices whose first chunk is written.
    opened: Vec<u32>,
    usage: Option<Usage>,
}

impl ChatEncoder {
    /// An encoder at the beginning of a stream; `include_usage`: the caller asked for usage at its end.
    pub(super) fn new(include_usage: bool) -> Self {
        let head = Head::new("", 0, "", "chatcmpl-0");
        Self { include_usage, head, opened: Vec::new(), usage: None }
    }

    fn write(&mut self, said: &ChatEvent, logprobs: Option<&str>, out: &mut String) {
        match said {
            ChatEvent::Started { id, model, created } => {
                self.head = Head::new(id, *created, model, "chatcmpl-0");
                self.open(0, out);
            }
            ChatEvent::Text { choice, text } => self.text(*choice, "content", text, logprobs, out),
            ChatEvent::Reasoning { choice, text } => {
                self.text(*choice, "reasoning_content", text, logprobs, out);
            }
            ChatEvent::Refusal { choice, text } => self.text(*choice, "refusal", text, logprobs, out),
            ChatEvent::ToolCall(call) => {
                let mut delta = ObjectWriter::new();
                delta.raw("tool_calls", &format!("[{}]", tool_call(call)));
                self.chunk(call.choice, delta, logprobs, "null", out);
            }
            ChatEvent::Logprobs { choice, json } => {
                // Those that follow a text are written with it; these stand alone.
                if let Some(json) = logprobs_with(Some(json), &["content", "refusal"]) {
                    self.chunk(*choice, ObjectWriter::new(), Some(json), "null", out);
                }
            }
            ChatEvent::Finished { choice, finish } => {
                self.chunk(*choice, ObjectWriter::new(), None, finish_reason(finish), out);
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::ReasoningBlock { .. } | ChatEvent::Citation { .. } | ChatEvent::Done => {}
        }
    }

    fn text(&mut self, choice: u32, field: &str, text: &str, logprobs: Option<&str>, out: &mut String) {
        let mut delta = ObjectWriter::new();
        delta.string(field, text);
        self.chunk(choice, delta, logprobs, "null", out);
    }

    /// Writes a choice's first chunk unless it is written.
    fn open(&mut self, choice: u32, out: &mut String) {
        if self.opened.contains(&choice) {
            return;
        }
        self.opened.push(choice);
        let mut delta = ObjectWriter::new();
        delta.string("role", "assistant");
        delta.string("content", "");
        self.chunk(choice, delta, None, "null", out);
    }

    fn chunk(
        &mut self,
        choice: u32,
        delta: ObjectWriter,
        logprobs: Option<&str>,
        finish: &str,
        out: &mut String,
    ) {
        self.open(choice, out);
        let mut piece = ObjectWriter::new();
        piece.plain("index", choice);
        piece.raw("delta", &delta.finish());
        piece.raw("logprobs", logprobs.unwrap_or("null"));
        piece.raw("finish_reason", finish);
        let mut chunk = self.head.open("chat.completion.chunk");
        chunk.raw("choices", &format!("[{}]", piece.finish()));
        if self.include_usage {
            chunk.raw("usage", "null");
        }
        out.push_str(&event(&chunk.finish()));
    }
}

impl StreamEncoder for ChatEncoder {
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes {
        let mut out = String::new();
        let mut at = 0;
        while let Some(said) = events.get(at) {
            at += 1;
            let mut logprobs = None;
            if let (Some(choice), Some(ChatEvent::Logprobs { choice: of, json })) =
                (choice_of(said), events.get(at))
                && choice == *of
            {
                at += 1;
                logprobs = logprobs_with(Some(json), &["content", "refusal"]);
            }
            self.write(said, logprobs, &mut out);
        }
        Bytes::from(out)
    }

    fn finish(&mut self) -> Bytes {
        let mut out = String::new();
        if let (true, Some(usage)) = (self.include_usage, &self.usage) {
            let mut chunk = self.head.open("chat.completion.chunk");
            chunk.raw("choices", "[]");
            chunk.raw("usage", &usage::write(usage));
            out.push_str(&event(&chunk.finish()));
        }
        out.push_str(DONE);
        Bytes::from(out)
    }
}

/// The choice of an event that log probabilities may belong to.
fn choice_of(event: &ChatEvent) -> Option<u32> {
    match event {
        ChatEvent::Text { choice, .. }
        | ChatEvent::Reasoning { choice, .. }
        | ChatEvent::Refusal { choice, .. } => Some(*choice),
        ChatEvent::ToolCall(call) => Some(call.choice),
        ChatEvent::Started { .. }
        | ChatEvent::ReasoningBlock { .. }
        | ChatEvent::Citation { .. }
        | ChatEvent::Logprobs { .. }
        | ChatEvent::Finished { .. }
        | ChatEvent::Usage(_)
        | ChatEvent::Done => None,
    }
}

fn tool_call(call: &ToolCallDelta) -> String {
    let mut out = ObjectWriter::new();
    out.plain("index", call.index);
    if let Some(id) = &call.id {
        out.string("id", id);
        out.string("type", "function");
    }
    let mut function = ObjectWriter::new();
    function.optional_string("name", call.name.as_deref());
    function.string("arguments", &call.arguments);
    out.raw("function", &function.finish());
    if let Some(signature) = &call.signature {
        out.raw("extra_content", &signed(&seal::show(Dialect::OpenAiChat, signature)));
    }
    out.finish()
}

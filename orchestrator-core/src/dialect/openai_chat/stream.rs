//! Writes a stream of chunks for a caller.
//!
//! As OpenAI does it: the first chunk of a choice has its role and an empty content, the last one an empty delta and the finish
//! reason; where usage was asked for, every chunk has `usage: null` and one more, without choices, has the usage. Usage is held
//! until the end, for some providers report it many times. Reasoning goes into `reasoning_content`, as most compatible servers
//! have it; each signature over it, and encrypted reasoning, is an entry of `reasoning_details`. A stream whose provider gave no id gets `chatcmpl-0`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    chat::{ChatEvent, ReasoningPart, ToolCallDelta, Usage},
    dialect::{
        StreamEncoder,
        json::{ObjectWriter, array},
        openai::{
            citations,
            content::{Reader, extra_content},
            details::{self, Written},
            usage,
            write::{DONE, Head, event, finish_reason, logprobs_with},
        },
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
    /// What each choice has said so far that a later entry counts from.
    said: BTreeMap<u32, Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// Entries of `reasoning_details` that are closed.
    entries: usize,
    /// Characters of text.
    characters: u32,
    /// Calls that have had no arguments so far.
    bare_calls: Vec<u32>,
}

impl ChatEncoder {
    /// An encoder at the beginning of a stream; `include_usage`: the caller asked for usage at its end.
    pub(super) fn new(include_usage: bool) -> Self {
        let head = Head::new("", 0, "", "chatcmpl-0");
        Self { include_usage, head, opened: Vec::new(), usage: None, said: BTreeMap::new() }
    }

    fn write(&mut self, said: &ChatEvent, logprobs: Option<&str>, out: &mut String) {
        match said {
            ChatEvent::Started { id, model, created } => {
                self.head = Head::new(id, *created, model, "chatcmpl-0");
                self.open(0, out);
            }
            ChatEvent::Text { choice, text } => {
                let said = self.said.entry(*choice).or_default();
                said.characters = said.characters.saturating_add(text.chars().count() as u32);
                self.text(*choice, "content", text, logprobs, out);
            }
            ChatEvent::Reasoning { choice, text } => self.reasoning(*choice, text, logprobs, out),
            ChatEvent::Refusal { choice, text } => self.text(*choice, "refusal", text, logprobs, out),
            ChatEvent::ToolCall(call) => self.call(call, logprobs, out),
            ChatEvent::Logprobs { choice, json } => {
                // Those that follow a text are written with it; these stand alone.
                if let Some(json) = logprobs_with(Some(json), &["content", "refusal"]) {
                    self.chunk(*choice, ObjectWriter::new(), Some(json), "null", out);
                }
            }
            ChatEvent::Finished { choice, finish } => {
                self.fill_bare_calls(*choice, out);
                self.chunk(*choice, ObjectWriter::new(), None, finish_reason(finish), out);
            }
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            ChatEvent::ReasoningBlock { choice, signature, encrypted } => {
                self.block(*choice, signature.as_ref(), encrypted.as_ref(), out);
            }
            ChatEvent::Citation { choice, citation } => {
                // Where its text began is not known any more.
                let end = self.said.entry(*choice).or_default().characters;
                let mut delta = ObjectWriter::new();
                delta.raw("annotations", &format!("[{}]", citations::write(citation, (end, end))));
                self.chunk(*choice, delta, None, "null", out);
            }
            ChatEvent::Opaque { .. } | ChatEvent::Done => {}
        }
    }

    fn call(&mut self, call: &ToolCallDelta, logprobs: Option<&str>, out: &mut String) {
        let bare = &mut self.said.entry(call.choice).or_default().bare_calls;
        if !call.arguments.is_empty() {
            bare.retain(|index| *index != call.index);
        } else if call.id.is_some() {
            bare.push(call.index);
        }
        let mut delta = ObjectWriter::new();
        delta.raw("tool_calls", &format!("[{}]", tool_call(call)));
        self.chunk(call.choice, delta, logprobs, "null", out);
    }

    /// A call without arguments has those of an empty object: callers parse what they have gathered.
    fn fill_bare_calls(&mut self, choice: u32, out: &mut String) {
        let bare = std::mem::take(&mut self.said.entry(choice).or_default().bare_calls);
        for index in bare {
            let call =
                ToolCallDelta { choice, index, arguments: "{}".to_owned(), ..ToolCallDelta::default() };
            self.call(&call, None, out);
        }
    }

    /// Each piece stands in both of its places, as OpenRouter sends it: who reads one of them reads all of it, and who gathers
    /// entries has what it must hand back.
    fn reasoning(&mut self, choice: u32, text: &str, logprobs: Option<&str>, out: &mut String) {
        let index = self.said.entry(choice).or_default().entries;
        let mut delta = ObjectWriter::new();
        delta.string("reasoning_content", text);
        delta.raw("reasoning_details", &format!("[{}]", details::text_entry(text, index)));
        self.chunk(choice, delta, logprobs, "null", out);
    }

    /// A signature closes the entry of the text before it.
    fn block(
        &mut self,
        choice: u32,
        signature: Option<&String>,
        encrypted: Option<&String>,
        out: &mut String,
    ) {
        let said = self.said.entry(choice).or_default();
        let thought = ReasoningPart {
            text: String::new(),
            signature: signature.cloned(),
            encrypted: encrypted.cloned(),
        };
        let mut entries: Vec<String> = Vec::new();
        for written in details::write(&thought, Reader::Caller, said.entries) {
            if let Written::Entry(json) = written {
                entries.push(json);
            }
        }
        said.entries += 1;
        if !entries.is_empty() {
            let mut delta = ObjectWriter::new();
            delta.raw("reasoning_details", &array(&entries));
            self.chunk(choice, delta, None, "null", out);
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
        | ChatEvent::Opaque { .. }
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
    let signature = call.signature.as_ref();
    if let Some(extra) = signature.and_then(|signature| extra_content(signature, Reader::Caller)) {
        out.raw("extra_content", &extra);
    }
    out.finish()
}

//! Writes a stream for a caller.
//!
//! Anthropic's blocks never interleave. Pieces of calls may come mixed: what belongs to another block than the open call's waits
//! until that call's arguments are whole JSON, or the answer ends. The stop reason waits for the usage, which other vendors send
//! last. The beginning tells what is known by then: usage that a provider has counted already, else an estimate of the input, which
//! many clients read nowhere else; the end corrects it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    OPAQUE_END, OWN, citation,
    reply::{start, stop_reason},
    usage,
    write::redacted,
};
use crate::{
    chat::{ChatEvent, Finish, ToolCallDelta, Usage},
    dialect::{
        Dialect, StreamEncoder,
        json::{ObjectWriter, checked},
        scan, seal,
        splice::{Edit, quoted, splice},
    },
};

/// The block that is open.
#[derive(Debug)]
enum Block {
    Text,
    Thinking,
    Call { index: u32, arguments: String },
}

/// The encoder of one stream.
#[derive(Debug, Default)]
pub(super) struct AnthropicEncoder {
    id: String,
    model: String,
    begun: bool,
    open: Option<Block>,
    blocks: u32,
    called: bool,
    held: VecDeque<ChatEvent>,
    finish: Option<Finish>,
    /// JSON: the sequence that ended it.
    stop_sequence: Option<String>,
    usage: Option<Usage>,
    request_bytes: usize,
    said_bytes: usize,
    out: String,
}

impl AnthropicEncoder {
    /// An encoder at the beginning of a stream; `request_bytes`: what was asked, for an estimate of the input.
    pub(super) fn new(request_bytes: usize) -> Self {
        Self { request_bytes, ..Self::default() }
    }

    fn usage(&self) -> Usage {
        self.usage.unwrap_or_else(|| Usage::estimated(self.request_bytes, self.said_bytes))
    }

    fn event(&mut self, name: &str, json: &str) {
        // JSON has line breaks only between its tokens, where a space does as well.
        let json = json.replace(['\n', '\r'], " ");
        self.out.extend(["event: ", name, "\ndata: ", &json, "\n\n"]);
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            let json = start(&self.id, &self.model, &self.usage());
            self.event("message_start", &json);
        }
    }

    /// Opens a block; whatever was open has been closed.
    fn open(&mut self, block: Option<Block>, json: &str) {
        self.begin();
        let index = self.blocks;
        let json = format!(r#"{{"type":"content_block_start","index":{index},"content_block":{json}}}"#);
        self.event("content_block_start", &json);
        self.open = block;
    }

    fn delta(&mut self, kind: &str, field: &str, json: &str) {
        let index = self.blocks;
        let mut delta = ObjectWriter::new();
        delta.string("type", kind);
        delta.raw(field, json);
        let delta = delta.finish();
        let json = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
        self.event("content_block_delta", &json);
    }

    fn stop(&mut self) {
        let index = self.blocks;
        self.event("content_block_stop", &format!(r#"{{"type":"content_block_stop","index":{index}}}"#));
        self.blocks += 1;
        self.open = None;
    }

    fn close(&mut self) {
        if self.open.is_some() {
            self.stop();
        }
    }

    /// Whether something else than a piece of the open call may be written.
    fn is_free(&self) -> bool {
        match &self.open {
            Some(Block::Call { arguments, .. }) => checked(arguments, "arguments").is_ok(),
            _ => true,
        }
    }

    /// Takes the next event, or holds it.
    fn take(&mut self, event: ChatEvent) {
        let same_call = match (&event, &self.open) {
            (ChatEvent::ToolCall(delta), Some(Block::Call { index, .. })) => delta.index == *index,
            _ => false,
        };
        let waits = !self.held.is_empty() || !self.is_free();
        if same_call || !waits {
            self.write(event);
        } else {
            self.held.push_back(event);
        }
        if !self.held.is_empty() && self.is_free() {
            self.release();
        }
    }

    /// Writes what was held, as far as it goes now.
    fn release(&mut self) {
        for event in std::mem::take(&mut self.held) {
            self.take(event);
        }
    }

    fn write(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Text { text, .. } | ChatEvent::Refusal { text, .. } => self.text(&text),
            ChatEvent::Reasoning { text, .. } => {
                self.said_bytes += text.len();
                self.think();
                self.delta("thinking_delta", "thinking", &quoted(&text));
            }
            ChatEvent::ReasoningBlock { signature, encrypted, .. } => {
                if let Some(signature) = signature {
                    self.think();
                    self.sign(&signature);
                }
                if let Some(data) = encrypted {
                    self.close();
                    self.open(None, &redacted(&seal::show(Dialect::Anthropic, &data)));
                    self.stop();
                }
            }
            ChatEvent::Citation { citation, .. } => {
                if !matches!(self.open, Some(Block::Text)) {
                    self.close();
                    self.open(Some(Block::Text), r#"{"type":"text","text":""}"#);
                }
                self.delta("citations_delta", "citation", &citation::write(&citation));
            }
            ChatEvent::ToolCall(delta) => self.call(delta),
            ChatEvent::Opaque { dialect: OWN, json, .. } => self.opaque(&json),
            _ => {}
        }
    }

    /// A block of another kind, as its dialect has it: an input comes as Anthropic sends one, behind the beginning.
    fn opaque(&mut self, json: &str) {
        self.close();
        let input = scan::entries(json).ok().and_then(|members| {
            let input = members.into_iter().find(|(name, _)| name == "input");
            input.map(|(_, json)| json.to_owned()).filter(|json| json.starts_with('{'))
        });
        let bare = [Edit::Set("input".to_owned(), "{}".to_owned())];
        match input.as_ref().and_then(|_| splice(json.as_bytes(), &bare).ok()) {
            Some(begun) => self.open(None, &String::from_utf8_lossy(&begun)),
            None => self.open(None, json),
        }
        if let Some(input) = input {
            self.delta("input_json_delta", "partial_json", &quoted(&input));
        }
        self.stop();
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.said_bytes += text.len();
        if !matches!(self.open, Some(Block::Text)) {
            self.close();
            self.open(Some(Block::Text), r#"{"type":"text","text":""}"#);
        }
        self.delta("text_delta", "text", &quoted(text));
    }

    fn think(&mut self) {
        if !matches!(self.open, Some(Block::Thinking)) {
            self.close();
            self.open(Some(Block::Thinking), r#"{"type":"thinking","thinking":"","signature":""}"#);
        }
    }

    /// A signature ends its block.
    fn sign(&mut self, signature: &str) {
        self.delta("signature_delta", "signature", &quoted(&seal::show(Dialect::Anthropic, signature)));
        self.stop();
    }

    fn call(&mut self, delta: ToolCallDelta) {
        self.said_bytes += delta.arguments.len() + delta.name.as_ref().map_or(0, String::len);
        let is_open = matches!(&self.open, Some(Block::Call { index, .. }) if *index == delta.index);
        if !is_open {
            self.close();
            if let Some(signature) = &delta.signature {
                self.think();
                self.sign(signature);
            }
            self.called = true;
            let mut block = ObjectWriter::new();
            block.string("type", "tool_use");
            block.string("id", delta.id.as_deref().unwrap_or_default());
            block.string("name", delta.name.as_deref().unwrap_or_default());
            block.raw("input", "{}");
            let call = Block::Call { index: delta.index, arguments: String::new() };
            self.open(Some(call), &block.finish());
        }
        if delta.arguments.is_empty() {
            return;
        }
        self.delta("input_json_delta", "partial_json", &quoted(&delta.arguments));
        if let Some(Block::Call { arguments, .. }) = &mut self.open {
            arguments.push_str(&delta.arguments);
        }
    }
}

impl StreamEncoder for AnthropicEncoder {
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes {
        if !self.begun {
            // Some have counted the input before they begin.
            let usage =
                |event: &ChatEvent| if let ChatEvent::Usage(usage) = event { Some(*usage) } else { None };
            self.usage = events.iter().find_map(usage).or(self.usage);
        }
        for event in events {
            match event {
                ChatEvent::Started { id, model, .. } => {
                    self.id.clone_from(id);
                    self.model.clone_from(model);
                    self.begin();
                }
                ChatEvent::Usage(usage) => self.usage = Some(*usage),
                ChatEvent::Finished { choice: 0, finish } => self.finish = Some(finish.clone()),
                ChatEvent::Opaque { choice: 0, dialect: OPAQUE_END, json } => {
                    self.stop_sequence = Some(json.clone());
                }
                // Messages have one choice.
                event if event.choice() == Some(0) => self.take(event.clone()),
                _ => {}
            }
        }
        Bytes::from(std::mem::take(&mut self.out))
    }

    fn finish(&mut self) -> Bytes {
        self.begin();
        self.close();
        // Each round closes the call that the others waited for.
        while !self.held.is_empty() {
            self.release();
            self.close();
        }
        let finish = self.finish.take().unwrap_or_default();
        let usage = self.usage();
        let json = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{}","stop_sequence":{}}},"usage":{}}}"#,
            stop_reason(&finish, self.called),
            self.stop_sequence.as_deref().unwrap_or("null"),
            usage::write(&usage, None)
        );
        self.event("message_delta", &json);
        self.event("message_stop", r#"{"type":"message_stop"}"#);
        Bytes::from(std::mem::take(&mut self.out))
    }
}

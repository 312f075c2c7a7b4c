//! Reads a provider's stream into the hub's events.

use bytes::Bytes;

use super::{
    OPAQUE_END, OWN, citation,
    event::{Reader, Reading, Said},
    finish,
};
use crate::{
    call::{Batch, Signals},
    chat::{ChatEvent, ToolCallDelta},
    dialect::{
        Dialect, StreamDecoder,
        events::Events,
        json::checked,
        seal,
        splice::{Edit, splice},
    },
};

/// The decoder of Messages.
#[derive(Debug)]
pub(super) struct AnthropicDecoder {
    first: bool,
    reader: Reader,
    calls: u32,
    /// The call whose block is open, and whether it has arguments yet.
    call: Option<(u64, u32, bool)>,
    /// The open block that the hub has no word for, by its index: as it began, and its input so far.
    opaque: Option<(u64, String, String)>,
    failed: bool,
}

impl AnthropicDecoder {
    /// A decoder at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { first: true, reader: Reader::default(), calls: 0, call: None, opaque: None, failed: false }
    }
}

impl StreamDecoder for AnthropicDecoder {
    fn decode(&mut self, events: &Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        let mut out = Vec::new();
        for event in Events::new(events, first) {
            if self.failed {
                break;
            }
            let (reading, said) = self.reader.read(&event);
            let usage = said.usage;
            signals.merge(said);
            match reading {
                Reading::Nothing => {}
                // What is said behind an error is no answer any more.
                Reading::Failed => self.failed = true,
                Reading::Said(said) => {
                    self.said(&said, &mut out);
                    out.extend(usage.map(ChatEvent::Usage));
                }
            }
        }
        Batch { raw: Bytes::new(), events: out, signals }
    }
}

impl AnthropicDecoder {
    fn said(&mut self, said: &Said<'_>, out: &mut Vec<ChatEvent>) {
        match said.kind.as_str() {
            "message_start" => {
                let Some(message) = &said.message else { return };
                out.push(ChatEvent::Started {
                    id: message.id.clone().unwrap_or_default(),
                    model: message.model.clone().unwrap_or_default(),
                    created: 0,
                });
                // Of the output it is a placeholder, of the input it is true.
                out.extend(self.reader.usage().map(ChatEvent::Usage));
            }
            "content_block_start" => self.block(said, out),
            "content_block_delta" => self.delta(said, out),
            "content_block_stop" => self.close(said.index, out),
            "message_delta" => {
                let delta = said.delta.as_ref();
                if let Some(stop) = delta.and_then(|delta| delta.stop_sequence) {
                    out.push(opaque(OPAQUE_END, stop.get()));
                }
                let reason = delta.and_then(|delta| delta.stop_reason.as_deref());
                let finish = reason.map(finish::read);
                out.extend(finish.map(|finish| ChatEvent::Finished { choice: 0, finish }));
            }
            "message_stop" => out.push(ChatEvent::Done),
            _ => {}
        }
    }

    fn block(&mut self, said: &Said<'_>, out: &mut Vec<ChatEvent>) {
        let block = said.block();
        match block.kind.as_str() {
            "text" if !block.text.is_empty() => out.push(ChatEvent::Text { choice: 0, text: block.text }),
            "thinking" if !block.thinking.is_empty() => {
                out.push(ChatEvent::Reasoning { choice: 0, text: block.thinking });
            }
            "redacted_thinking" => {
                let encrypted = Some(seal::seal(Dialect::Anthropic, &block.data));
                out.push(ChatEvent::ReasoningBlock { choice: 0, signature: None, encrypted });
            }
            "tool_use" => {
                // Calls are counted apart from the blocks around them.
                let index = self.calls;
                self.calls += 1;
                self.call = Some((said.index, index, false));
                let (id, name) = (Some(block.id), Some(block.name));
                out.push(ChatEvent::ToolCall(ToolCallDelta { index, id, name, ..ToolCallDelta::default() }));
            }
            "text" | "thinking" => {}
            // What the provider's own tools did, and whatever else there is tomorrow.
            _ => {
                let json = said.content_block.map(|json| json.get().to_owned()).unwrap_or_default();
                self.opaque = Some((said.index, json, String::new()));
            }
        }
    }

    fn delta(&mut self, said: &Said<'_>, out: &mut Vec<ChatEvent>) {
        let Some(delta) = &said.delta else { return };
        match delta.kind.as_deref().unwrap_or_default() {
            "text_delta" => {
                let text = delta.text();
                out.extend((!text.is_empty()).then_some(ChatEvent::Text { choice: 0, text }));
            }
            "thinking_delta" => {
                let text = delta.thinking();
                out.extend((!text.is_empty()).then_some(ChatEvent::Reasoning { choice: 0, text }));
            }
            "signature_delta" => {
                let signature = delta.signature();
                if !signature.is_empty() {
                    let signature = Some(seal::seal(Dialect::Anthropic, &signature));
                    out.push(ChatEvent::ReasoningBlock { choice: 0, signature, encrypted: None });
                }
            }
            "input_json_delta" => {
                let arguments = delta.partial_json();
                if let Some((block, _, input)) = &mut self.opaque
                    && *block == said.index
                {
                    input.push_str(&arguments);
                }
                if let Some((block, index, begun)) = &mut self.call
                    && *block == said.index
                    && !arguments.is_empty()
                {
                    *begun = true;
                    let index = *index;
                    out.push(ChatEvent::ToolCall(ToolCallDelta {
                        index,
                        arguments,
                        ..ToolCallDelta::default()
                    }));
                }
            }
            "citations_delta" => {
                let citation = delta.citation.and_then(|json| citation::read(json.get()));
                out.extend(citation.map(|citation| ChatEvent::Citation { choice: 0, citation }));
            }
            _ => {}
        }
    }

    /// A call without arguments has none in its block: everybody else writes an empty object.
    fn close(&mut self, block: u64, out: &mut Vec<ChatEvent>) {
        if let Some((_, mut json, input)) = self.opaque.take_if(|(open, _, _)| *open == block) {
            if checked(&input, "input").is_ok()
                && let Ok(whole) = splice(json.as_bytes(), &[Edit::Set("input".to_owned(), input)])
            {
                json = String::from_utf8_lossy(&whole).into_owned();
            }
            out.push(opaque(OWN, &json));
        }
        if let Some((_, index, begun)) = self.call.take_if(|(open, _, _)| *open == block)
            && !begun
        {
            let arguments = "{}".to_owned();
            out.push(ChatEvent::ToolCall(ToolCallDelta { index, arguments, ..ToolCallDelta::default() }));
        }
    }
}

fn opaque(dialect: &'static str, json: &str) -> ChatEvent {
    ChatEvent::Opaque { choice: 0, dialect, json: json.to_owned() }
}

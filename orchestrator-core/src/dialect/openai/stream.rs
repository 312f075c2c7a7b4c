//! Reads a provider's stream of Chat Completions or legacy Completions into the hub's events.

use bytes::Bytes;

use super::{
    chunk::{CallDelta, Chunk, ChunkChoice, Delta, FunctionDelta, Reading},
    citations,
    content::{self, Piece},
};
use crate::{
    call::{Batch, Signals},
    chat::{ChatEvent, ReasoningPart, ToolCallDelta},
    dialect::{Dialect, StreamDecoder, events::Events},
};

/// The decoder of Chat Completions and of legacy Completions.
#[derive(Debug)]
pub(crate) struct OpenAiDecoder {
    dialect: Dialect,
    first: bool,
    started: bool,
    calls: Vec<OpenCall>,
    /// Choices that have ended.
    finished: Vec<u32>,
    /// How many of Perplexity's sources were told; each chunk repeats them.
    sources: usize,
    /// Reasoning has come in a field of its own.
    plain_reasoning: bool,
}

/// A tool call that has begun.
#[derive(Debug)]
struct OpenCall {
    choice: u32,
    /// The provider's index, which servers leave out or repeat for parallel calls.
    wire_index: u32,
    id: String,
}

impl OpenAiDecoder {
    /// A decoder at the beginning of a stream.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            first: true,
            started: false,
            calls: Vec::new(),
            finished: Vec::new(),
            sources: 0,
            plain_reasoning: false,
        }
    }
}

impl StreamDecoder for OpenAiDecoder {
    fn decode(&mut self, events: &Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        let mut out = Vec::new();
        for event in Events::new(events, first) {
            let reading = Reading::of(&event, self.dialect);
            signals.merge(reading.signals());
            match reading {
                Reading::Nothing => {}
                Reading::Done => out.push(ChatEvent::Done),
                Reading::Failed(failure) => {
                    out.extend(failure.usage.map(ChatEvent::Usage));
                    // What is said behind an error is no answer any more.
                    break;
                }
                Reading::Chunk(chunk) => {
                    signals.service_tier = chunk.service_tier().or(signals.service_tier);
                    self.chunk(&chunk, &mut out);
                }
            }
        }
        Batch { raw: Bytes::new(), events: out, signals }
    }
}

impl OpenAiDecoder {
    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut Vec<ChatEvent>) {
        let id = chunk.id();
        // Azure's first chunk holds prompt filter results and neither id, model nor choice: the answer has not begun.
        if !self.started && (id.is_some() || !chunk.choices().is_empty()) {
            self.started = true;
            out.push(ChatEvent::Started {
                id: id.unwrap_or_default(),
                model: chunk.model().unwrap_or_default(),
                created: chunk.created(),
            });
        }
        for (position, choice) in chunk.choices().iter().enumerate() {
            self.choice(choice, choice.index.unwrap_or(position as u32), out);
        }
        let sources = chunk.sources();
        out.extend(
            sources
                .iter()
                .skip(self.sources)
                .map(|citation| ChatEvent::Citation { choice: 0, citation: citation.clone() }),
        );
        self.sources = self.sources.max(sources.len());
        out.extend(chunk.usage().map(ChatEvent::Usage));
    }

    fn choice(&mut self, piece: &ChunkChoice<'_>, choice: u32, out: &mut Vec<ChatEvent>) {
        // Together's chat chunks say the same twice: in the delta, and in legacy Completions' field.
        match piece.said().filter(|delta| delta.has_content()) {
            Some(delta) => self.delta(delta, choice, out),
            None => {
                out.extend(content::text(piece.text).map(|text| ChatEvent::Text { choice, text }));
            }
        }
        if let Some(json) = piece.logprobs {
            out.push(ChatEvent::Logprobs { choice, json: json.get().to_owned() });
        }
        // OpenRouter says it again in the chunk that has the usage.
        if let Some(finish) = piece.finish()
            && !self.finished.contains(&choice)
        {
            self.finished.push(choice);
            out.push(ChatEvent::Finished { choice, finish });
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, choice: u32, out: &mut Vec<ChatEvent>) {
        self.reasoning(delta, choice, out);
        for piece in content::pieces(delta.content) {
            out.push(match piece {
                Piece::Text(text) => ChatEvent::Text { choice, text },
                Piece::Reasoning(text) => ChatEvent::Reasoning { choice, text },
            });
        }
        if let Some(text) = content::text(delta.refusal) {
            out.push(ChatEvent::Refusal { choice, text });
        }
        let annotations = delta.annotations.map(|json| citations::annotations(json.get()));
        for citation in annotations.unwrap_or_default() {
            out.push(ChatEvent::Citation { choice, citation });
        }
        for (position, call) in delta.tool_calls.iter().flatten().enumerate() {
            out.push(ChatEvent::ToolCall(self.call(call, position as u32, choice)));
        }
        // The deprecated form has one call and no id. It gets one, as in whole answers: its result must be able to name it.
        if let Some(function) = &delta.function_call {
            let call = self.call_piece(function, "call_0".to_owned(), 0, choice);
            out.push(ChatEvent::ToolCall(call));
        }
    }

    /// Reasoning text, and what signs it. Where it has a field of its own the entries that sign it only repeat it.
    fn reasoning(&mut self, delta: &Delta<'_>, choice: u32, out: &mut Vec<ChatEvent>) {
        let details = delta.details();
        let plain = delta.reasoning_text();
        self.plain_reasoning |= plain.is_some();
        let text = plain.or_else(|| {
            let texts: String = details.iter().map(|part| part.text.as_str()).collect();
            Some(texts).filter(|texts| !self.plain_reasoning && !texts.is_empty())
        });
        out.extend(text.map(|text| ChatEvent::Reasoning { choice, text }));
        for part in details.into_iter().filter(|part| part.signature.is_some() || part.encrypted.is_some()) {
            let ReasoningPart { signature, encrypted, .. } = part;
            out.push(ChatEvent::ReasoningBlock { choice, signature, encrypted });
        }
    }

    fn call(&mut self, call: &CallDelta<'_>, position: u32, choice: u32) -> ToolCallDelta {
        let none = FunctionDelta::default();
        let function = call.function.as_ref().unwrap_or(&none);
        let id = content::text(call.id).unwrap_or_default();
        let piece = self.call_piece(function, id, call.index.unwrap_or(position), choice);
        ToolCallDelta { signature: call.signature(), ..piece }
    }

    /// Finds the call that a piece belongs to. A new name with another id is a new call, even under an index seen before: some
    /// servers number parallel calls all alike.
    fn call_piece(
        &mut self,
        function: &FunctionDelta<'_>,
        id: String,
        wire_index: u32,
        choice: u32,
    ) -> ToolCallDelta {
        let name = content::text(function.name);
        let mine = |call: &OpenCall| call.choice == choice && call.wire_index == wire_index;
        let known = self.calls.iter().rposition(mine).filter(|at| {
            let another = !id.is_empty() && self.calls[*at].id != id && name.is_some();
            !another
        });
        let is_new = known.is_none();
        let at = known.unwrap_or_else(|| {
            self.calls.push(OpenCall { choice, wire_index, id: id.clone() });
            self.calls.len() - 1
        });
        let index = self.calls[..at].iter().filter(|call| call.choice == choice).count() as u32;
        ToolCallDelta {
            choice,
            index,
            id: is_new.then_some(id),
            name: if is_new { Some(name.unwrap_or_default()) } else { None },
            arguments: content::arguments(function.arguments),
            signature: None,
        }
    }
}

//! Reads a provider's stream into the hub's events.
//!
//! Where the provider runs tools itself a candidate may end more than once and go on; which end was the last only the connection's
//! end tells. So ends are held back until then.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    chunk::{Candidate, Chunk, Reading},
    citation,
    decode_parts::{self, Asked},
    reply::CallIds,
};
use crate::{
    call::{Batch, Signals},
    chat::{ChatEvent, Finish, FinishReason, Part, PartKind, ToolCall, ToolCallDelta},
    dialect::{StreamDecoder, events::Events},
};

/// The decoder of generateContent.
#[derive(Debug)]
pub(super) struct GeminiDecoder {
    first: bool,
    started: bool,
    ids: CallIds,
    choices: Vec<Open>,
}

/// A choice that has begun.
#[derive(Debug, Default)]
struct Open {
    choice: u32,
    calls: u32,
    /// What citations are counted in.
    text: String,
    finish: Option<Finish>,
}

impl GeminiDecoder {
    /// A decoder at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { first: true, started: false, ids: CallIds::default(), choices: Vec::new() }
    }
}

impl StreamDecoder for GeminiDecoder {
    fn decode(&mut self, events: &Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        let mut out = Vec::new();
        for event in Events::new(events, first) {
            let reading = Reading::of(&event);
            signals.merge(reading.signals());
            match reading {
                Reading::Nothing => {}
                // What is said behind an error is no answer any more.
                Reading::Failed(_) => break,
                Reading::Chunk(chunk) => self.chunk(&chunk, &mut out),
            }
        }
        Batch { raw: Bytes::new(), events: out, signals }
    }

    fn end(&mut self) -> Vec<ChatEvent> {
        let ended = self.choices.iter_mut().filter_map(|open| {
            let mut finish = open.finish.take()?;
            // The call may stand in another chunk than the end.
            if open.calls > 0 && finish.reason == Some(FinishReason::Stop) {
                finish.reason = Some(FinishReason::ToolCalls);
            }
            Some(ChatEvent::Finished { choice: open.choice, finish })
        });
        ended.collect()
    }
}

impl GeminiDecoder {
    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut Vec<ChatEvent>) {
        if !std::mem::replace(&mut self.started, true) {
            let id = chunk.id().unwrap_or_default();
            self.ids = CallIds::new(&id);
            let model = chunk.model().unwrap_or_default();
            out.push(ChatEvent::Started { id, model, created: chunk.created() });
        }
        for (position, candidate) in chunk.candidates().iter().enumerate() {
            self.candidate(candidate, candidate.index(position), out);
        }
        if let Some(finish) = chunk.blocked() {
            self.open(0).finish = Some(finish);
        }
        out.extend(chunk.usage().map(ChatEvent::Usage));
    }

    fn open(&mut self, choice: u32) -> &mut Open {
        let at = self.choices.iter().position(|open| open.choice == choice).unwrap_or_else(|| {
            self.choices.push(Open { choice, ..Open::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn candidate(&mut self, candidate: &Candidate<'_>, choice: u32, out: &mut Vec<ChatEvent>) {
        for json in candidate.parts() {
            let ids = &mut self.ids;
            let read = decode_parts::part(json.get(), "part", &mut |asked| match asked {
                Asked::Call { id, .. } | Asked::Result { id, .. } => Ok(ids.of(id)),
            });
            // A part that cannot be read is one that nobody knows.
            for part in read.unwrap_or_default() {
                self.part(part, choice, out);
            }
        }
        let (grounding, attribution) = (candidate.grounding_metadata, candidate.citation_metadata);
        if grounding.is_some() || attribution.is_some() {
            let text = &self.open(choice).text;
            let read = citation::read(grounding.map(RawValue::get), attribution.map(RawValue::get), text);
            out.extend(read.into_iter().map(|citation| ChatEvent::Citation { choice, citation }));
        }
        if let Some(json) = candidate.logprobs_result {
            out.push(ChatEvent::Logprobs { choice, json: json.get().to_owned() });
        }
        if let Some(finish) = candidate.finish() {
            self.open(choice).finish = Some(finish);
        }
    }

    fn part(&mut self, part: Part, choice: u32, out: &mut Vec<ChatEvent>) {
        match part.kind {
            PartKind::Text(text) => {
                self.open(choice).text.push_str(&text);
                out.push(ChatEvent::Text { choice, text });
            }
            PartKind::Reasoning(thought) => {
                if !thought.text.is_empty() {
                    out.push(ChatEvent::Reasoning { choice, text: thought.text });
                }
                if thought.signature.is_some() {
                    let signature = thought.signature;
                    out.push(ChatEvent::ReasoningBlock { choice, signature, encrypted: None });
                }
            }
            PartKind::ToolCall(ToolCall { id, name, arguments, signature }) => {
                let open = self.open(choice);
                let index = open.calls;
                open.calls += 1;
                let (id, name) = (Some(id), Some(name));
                let call = ToolCallDelta { choice, index, id, name, arguments, signature };
                out.push(ChatEvent::ToolCall(call));
            }
            // The hub's streams have no words for media and for what the provider's own tools did.
            _ => {}
        }
    }
}

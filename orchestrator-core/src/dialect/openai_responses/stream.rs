//! Reads a provider's stream into the hub's events.
//!
//! Deltas are what counts. What a server says only when it is done (items without deltas, or nothing but the last response object) is
//! taken from there.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    decode_items,
    event::{Event, Item, Reading},
    signed,
};
use crate::{
    call::{Batch, Signals},
    chat::{ChatEvent, ToolCallDelta},
    dialect::{
        StreamDecoder,
        events::Events,
        openai::content::{self, arguments},
    },
};

/// The decoder of one stream.
#[derive(Debug)]
pub(super) struct ResponsesDecoder {
    first: bool,
    started: bool,
    calls: Vec<OpenCall>,
    /// Output indexes of items whose text, reasoning or refusal came in deltas.
    told: Vec<u32>,
    /// The reasoning text that is being told: output index and the index in its summary or content.
    reasoning: Option<(u32, bool, u32)>,
    /// The signature of the call that comes next.
    call_signature: Option<String>,
}

/// A function call that has begun.
#[derive(Debug)]
struct OpenCall {
    output_index: u32,
    /// Its arguments have been told, at least in part.
    told: bool,
}

impl ResponsesDecoder {
    /// A decoder at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self {
            first: true,
            started: false,
            calls: Vec::new(),
            told: Vec::new(),
            reasoning: None,
            call_signature: None,
        }
    }
}

impl StreamDecoder for ResponsesDecoder {
    fn decode(&mut self, events: &Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        let mut out = Vec::new();
        for event in Events::new(events, first) {
            let reading = Reading::of(&event);
            let mut said = reading.signals();
            if let Reading::Event(event) = &reading {
                if let Some(finish) = &mut said.finish
                    && let Some(response) = &event.response
                {
                    *finish = response.finish(!self.calls.is_empty()).unwrap_or_default();
                    said.service_tier = response.service_tier();
                }
                if said.error.is_none() {
                    self.event(event, &said, &mut out);
                } else {
                    out.extend(said.usage.map(ChatEvent::Usage));
                }
            }
            signals.merge(said);
            if signals.error.is_some() {
                // What is said behind an error is no answer any more.
                break;
            }
        }
        Batch { raw: Bytes::new(), events: out, signals }
    }
}

impl ResponsesDecoder {
    fn event(&mut self, event: &Event<'_>, said: &Signals, out: &mut Vec<ChatEvent>) {
        let at = event.output_index.unwrap_or_default();
        match event.kind().as_str() {
            "response.output_text.delta" => {
                if let Some(text) = event.delta() {
                    self.told.push(at);
                    out.push(ChatEvent::Text { choice: 0, text });
                }
                let logprobs = event.logprobs.map(RawValue::get).filter(|json| *json != "[]");
                out.extend(logprobs.map(|json| {
                    let json = format!(r#"{{"content":{json},"refusal":null}}"#);
                    ChatEvent::Logprobs { choice: 0, json }
                }));
            }
            "response.refusal.delta" => {
                if let Some(text) = event.delta() {
                    self.told.push(at);
                    out.push(ChatEvent::Refusal { choice: 0, text });
                }
            }
            "response.reasoning_summary_text.delta" => {
                self.reasoning((at, true, event.summary_index.unwrap_or_default()), event.delta(), out);
            }
            "response.reasoning_text.delta" => {
                self.reasoning((at, false, event.content_index.unwrap_or_default()), event.delta(), out);
            }
            "response.output_text.annotation.added" => {
                out.extend(event.annotation.map(|json| {
                    let citation = decode_items::citation(json.get());
                    ChatEvent::Citation { choice: 0, citation }
                }));
            }
            "response.function_call_arguments.delta" => {
                out.extend(event.delta().and_then(|text| self.arguments(at, text, false)));
            }
            "response.function_call_arguments.done" => {
                out.extend(self.arguments(at, arguments(event.arguments), true));
            }
            "response.output_item.added" => self.added(at, event, out),
            "response.output_item.done" => self.done(at, event, out),
            _ => self.response(event, said, out),
        }
    }

    /// A response object: the first begins the answer, the last ends it.
    fn response(&mut self, event: &Event<'_>, said: &Signals, out: &mut Vec<ChatEvent>) {
        let Some(response) = &event.response else { return };
        if !std::mem::replace(&mut self.started, true) {
            out.push(ChatEvent::Started {
                id: response.id(),
                model: response.model().unwrap_or_default(),
                created: response.created(),
            });
        }
        if !said.terminator {
            return;
        }
        if self.told.is_empty() && self.calls.is_empty() {
            for (at, json) in response.items().iter().enumerate() {
                if let Ok(item) = serde_json::from_str::<Item<'_>>(json.get()) {
                    self.item(at as u32, &item, false, out);
                }
            }
        }
        out.extend(said.usage.map(ChatEvent::Usage));
        out.extend(said.finish.clone().map(|finish| ChatEvent::Finished { choice: 0, finish }));
        out.push(ChatEvent::Done);
    }

    fn added(&mut self, at: u32, event: &Event<'_>, out: &mut Vec<ChatEvent>) {
        if let Some(item) = event.item.as_ref().filter(|item| item.kind() == "function_call") {
            self.open_call(at, item, out);
        }
    }

    fn done(&mut self, at: u32, event: &Event<'_>, out: &mut Vec<ChatEvent>) {
        if let Some(item) = &event.item {
            self.item(at, item, true, out);
        }
    }

    /// A whole item. `sealed`: what only its provider can read is told too, which a last response object only repeats.
    fn item(&mut self, at: u32, item: &Item<'_>, sealed: bool, out: &mut Vec<ChatEvent>) {
        match item.kind().as_str() {
            "function_call" => {
                if !self.calls.iter().any(|call| call.output_index == at) {
                    self.open_call(at, item, out);
                }
                out.extend(self.arguments(at, arguments(item.arguments), true));
            }
            "message" if !self.told.contains(&at) => {
                for piece in item.content.iter().flatten() {
                    self.told.push(at);
                    out.extend(content::text(piece.text).map(|text| ChatEvent::Text { choice: 0, text }));
                    let refusal = content::text(piece.refusal);
                    out.extend(refusal.map(|text| ChatEvent::Refusal { choice: 0, text }));
                }
            }
            "reasoning" => {
                if !self.told.contains(&at) {
                    let pieces = item.summary.iter().chain(&item.content).flatten();
                    for (index, piece) in pieces.enumerate() {
                        self.reasoning((at, true, index as u32), content::text(piece.text), out);
                    }
                }
                if sealed {
                    self.sealed(item, out);
                }
            }
            _ => {}
        }
    }

    fn sealed(&mut self, item: &Item<'_>, out: &mut Vec<ChatEvent>) {
        let (mut signature, mut encrypted) = (None, None);
        match content::text(item.encrypted_content).as_deref().map(signed::read) {
            None => return,
            Some(signed::Sealed::Encrypted(text)) => encrypted = Some(text),
            Some(signed::Sealed::Signature(text)) => signature = Some(text),
            Some(signed::Sealed::Call(text)) => {
                self.call_signature = Some(text);
                return;
            }
        }
        out.push(ChatEvent::ReasoningBlock { choice: 0, signature, encrypted });
    }

    /// A piece of reasoning. Parts of it are set apart, as whole answers' are.
    fn reasoning(&mut self, place: (u32, bool, u32), text: Option<String>, out: &mut Vec<ChatEvent>) {
        let Some(mut text) = text else { return };
        let before = self.reasoning.replace(place);
        if before.is_some_and(|before| before != place && before.0 == place.0) {
            text.insert_str(0, "\n\n");
        }
        self.told.push(place.0);
        out.push(ChatEvent::Reasoning { choice: 0, text });
    }

    fn open_call(&mut self, output_index: u32, item: &Item<'_>, out: &mut Vec<ChatEvent>) {
        let index = self.calls.len() as u32;
        self.calls.push(OpenCall { output_index, told: false });
        out.push(ChatEvent::ToolCall(ToolCallDelta {
            choice: 0,
            index,
            id: Some(content::text(item.call_id).unwrap_or_default()),
            name: Some(content::text(item.name).unwrap_or_default()),
            arguments: String::new(),
            signature: self.call_signature.take(),
        }));
    }

    /// A piece of a call's arguments, or all of them, which only count where no piece was told.
    fn arguments(&mut self, at: u32, text: String, whole: bool) -> Option<ChatEvent> {
        let index = self.calls.iter().position(|call| call.output_index == at)?;
        let told = std::mem::replace(&mut self.calls[index].told, true);
        if text.is_empty() || (whole && told) {
            return None;
        }
        let index = index as u32;
        Some(ChatEvent::ToolCall(ToolCallDelta { index, arguments: text, ..ToolCallDelta::default() }))
    }
}

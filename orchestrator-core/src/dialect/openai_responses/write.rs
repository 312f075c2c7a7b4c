//! Writes a stream of events for a caller.
//!
//! As OpenAI does it: every item is announced, told in deltas and repeated whole when it is done, and the last event repeats them all;
//! so what was told is kept until then. Events are numbered. Texts, refusals and reasoning end when something else begins; calls stay
//! open until the end, for some providers tell parallel ones in turns. Only the first choice has a place here.

mod open;

use bytes::Bytes;

use super::{
    items::{annotation, document, signature_item},
    object::{Ending, Head, IN_PROGRESS},
    reply::logprob_elements,
    signed,
};
use crate::{
    chat::{ChatEvent, Citation, Finish, ReasoningPart, ToolCallDelta, Usage},
    dialect::{StreamEncoder, json::ObjectWriter},
};
use open::{OpenCall, OpenMessage, OpenReasoning, Part};

/// The encoder of one stream.
#[derive(Debug, Default)]
pub(super) struct ResponsesEncoder {
    head: Head,
    begun: bool,
    sequence: u64,
    /// Items by their place; empty while they are open.
    items: Vec<String>,
    message: Option<OpenMessage>,
    reasoning: Option<OpenReasoning>,
    calls: Vec<OpenCall>,
    finish: Finish,
    usage: Option<Usage>,
    out: String,
}

impl ResponsesEncoder {
    /// An encoder at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { head: Head::new("", 0, ""), ..Self::default() }
    }

    fn write(&mut self, said: &ChatEvent, logprobs: Option<&str>) {
        match said {
            ChatEvent::Started { id, model, created } => {
                if !self.begun {
                    self.head = Head::new(id, *created, model);
                }
                self.begin();
            }
            ChatEvent::Text { choice: 0, text } => self.text(Part::Text, text, logprobs),
            ChatEvent::Refusal { choice: 0, text } => self.text(Part::Refusal, text, None),
            ChatEvent::Reasoning { choice: 0, text } => self.thought(text),
            ChatEvent::ReasoningBlock { choice: 0, signature, encrypted } => {
                let (signature, encrypted) = (signature.clone(), encrypted.clone());
                self.block(&ReasoningPart { text: String::new(), signature, encrypted });
            }
            ChatEvent::Citation { choice: 0, citation } => self.citation(citation),
            ChatEvent::ToolCall(call) if call.choice == 0 => self.call(call),
            ChatEvent::Finished { choice: 0, finish } => self.finish = finish.clone(),
            ChatEvent::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    /// Writes the events that open the answer unless they are written.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let object = self.head.object(IN_PROGRESS, &[], None, None);
        for kind in ["response.created", "response.in_progress"] {
            let mut event = ObjectWriter::new();
            event.raw("response", &object);
            self.send(kind, event);
        }
    }

    /// Writes one event: its type and number go with what it holds.
    fn send(&mut self, kind: &str, mut event: ObjectWriter) {
        event.string("type", kind);
        event.plain("sequence_number", self.sequence);
        self.sequence += 1;
        let json = event.finish();
        let json = if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json };
        self.out.extend(["event: ", kind, "\ndata: ", &json, "\n\n"]);
    }

    /// Announces an item; answers its place.
    fn announce(&mut self, item: &str) -> usize {
        let place = self.items.len();
        self.items.push(String::new());
        self.item_event("response.output_item.added", place, item);
        place
    }

    /// Repeats an item whole.
    fn complete(&mut self, place: usize, item: String) {
        self.item_event("response.output_item.done", place, &item);
        self.items[place] = item;
    }

    fn item_event(&mut self, kind: &str, place: usize, item: &str) {
        let mut event = ObjectWriter::new();
        event.plain("output_index", place);
        event.raw("item", item);
        self.send(kind, event);
    }

    fn text(&mut self, kind: Part, text: &str, logprobs: Option<&str>) {
        let mut message = self.open_message(kind);
        let event = message.tell(text, logprobs);
        self.send(kind.delta(), event);
        self.message = Some(message);
    }

    /// The open message, taken out, with a part of that kind at its end.
    fn open_message(&mut self, kind: Part) -> OpenMessage {
        self.begin();
        self.close_reasoning();
        let mut message = self.message.take().unwrap_or_else(|| {
            let message = OpenMessage::new(self.head.ids().id("msg", self.items.len()), self.items.len());
            self.announce(&message.item(IN_PROGRESS.status));
            message
        });
        if message.part() != Some(kind) {
            self.close_part(&mut message);
            let event = message.open_part(kind);
            self.send("response.content_part.added", event);
        }
        message
    }

    fn close_part(&mut self, message: &mut OpenMessage) {
        let Some(kind) = message.part() else { return };
        let event = message.told();
        self.send(kind.done(), event);
        let event = message.close_part();
        self.send("response.content_part.done", event);
    }

    fn close_message(&mut self, status: &str) {
        let Some(mut message) = self.message.take() else { return };
        self.close_part(&mut message);
        self.complete(message.place, message.item(status));
    }

    /// A claim's source belongs to the text that was told last, or to the one that follows where none was.
    fn citation(&mut self, citation: &Citation) {
        let mut message = self.open_message(Part::Text);
        let written = annotation(citation, message.text()).ok().flatten();
        if let Some(annotation) = written.or_else(|| document(citation, message.text())) {
            let event = message.annotate(annotation);
            self.send("response.output_text.annotation.added", event);
        }
        self.message = Some(message);
    }

    fn thought(&mut self, text: &str) {
        self.open_reasoning();
        let Some(mut reasoning) = self.reasoning.take() else { return };
        if let Some(event) = reasoning.open_summary() {
            self.send("response.reasoning_summary_part.added", event);
        }
        let event = reasoning.tell(text);
        self.send("response.reasoning_summary_text.delta", event);
        self.reasoning = Some(reasoning);
    }

    /// A block ends the reasoning before it: what follows is signed anew.
    fn block(&mut self, block: &ReasoningPart) {
        self.open_reasoning();
        if let Some(reasoning) = &mut self.reasoning {
            reasoning.encrypted = signed::show(block);
        }
        self.close_reasoning();
    }

    fn open_reasoning(&mut self) {
        self.begin();
        self.close_message("completed");
        if self.reasoning.is_none() {
            let place = self.items.len();
            let reasoning = OpenReasoning::new(self.head.ids().id("rs", place), place);
            self.announce(&reasoning.item(IN_PROGRESS.status));
            self.reasoning = Some(reasoning);
        }
    }

    fn close_reasoning(&mut self) {
        let Some(reasoning) = self.reasoning.take() else { return };
        if let Some([told, part]) = reasoning.told() {
            self.send("response.reasoning_summary_text.done", told);
            self.send("response.reasoning_summary_part.done", part);
        }
        self.complete(reasoning.place, reasoning.item("completed"));
    }

    fn call(&mut self, piece: &ToolCallDelta) {
        self.begin();
        if !self.calls.iter().any(|call| call.index == piece.index) {
            self.close_message("completed");
            self.close_reasoning();
            if let Some(signature) = &piece.signature {
                self.call_signature(signature);
            }
            let place = self.items.len();
            let call = OpenCall::new(self.head.ids().id("fc", place), place, piece);
            self.announce(&call.item(IN_PROGRESS.status));
            self.calls.push(call);
        }
        let at = self.calls.iter().position(|call| call.index == piece.index);
        if let Some(at) = at.filter(|_| !piece.arguments.is_empty()) {
            let event = self.calls[at].tell(&piece.arguments);
            self.send("response.function_call_arguments.delta", event);
        }
    }

    /// The item that stands before a call and carries its signature.
    fn call_signature(&mut self, signature: &str) {
        let place = self.items.len();
        let mut begun = ObjectWriter::new();
        begun.string("type", "reasoning");
        begun.string("id", &self.head.ids().id("rs", place));
        begun.string("status", "completed");
        let item = signature_item(begun, signature);
        self.announce(&item);
        self.complete(place, item);
    }

    fn close_calls(&mut self, status: &str) {
        for call in std::mem::take(&mut self.calls) {
            let event = call.told();
            self.send("response.function_call_arguments.done", event);
            self.complete(call.place, call.item(status));
        }
    }
}

impl StreamEncoder for ResponsesEncoder {
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes {
        let mut at = 0;
        while let Some(said) = events.get(at) {
            at += 1;
            let mut logprobs = None;
            if let (ChatEvent::Text { choice, .. }, Some(ChatEvent::Logprobs { choice: of, json })) =
                (said, events.get(at))
                && choice == of
            {
                at += 1;
                logprobs = logprob_elements(json);
            }
            self.write(said, logprobs);
        }
        Bytes::from(std::mem::take(&mut self.out))
    }

    fn finish(&mut self) -> Bytes {
        self.begin();
        let ending = Ending::of(&self.finish);
        self.close_reasoning();
        self.close_message(ending.status);
        self.close_calls(ending.status);
        let object = self.head.object(ending, &self.items, self.usage.as_ref(), None);
        let mut event = ObjectWriter::new();
        event.raw("response", &object);
        let kind = if ending.reason.is_some() { "response.incomplete" } else { "response.completed" };
        self.send(kind, event);
        Bytes::from(std::mem::take(&mut self.out))
    }
}

//! The typed plane's streamed chat answer, out of the hub's words.

use orchestrator_core::{call::Served, chat::ChatEvent, orchestrator::TypedEvent};
use orchestrator_proto::v1;
use v1::chat_event::Kind;

use super::{
    chat_reply::{encode_finish, encode_usage},
    message::encode_citation,
    served::encode_routing,
};

/// Turns the core's events into the contract's, and sees to it that a stream opens with `started`, which alone says how the
/// call is served, even if the provider's own stream opens with something else.
#[derive(Debug)]
pub struct EventEncoder {
    /// Until the stream has opened.
    unopened: Option<Served>,
    /// What a provider opened with in place of a beginning: it follows the beginning that we made.
    held: Option<v1::ChatEvent>,
}

impl EventEncoder {
    /// For one stream.
    pub fn new(served: Served) -> Self {
        Self { unopened: Some(served), held: None }
    }

    /// The contract's event for the core's, if it has one. Take [`EventEncoder::held`] before the next.
    pub fn encode(&mut self, said: TypedEvent) -> Option<v1::ChatEvent> {
        let Some(served) = self.unopened.take() else { return encode_later(said) };
        if let TypedEvent::Event(ChatEvent::Started { id, model, created }) = said {
            return Some(started(id, model, created, &served));
        }
        self.held = encode_later(said);
        Some(started(String::new(), served.upstream_model.clone(), 0, &served))
    }

    /// An event that was held back.
    pub fn held(&mut self) -> Option<v1::ChatEvent> {
        self.held.take()
    }
}

fn started(id: String, model: String, created: i64, served: &Served) -> v1::ChatEvent {
    let routing = Some(encode_routing(served));
    v1::ChatEvent { kind: Some(Kind::Started(v1::ChatStarted { id, model, created_unix: created, routing })) }
}

/// After the first event. A repeated beginning has no place there, nor do `Usage` and `Done`, which `finished` says, nor what only
/// one dialect has.
fn encode_later(said: TypedEvent) -> Option<v1::ChatEvent> {
    let kind = match said {
        TypedEvent::Event(
            ChatEvent::Started { .. } | ChatEvent::Usage(_) | ChatEvent::Opaque { .. } | ChatEvent::Done,
        ) => return None,
        TypedEvent::Event(ChatEvent::Text { choice, text }) => Kind::Text(v1::TextDelta { choice, text }),
        TypedEvent::Event(ChatEvent::Reasoning { choice, text }) => {
            Kind::Reasoning(v1::TextDelta { choice, text })
        }
        TypedEvent::Event(ChatEvent::Refusal { choice, text }) => {
            Kind::Refusal(v1::TextDelta { choice, text })
        }
        TypedEvent::Event(ChatEvent::ReasoningBlock { choice, signature, encrypted }) => {
            Kind::ReasoningBlock(v1::ReasoningBlock { choice, signature, encrypted })
        }
        TypedEvent::Event(ChatEvent::ToolCall(delta)) => Kind::ToolCall(v1::ToolCallDelta {
            choice: delta.choice,
            index: delta.index,
            id: delta.id,
            name: delta.name,
            arguments_json: delta.arguments,
            signature: delta.signature,
        }),
        TypedEvent::Event(ChatEvent::Logprobs { choice, json }) => {
            Kind::Logprobs(v1::LogprobsDelta { choice, json })
        }
        TypedEvent::Event(ChatEvent::Citation { choice, citation }) => {
            Kind::Citation(v1::CitationDelta { choice, citation: Some(encode_citation(citation)) })
        }
        TypedEvent::Event(ChatEvent::Finished { choice, finish }) => {
            Kind::ChoiceFinished(v1::ChoiceFinished {
                choice,
                reason: encode_finish(&finish).into(),
                native_reason: finish.native,
            })
        }
        TypedEvent::Finished { usage, usage_source, service_tier } => {
            let usage = Some(encode_usage(usage, usage_source));
            Kind::Finished(v1::ChatFinished { usage, service_tier })
        }
    };
    Some(v1::ChatEvent { kind: Some(kind) })
}

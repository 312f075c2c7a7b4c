//! What an answer says, put together: the common form of whole answers, of streams, and of what a naive reader finds in a
//! recording.

use std::collections::BTreeMap;

use orchestrator_proto::v1;
use serde_json::Value;

use super::{Event, Part};

/// What each choice says.
pub(super) type Choices = BTreeMap<u32, Said>;

/// What one choice says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) refusal: String,
    pub(super) calls: Vec<Call>,
    /// The provider's own word.
    pub(super) finish: String,
}

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Call {
    /// The arguments' meaning: the object, or the text if it is none.
    pub(super) fn meaning(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| Value::String(self.arguments.clone()))
    }
}

pub(super) fn whole(answer: &v1::ChatResponse) -> Choices {
    let mut choices = Choices::new();
    for choice in &answer.choices {
        let said = choices.entry(choice.index).or_default();
        said.finish.clone_from(&choice.native_finish_reason);
        for part in &choice.message.as_ref().expect("a choice has a message").parts {
            match part.kind.as_ref().expect("a part is of some kind") {
                Part::Text(text) => said.text.push_str(text),
                Part::Reasoning(reasoning) => said.reasoning.push_str(&reasoning.text),
                Part::Refusal(text) => said.refusal.push_str(text),
                Part::ToolCall(call) => said.calls.push(Call {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments_json.clone(),
                }),
                // What only the provider's dialect has.
                Part::Opaque(_) => {}
                other => panic!("not a part of an answer: {other:?}"),
            }
        }
    }
    choices
}

/// Puts a stream together as its documentation says: by choice, tool calls by index.
pub(super) fn streamed(events: &[Event]) -> Choices {
    let mut choices = Choices::new();
    for event in events {
        match event {
            Event::Text(delta) => choices.entry(delta.choice).or_default().text.push_str(&delta.text),
            Event::Reasoning(delta) => {
                choices.entry(delta.choice).or_default().reasoning.push_str(&delta.text);
            }
            Event::Refusal(delta) => choices.entry(delta.choice).or_default().refusal.push_str(&delta.text),
            Event::ToolCall(delta) => {
                let calls = &mut choices.entry(delta.choice).or_default().calls;
                let index = delta.index as usize;
                if index == calls.len() {
                    let (id, name) = (delta.id.clone(), delta.name.clone());
                    calls.push(Call {
                        id: id.expect("a call's first piece has its id"),
                        name: name.expect("a call's first piece has its name"),
                        arguments: String::new(),
                    });
                }
                calls[index].arguments.push_str(&delta.arguments_json);
            }
            Event::ChoiceFinished(end) => {
                choices.entry(end.choice).or_default().finish.clone_from(&end.native_reason);
            }
            Event::Started(_)
            | Event::ReasoningBlock(_)
            | Event::Citation(_)
            | Event::Logprobs(_)
            | Event::Finished(_) => {}
        }
    }
    choices
}

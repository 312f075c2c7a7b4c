//! Reads a recorded chat answer as somebody would who has the JSON and no time: an oracle that shares no code with the product.

use orchestrator_testkit::recorded::{Recording, data_events};
use serde_json::Value;

use super::said::{Call, Choices, Said};

/// What a recording says.
pub(super) struct Naive {
    pub(super) choices: Choices,
    /// It ends with an error.
    pub(super) fails: bool,
}

pub(super) fn read(recording: &Recording) -> Naive {
    let mut naive = Naive { choices: Choices::new(), fails: false };
    if !recording.is_event_stream() {
        let body: Value = serde_json::from_slice(&recording.body).unwrap();
        naive.fails = body.get("error").is_some_and(|error| !error.is_null());
        take(&body, "message", &mut naive.choices);
        return naive;
    }
    for data in data_events(recording) {
        if data == "[DONE]" {
            break;
        }
        let chunk: Value = serde_json::from_str(&data).unwrap();
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            naive.fails = true;
            break;
        }
        take(&chunk, "delta", &mut naive.choices);
    }
    naive
}

fn take(body: &Value, holder: &str, choices: &mut Choices) {
    for (position, choice) in body["choices"].as_array().into_iter().flatten().enumerate() {
        let index = choice["index"].as_u64().unwrap_or(position as u64);
        let said = choices.entry(u32::try_from(index).unwrap()).or_default();
        let message = &choice[holder];
        content(&message["content"], said);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reasoning = [&message["reasoning_content"], &message["reasoning"]];
        said.reasoning += &reasoning.map(text).into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        said.refusal += &text(&message["refusal"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            tool_call(&call["function"], call["id"].as_str().unwrap_or_default(), &mut said.calls);
        }
        // The deprecated form has no id.
        if message["function_call"].is_object() {
            tool_call(&message["function_call"], "call_0", &mut said.calls);
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            finish.clone_into(&mut said.finish);
        }
    }
}

/// A text, or Mistral's list of parts.
fn content(content: &Value, said: &mut Said) {
    said.text += content.as_str().unwrap_or_default();
    for part in content.as_array().into_iter().flatten() {
        said.text += part["text"].as_str().unwrap_or_default();
        for thought in part["thinking"].as_array().into_iter().flatten() {
            said.reasoning += thought["text"].as_str().unwrap_or_default();
        }
    }
}

/// A piece with a name and an id of its own begins a call; any other goes on with the last.
fn tool_call(function: &Value, id: &str, calls: &mut Vec<Call>) {
    let repeated = calls.last().is_some_and(|last| last.id == id);
    if let Some(name) = function["name"].as_str().filter(|name| !name.is_empty() && !repeated) {
        calls.push(Call { id: id.to_owned(), name: name.to_owned(), arguments: String::new() });
    }
    let last = calls.last_mut().expect("a call has begun");
    match &function["arguments"] {
        Value::String(text) => last.arguments += text,
        Value::Null => {}
        object => last.arguments += &object.to_string(),
    }
}

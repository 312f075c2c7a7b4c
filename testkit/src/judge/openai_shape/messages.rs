//! The messages of a chat: roles, contents, and tool calls that find their answers.

use serde_json::{Map, Value};

/// What a role's content may be made of, and whether it may be missing.
fn parts_of(role: &str) -> Option<&'static [&'static str]> {
    match role {
        "user" => Some(&["text", "image_url", "input_audio", "file"]),
        "assistant" => Some(&["text", "refusal"]),
        "system" | "developer" | "tool" => Some(&["text"]),
        // Deprecated: a text alone.
        "function" => Some(&[]),
        _ => None,
    }
}

/// What OpenAI knows in a message, whoever says it.
const FIELDS: [&str; 9] = [
    "annotations",
    "audio",
    "content",
    "function_call",
    "name",
    "refusal",
    "role",
    "tool_call_id",
    "tool_calls",
];

pub(super) fn check(request: &Map<String, Value>, openai_only: bool, complaints: &mut Vec<String>) {
    let Some(Value::Array(messages)) = request.get("messages") else { return };
    // The calls of the assistant's last message that no tool message has answered yet.
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let role = message["role"].as_str().unwrap_or_default();
        let Some(parts) = parts_of(role) else {
            complaints.push(format!("{at}.role is {}", message["role"]));
            continue;
        };
        check_content(&at, message, parts, complaints);
        for field in message.as_object().into_iter().flat_map(Map::keys).filter(|_| openai_only) {
            if !FIELDS.contains(&field.as_str()) {
                complaints.push(format!("{at}.{field} is unknown"));
            }
        }
        let parts = message["content"].as_array().into_iter().flatten();
        if openai_only && parts.into_iter().any(|part| !part["cache_control"].is_null()) {
            complaints.push(format!("{at}.content: Unknown parameter: 'cache_control'"));
        }
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            match open.iter().position(|known| known == id) {
                Some(answered) => _ = open.remove(answered),
                None => {
                    complaints
                        .push(format!("{at}.tool_call_id {id:?} answers no call of the message before"));
                }
            }
            continue;
        }
        complain_of_unanswered(&mut open, complaints);
        if role == "assistant" {
            open = call_ids(&at, message, complaints);
        }
    }
    complain_of_unanswered(&mut open, complaints);
}

fn complain_of_unanswered(open: &mut Vec<String>, complaints: &mut Vec<String>) {
    for id in open.drain(..) {
        complaints.push(format!("the tool call {id:?} is not answered"));
    }
}

fn check_content(at: &str, message: &Value, parts: &[&str], complaints: &mut Vec<String>) {
    let stands_for_it =
        ["tool_calls", "function_call", "audio", "refusal"].iter().any(|field| !message[field].is_null());
    match &message["content"] {
        Value::String(_) => {}
        Value::Null if stands_for_it => {}
        Value::Array(items) if !items.is_empty() => {
            for (index, part) in items.iter().enumerate() {
                let kind = part["type"].as_str().unwrap_or_default();
                if !parts.contains(&kind) || !part_fits(kind, part) {
                    complaints.push(format!("{at}.content[{index}] is no part that this role can say"));
                }
            }
        }
        _ => complaints.push(format!("{at}.content is neither text nor parts")),
    }
}

fn part_fits(kind: &str, part: &Value) -> bool {
    match kind {
        "image_url" => part["image_url"]["url"].is_string(),
        "input_audio" => part["input_audio"]["data"].is_string() && part["input_audio"]["format"].is_string(),
        "file" => part["file"].is_object(),
        text_or_refusal => part[text_or_refusal].is_string(),
    }
}

/// The ids of an assistant's tool calls.
fn call_ids(at: &str, message: &Value, complaints: &mut Vec<String>) -> Vec<String> {
    let calls = match &message["tool_calls"] {
        Value::Null => return Vec::new(),
        Value::Array(calls) if !calls.is_empty() => calls,
        _ => {
            complaints.push(format!("{at}.tool_calls is no array with calls"));
            return Vec::new();
        }
    };
    let mut ids = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let said = match call["type"].as_str() {
            Some("function") => {
                call["function"]["name"].is_string() && call["function"]["arguments"].is_string()
            }
            Some("custom") => call["custom"]["name"].is_string() && call["custom"]["input"].is_string(),
            _ => false,
        };
        match call["id"].as_str() {
            Some(id) if said && !ids.iter().any(|known| known == id) => ids.push(id.to_owned()),
            _ => complaints.push(format!("{at}.tool_calls[{index}] is no call with an id of its own")),
        }
    }
    ids
}

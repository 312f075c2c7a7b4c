//! The requests that Responses takes: <https://platform.openai.com/docs/api-reference/responses/create>.

use serde_json::{Map, Value};

use super::{ANY_INTEGER, Is, is_name, shown};

/// Every one but `model` may also be null.
pub(super) const FIELDS: [(&str, Is); 31] = [
    ("background", Is::Boolean),
    ("context_management", Is::Anything),
    ("conversation", Is::Anything),
    ("include", Is::Anything),
    ("input", Is::Anything),
    ("instructions", Is::Text),
    ("max_output_tokens", Is::Integer(16, i64::MAX)),
    ("max_tool_calls", ANY_INTEGER),
    ("metadata", Is::Object),
    ("model", Is::Text),
    ("moderation", Is::Object),
    ("parallel_tool_calls", Is::Boolean),
    ("previous_response_id", Is::Text),
    ("prompt", Is::Object),
    ("prompt_cache_key", Is::Text),
    ("prompt_cache_options", Is::Object),
    ("prompt_cache_retention", Is::Text),
    ("reasoning", Is::Object),
    ("safety_identifier", Is::Text),
    ("service_tier", Is::Text),
    ("store", Is::Boolean),
    ("stream", Is::Boolean),
    ("stream_options", Is::Object),
    ("temperature", Is::Number(0.0, 2.0)),
    ("text", Is::Object),
    ("tool_choice", Is::Anything),
    ("tools", Is::Anything),
    ("top_logprobs", Is::Integer(0, 20)),
    ("top_p", Is::Number(0.0, 1.0)),
    ("truncation", Is::OneOf(&["auto", "disabled"])),
    ("user", Is::Text),
];

/// What a count takes (<https://platform.openai.com/docs/api-reference/responses/input-tokens>).
const COUNTED: [&str; 11] = [
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

pub(super) fn check_counted(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    for field in request.keys().filter(|field| !COUNTED.contains(&field.as_str())) {
        complaints.push(format!("unknown field {field} of a count"));
    }
    check(request, complaints);
}

pub(super) fn check(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let kept = ["prompt", "previous_response_id", "conversation"];
    let elsewhere = kept.iter().any(|field| request.get(*field).is_some_and(|value| !value.is_null()));
    match request.get("input") {
        Some(Value::String(_)) => {}
        Some(Value::Array(items)) => check_items(items, elsewhere, complaints),
        None | Some(Value::Null) if elsewhere => {}
        other => complaints.push(format!("input is {}", shown(other))),
    }
    check_reasoning(request, elsewhere, complaints);
    check_tools(request, complaints);
    check_text(request, complaints);
}

/// A reasoning item stands before what came of it, and says all of itself where nothing is stored.
fn check_reasoning(request: &Map<String, Value>, elsewhere: bool, complaints: &mut Vec<String>) {
    let items = request.get("input").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, item) in items.iter().enumerate().filter(|(_, item)| item["type"] == "reasoning") {
        let follower = items.get(index + 1).unwrap_or(&Value::Null);
        let not_the_models = follower["type"] == "function_call_output"
            || ["user", "system", "developer"].iter().any(|role| follower["role"] == *role);
        if follower.is_null() || not_the_models {
            complaints
                .push(format!("input[{index}] of type 'reasoning' is without its required following item"));
        }
        let sealed = item["encrypted_content"].as_str().is_some_and(|text| !text.is_empty());
        if request.get("store") == Some(&Value::Bool(false)) && !sealed && !elsewhere {
            complaints.push(format!("input[{index}]: items are not persisted when `store` is false"));
        }
    }
}

/// What a message of that role may hold.
fn parts_of(role: &str) -> Option<&'static [&'static str]> {
    match role {
        "user" | "system" | "developer" => Some(&["input_text", "input_image", "input_file"]),
        "assistant" => Some(&["output_text", "refusal"]),
        _ => None,
    }
}

fn check_items(items: &[Value], elsewhere: bool, complaints: &mut Vec<String>) {
    let mut calls: Vec<&str> = Vec::new();
    let mut answered: Vec<&str> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("input[{index}]");
        match item["type"].as_str() {
            None | Some("message") => check_message(&at, item, complaints),
            Some("function_call") => {
                for field in ["call_id", "name", "arguments"] {
                    if !item[field].is_string() {
                        complaints.push(format!("{at}.{field} is {}", item[field]));
                    }
                }
                calls.extend(item["call_id"].as_str());
            }
            Some("function_call_output") => {
                let id = item["call_id"].as_str().unwrap_or_default();
                if !calls.contains(&id) && !elsewhere {
                    complaints.push(format!("{at}.call_id {id:?} answers no call before it"));
                }
                answered.push(id);
                if !item["output"].is_string() && !item["output"].is_array() {
                    complaints.push(format!("{at}.output is {}", item["output"]));
                }
            }
            Some("reasoning") if !item["summary"].is_array() => {
                complaints.push(format!("{at}.summary is {}", item["summary"]));
            }
            Some(_) => {}
        }
    }
    for call in calls.into_iter().filter(|call| !answered.contains(call)) {
        complaints.push(format!("the function call {call:?} is not answered"));
    }
}

fn check_message(at: &str, message: &Value, complaints: &mut Vec<String>) {
    let Some(parts) = message["role"].as_str().and_then(parts_of) else {
        complaints.push(format!("{at}.role is {}", message["role"]));
        return;
    };
    match &message["content"] {
        Value::String(_) => {}
        Value::Array(content) => {
            for (index, part) in content.iter().enumerate() {
                if !part["type"].as_str().is_some_and(|kind| parts.contains(&kind)) {
                    complaints.push(format!("{at}.content[{index}].type is {}", part["type"]));
                }
            }
        }
        other => complaints.push(format!("{at}.content is {other}")),
    }
}

fn check_tools(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let none = Vec::new();
    let tools = request.get("tools").and_then(Value::as_array).unwrap_or(&none);
    for (index, tool) in tools.iter().enumerate() {
        let good = match tool["type"].as_str() {
            // Flat: Chat's `function` inside is refused.
            Some("function") => tool["name"].as_str().is_some_and(is_name) && tool["function"].is_null(),
            kind => kind.is_some(),
        };
        if !good {
            complaints.push(format!("tools[{index}] is no tool of Responses"));
        }
    }
    let choice = request.get("tool_choice").unwrap_or(&Value::Null);
    let good = match choice {
        Value::Null => true,
        Value::String(word) => ["none", "auto", "required"].contains(&word.as_str()),
        Value::Object(choice) if choice.get("type") == Some(&Value::from("function")) => {
            let named = |tool: &Value| tool["name"] == choice["name"];
            choice.contains_key("name") && tools.iter().any(named)
        }
        Value::Object(choice) => choice.contains_key("type"),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) => false,
    };
    if !good {
        complaints.push(format!("tool_choice is {}", shown(Some(choice))));
    }
}

fn check_text(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let Some(format) = request.get("text").map(|text| &text["format"]).filter(|format| !format.is_null())
    else {
        return;
    };
    let good = match format["type"].as_str() {
        Some("text" | "json_object") => true,
        Some("json_schema") => format["name"].as_str().is_some_and(is_name) && format["schema"].is_object(),
        _ => false,
    };
    if !good {
        complaints.push(format!("text.format is {}", shown(Some(format))));
    }
}

#[cfg(test)]
mod tests {
    use crate::judge::{Operation, openai_shape};

    const CONVERSATION: &str = r#"{"model":"m","instructions":"be brief","store":false,"include":["reasoning.encrypted_content"],
        "input":[{"role":"user","content":[{"type":"input_text","text":"?"}]},
            {"type":"reasoning","summary":[],"encrypted_content":"x"},
            {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"c1","output":"1"}],
        "tools":[{"type":"function","name":"f","parameters":{},"strict":false},{"type":"web_search"}],
        "tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"json_schema","name":"s","schema":{}}}}"#;

    fn check(body: &str) -> Vec<String> {
        openai_shape::complaints(Operation::Responses, "m", body, true)
    }

    #[test]
    fn what_the_reference_describes_is_accepted_and_each_wrong_field_is_refused_by_name() {
        assert_eq!(check(CONVERSATION), Vec::<String>::new());
        let cases = [
            (r#""store":false"#, r#""stop":["x"]"#, "unknown field stop"),
            (r#""type":"input_text""#, r#""type":"text""#, "input[0].content[0].type"),
            (r#""summary":[],"#, "", "input[1].summary"),
            (r#","encrypted_content":"x""#, "", "not persisted"),
            (
                r#"{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},"#,
                "",
                "required following",
            ),
            (r#""call_id":"c1","output""#, r#""call_id":"c2","output""#, "c2"),
            (r#""arguments":"{}""#, r#""arguments":{}"#, "input[2].arguments"),
            (
                r#""type":"function","name":"f","parameters""#,
                r#""type":"function","function":{},"parameters""#,
                "tools[0]",
            ),
            (r#"{"type":"function","name":"f"}"#, r#"{"type":"function","name":"g"}"#, "tool_choice"),
            (r#","schema":{}"#, "", "text.format"),
        ];
        for (from, to, complaint) in cases {
            let body = CONVERSATION.replacen(from, to, 1);
            assert_ne!(body, CONVERSATION, "{from}");
            let complaints = check(&body).join("; ");
            assert!(complaints.contains(complaint), "{complaints:?} does not speak of {complaint:?}");
        }
    }
}

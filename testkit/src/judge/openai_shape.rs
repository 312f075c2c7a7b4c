//! The requests that OpenAI takes, by hand from its API reference (<https://platform.openai.com/docs/api-reference>:
//! chat/create, completions/create, embeddings/create) and from what its servers are known to refuse beyond that.
//!
//! Stricter than a compatible server: a field that OpenAI does not know is a complaint.

mod messages;
mod responses;

use serde_json::{Map, Value};

use super::Operation;

/// What a field must look like.
enum Is {
    /// The field's own code looks at it.
    Anything,
    Boolean,
    Text,
    Object,
    Integer(i64, i64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    NonEmptyArray,
}

const ANY_INTEGER: Is = Is::Integer(i64::MIN, i64::MAX);
const PENALTY: Is = Is::Number(-2.0, 2.0);

/// Fields of chat completions. Every one but `model` and `messages` may also be null.
const CHAT: [(&str, Is); 37] = [
    ("audio", Is::Object),
    ("frequency_penalty", PENALTY),
    ("function_call", Is::Anything),
    ("functions", Is::NonEmptyArray),
    ("logit_bias", Is::Object),
    ("logprobs", Is::Boolean),
    ("max_completion_tokens", Is::Integer(1, i64::MAX)),
    ("max_tokens", Is::Integer(1, i64::MAX)),
    ("messages", Is::NonEmptyArray),
    ("metadata", Is::Object),
    ("modalities", Is::NonEmptyArray),
    ("model", Is::Text),
    ("moderation", Is::Object),
    ("n", Is::Integer(1, 128)),
    ("parallel_tool_calls", Is::Boolean),
    ("prediction", Is::Object),
    ("presence_penalty", PENALTY),
    ("prompt_cache_key", Is::Text),
    ("prompt_cache_options", Is::Object),
    ("prompt_cache_retention", Is::Text),
    ("reasoning_effort", Is::OneOf(&["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    ("response_format", Is::Object),
    ("safety_identifier", Is::Text),
    ("seed", ANY_INTEGER),
    ("service_tier", Is::Text),
    ("stop", Is::Anything),
    ("store", Is::Boolean),
    ("stream", Is::Boolean),
    ("stream_options", Is::Object),
    ("temperature", Is::Number(0.0, 2.0)),
    ("tool_choice", Is::Anything),
    ("tools", Is::NonEmptyArray),
    ("top_logprobs", Is::Integer(0, 20)),
    ("top_p", Is::Number(0.0, 1.0)),
    ("user", Is::Text),
    ("verbosity", Is::OneOf(&["low", "medium", "high"])),
    ("web_search_options", Is::Object),
];

/// Fields of legacy completions.
const COMPLETIONS: [(&str, Is); 18] = [
    ("best_of", Is::Integer(0, 20)),
    ("echo", Is::Boolean),
    ("frequency_penalty", PENALTY),
    ("logit_bias", Is::Object),
    ("logprobs", Is::Integer(0, 5)),
    ("max_tokens", Is::Integer(0, i64::MAX)),
    ("model", Is::Text),
    ("n", Is::Integer(1, 128)),
    ("presence_penalty", PENALTY),
    ("prompt", Is::Anything),
    ("seed", ANY_INTEGER),
    ("stop", Is::Anything),
    ("stream", Is::Boolean),
    ("stream_options", Is::Object),
    ("suffix", Is::Text),
    ("temperature", Is::Number(0.0, 2.0)),
    ("top_p", Is::Number(0.0, 1.0)),
    ("user", Is::Text),
];

/// Fields of embeddings.
const EMBEDDINGS: [(&str, Is); 5] = [
    ("dimensions", Is::Integer(1, i64::MAX)),
    ("encoding_format", Is::OneOf(&["float", "base64"])),
    ("input", Is::Anything),
    ("model", Is::Text),
    ("user", Is::Text),
];

/// Everything that OpenAI would refuse in this body.
pub(super) fn complaints(operation: Operation, model: &str, body: &str, openai_only: bool) -> Vec<String> {
    let request = match serde_json::from_str(body) {
        Ok(Value::Object(request)) => request,
        Ok(_) => return vec!["the body is no JSON object".to_owned()],
        Err(error) => return vec![format!("not JSON: {error}")],
    };
    let mut complaints = Vec::new();
    let (fields, required): (&[(&str, Is)], &str) = match operation {
        Operation::Responses | Operation::CountInput => (&responses::FIELDS, "model"),
        Operation::ChatCompletions => (&CHAT, "messages"),
        Operation::Completions => (&COMPLETIONS, "prompt"),
        _ => (&EMBEDDINGS, "input"),
    };
    check_fields(&request, fields, required, &mut complaints);
    if request.get("model").and_then(Value::as_str) != Some(model) {
        complaints.push(format!("model is {}, not {model:?}", shown(request.get("model"))));
    }
    check_stream_options(&request, &mut complaints);
    check_stop(&request, &mut complaints);
    match operation {
        Operation::Responses => responses::check(&request, &mut complaints),
        Operation::CountInput => responses::check_counted(&request, &mut complaints),
        Operation::ChatCompletions => {
            messages::check(&request, openai_only, &mut complaints);
            check_tools(&request, &mut complaints);
            check_response_format(&request, &mut complaints);
            if request.contains_key("top_logprobs") && request.get("logprobs") != Some(&Value::Bool(true)) {
                complaints.push("top_logprobs without logprobs".to_owned());
            }
        }
        Operation::Completions => check_prompt("prompt", request.get("prompt"), &mut complaints),
        _ => check_prompt("input", request.get("input"), &mut complaints),
    }
    complaints
}

fn check_fields(
    request: &Map<String, Value>,
    fields: &[(&str, Is)],
    required: &str,
    complaints: &mut Vec<String>,
) {
    for name in ["model", required] {
        if request.get(name).is_none_or(Value::is_null) {
            complaints.push(format!("{name} is required"));
        }
    }
    for (name, value) in request {
        match fields.iter().find(|(known, _)| known == name) {
            None => complaints.push(format!("unknown field {name}")),
            Some(_) if value.is_null() => {}
            Some((_, is)) => {
                if !fits(value, is) {
                    complaints.push(format!("{name} is {}", shown(Some(value))));
                }
            }
        }
    }
}

fn fits(value: &Value, is: &Is) -> bool {
    match is {
        Is::Anything => true,
        Is::Boolean => value.is_boolean(),
        Is::Text => value.is_string(),
        Is::Object => value.is_object(),
        Is::Integer(low, high) => value.as_i64().is_some_and(|number| (*low..=*high).contains(&number)),
        Is::Number(low, high) => value.as_f64().is_some_and(|number| (*low..=*high).contains(&number)),
        Is::OneOf(names) => value.as_str().is_some_and(|text| names.contains(&text)),
        Is::NonEmptyArray => value.as_array().is_some_and(|items| !items.is_empty()),
    }
}

/// "Only set this when you set stream: true."
fn check_stream_options(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let Some(Value::Object(options)) = request.get("stream_options") else { return };
    if request.get("stream") != Some(&Value::Bool(true)) {
        complaints.push("stream_options without stream".to_owned());
    }
    for (name, value) in options {
        if !["include_usage", "include_obfuscation"].contains(&name.as_str()) || !value.is_boolean() {
            complaints.push(format!("stream_options.{name} is {}", shown(Some(value))));
        }
    }
}

/// A text, or up to four.
fn check_stop(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let good = match request.get("stop") {
        None | Some(Value::Null | Value::String(_)) => true,
        Some(Value::Array(stops)) => (1..=4).contains(&stops.len()) && stops.iter().all(Value::is_string),
        Some(_) => false,
    };
    if !good {
        complaints.push(format!("stop is {}", shown(request.get("stop"))));
    }
}

/// A text, texts, tokens, or arrays of tokens; none of them empty.
fn check_prompt(name: &str, prompt: Option<&Value>, complaints: &mut Vec<String>) {
    let tokens = |value: &Value| {
        value.as_array().is_some_and(|tokens| !tokens.is_empty() && tokens.iter().all(Value::is_u64))
    };
    let good = match prompt {
        Some(Value::String(_)) | None => true,
        Some(Value::Array(items)) if items.is_empty() => false,
        Some(value @ Value::Array(items)) => {
            items.iter().all(Value::is_string) || tokens(value) || items.iter().all(tokens)
        }
        Some(_) => false,
    };
    if !good {
        complaints.push(format!("{name} is {}", shown(prompt)));
    }
}

fn check_tools(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let none = Vec::new();
    let tools = request.get("tools").and_then(Value::as_array).unwrap_or(&none);
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let kind = tool["type"].as_str().unwrap_or_default();
        match tool[kind]["name"].as_str() {
            Some(name) if ["function", "custom"].contains(&kind) && is_name(name) => names.push(name),
            _ => complaints.push(format!("tools[{index}] is no function or custom tool with a name")),
        }
        let parameters = &tool["function"]["parameters"];
        if !parameters.is_null() && !parameters.is_object() {
            complaints.push(format!("tools[{index}].function.parameters is no object"));
        }
    }
    let choice = request.get("tool_choice").unwrap_or(&Value::Null);
    let good = match choice {
        Value::Null => true,
        Value::String(word) => ["none", "auto", "required"].contains(&word.as_str()),
        Value::Object(choice) => match choice.get("type").and_then(Value::as_str) {
            Some(kind @ ("function" | "custom")) => {
                choice[kind]["name"].as_str().is_some_and(|name| names.contains(&name))
            }
            kind => kind == Some("allowed_tools"),
        },
        _ => false,
    };
    if !good {
        complaints.push(format!("tool_choice is {}", shown(Some(choice))));
    }
    if !choice.is_null() && tools.is_empty() {
        complaints.push("tool_choice without tools".to_owned());
    }
}

fn check_response_format(request: &Map<String, Value>, complaints: &mut Vec<String>) {
    let Some(format @ Value::Object(_)) = request.get("response_format") else { return };
    let good = match format["type"].as_str() {
        Some("text" | "json_object") => true,
        Some("json_schema") => format["json_schema"]["name"].as_str().is_some_and(is_name),
        _ => false,
    };
    if !good {
        complaints.push(format!("response_format is {}", shown(Some(format))));
    }
}

/// "a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64".
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| value.to_string().chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operation: Operation, body: &str) -> String {
        complaints(operation, "m", body, true).join("; ")
    }

    const CONVERSATION: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":0.5,
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto","stop":["a"],
        "messages":[{"role":"developer","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},
            {"role":"assistant","content":null,"tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},
                {"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c2","content":"2"},{"role":"tool","tool_call_id":"c1","content":"1"}]}"#;

    #[test]
    fn what_the_reference_describes_is_accepted() {
        assert_eq!(check(Operation::ChatCompletions, CONVERSATION), "");
        assert_eq!(
            check(Operation::Completions, r#"{"model":"m","prompt":["a","b"],"logprobs":5,"echo":true}"#),
            ""
        );
        assert_eq!(
            check(Operation::Embeddings, r#"{"model":"m","input":[[1,2],[3]],"encoding_format":"base64"}"#),
            ""
        );
    }

    #[test]
    fn each_wrong_chat_request_is_refused_by_its_field() {
        let cases = [
            (r#""model":"m","#, "", "model is required"),
            (r#""temperature":0.5"#, r#""temperature":2.1"#, "temperature is 2.1"),
            (r#""temperature":0.5"#, r#""top_k":5"#, "unknown field top_k"),
            (r#""stream":true,"#, "", "stream_options without stream"),
            (
                r#""tool_choice":"auto""#,
                r#""tool_choice":{"type":"function","function":{"name":"g"}}"#,
                "tool_choice",
            ),
            (r#""stop":["a"]"#, r#""stop":["a","b","c","d","e"]"#, "stop is"),
            (r#""role":"developer""#, r#""role":"model""#, "messages[0].role"),
            (r#""type":"image_url""#, r#""type":"input_image""#, "messages[1].content[1]"),
            (r#""tool_call_id":"c1""#, r#""tool_call_id":"c3""#, "c3"),
            (r#",{"role":"tool","tool_call_id":"c1","content":"1"}"#, "", "c1"),
            (r#""arguments":"{}""#, r#""arguments":{}"#, "messages[2].tool_calls[0]"),
            (r#""content":"be brief""#, r#""content":7"#, "messages[0].content"),
        ];
        for (from, to, complaint) in cases {
            let body = CONVERSATION.replacen(from, to, 1);
            assert_ne!(body, CONVERSATION, "{from}");
            let complaints = check(Operation::ChatCompletions, &body);
            assert!(complaints.contains(complaint), "{complaints:?} does not speak of {complaint:?}");
        }
    }

    #[test]
    fn prompts_and_inputs_are_texts_or_tokens() {
        for wrong in ["[]", "{}", "7", r#"["a",1]"#, "[[]]"] {
            let complaints = check(Operation::Embeddings, &format!(r#"{{"model":"m","input":{wrong}}}"#));
            assert!(complaints.contains("input is"), "{wrong}: {complaints}");
        }
    }
}

//! Whatever a request says, the hub takes it in as the same twice.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SAME, decode, encode_for};
use crate::dialect::{EncodeTarget, Quirks};

/// A server that takes `top_k`, too.
const EVERYTHING: EncodeTarget<'static> =
    EncodeTarget { quirks: Quirks { top_k: true, ..Quirks::NONE }, ..SAME };

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn requests_survive_the_hub(body in any_request()) {
        let text = body.to_string();
        let request = decode(&text);
        let (written, dropped) = encode_for(&request, &EncodeTarget { include_usage: request.include_usage, ..EVERYTHING });
        prop_assert!(dropped.is_empty(), "{:?}", dropped);
        prop_assert_eq!(decode(&written), request);
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{1,6}", Just("\"\\\n\u{1F600}".to_owned())]
}

fn any_content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        any_text().prop_map(|text| json!({"type": "text", "text": text})),
        any_text()
            .prop_map(|text| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})),
        any_text().prop_map(|text| json!({"type": "refusal", "refusal": text})),
        Just(
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE=", "detail": "high"}})
        ),
        Just(json!({"type": "image_url", "image_url": {"url": "https://x.test/?a=1"}})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}})),
        Just(json!({"type": "file", "file": {"file_data": "AA=="}})),
        Just(json!({"type": "file", "file": {"file_data": "data:text/plain;base64,AA==", "filename": "f"}})),
        Just(json!({"type": "thinking", "thinking": [{"type": "text", "text": "t"}]})),
        Just(json!({"type": "mystery", "x": [1.5, null]})),
    ];
    prop_oneof![any_text().prop_map(Value::from), prop::collection::vec(part, 0..4).prop_map(Value::from)]
}

fn any_message() -> impl Strategy<Value = Value> {
    let call = prop_oneof![
        ("[a-c]", any_text()).prop_map(
            |(id, arguments)| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
        ),
        Just(json!({"id": "k", "type": "custom", "custom": {"name": "g", "input": "i"}})),
    ];
    let text_parts =
        prop::collection::vec(any_text().prop_map(|text| json!({"type": "text", "text": text})), 0..3);
    prop_oneof![
        ("system|developer", any_text()).prop_map(|(role, text)| json!({"role": role, "content": text})),
        (text_parts, any::<bool>()).prop_map(|(parts, named)| {
            if named {
                json!({"role": "tool", "tool_call_id": "a", "name": "f", "content": parts, "x": 1})
            } else {
                json!({"role": "function", "name": "f", "content": "r"})
            }
        }),
        any_content().prop_map(|content| {
            // Refusals and reasoning are an assistant's.
            let mine = |part: &Value| part["type"] != "refusal" && part["type"] != "thinking";
            let content = match content {
                Value::Array(parts) => parts.into_iter().filter(mine).collect(),
                text => text,
            };
            json!({"role": "user", "content": content, "name": "n"})
        }),
        (prop::option::of(any_content()), any_text(), any_text(), prop::collection::vec(call, 0..3), any::<bool>())
            .prop_map(|(content, reasoning, refusal, calls, old)| {
                let mut message = json!({"role": "assistant", "content": content, "reasoning_content": reasoning,
                    "refusal": refusal, "tool_calls": calls, "later": {"a": []}});
                if old {
                    message["function_call"] = json!({"name": "f", "arguments": "{}"});
                }
                message
            }),
    ]
}

fn any_request() -> impl Strategy<Value = Value> {
    let stop = prop_oneof![Just(json!(null)), Just(json!("a")), Just(json!(["a", "b"]))];
    let choice = prop_oneof![
        Just(json!("none")),
        Just(json!("required")),
        Just(json!({"type": "function", "function": {"name": "f"}})),
        Just(json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}})),
        Just(json!("new_word")),
    ];
    let format = prop_oneof![
        Just(json!({"type": "text"})),
        Just(json!({"type": "json_object"})),
        Just(json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"x": 1}}})),
        Just(json!({"type": "grammar", "grammar": "g"})),
    ];
    let options = prop_oneof![
        Just(json!(null)),
        Just(json!({"include_usage": true})),
        Just(json!({"include_usage": true, "x": 1})),
        Just(json!({"x": 1})),
    ];
    let numbers = (any::<u32>(), -2.0..2.0f64, any::<i64>(), prop::option::of(0..20u32));
    (prop::collection::vec(any_message(), 0..5), stop, choice, format, options, numbers, any::<bool>()).prop_map(
        |(messages, stop, choice, format, options, (limit, number, seed, logprobs), stream)| {
            json!({
                "model": "m", "messages": messages, "stop": stop, "tool_choice": choice, "response_format": format,
                "stream": true, "stream_options": options, "max_tokens": limit, "temperature": number, "seed": seed,
                "logprobs": logprobs.is_some(), "top_logprobs": logprobs, "parallel_tool_calls": stream,
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}, {"type": "custom"}],
                "top_k": 3, "prediction": {"type": "content"},
            })
        },
    )
}

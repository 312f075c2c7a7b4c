//! Whatever a request says, it comes back from the hub as it went in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{decoded, encoded};
use crate::dialect::fixed_cases;

fn any_block() -> impl Strategy<Value = Value> {
    let mark = json!({"type": "ephemeral"});
    let text = "[a-zä\\n\"]{1,6}";
    prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        text.prop_map(move |text| json!({"type": "text", "text": text, "cache_control": mark})),
        any::<bool>().prop_map(|png| {
            let kind = if png { "image/png" } else { "image/webp" };
            json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": "AAEC"}})
        }),
        Just(json!({"type": "image", "source": {"type": "url", "url": "https://a.example/p"}})),
        text.prop_map(|title| json!({"type": "document", "title": title, "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "citations": {"enabled": true}})),
        text.prop_map(|data| json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": data}})),
        Just(json!({"type": "search_result", "source": "s", "title": "t", "content": []})),
    ]
}

fn any_turns() -> impl Strategy<Value = Vec<Value>> {
    let result = prop_oneof![
        Just(json!({})),
        "[a-z]{1,5}".prop_map(|text| json!({"content": text})),
        prop::collection::vec(any_block(), 1..3)
            .prop_map(|content| json!({"content": content, "is_error": true})),
    ];
    let turn = (prop::collection::vec(any_block(), 1..4), prop::collection::vec(result, 0..3), any::<bool>());
    prop::collection::vec(turn, 1..4).prop_map(|turns| {
        let mut messages = Vec::new();
        for (at, (mut blocks, results, thinks)) in turns.into_iter().enumerate() {
            let mut said = Vec::new();
            if thinks {
                said.push(json!({"type": "thinking", "thinking": "t", "signature": "c2ln"}));
                said.push(json!({"type": "redacted_thinking", "data": "cmVk"}));
            }
            said.push(json!({"type": "text", "text": "ok"}));
            let mut answers = Vec::new();
            for (call, mut result) in results.into_iter().enumerate() {
                let id = format!("toolu_{at}_{call}");
                said.push(json!({"type": "tool_use", "id": id, "name": "f", "input": {"n": call}}));
                result["type"] = "tool_result".into();
                result["tool_use_id"] = id.into();
                // A lone text without a mark is written as a string.
                let content = result["content"]
                    .as_array()
                    .filter(|content| content.len() == 1)
                    .map(|content| &content[0]);
                let lone =
                    content.filter(|block| block["type"] == "text" && block["cache_control"].is_null());
                if let Some(text) = lone.map(|block| block["text"].clone()) {
                    result["content"] = text;
                }
                answers.push(result);
            }
            messages.push(json!({"role": "user", "content": blocks.clone()}));
            messages.push(json!({"role": "assistant", "content": said}));
            answers.append(&mut blocks);
            messages.push(json!({"role": "user", "content": answers}));
            messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": "so"}]}));
        }
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": "end"}]}));
        messages
    })
}

proptest! {
    #![proptest_config(fixed_cases())]

    #[test]
    fn any_request_comes_back_as_it_went(
        messages in any_turns(),
        system in prop::option::of(prop::collection::vec("[a-z]{1,4}".prop_map(|text| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})), 1..3)),
        choice in prop_oneof![Just(json!({"type": "auto"})), Just(json!({"type": "any", "disable_parallel_tool_use": true})), Just(json!({"type": "tool", "name": "f"})), Just(json!({"type": "none"}))],
        numbers in (1..99_999u32, prop::option::of(0..100u8), prop::option::of(0..100u8), prop::option::of(1..500u32)),
        stops in prop::collection::vec("[a-z]{1,4}", 0..3),
    ) {
        let mut body = json!({"model": "m", "max_tokens": numbers.0, "messages": messages, "tool_choice": choice,
            "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}, {"type": "bash_20250124", "name": "bash"}]});
        for (name, value) in [("temperature", numbers.1.map(|it| json!(f64::from(it) / 100.0))), ("top_p", numbers.2.map(|it| json!(f64::from(it) / 100.0))), ("top_k", numbers.3.map(Value::from))] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        if let Some(system) = system {
            body["system"] = system.into();
        }
        if !stops.is_empty() {
            body["stop_sequences"] = stops.into();
        }
        let (again, dropped) = encoded(&decoded(&body.to_string()), "m");
        prop_assert_eq!(dropped, Vec::<String>::new());
        prop_assert_eq!(again, body);
    }
}

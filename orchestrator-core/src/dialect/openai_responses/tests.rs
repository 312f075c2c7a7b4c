//! Golden texts of every shape, and what must hold for all of them.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{
        ChatReply, ChatRequest, Choice, Citation, Finish, FinishReason, Message, Part, PartKind,
        ReasoningPart, Role, ToolCall, ToolResult,
    },
    dialect::seal,
};

fn decode(body: &str) -> ChatRequest {
    match OpenAiResponses.decode_request(&Bytes::copy_from_slice(body.as_bytes())) {
        Ok(HubRequest::Chat(chat)) => *chat,
        other => panic!("{body} -> {other:?}"),
    }
}

fn encode_as(wire: &dyn Wire, request: &ChatRequest) -> (String, Vec<String>) {
    let target = EncodeTarget {
        model: "m",
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: crate::dialect::Quirks::NONE,
    };
    let encoded = wire.encode_request(&HubRequest::Chat(Box::new(request.clone())), &target).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped)
}

fn encode(request: &ChatRequest) -> (String, Vec<String>) {
    encode_as(&OpenAiResponses, request)
}

const FULL: &str = r#"{
  "model": "m", "instructions": "be brief",
  "input": [
    {"role": "developer", "content": "a"},
    {"type": "message", "role": "user", "content": [
      {"type": "input_text", "text": "what\u0027s this?"},
      {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
      {"type": "input_image", "image_url": "data:image/png;base64,AAEC"},
      {"type": "input_image", "file_id": "file-1"},
      {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAEC"},
      {"type": "input_file", "file_url": "https://x.test/a.pdf"},
      {"type": "input_video", "fps": 1.10}
    ]},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA=="},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary", "content": [
      {"type": "output_text", "text": "so", "annotations": [{"type": "url_citation", "url": "https://x.test", "title": "t", "start_index": 0, "end_index": 2}]}]},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"x\": 1.0}", "namespace": "n"},
    {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "42"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "4"}, {"type": "input_image", "image_url": "https://x.test/b.png"}]},
    {"type": "reasoning", "id": "rs_2", "summary": []},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    {"id": "msg_7"}
  ],
  "tools": [
    {"type": "function", "name": "f", "description": "d", "parameters": {"type":"object", "z": 1.0000000000000000001}, "strict": true},
    {"type": "namespace", "name": "n", "tools": []}, {"type": "web_search"}
  ],
  "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
  "text": {"format": {"type": "json_schema", "name": "s", "schema": {"b": 1, "a": 2}, "strict": true}, "verbosity": "low"},
  "reasoning": {"effort": "low", "summary": "detailed", "context": "all_turns"},
  "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "web_search_call.action.sources"],
  "max_output_tokens": 100, "temperature": 0.7, "top_p": 0.9, "top_logprobs": 3, "service_tier": "flex", "user": "u",
  "prompt_cache_key": "s1", "metadata": {"k": "v"}, "truncation": "auto", "store": true, "stream": true, "background": false,
  "client_metadata": {"exact": 1.50}
}"#;

#[test]
fn a_full_request_goes_into_the_hub_and_comes_back() {
    let request = decode(FULL);
    insta::assert_debug_snapshot!(request);
    let (body, dropped) = encode(&request);
    insta::assert_snapshot!(body);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(decode(&body), request);
}

#[test]
fn a_full_request_is_asked_of_a_provider_of_chat() {
    let (body, dropped) = encode_as(Dialect::OpenAiChat.wire(), &decode(FULL));
    insta::assert_snapshot!(body);
    insta::assert_snapshot!(dropped.join("\n"));
}

#[test]
fn the_least_request_is_one_message() {
    let request = decode(r#"{"model":"m","input":"hi"}"#);
    insta::assert_snapshot!(
        encode(&request).0,
        @r#"{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"store":false}"#
    );
}

/// `body -> param: message`
fn refusal(body: &str) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let error = OpenAiResponses.peek(&bytes, 128).err();
    let error = error.or_else(|| OpenAiResponses.decode_request(&bytes).err());
    let error = error.unwrap_or_else(|| panic!("{body} was accepted"));
    format!("{body} -> {}: {}", error.param.unwrap_or_default(), error.message)
}

#[test]
fn wrong_fields_are_refused_by_name() {
    let wrong = [
        r#"{"input":"hi"}"#,
        r#"{"model":"m"}"#,
        r#"{"model":"m","input":{}}"#,
        r#"{"model":"m","input":"hi","stream":1}"#,
        r#"{"model":"m","input":"hi","text":7}"#,
        r#"{"model":"m","input":"hi","text":{"format":{"type":"yaml"}}}"#,
        r#"{"model":"m","input":[7]}"#,
        r#"{"model":"m","input":[{"content":"x"}]}"#,
        r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":7}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,?"}]}]}"#,
        r#"{"model":"m","input":[{"type":"function_call","name":"f"}]}"#,
        r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c"}]}"#,
        r#"{"model":"m","input":[{"type":"reasoning","summary":[7]}]}"#,
        r#"{"model":"m","input":"hi","tools":[{"name":"f"}]}"#,
        r#"{"model":"m","input":"hi","tools":[{"type":"function","function":{"name":"f"}}]}"#,
        r#"{"model":"m","input":"hi","tool_choice":7}"#,
        r#"{"model":"m","input":"hi","max_output_tokens":"7"}"#,
        r#"{"model":"m","input":"hi","include":[7]}"#,
        r#"{"model":"m","input":"hi","reasoning":"high"}"#,
        r#"{"model":"m","input":"hi","previous_response_id":"resp_1"}"#,
        r#"{"model":"m","conversation":"conv_1"}"#,
        r#"{"model":"m","prompt":{"id":"pmpt_1"}}"#,
        r#"{"model":"m","input":"hi","background":true}"#,
    ];
    insta::assert_snapshot!(wrong.map(refusal).join("\n"));
}

#[test]
fn one_scan_tells_what_admission_and_routing_need() {
    let body = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}],"stream":true,"tools":[{}],
        "text":{"format":{"type":"json_schema"}},"safety_identifier":"u","prompt_cache_key":"s","previous_response_id":"resp_1"}"#;
    let facts = OpenAiResponses.peek(&Bytes::from_static(body.as_bytes()), 128).unwrap();
    let expected = Facts {
        model: "m".into(),
        stream: true,
        include_usage: true,
        tools: true,
        structured: true,
        images: true,
        end_user: Some("u".into()),
        session_id: Some("s".into()),
        sealed: false,
        previous_response: Some("resp_1".into()),
        wishes: None,
        max_output: None,
        answers: None,
        body_bytes: body.len(),
        outline: None,
    };
    assert_eq!(facts, expected);
}

#[test]
fn only_what_must_be_is_spliced() {
    let overrides = [("store".to_owned(), "false".to_owned()), ("model".to_owned(), "\"x\"".to_owned())];
    let edits =
        Edits { model: "theirs", include_usage: true, overrides: &overrides, taken: &[], outline: None };
    let body =
        Bytes::from_static(br#"{ "model":"m", "input":"hi","n":1.0000000000000000001,"stream":true }"#);
    insta::assert_snapshot!(
        String::from_utf8(OpenAiResponses.splice(&body, &edits).unwrap().to_vec()).unwrap(),
        @r#"{ "model":"theirs", "input":"hi","n":1.0000000000000000001,"stream":true,"store":false }"#
    );
}

fn message(role: Role, parts: Vec<PartKind>) -> Message {
    Message { role, parts: parts.into_iter().map(Part::from).collect(), name: None }
}

fn thought(text: &str, signature: Option<String>, encrypted: Option<String>) -> PartKind {
    PartKind::Reasoning(ReasoningPart { text: text.into(), signature, encrypted })
}

#[test]
fn what_responses_cannot_carry_is_named() {
    let result = ToolResult { tool_call_id: "c".into(), is_error: true, ..ToolResult::default() };
    let call =
        ToolCall { id: "c".into(), name: "f".into(), signature: Some("s".into()), ..ToolCall::default() };
    let foreign = Some(seal::seal(Dialect::OpenAiChat, "theirs"));
    let mut named = message(Role::User, vec![PartKind::Text("hi".into())]);
    named.name = Some("bob".into());
    let request = ChatRequest {
        messages: vec![
            named,
            message(
                Role::Assistant,
                vec![
                    thought("t", foreign.clone(), None),
                    thought("t", None, foreign),
                    PartKind::ToolCall(call),
                ],
            ),
            message(Role::Tool, vec![PartKind::ToolResult(result)]),
            message(Role::User, vec![PartKind::Opaque { dialect: "anthropic".into(), json: "{}".into() }]),
        ],
        top_k: Some(3),
        frequency_penalty: Some(0.1),
        presence_penalty: Some(0.1),
        stop: vec!["x".into()],
        seed: Some(1),
        candidate_count: Some(2),
        extras: [
            ("anthropic.thinking".to_owned(), "{}".to_owned()),
            ("openai_chat.metadata".to_owned(), r#"{"k":"v"}"#.to_owned()),
            ("openai_chat.verbosity".to_owned(), r#""low""#.to_owned()),
        ]
        .into(),
        ..ChatRequest::default()
    };
    let (body, dropped) = encode(&request);
    insta::assert_snapshot!(body);
    insta::assert_snapshot!(dropped.join("\n"));
}

fn reply(parts: Vec<PartKind>, reason: FinishReason) -> ChatReply {
    let finish = Finish { reason: Some(reason), native: String::new() };
    let choice = Choice { index: 0, message: message(Role::Assistant, parts), finish, logprobs: None };
    ChatReply {
        id: "chatcmpl-1".into(),
        model: "m".into(),
        created: 7,
        choices: vec![choice],
        ..ChatReply::default()
    }
}

fn encode_reply(reply: &ChatReply) -> String {
    let body = OpenAiResponses.encode_reply(&HubReply::Chat(reply.clone())).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn decode_reply(body: &str) -> ChatReply {
    match OpenAiResponses.decode_reply(&Bytes::copy_from_slice(body.as_bytes())).unwrap() {
        HubReply::Chat(reply) => reply,
        HubReply::Embed(_) | HubReply::Count { .. } => panic!("embeddings"),
    }
}

#[test]
fn an_answer_of_another_vendor_becomes_items() {
    let own = Some(seal::seal(Dialect::OpenAiChat, "sig"));
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into(), signature: own.clone() };
    let mut reply = reply(
        vec![
            thought("hm", own.clone(), None),
            thought("", None, own),
            PartKind::Text("hi".into()),
            PartKind::Refusal("no".into()),
            PartKind::ToolCall(call),
        ],
        FinishReason::ToolCalls,
    );
    let source = Citation { url: Some("https://x.test".into()), ..Citation::default() };
    reply.choices[0].message.parts[2].citations.push(source);
    reply.choices[0].logprobs = Some(r#"{"content":[{"token":"hi"}],"refusal":null}"#.into());
    let body = encode_reply(&reply);
    insta::assert_snapshot!(body);

    // What was signed comes back as what it was.
    let again = decode_reply(&body);
    let signatures = |reply: &ChatReply| -> Vec<(Option<String>, Option<String>)> {
        let parts = reply.choices[0].message.parts.iter();
        parts
            .filter_map(|part| match &part.kind {
                PartKind::Reasoning(thought) => Some((thought.signature.clone(), thought.encrypted.clone())),
                PartKind::ToolCall(call) => Some((call.signature.clone(), None)),
                _ => None,
            })
            .collect()
    };
    assert_eq!(signatures(&again), signatures(&reply));
}

#[test]
fn every_ending_has_its_status() {
    let endings = [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::ContentFilter,
        FinishReason::Other,
    ];
    let lines = endings.map(|reason| {
        let json: Value =
            serde_json::from_str(&encode_reply(&reply(vec![PartKind::Text("hi".into())], reason))).unwrap();
        let back = decode_reply(&json.to_string()).choices[0].finish.clone();
        format!(
            "{reason:?}: {} {} item {} -> {back:?}",
            json["status"], json["incomplete_details"], json["output"][0]["status"]
        )
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn errors_are_told_in_the_dialects_own_events() {
    let error = Error::invalid("input".to_owned(), "bad \"input\"\n").with_code("c");
    insta::assert_snapshot!(
        String::from_utf8(OpenAiResponses.render_error_event(&error, "r").to_vec()).unwrap(),
        @r#"
    event: error
    data: {"type":"error","code":"c","param":"input","message":"bad \"input\"\n","sequence_number":0,"error":{"message":"bad \"input\"\n","type":"invalid_request_error","param":"input","code":"c"}}
    "#
    );
    let failed = Bytes::from_static(
        br#"{"id":"r","output":[],"status":"failed","error":{"code":"server_error","message":"boom"}}"#,
    );
    let error = OpenAiResponses.inspect(&failed).error.unwrap();
    assert_eq!((&*error.message, error.code.as_deref()), ("boom", Some("server_error")));
    assert_eq!(OpenAiResponses.decode_reply(&failed).unwrap_err().message, "boom");
    assert!(OpenAiResponses.inspect(&Bytes::from_static(b"<html>")).error.is_some());
    assert!(OpenAiResponses.inspect(&Bytes::from_static(b"{}")).error.is_some());
}

#[test]
fn an_answer_is_remembered_only_where_its_provider_stores_it() {
    let stored = |body: &'static str| OpenAiResponses.inspect(&Bytes::from_static(body.as_bytes())).stored_id;
    assert_eq!(stored(r#"{"id":"resp_1","output":[],"store":true}"#).as_deref(), Some("resp_1"));
    assert_eq!(stored(r#"{"id":"resp_1","output":[]}"#).as_deref(), Some("resp_1"));
    assert_eq!(stored(r#"{"id":"resp_1","output":[],"store":false}"#), None);
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn requests_survive_the_hub(body in any_request()) {
        let request = decode(&body.to_string());
        let (written, dropped) = encode(&request);
        prop_assert!(dropped.is_empty(), "{:?}", dropped);
        prop_assert_eq!(decode(&written), request);
    }

    #[test]
    fn every_request_can_be_asked_of_a_provider_of_chat(body in any_request()) {
        let (written, _) = encode_as(Dialect::OpenAiChat.wire(), &decode(&body.to_string()));
        prop_assert!(Dialect::OpenAiChat.wire().decode_request(&Bytes::from(written)).is_ok());
    }
}

// --- Requests of every kind.

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{1,6}", Just("\"\\\n\u{1F600}".to_owned())]
}

fn any_input_content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        any_text().prop_map(|text| json!({"type": "input_text", "text": text})),
        Just(json!({"type": "input_image", "image_url": "data:image/png;base64,AAE=", "detail": "high"})),
        Just(json!({"type": "input_image", "file_id": "f", "detail": "auto"})),
        Just(json!({"type": "input_file", "file_data": "AA==", "filename": "f"})),
        Just(json!({"type": "input_file", "file_url": "https://x.test/a"})),
        Just(json!({"type": "mystery", "x": [1.5, null]})),
    ];
    prop_oneof![any_text().prop_map(Value::from), prop::collection::vec(part, 0..4).prop_map(Value::from)]
}

fn any_item() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("user|system|developer", any_input_content())
            .prop_map(|(role, content)| json!({"role": role, "content": content})),
        any_text().prop_map(|text| json!({"type": "message", "role": "assistant", "phase": "p",
            "content": [{"type": "output_text", "text": text}, {"type": "refusal", "refusal": text}]})),
        (any_text(), "[a-z]{1,4}").prop_map(|(text, sealed)| json!({"type": "reasoning", "encrypted_content": sealed,
            "summary": [{"type": "summary_text", "text": text}]})),
        Just(json!({"type": "reasoning", "id": "rs_1", "summary": []})),
        ("[a-c]", any_text()).prop_map(
            |(id, text)| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": text, "namespace": "n"})
        ),
        ("[a-c]", any_input_content())
            .prop_map(|(id, output)| json!({"type": "function_call_output", "call_id": id, "output": output})),
        Just(json!({"type": "custom_tool_call", "call_id": "k", "input": "i"})),
    ]
}

fn any_request() -> impl Strategy<Value = Value> {
    let choice = prop_oneof![
        Just(json!("none")),
        Just(json!("required")),
        Just(json!({"type": "function", "name": "f"})),
        Just(json!({"type": "allowed_tools", "mode": "auto", "tools": []})),
        Just(json!({"type": "web_search"})),
    ];
    let text = prop_oneof![
        Just(json!(null)),
        Just(json!({"verbosity": "low"})),
        Just(json!({"format": {"type": "text"}})),
        Just(
            json!({"format": {"type": "json_schema", "name": "s", "schema": {"x": 1}}, "verbosity": "high"})
        ),
    ];
    let reasoning = prop_oneof![
        Just(json!(null)),
        Just(json!({"effort": "high"})),
        Just(json!({"summary": "auto"})),
        Just(json!({"effort": "none", "summary": "concise", "mode": "m"})),
    ];
    let items = prop::collection::vec(any_item(), 1..6);
    let numbers = (any::<u32>(), 0.0..2.0f64, prop::option::of(0..20u32), any::<bool>());
    (items, choice, text, reasoning, numbers).prop_map(
        |(items, choice, text, reasoning, (limit, number, logprobs, stream))| {
            json!({
                "model": "m", "instructions": "i", "input": items, "tool_choice": choice, "text": text,
                "reasoning": reasoning, "max_output_tokens": limit, "temperature": number, "top_logprobs": logprobs,
                "stream": stream, "parallel_tool_calls": stream, "store": stream, "truncation": "auto",
                "include": ["reasoning.encrypted_content", "file_search_call.results"],
                "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true}, {"type": "mcp"}],
            })
        },
    )
}

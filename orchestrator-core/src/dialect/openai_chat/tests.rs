//! Requests: golden texts of every shape, what each server is told and not told, and what is refused.

mod answers;
mod any_request;

use bytes::Bytes;
use serde_json::{Value, json};

use self::answers::encode_reply;
use super::*;
use crate::chat::{
    ChatReply, ChatRequest, Choice, Finish, Message, Part, PartKind, Reasoning, ReasoningPart, Role, Tool,
    ToolCall, ToolResult,
};
use crate::dialect::Quirks;

fn decode(body: &str) -> ChatRequest {
    match OpenAiChat.decode_request(&Bytes::copy_from_slice(body.as_bytes())) {
        Ok(HubRequest::Chat(chat)) => *chat,
        other => panic!("{body} -> {other:?}"),
    }
}

fn encode_for(request: &ChatRequest, target: &EncodeTarget<'_>) -> (String, Vec<String>) {
    let encoded = OpenAiChat.encode_request(&HubRequest::Chat(Box::new(request.clone())), target).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped)
}

const SAME: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    include_usage: false,
    overrides: &[],
    legacy_names: false,
    quirks: Quirks::NONE,
};

const FULL: &str = r#"{
  "model": "m",
  "messages": [
    {"role": "system", "content": "be brief"},
    {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "name": "bob", "content": [
      {"type": "text", "text": "what\u0027s this?"},
      {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}},
      {"type": "input_audio", "input_audio": {"data": "AAEC", "format": "mp3"}},
      {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAEC"}},
      {"type": "file", "file": {"file_id": "file-1"}},
      {"type": "video_url", "video_url": {"fps": 1.10}}
    ]},
    {"role": "assistant", "content": "", "reasoning_content": "hm", "prefix": true, "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}, "extra_content": {"google": {"thought_signature": "sig"}}},
      {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "raw"}}
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "42"},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "3"}]},
    {"role": "assistant", "content": null, "refusal": "no"},
    {"role": "assistant", "content": null, "function_call": {"name": "old", "arguments": "{}"}},
    {"role": "function", "name": "old", "content": "done"}
  ],
  "tools": [
    {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type":"object", "z": 1.0000000000000000001}, "strict": true}},
    {"type": "custom", "custom": {"name": "g"}}
  ],
  "tool_choice": {"type": "function", "function": {"name": "f"}},
  "parallel_tool_calls": false,
  "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"b": 1, "a": 2}, "strict": true}},
  "max_completion_tokens": 10, "temperature": 0.7, "top_p": 0.9, "frequency_penalty": -0.5, "presence_penalty": 1,
  "stop": ["x", "y"], "seed": -7, "n": 2, "logprobs": true, "top_logprobs": 3,
  "reasoning_effort": "low", "service_tier": "flex", "user": "u",
  "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
  "logit_bias": {"50256": -100}, "tomorrow": {"exact": 1.50}, "metadata": null
}"#;

#[test]
fn a_full_request_goes_into_the_hub_and_comes_back() {
    let request = decode(FULL);
    insta::assert_debug_snapshot!(request);
    let target = EncodeTarget { include_usage: true, ..SAME };
    let (body, dropped) = encode_for(&request, &target);
    insta::assert_snapshot!(body);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(decode(&body), request);
}

#[test]
fn an_older_server_gets_the_older_names() {
    let request = decode(
        r#"{"model":"asked","messages":[{"role":"developer","content":"a"}],"max_completion_tokens":5,"stream":true}"#,
    );
    let overrides = [("seed".to_owned(), "7".to_owned()), ("model".to_owned(), "\"x\"".to_owned())];
    let target = EncodeTarget {
        model: "theirs",
        include_usage: true,
        overrides: &overrides,
        legacy_names: true,
        quirks: Quirks::NONE,
    };
    insta::assert_snapshot!(
        encode_for(&request, &target).0,
        @r#"{"model":"theirs","messages":[{"role":"system","content":"a"}],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true},"seed":7}"#
    );
}

#[test]
fn what_chat_cannot_carry_is_named() {
    let media =
        |source| crate::chat::Media { source, mime_type: "text/x".into(), filename: None, detail: None };
    let picture = Part::from(PartKind::Image(media(crate::chat::MediaSource::FileId("f".into()))));
    let thought = ReasoningPart { text: "t".into(), signature: Some("s".into()), encrypted: None };
    let result = ToolResult {
        tool_call_id: "c".into(),
        parts: vec![PartKind::Text("r".into()).into(), picture.clone()],
        is_error: true,
        ..ToolResult::default()
    };
    let message = |role, parts| Message { role, parts, name: None };
    let request = ChatRequest {
        messages: vec![
            message(Role::User, vec![picture]),
            message(Role::Assistant, vec![PartKind::Reasoning(thought).into()]),
            message(
                Role::User,
                vec![PartKind::ToolResult(result).into(), PartKind::Text("go on".into()).into()],
            ),
            message(
                Role::User,
                vec![PartKind::Opaque { dialect: "anthropic".into(), json: "{}".into() }.into()],
            ),
        ],
        top_k: Some(3),
        reasoning: Some(Reasoning { effort: None, budget_tokens: Some(1), include_text: Some(true) }),
        extras: [("anthropic.thinking".to_owned(), "{}".to_owned())].into(),
        ..ChatRequest::default()
    };
    let (body, dropped) = encode_for(&request, &SAME);
    insta::assert_snapshot!(body);
    insta::assert_snapshot!(dropped.join("\n"));
}

fn assistant(parts: Vec<PartKind>) -> Message {
    Message { role: Role::Assistant, parts: parts.into_iter().map(Part::from).collect(), name: None }
}

/// What two vendors reasoned, signed and called.
fn reasoned() -> Message {
    let thought = |origin, text: &str| ReasoningPart {
        text: text.to_owned(),
        signature: Some(crate::dialect::seal::seal(origin, "s")),
        encrypted: Some(crate::dialect::seal::seal(origin, "e")),
    };
    let call = |origin, id: &str| ToolCall {
        id: id.to_owned(),
        name: "f".into(),
        arguments: String::new(),
        signature: Some(crate::dialect::seal::seal(origin, "s")),
    };
    let (own, foreign) = (Dialect::OpenAiChat, Dialect::OpenAiEmbeddings);
    assistant(vec![
        PartKind::Reasoning(thought(own, "own")),
        PartKind::Reasoning(thought(foreign, "foreign")),
        PartKind::ToolCall(call(own, "toolu_1")),
        PartKind::ToolCall(call(foreign, "toolu_2")),
    ])
}

#[test]
fn what_a_vendor_signed_goes_back_to_it_alone_and_to_callers_sealed() {
    let request = ChatRequest { messages: vec![reasoned()], ..ChatRequest::default() };
    let (body, dropped) = encode_for(&request, &SAME);
    insta::assert_snapshot!(body);
    let foreign = ["messages[0].parts[1].reasoning.signature"; 2];
    assert_eq!(dropped, [foreign[0], foreign[1], "messages[0].parts[3].tool_call.signature"]);
    let choice = Choice { index: 0, message: reasoned(), finish: Finish::default(), logprobs: None };
    let shown = encode_reply(&ChatReply { choices: vec![choice], ..ChatReply::default() });
    insta::assert_snapshot!(shown);
    // A caller that hands back what it was shown says the same as the hub did.
    let message = &serde_json::from_str::<Value>(&shown).unwrap()["choices"][0]["message"];
    let again = decode(&json!({"model": "m", "messages": [message]}).to_string());
    let (handed_back, dropped_again) = encode_for(&again, &SAME);
    let said = |body: &str| {
        let mut body: Value = serde_json::from_str(body).unwrap();
        for entry in body["messages"][0]["reasoning_details"].as_array_mut().unwrap() {
            entry["index"] = Value::Null;
        }
        body
    };
    assert_eq!(said(&handed_back), said(&body));
    assert_eq!(dropped_again.len(), dropped.len());
}

#[test]
fn each_servers_own_way_is_kept() {
    let request = ChatRequest {
        messages: vec![
            assistant(vec![
                PartKind::Reasoning(ReasoningPart { text: "hm".into(), ..ReasoningPart::default() }),
                PartKind::ToolCall(ToolCall {
                    id: "toolu_1".into(),
                    name: "f".into(),
                    ..ToolCall::default()
                }),
            ]),
            Message {
                role: Role::Tool,
                parts: vec![
                    PartKind::ToolResult(ToolResult {
                        tool_call_id: "toolu_1".into(),
                        ..ToolResult::default()
                    })
                    .into(),
                ],
                name: None,
            },
        ],
        tool_choice: Some(crate::chat::ToolChoice::Required),
        seed: Some(7),
        top_k: Some(3),
        ..ChatRequest::default()
    };
    let mut ways = Vec::new();
    for preset in &crate::provider::preset::PRESETS {
        let target = EncodeTarget { quirks: preset.quirks, ..SAME };
        let (body, dropped) = encode_for(&request, &target);
        ways.push(format!("{}: {body} {dropped:?}", preset.name));
    }
    let openai = crate::provider::kind("openai").unwrap().quirks();
    let (body, dropped) = encode_for(&request, &EncodeTarget { quirks: openai, ..SAME });
    ways.push(format!("openai: {body} {dropped:?}"));
    insta::assert_snapshot!(ways.join("\n"));
}

#[test]
fn openai_is_shown_no_marks_of_a_prompt_cache() {
    let mark = || Some(r#"{"type":"ephemeral"}"#.to_owned());
    let marked = |kind: PartKind| Part { cache_control: mark(), ..Part::from(kind) };
    let result = ToolResult {
        tool_call_id: "c".into(),
        parts: vec![marked(PartKind::Text("1".into()))],
        ..ToolResult::default()
    };
    let message = |role, part| Message { role, parts: vec![part], name: None };
    let request = ChatRequest {
        messages: vec![
            message(Role::User, marked(PartKind::Text("?".into()))),
            message(Role::Tool, PartKind::ToolResult(result).into()),
        ],
        ..ChatRequest::default()
    };
    let openai = crate::provider::kind("openai").unwrap().quirks();
    let (body, dropped) = encode_for(&request, &EncodeTarget { quirks: openai, ..SAME });
    assert!(!body.contains("cache_control") && body.contains(r#""content":"?""#), "{body}");
    assert_eq!(dropped, ["messages[0].parts[0].cache_control", "messages[1].parts[0].cache_control"]);
    assert_eq!(encode_for(&request, &SAME).0.matches("cache_control").count(), 2);
}

#[test]
fn what_a_tool_drew_follows_behind_the_last_result() {
    let picture = PartKind::Image(crate::chat::Media {
        source: crate::chat::MediaSource::Data(Bytes::from_static(&[0])),
        mime_type: "image/png".into(),
        filename: None,
        detail: None,
    });
    let result = |id: &str, parts: Vec<PartKind>| {
        let parts = parts.into_iter().map(Part::from).collect();
        PartKind::ToolResult(ToolResult { tool_call_id: id.into(), parts, ..ToolResult::default() })
    };
    let results = vec![
        result("a", vec![picture.clone()]).into(),
        result("b", vec![PartKind::Text("seen".into()), picture]).into(),
        PartKind::Text("go on".into()).into(),
    ];
    let request = ChatRequest {
        messages: vec![Message { role: Role::User, parts: results, name: None }],
        ..ChatRequest::default()
    };
    let (body, dropped) = encode_for(&request, &SAME);
    insta::assert_snapshot!(body);
    assert_eq!(dropped, Vec::<String>::new());
}

#[test]
fn text_that_the_hub_calls_json_must_be_json() {
    let cases = [
        ChatRequest {
            extras: [("openai_chat.x".to_owned(), "{".to_owned())].into(),
            ..ChatRequest::default()
        },
        ChatRequest {
            tools: vec![Tool { parameters: "1}, {".into(), ..Tool::default() }],
            ..ChatRequest::default()
        },
    ];
    for request in cases {
        let error = OpenAiChat.encode_request(&HubRequest::Chat(Box::new(request)), &SAME).unwrap_err();
        assert!(error.param.is_some() && error.message.ends_with("must be valid JSON"), "{error}");
    }
}

#[test]
fn wrong_fields_are_named_by_their_path() {
    let user = r#"{"model":"m","messages":[{"role":"user","content":"a"}]"#;
    let with = |field: &str| format!("{user},{field}}}");
    let message = |message: &str| format!(r#"{{"model":"m","messages":[{message}]}}"#);
    let bodies = [
        "[]".to_owned(),
        r#"{"model":"m"}"#.to_owned(),
        message("7"),
        message(r#"{"content":"a"}"#),
        message(r#"{"role":"user"}"#),
        message(r#"{"role":"wizard","content":"a"}"#),
        message(r#"{"role":"user","content":7}"#),
        message(r#"{"role":"user","content":[{"text":"a"}]}"#),
        message(r#"{"role":"user","content":[{"type":"text"}]}"#),
        message(
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,?"}}]}"#,
        ),
        message(r#"{"role":"user","content":"\ud800"}"#),
        message(r#"{"role":"tool","content":"a"}"#),
        message(r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function"}]}"#),
        message(r#"{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":1}}]}"#),
        with(r#""temperature":"hot""#),
        with(r#""temperature":1e999"#),
        with(r#""max_tokens":-1"#),
        with(r#""n":1.5"#),
        with(r#""stop":[1]"#),
        with(r#""tools":[{"type":"function"}]"#),
        with(r#""tools":[{"type":"function","function":{}}]"#),
        with(r#""tool_choice":1"#),
        with(r#""response_format":{"type":"json_schema"}"#),
        with(r#""stream_options":1"#),
    ];
    let answers: Vec<String> = bodies
        .iter()
        .map(|body| {
            let error = OpenAiChat.decode_request(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
            format!("{}: {}", error.param.unwrap_or_default(), error.message)
        })
        .collect();
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a","x":{deep}}}],"y":{deep}}}"#);
    let request = decode(&body);
    assert_eq!(decode(&encode_for(&request, &SAME).0), request);
    let refused = OpenAiChat.peek(&Bytes::from(body), 128).unwrap_err();
    assert_eq!(
        (refused.status(), refused.message.as_str()),
        (400, "the body is nested deeper than 128 levels")
    );
}

#[test]
fn a_call_of_an_old_function_is_found_by_its_result() {
    let request = decode(FULL);
    let PartKind::ToolCall(ToolCall { id, .. }) = &request.messages[7].parts[0].kind else { panic!() };
    let PartKind::ToolResult(result) = &request.messages[8].parts[0].kind else { panic!() };
    assert_eq!(&result.tool_call_id, id);
}

//! Answers, errors and lists of models: each is read, comes back as it went, and says the same to callers of others.

use bytes::Bytes;
use orchestrator_testkit::fixtures;
use serde_json::{Value, json};

use super::{super::*, pretty};
use crate::{
    chat::{ChatReply, Choice, Message, PartKind, Role, Usage},
    dialect::openai_chat::OpenAiChat,
    error::ErrorKind,
};

fn reply_of(fixture: &str) -> ChatReply {
    match Anthropic.decode_reply(&fixtures::named(fixture).body).unwrap() {
        HubReply::Chat(reply) => reply,
        HubReply::Embed(_) | HubReply::Count { .. } => panic!("a chat"),
    }
}

#[test]
fn whole_answers_go_into_the_hub_and_come_back() {
    for name in [
        "anthropic_chat",
        "anthropic_tool_calls",
        "anthropic_server_tools",
        "anthropic_refusal",
        "anthropic_uncounted",
    ] {
        let body = fixtures::named(name).body;
        let reply = reply_of(name);
        insta::assert_debug_snapshot!(name, reply);
        let again = Anthropic.encode_reply(&HubReply::Chat(reply.clone())).unwrap();
        insta::assert_snapshot!(format!("{name}_written"), pretty(&again));
        let HubReply::Chat(twice) = Anthropic.decode_reply(&again).unwrap() else { panic!("a chat") };
        // Seals are for callers; what was not counted is estimated.
        assert_eq!(ChatReply { usage: reply.usage, ..twice }, reply, "{name}");
        let signals = Anthropic.inspect(&body);
        assert!(signals.content && signals.terminator && signals.error.is_none(), "{name}");
        assert_eq!(signals.usage, reply.usage, "{name}");
        assert_eq!(signals.finish.as_ref(), Some(&reply.choices[0].finish), "{name}");
    }
    let error = Anthropic.inspect(&fixtures::named("anthropic_error_529").body).error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::ProviderFailed, "Overloaded"));
}

#[test]
fn an_openai_callers_answer_says_the_same() {
    let body = OpenAiChat.encode_reply(&HubReply::Chat(reply_of("anthropic_tool_calls"))).unwrap();
    insta::assert_snapshot!(pretty(&body));
}

#[test]
fn every_way_to_end_has_its_word() {
    for (native, wanted) in [
        ("end_turn", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("pause_turn", "pause_turn"),
        ("max_tokens", "max_tokens"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
        ("tool_use", "tool_use"),
        ("refusal", "refusal"),
        ("tomorrow", "end_turn"),
    ] {
        let finish = finish::read(native);
        assert_eq!((finish.native.as_str(), finish::write(&finish)), (native, wanted));
    }
    assert_eq!(reply::stop_reason(&finish::read("end_turn"), true), "tool_use");
    assert_eq!(reply::stop_reason(&finish::read("max_tokens"), true), "max_tokens");
}

#[test]
fn every_error_is_read_and_passes_as_it_is() {
    let headers =
        http::HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from_static("7"))]);
    for (status, kind) in [
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::ProviderFailed),
        (404, ErrorKind::NotFound),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::ProviderFailed),
        (529, ErrorKind::ProviderFailed),
    ] {
        let body = fixtures::named(&format!("anthropic_error_{status}")).body;
        let answer = ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            body: &body,
            now: 0,
        };
        let error = Anthropic.read_error(&answer);
        assert_eq!((error.kind, error.status()), (kind, status), "{status}");
        assert_eq!(Anthropic.render_error(&error, "req"), body, "{status}");
        assert!(!error.message.contains("x-api-key"), "our words about our key");
        let event = Anthropic.render_error_event(&error, "req");
        assert_eq!(event, format!("event: error\ndata: {}\n\n", String::from_utf8_lossy(&body)));
        let theirs: Value = serde_json::from_slice(&OpenAiChat.render_error(&error, "req")).unwrap();
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(theirs["error"]["message"], said["error"]["message"], "{status}");
    }
}

#[test]
fn an_error_of_our_own_or_of_another_vendor_is_told_in_the_envelope() {
    let own = Error::invalid("messages[0].role".to_owned(), "`messages[0].role` must be something else");
    insta::assert_snapshot!(String::from_utf8_lossy(&Anthropic.render_error(&own, "req-1")), @r#"{"type":"error","error":{"type":"invalid_request_error","message":"`messages[0].role` must be something else"},"request_id":"req-1"}"#);
    for (status, word) in [
        (402, "billing_error"),
        (403, "permission_error"),
        (413, "request_too_large"),
        (503, "overloaded_error"),
        (502, "api_error"),
    ] {
        let body = Bytes::from_static(br#"{"error":{"message":"theirs"}}"#);
        let answer = ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(status).unwrap(),
            headers: &http::HeaderMap::new(),
            body: &body,
            now: 0,
        };
        let error = OpenAiChat.read_error(&answer);
        let told: Value = serde_json::from_slice(&Anthropic.render_error(&error, "req")).unwrap();
        assert_eq!(told["error"]["message"], "theirs", "{status}");
        if error.status() == status {
            assert_eq!(told["error"]["type"], word, "{status}");
        }
    }
}

#[test]
fn the_list_of_models_is_one_page() {
    let model = |id: &str| ModelInfo { id: id.to_owned(), created: 1_700_000_000, providers: Vec::new() };
    let list = Anthropic.render_models(&[model("a"), model("b/c")]);
    insta::assert_snapshot!(String::from_utf8_lossy(&list), @r#"{"data":[{"type":"model","id":"a","display_name":"a","created_at":"2023-11-14T22:13:20Z"},{"type":"model","id":"b/c","display_name":"b/c","created_at":"2023-11-14T22:13:20Z"}],"first_id":"a","last_id":"b/c","has_more":false}"#);
    let none: Value = serde_json::from_slice(&Anthropic.render_models(&[])).unwrap();
    assert_eq!(none, json!({"data": [], "first_id": null, "last_id": null, "has_more": false}));
}

#[test]
fn what_nobody_counted_is_told_by_everybody_as_the_same_estimate() {
    let estimated = Usage::estimated(1000, 18);
    assert_eq!((estimated.prompt, estimated.completion), (250, 5));
    assert_eq!(Usage::estimated(0, 0).prompt, 1);
    let part = PartKind::Text("Hello there, you.".into()).into();
    let message = Message { role: Role::Assistant, parts: vec![part], name: None };
    let choice = Choice { index: 0, message, finish: finish::read("end_turn"), logprobs: None };
    let reply =
        HubReply::Chat(ChatReply { choices: vec![choice], usage: Some(estimated), ..ChatReply::default() });
    let json = |dialect: Dialect| -> Value {
        serde_json::from_slice(&dialect.wire().encode_reply(&reply).unwrap()).unwrap()
    };
    let count = |json: &Value, names: [&str; 2]| names.map(|name| json[name].as_u64().unwrap());
    assert_eq!(count(&json(Dialect::Anthropic)["usage"], ["input_tokens", "output_tokens"]), [250, 5]);
    assert_eq!(count(&json(Dialect::OpenAiChat)["usage"], ["prompt_tokens", "completion_tokens"]), [250, 5]);
    assert_eq!(count(&json(Dialect::OpenAiResponses)["usage"], ["input_tokens", "output_tokens"]), [250, 5]);
    let gemini = &json(Dialect::Gemini)["usageMetadata"];
    assert_eq!(count(gemini, ["promptTokenCount", "candidatesTokenCount"]), [250, 5]);
}

//! Requests that are wrong, or ask for what the other vendor has not, on their way into another dialect: a 400 in the caller's envelope
//! that names the field in the caller's words, and nobody is asked.

use http::Method;
use orchestrator_testkit::{
    fixtures,
    provider::{Cut, Provider},
};
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, Gateway},
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/m:generateContent";

/// The message and the field of an error in the envelope of the path's dialect.
fn told(path: &str, answer: &Answer) -> (String, Option<String>) {
    let body = answer.json();
    let error = &body["error"];
    match path {
        MESSAGES => {
            assert_eq!(
                (&body["type"], &error["type"]),
                (&json!("error"), &json!("invalid_request_error")),
                "{body}"
            );
        }
        GEMINI => assert_eq!(
            (&error["code"], &error["status"]),
            (&json!(400), &json!("INVALID_ARGUMENT")),
            "{body}"
        ),
        _ => assert_eq!(error["type"], "invalid_request_error", "{body}"),
    }
    let message = error["message"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    (message, error["param"].as_str().map(str::to_owned))
}

/// The provider's kind that speaks another dialect than the path, and no other.
fn foreign(path: &str) -> Value {
    match path {
        CHAT => json!({"kind": "anthropic", "max_retries": 0}),
        _ => json!({"kind": "openai_compatible", "max_retries": 0}),
    }
}

async fn house(path: &str, channel: crate::gateway::Channel) -> (Gateway, Provider) {
    let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
    let base_url = provider.base_url();
    let base_url = if path == CHAT { base_url.strip_suffix("/v1").unwrap() } else { &base_url };
    let id = gateway.add_provider("other", base_url, foreign(path)).await;
    gateway.add_model("m", "m-upstream", &[&id]).await;
    (gateway, provider)
}

fn chat(messages: &Value) -> Value {
    json!({"model": "m", "messages": messages})
}

fn anthropic(messages: &Value) -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": messages})
}

fn responses(input: &Value) -> Value {
    json!({"model": "m", "input": input})
}

/// What is wrong, the request, and the path that must be named.
fn bad_requests(path: &str) -> Vec<(Value, &'static str)> {
    match path {
        CHAT => vec![
            (chat(&json!([{"role": "narrator", "content": "x"}])), "messages[0].role"),
            (
                chat(&json!([{"role": "user", "content": [{"type": "hologram"}]}])),
                "messages[0].content[0].type",
            ),
            (chat(&json!([{"role": "tool", "content": "x"}])), "messages[0].tool_call_id"),
            (
                chat(
                    &json!([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "c1", "content": "x"}]),
                ),
                "messages[1].tool_call_id",
            ),
            (
                chat(
                    &json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@"}}]}]),
                ),
                "messages[0].content[0].image_url",
            ),
        ],
        RESPONSES => vec![
            (
                responses(&json!([{"role": "user", "content": [{"type": "hologram"}]}])),
                "input[0].content[0].type",
            ),
            (responses(&json!([{"role": "narrator", "content": "x"}])), "input[0].role"),
            (responses(&json!([{"type": "function_call_output", "output": "x"}])), "input[0].call_id"),
            (
                responses(&json!([{"type": "function_call_output", "call_id": "c1", "output": "x"}])),
                "input[0].call_id",
            ),
            (
                responses(
                    &json!([{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,@@@"}]}]),
                ),
                "input[0].content[0].image_url",
            ),
        ],
        MESSAGES => vec![
            (
                anthropic(&json!([{"role": "user", "content": [{"type": "hologram"}]}])),
                "messages[0].content[0].type",
            ),
            (anthropic(&json!([{"role": "narrator", "content": "x"}])), "messages[0].role"),
            (json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}), "max_tokens"),
            (
                anthropic(
                    &json!([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}]),
                ),
                "messages[0].content[0].tool_use_id",
            ),
            (
                anthropic(
                    &json!([{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@@@"}}]}]),
                ),
                "messages[0].content[0].source.data",
            ),
        ],
        _ => vec![
            (json!({"contents": [{"parts": [{"hologram": {}}]}]}), "contents[0].parts[0]"),
            (json!({"contents": [{"role": "narrator", "parts": [{"text": "x"}]}]}), "contents[0].role"),
            (
                json!({"contents": [{"parts": [{"functionResponse": {"response": {}}}]}]}),
                "contents[0].parts[0].functionResponse.name",
            ),
            (
                json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "@@@"}}]}]}),
                "contents[0].parts[0].inlineData.data",
            ),
            (
                json!({"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": 1}}]}]}),
                "contents[0].parts[0].inline_data.data",
            ),
        ],
    }
}

#[tokio::test]
async fn bad_input_is_a_400_that_names_the_path_in_the_callers_words_before_anybody_is_asked() {
    let mut wrong = Vec::new();
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI] {
        let (gateway, provider) = house(path, CHANNELS[0]).await;
        for (body, named) in bad_requests(path) {
            let answer = gateway.client.post(path, &body).await;
            if answer.status != 400 {
                wrong.push(format!("{path} {named}: {} {}", answer.status, answer.text()));
                continue;
            }
            let (message, param) = told(path, &answer);
            let by_param = param.is_none_or(|param| param.starts_with(named));
            if !message.contains(named) || !by_param {
                wrong.push(format!("{path} {named}: {}", answer.text()));
            }
        }
        if !provider.seen().is_empty() {
            wrong.push(format!("{path}: asked {}", provider.seen().len()));
        }
        gateway.stop().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A request with one field that the other vendor has not, what that is called in the report, and the name of the answer's fixture.
fn more_than_the_other_has(path: &str) -> (Value, &'static str) {
    let user = json!([{"role": "user", "content": "Say something."}]);
    match path {
        CHAT => {
            let mut body = chat(&user);
            body["logit_bias"] = json!({"7": 1});
            (body, "extras.openai_chat.logit_bias")
        }
        RESPONSES => {
            let mut body = responses(&user);
            body["max_tool_calls"] = json!(3);
            (body, "extras.openai_responses.max_tool_calls")
        }
        MESSAGES => {
            let mut body = anthropic(&user);
            body["top_k"] = json!(7);
            (body, "top_k")
        }
        _ => (
            json!({"contents": [{"parts": [{"text": "Say something."}]}], "cachedContent": "cachedContents/1"}),
            "extras.gemini.cachedContent",
        ),
    }
}

#[tokio::test]
async fn what_is_left_out_is_reported_and_a_strict_caller_is_refused_it() {
    for channel in CHANNELS {
        for path in [CHAT, RESPONSES, MESSAGES, GEMINI] {
            let (gateway, provider) = house(path, channel).await;
            provider.route("chat/completions", fixtures::named("chat").answer(&Cut::Whole));
            let said = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m-upstream", "stop_reason": "end_turn",
                "stop_sequence": null, "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 3, "output_tokens": 1}});
            provider.route("messages", orchestrator_testkit::provider::Answer::json(200, &said));
            let (body, field) = more_than_the_other_has(path);
            let answer = gateway.client.post(path, &body).await;
            let told_of = answer.header("x-orchestrator-dropped").split(',').any(|dropped| dropped == field);
            assert!(
                answer.status == 200 && told_of,
                "{channel:?} {path}: {:?} {}",
                answer.headers,
                answer.text()
            );

            let asked = provider.seen().len();
            let strict = [("x-orchestrator-strict", "true")];
            let body = body.to_string().into();
            let refused = gateway.client.send(Method::POST, path, &strict, body).await;
            assert_eq!(refused.status, 400, "{channel:?} {path}: {}", refused.text());
            assert!(told(path, &refused).0.contains(field), "{}", refused.text());
            assert_eq!(provider.seen().len(), asked, "nobody is asked");
            gateway.stop().await;
        }
    }
}

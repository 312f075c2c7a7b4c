//! Between vendors: Anthropic's clients at others' providers, others' clients at Anthropic, and what one of them has thought.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    provider::{Answer as Scripted, Provider},
};
use serde_json::{Value, json};

use super::{PATH, Stage, UPSTREAM, add_anthropic, answer_of, ask, events};
use crate::gateway::{CHANNELS, Channel, Gateway};

impl Stage {
    /// The second speaks OpenAI's Chat.
    async fn before_openai(channel: Channel) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let (first, second) = (provider.named("first"), provider.named("second"));
        let more = json!({"max_retries": 0, "priority": 100, "options": {"include_usage": false}});
        let second_id = gateway.add_provider("second", &second.base_url(), more).await;
        let first_id = add_anthropic(&gateway, "first", &first, 200).await;
        gateway.add_model("m", UPSTREAM, &[&first_id, &second_id]).await;
        Self { gateway, first, second, _provider: provider }
    }
}

#[tokio::test]
async fn what_another_vendor_has_thought_stays_with_the_gateway_and_the_betas_go_along() {
    let stage = Stage::start(Channel::Embedded).await;
    stage.first.route("", answer_of("anthropic_stream_server_tools"));
    // base64 of `orc-seal:gemini:sig`.
    let thought = json!({"type": "thinking", "thinking": "", "signature": "b3JjLXNlYWw6Z2VtaW5pOnNpZw=="});
    let said = json!({"role": "assistant", "content": [thought, {"type": "text", "text": "Hi."}]});
    let user = |text: &str| json!({"role": "user", "content": text});
    let body =
        json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [user("a"), said, user("b")]});
    let headers = [("anthropic-beta", "a-1")];
    let answer = stage.gateway.client.send(Method::POST, PATH, &headers, Bytes::from(body.to_string())).await;
    let seen = stage.first.seen().remove(0);
    assert_eq!(seen.header("anthropic-beta"), Some("a-1"));
    assert_eq!(seen.json()["messages"][1]["content"], json!([{"type": "text", "text": "Hi."}]));
    // Through the hub the blocks of Anthropic's own tools arrive too.
    let heard = events(&answer.text());
    let blocks: Vec<&str> =
        heard.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(blocks, ["server_tool_use", "web_search_tool_result", "text"], "{}", answer.text());
    assert_eq!(heard[0]["message"]["usage"]["input_tokens"], 25);
}

#[tokio::test]
async fn an_openai_provider_takes_over_before_content_and_counts_for_the_caller() {
    for channel in CHANNELS {
        let stage = Stage::before_openai(channel).await;
        // The head and a ping have come; nothing was said.
        let stream = fixtures::named("anthropic_stream").body;
        let begun = std::str::from_utf8(&stream).unwrap().find("event: content_block_delta").unwrap();
        stage.first.route("", answer_of("anthropic_stream").reset_after(begun));
        stage.second.route("", answer_of("chat_stream_tool_calls"));
        let answer = stage.post(PATH, ask(true)).await;
        assert_eq!(
            (answer.status, answer.header("x-orchestrator-attempts")),
            (200, "2"),
            "{}",
            answer.text()
        );
        let heard = events(&answer.text());
        assert_eq!(heard.last().unwrap()["type"], "message_stop");
        assert_eq!(heard.iter().filter(|event| event["type"] == "message_start").count(), 1);
        let end = heard.iter().find(|event| event["type"] == "message_delta").unwrap();
        assert_eq!(end["delta"]["stop_reason"], "tool_use");

        // Nobody counts: what the caller is told is what is written down.
        stage.first.route("", Scripted::error(503));
        stage.second.route("", answer_of("chat_stream"));
        let headers = [("x-request-id", "uncounted")];
        let answer = stage.gateway.client.send(Method::POST, PATH, &headers, Bytes::from(ask(true))).await;
        let heard = events(&answer.text());
        let row = stage.gateway.record("uncounted").await;
        let end = &heard.iter().find(|event| event["type"] == "message_delta").unwrap()["usage"];
        assert_eq!(row["usage_source"], "estimated");
        assert_eq!(
            (&end["input_tokens"], &end["output_tokens"]),
            (&row["prompt_tokens"], &row["completion_tokens"])
        );
        assert_eq!(
            heard[0]["message"]["usage"]["input_tokens"], row["prompt_tokens"],
            "the beginning says it too"
        );
        assert!(
            row["prompt_tokens"].as_u64() > Some(10) && row["completion_tokens"].as_u64() > Some(0),
            "{row}"
        );
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn every_caller_is_told_the_same_estimate_where_anthropics_imitator_counts_nothing() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        let chat = json!({"model": "m", "messages": [{"role": "user", "content": "Say hello."}], "stream_options": {"include_usage": true}});
        let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]});
        let responses = json!({"model": "m", "input": "Say hello."});
        for (number, (path, body, counts)) in [
            ("/v1/chat/completions", chat, ["prompt_tokens", "completion_tokens"]),
            ("/v1/responses", responses, ["input_tokens", "output_tokens"]),
            ("/v1beta/models/m:", gemini, ["promptTokenCount", "candidatesTokenCount"]),
        ]
        .into_iter()
        .enumerate()
        {
            for stream in [false, true] {
                let fixture = if stream { "anthropic_stream_uncounted" } else { "anthropic_uncounted" };
                stage.first.route("", answer_of(fixture));
                let (mut path, mut body) = (path.to_owned(), body.clone());
                if path.ends_with(':') {
                    path.push_str(if stream { "streamGenerateContent?alt=sse" } else { "generateContent" });
                } else {
                    body["stream"] = stream.into();
                }
                if !stream {
                    body.as_object_mut().unwrap().remove("stream_options");
                }
                let id = format!("estimated-{number}-{stream}");
                let headers = [("x-request-id", id.as_str())];
                let answer =
                    stage.gateway.client.send(Method::POST, &path, &headers, body.to_string().into()).await;
                let row = stage.gateway.record(&id).await;
                assert_eq!(
                    (answer.status, &row["usage_source"]),
                    (200, &json!("estimated")),
                    "{}",
                    answer.text()
                );
                for (count, column) in counts.iter().zip(["prompt_tokens", "completion_tokens"]) {
                    let text = answer.text();
                    let told = text
                        .rsplit_once(&format!("\"{count}\":"))
                        .unwrap_or_else(|| panic!("{id}: {text}"))
                        .1;
                    let told: String = told.trim_start().chars().take_while(char::is_ascii_digit).collect();
                    assert_eq!(told, row[column].to_string(), "{channel:?} {id} {count}: {text}");
                    assert_ne!(told, "0", "{id}");
                }
            }
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_tool_loop_of_another_vendors_client_hands_the_thoughts_back() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        stage.first.route("", answer_of("anthropic_tool_calls"));
        let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]);
        let user = json!({"role": "user", "content": "Weather in Zürich, and the time?"});
        let mut body = json!({"model": "m", "messages": [user], "tools": tools, "reasoning_effort": "low", "max_tokens": 4096});
        let answer = stage.gateway.client.post("/v1/chat/completions", &body).await;
        let message = answer.json()["choices"][0]["message"].clone();
        let results = message["tool_calls"].as_array().unwrap().iter();
        let results: Vec<Value> =
            results.map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "1"})).collect();
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(message);
        messages.extend(results);
        let answer = stage.gateway.client.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());

        let seen = stage.first.seen();
        assert_eq!(seen[0].json()["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
        let sent = fixtures::named("anthropic_tool_calls");
        let said: Value = serde_json::from_slice(&sent.body).unwrap();
        let turns = &seen[1].json()["messages"];
        let signed = |content: &Value| -> Vec<Value> {
            let blocks = content.as_array().unwrap().iter();
            blocks.filter(|block| block["type"].as_str().unwrap().contains("thinking")).cloned().collect()
        };
        assert_eq!(signed(&turns[1]["content"]), signed(&said["content"]), "{channel:?} {turns}");
        let kinds: Vec<&str> =
            turns[2]["content"].as_array().unwrap().iter().filter_map(|it| it["type"].as_str()).collect();
        assert_eq!(kinds, ["tool_result", "tool_result"], "one turn has the results");
        stage.gateway.stop().await;
    }
}

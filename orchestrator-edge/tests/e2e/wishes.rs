//! Callers that say who is to answer, for how long and in how many attempts: by header, and in the fields that clients of
//! llm-orchestrator-py put into the body.

use std::time::Duration;

use http::Method;
use orchestrator_testkit::provider::Answer;
use serde_json::{Value, json};

use crate::{
    client::Answer as Told,
    gateway::CHANNELS,
    stage::{Stage, streamed, whole},
};

const CHAT: &str = "/v1/chat/completions";
const PROVIDERS: &str = "x-orchestrator-providers";

/// A chat with these fields beside the usual ones.
fn chat(model: &str, more: &Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Say something."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn ask(stage: &Stage, headers: &[(&str, &str)], body: &Value) -> Told {
    stage.gateway.client.send(Method::POST, CHAT, headers, body.to_string().into()).await
}

#[tokio::test]
async fn the_provider_that_is_named_answers_and_never_sees_the_fields() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        stage.first_answers(whole("Hello"));
        stage.second_answers(whole("Hello"));
        let all = json!({"provider": "second", "fallback_providers": ["first"], "timeout": 30, "retry_count": 1, "seed": 7});
        let answer = ask(&stage, &[], &chat("m", &all)).await;
        assert_eq!(
            (answer.status, answer.header("x-orchestrator-provider")),
            (200, "second"),
            "{}",
            answer.text()
        );
        let seen: Value = serde_json::from_slice(&stage.second.seen()[0].body).unwrap();
        assert_eq!(seen, chat("m-upstream", &json!({"seed": 7})), "{channel:?}");

        let named = [(PROVIDERS, "second")];
        let answer = ask(&stage, &named, &chat("m", &json!({"provider": "first"}))).await;
        assert_eq!(answer.header("x-orchestrator-provider"), "second", "the header wins");
        assert!(!String::from_utf8_lossy(&stage.second.seen()[1].body).contains("provider"));

        let routers = json!({"provider": {"order": ["x"], "allow_fallbacks": false}});
        let answer = ask(&stage, &[], &chat("m", &routers)).await;
        assert_eq!(answer.header("x-orchestrator-provider"), "first", "an object names nobody here");
        let seen: Value = serde_json::from_slice(&stage.first.seen()[0].body).unwrap();
        assert_eq!(seen, chat("m-upstream", &routers));

        let body = chat("gone-straight", &json!({"provider": "second"}));
        let answer = ask(&stage, &[], &body).await;
        assert_eq!(answer.header("x-orchestrator-model"), "gone-straight", "{}", answer.text());
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn translation_takes_the_fields_out_too() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        stage.first_answers(whole("Hello"));
        let fields = json!({"provider": "first", "timeout": 30, "retry_count": 0, "max_output_tokens": 9});
        let mut body = json!({"model": "m", "input": "Say something."});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        // No Responses here, so that it is asked in Chat.
        let chat_only = json!({"kind": "openai_compatible"});
        let id = stage.add("plain", &stage.first.base_url(), 100, &chat_only).await;
        stage.gateway.add_model("n", "m-upstream", &[&id]).await;
        body["model"] = json!("n");
        body["provider"] = json!("plain");
        let answer = stage.gateway.client.post("/v1/responses", &body).await;
        assert_eq!((answer.status, answer.header("x-orchestrator-dropped")), (200, ""), "{}", answer.text());
        let seen: Value = serde_json::from_slice(&stage.first.seen()[0].body).unwrap();
        let fields: Vec<_> = seen.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["max_tokens", "messages", "model"], "{seen}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn fall_backs_are_asked_in_the_order_that_is_given() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"max_retries": 0})).await;
        let third = stage.add("third", &stage.second.base_url(), 900, &json!({"max_retries": 0})).await;
        stage.gateway.add_model("of-one", "m-upstream", &[&third]).await;
        stage.first_answers(Answer::error(500));
        stage.second_answers(whole("Hello"));
        for (fields, provider, attempts) in [
            (json!({"provider": "first", "fallback_providers": ["second"]}), "second", "2"),
            (json!({"provider": "second", "fallback_providers": ["first"]}), "second", "1"),
            (json!({"fallback_providers": ["second"]}), "second", "2"),
        ] {
            let answer = ask(&stage, &[], &chat("m", &fields)).await;
            let told = (answer.header("x-orchestrator-provider"), answer.header("x-orchestrator-attempts"));
            assert_eq!(told, (provider, attempts), "{fields}, {channel:?}: {}", answer.text());
        }
        let answer = ask(&stage, &[(PROVIDERS, "first, second")], &chat("m", &json!({}))).await;
        assert_eq!(answer.header("x-orchestrator-attempts"), "2", "{}", answer.text());
        stage.gateway.forgive().await;
        // Alone it is asked alone, and with no attempt left nobody else is.
        let before = stage.asked();
        let alone = ask(&stage, &[], &chat("m", &json!({"provider": "first"}))).await;
        assert_eq!((alone.status, alone.header("x-orchestrator-attempts")), (500, "1"), "{}", alone.text());
        let once = ask(&stage, &[], &chat("m", &json!({"retry_count": 0}))).await;
        assert_eq!((once.status, once.header("x-orchestrator-attempts")), (500, "1"), "{}", once.text());
        assert_eq!(stage.asked(), (before.0 + 2, before.1), "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn the_time_that_is_given_ends_a_provider_that_never_answers() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        for stream in [false, true] {
            let silent = if stream { streamed(&["Hello"]) } else { whole("Hello") };
            stage.first_answers(silent.after(Duration::from_mins(1)));
            let body = chat("m", &json!({"timeout": 0.2, "stream": stream}));
            let answer = ask(&stage, &[], &body).await;
            assert_eq!(answer.status, 504, "{channel:?}, stream {stream}: {}", answer.text());
            assert!(answer.text().contains("time limit"), "{}", answer.text());
            let long = chat("m", &json!({"timeout": 600, "stream": stream}));
            let answer = ask(&stage, &[("x-orchestrator-timeout-ms", "200")], &long).await;
            assert_eq!(answer.status, 504, "the header wins: {}", answer.text());
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn wishes_that_cannot_be_met_are_refused_by_the_name_of_the_field() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        stage.add("idle", &stage.first.base_url(), 100, &json!({})).await;
        for (fields, status, param) in [
            (json!({"provider": 7}), 400, "provider"),
            (json!({"provider": "nobody"}), 404, "provider"),
            (json!({"provider": "idle"}), 400, "provider"),
            (json!({"fallback_providers": "second"}), 400, "fallback_providers"),
            (
                json!({"provider": "first", "fallback_providers": ["second", "nobody"]}),
                404,
                "fallback_providers[1]",
            ),
            (json!({"timeout": "soon"}), 400, "timeout"),
            (json!({"timeout": 0}), 400, "timeout"),
            (json!({"retry_count": 11}), 400, "retry_count"),
            (json!({"retry_count": 0.5}), 400, "retry_count"),
        ] {
            let answer = ask(&stage, &[], &chat("m", &fields)).await;
            let told = (answer.status, answer.json()["error"]["param"].as_str().unwrap().to_owned());
            assert_eq!(told, (status, param.to_owned()), "{fields}: {}", answer.text());
        }
        let answer = ask(&stage, &[(PROVIDERS, "nobody")], &chat("m", &json!({}))).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (404, &json!(PROVIDERS)));
        assert_eq!(stage.asked(), (0, 0), "nobody is asked");
        stage.gateway.stop().await;
    }
}

//! The same request many times under one idempotency key, in every dialect and on the typed plane: the provider is asked once.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use orchestrator_base::config::Config;
use orchestrator_proto::v1;
use orchestrator_testkit::{
    databases::redis::RedisServer,
    provider::{self, Script},
};
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use v1::chat_event::Kind as Event;

use crate::{
    client::Answer,
    gateway::{CHANNELS, Channel, Gateway, openai_error},
    stage::{Stage, content, events, role, streamed, whole},
    typed::{hello, keyed, ways},
};

const AT_ONCE: usize = 50;
const HOW: &str = "x-orchestrator-idempotency";
const ORIGINAL: &str = "x-orchestrator-original-request-id";

/// How callers of each dialect ask, whole and streamed.
fn questions() -> Vec<(&'static str, Value)> {
    let turns = json!([{"role": "user", "content": "Say something."}]);
    let chat = |stream: bool| json!({"model": "m", "stream": stream, "messages": turns});
    let responses = |stream: bool| json!({"model": "m", "stream": stream, "input": "Say something."});
    let messages = |stream: bool| json!({"model": "m", "stream": stream, "max_tokens": 9, "messages": turns});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Say something."}]}]});
    vec![
        ("/v1/chat/completions", chat(false)),
        ("/v1/chat/completions", chat(true)),
        ("/v1/responses", responses(false)),
        ("/v1/responses", responses(true)),
        ("/v1/messages", messages(false)),
        ("/v1/messages", messages(true)),
        ("/v1beta/models/m:generateContent", gemini.clone()),
        ("/v1beta/models/m:streamGenerateContent", gemini.clone()),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", gemini),
    ]
}

/// A provider of OpenAI's Chat that takes its time.
async fn stage(channel: Channel) -> Stage {
    let stage =
        Stage::of_one(channel, |_| {}, json!({"max_retries": 0, "options": {"dialects": ["openai_chat"]}}));
    let stage = stage.await;
    stage.first_answers(Script::choose(|_, seen| {
        if seen.json()["stream"] == true {
            streamed(&["Hello", ", ", "world"]).pace(Duration::from_millis(60))
        } else {
            whole("Hello").after(Duration::from_millis(400))
        }
    }));
    stage
}

async fn ask(stage: &Stage, path: &str, body: &Value, key: &str, id: &str) -> Answer {
    let headers = [("idempotency-key", key), ("x-request-id", id)];
    stage.gateway.client.send(Method::POST, path, &headers, body.to_string().into()).await
}

#[tokio::test]
async fn fifty_at_once_cost_one_request_and_are_answered_alike_in_every_dialect() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        for (number, (path, body)) in questions().into_iter().enumerate() {
            let key = format!("key-{number}");
            let ids: Vec<String> = (0..AT_ONCE).map(|twin| format!("{key}-{twin}")).collect();
            let answers = join_all(ids.iter().map(|id| ask(&stage, path, &body, &key, id))).await;
            assert_eq!(stage.asked().0, number + 1, "{channel:?} {path}");
            let first = answers.iter().position(|answer| answer.header(HOW).is_empty()).unwrap();
            for (answer, id) in answers.iter().zip(&ids) {
                assert_eq!(answer.status, 200, "{channel:?} {path}: {}", answer.text());
                assert_eq!(answer.body, answers[first].body, "{channel:?} {path}");
                assert_eq!(answer.header("x-request-id"), id);
                assert_eq!(answer.header("content-type"), answers[first].header("content-type"));
            }
            let joined: Vec<_> = answers.iter().filter(|answer| answer.header(HOW) == "joined").collect();
            assert_eq!(joined.len(), AT_ONCE - 1, "{channel:?} {path}");
            assert!(joined.iter().all(|answer| answer.header(ORIGINAL) == ids[first]));

            let later = ask(&stage, path, &body, &key, &format!("{key}-later")).await;
            assert_eq!((later.header(HOW), later.header(ORIGINAL)), ("replayed", &*ids[first]));
            assert_eq!((later.status, &later.body), (200, &answers[first].body), "{channel:?} {path}");
            let record = stage.record_of(&format!("{key}-later"), ["outcome", "attempts", "tags"]).await;
            assert_eq!(record, ["ok", "0", r#"{"idempotency":"replayed"}"#], "{channel:?} {path}");

            let mut other = body.clone();
            other["user"] = "somebody else".into();
            let refused = ask(&stage, path, &other, &key, "refused").await;
            assert_eq!(refused.status, 409, "{channel:?} {path}: {}", refused.text());
            assert!(refused.text().contains("idempotency key was used before"), "{}", refused.text());
        }
        let count = questions().len();
        assert_eq!(stage.asked().0, count, "{channel:?}");
        let rows = stage.gateway.logs(count * (AT_ONCE + 2)).await;
        let sum = |column: &str| rows.iter().filter_map(|row| row[column].as_i64()).sum::<i64>();
        assert_eq!(rows.len(), count * (AT_ONCE + 2), "one record each");
        assert_eq!(sum("attempts"), i64::try_from(count).unwrap(), "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_key_is_checked_and_belongs_to_its_caller_alone() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let (path, body) = questions().remove(0);
        for key in ["", "two words", &"x".repeat(256)] {
            let refused = ask(&stage, path, &body, key, "bad").await;
            assert_eq!(refused.status, 400, "{channel:?} {key}");
            assert_eq!(openai_error(&refused).0.as_deref(), Some("idempotency-key"));
        }
        assert_eq!(ask(&stage, path, &body, "k", "one").await.status, 200);
        let made = stage.gateway.admin.post("/admin/keys", &json!({"name": "another"})).await.json();
        let secret = made["key"].as_str().or(made["secret"].as_str()).expect("the new key's secret");
        let another = stage.gateway.client.with_key(Some(secret));
        let headers = [("idempotency-key", "k")];
        let answer = another.send(Method::POST, path, &headers, body.to_string().into()).await;
        assert_eq!((answer.status, answer.header(HOW)), (200, ""), "{}", answer.text());
        let stranger = stage.gateway.client.with_key(Some("llmo-unknown"));
        let refused = stranger.send(Method::POST, path, &headers, body.to_string().into()).await;
        assert_eq!((refused.status, refused.header(HOW)), (401, ""));
        assert_eq!(stage.asked().0, 2, "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_failure_frees_the_key_and_a_caller_that_left_finds_its_answer() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let (path, body) = questions().remove(1);
        stage.first_answers(Script::choose(|number, _| match number {
            0 => provider::Answer::error(500),
            _ => streamed(&["Hello", ", ", "world"]).pace(Duration::from_millis(150)),
        }));
        let failed = ask(&stage, path, &body, "k", "one").await;
        assert_eq!(failed.status, 500, "{channel:?}: {}", failed.text());
        stage.gateway.forgive().await;

        let headers = [("idempotency-key", "k"), ("x-request-id", "two")];
        let mut left = stage.gateway.client.open(Method::POST, path, &headers, body.to_string().into()).await;
        left.read_until(events(&[role(), content("Hello")]).len()).await;
        drop(left);
        let again = ask(&stage, path, &body, "k", "three").await;
        assert_eq!((again.status, again.header(ORIGINAL)), (200, "two"), "{channel:?}");
        assert!(again.text().ends_with("data: [DONE]\n\n"), "{}", again.text());
        assert_eq!(stage.asked().0, 2, "{channel:?}");
        let record = stage.record_of("two", ["outcome", "attempts", "completion_tokens"]).await;
        assert_eq!((&*record[0], &*record[1]), ("ok", "1"), "{channel:?}");
        stage.gateway.stop().await;
    }
}

fn options(key: &str) -> v1::CallOptions {
    v1::CallOptions { idempotency_key: key.into(), ..v1::CallOptions::default() }
}

fn chat(key: &str, id: &str) -> Request<v1::ChatRequest> {
    let mut request = keyed(v1::ChatRequest { options: Some(options(key)), ..hello() });
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    request
}

fn text<'a, T>(answer: &'a tonic::Response<T>, name: &str) -> &'a str {
    answer.metadata().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn typed_calls_join_and_are_told_again_like_all_others() {
    let stage = stage(Channel::Embedded).await;
    for (number, (way, client)) in ways(&stage.gateway).into_iter().enumerate() {
        let key = format!("chat-{number}");
        let asking = |id: String| {
            let (mut client, request) = (client.clone(), chat(&key, &id));
            async move { client.chat(request).await }
        };
        let answers = join_all((0..10).map(|twin| asking(format!("{key}-{twin}")))).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        let messages: Vec<_> = answers.iter().map(|answer| answer.get_ref().clone()).collect();
        assert!(messages.iter().all(|message| *message == messages[0]), "{way}");
        assert_eq!(messages[0].routing.as_ref().unwrap().attempts, 1, "{way}");
        let how: Vec<&str> = answers.iter().map(|answer| text(answer, HOW)).collect();
        assert_eq!(how.iter().filter(|how| **how == "joined").count(), 9, "{way}: {how:?}");
        let later = asking("later".into()).await.unwrap();
        assert_eq!((text(&later, HOW), later.get_ref()), ("replayed", &messages[0]), "{way}");

        let mut other = chat(&key, "other");
        other.get_mut().temperature = Some(0.5);
        let refused = client.clone().chat(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{way}: {refused}");
        assert_eq!(refused.get_details_error_info().unwrap().metadata["code"], "idempotency_key_reused");
        let bad = client.clone().chat(chat("two words", "bad")).await.unwrap_err();
        assert_eq!(bad.code(), Code::InvalidArgument, "{way}: {bad}");
    }
    assert_eq!(stage.asked().0, 2);
    stage.gateway.stop().await;
}

#[tokio::test]
async fn typed_streams_join_and_are_told_again_like_all_others() {
    let stage = stage(Channel::Embedded).await;
    for (number, (way, client)) in ways(&stage.gateway).into_iter().enumerate() {
        let key = format!("stream-{number}");
        let asking = |id: String| {
            let (mut client, request) = (client.clone(), chat(&key, &id));
            async move {
                let answer = client.stream_chat(request).await.expect("a stream");
                let how = text(&answer, HOW).to_owned();
                let mut stream = answer.into_inner();
                let mut events = Vec::new();
                while let Some(event) = stream.message().await.expect("an event") {
                    events.push(event);
                }
                (how, events)
            }
        };
        let answers = join_all((0..10).map(|twin| asking(format!("{key}-{twin}")))).await;
        let joined = answers.iter().filter(|(how, _)| how == "joined").count();
        assert_eq!(joined, 9, "{way}");
        let (_, events) = &answers[0];
        assert!(answers.iter().all(|(_, same)| same == events), "{way}");
        assert!(matches!(events.last().unwrap().kind, Some(Event::Finished(_))), "{way}: {events:?}");
        assert_eq!(asking("later".into()).await, ("replayed".to_owned(), events.clone()), "{way}");
    }
    assert_eq!(stage.asked().0, 2);
    stage.gateway.stop().await;
}

/// Two cores on one database and one Redis.
#[tokio::test]
async fn fifty_at_once_in_two_cores_are_one_request() {
    let redis = RedisServer::start();
    let shared = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", shared.path().join("shared.db").display());
    let settings = |config: &mut Config| {
        config.database.url = Some(database.clone().into());
        config.keys.master = Some("the master key that both cores have".into());
        config.redis.enabled = true;
        config.redis.url = redis.url().into();
        // Machines that test are busy: the time-outs of earnest would be met by accident.
        (config.redis.checkout_ms, config.redis.command_ms) = (1000, 1000);
    };
    let only_chat = json!({"max_retries": 0, "options": {"dialects": ["openai_chat"]}});
    let stage = Stage::of_one(Channel::Embedded, settings, only_chat).await;
    stage.first_answers(Script::choose(|_, seen| {
        if seen.json()["stream"] == true {
            streamed(&["Hello", ", ", "world"]).pace(Duration::from_millis(60))
        } else {
            whole("Hello").after(Duration::from_millis(400))
        }
    }));
    let other = Gateway::start_with(Channel::Split, settings).await;
    for (number, (path, body)) in questions().into_iter().enumerate() {
        let key = format!("key-{number}");
        let asking = (0..AT_ONCE).map(|twin| {
            let client = if twin % 2 == 0 { &stage.gateway.client } else { &other.client };
            let headers = [("idempotency-key", &*key)];
            let body = body.to_string();
            async move { client.send(Method::POST, path, &headers, body.into()).await }
        });
        let answers = join_all(asking).await;
        assert_eq!(stage.asked().0, number + 1, "{path}");
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body), "{path}: {}", answer.text());
        }
        let made = answers.iter().filter(|answer| answer.header(HOW).is_empty()).count();
        assert_eq!(made, 1, "{path}");
        for client in [&stage.gateway.client, &other.client] {
            let headers = [("idempotency-key", &*key)];
            let later = client.send(Method::POST, path, &headers, body.to_string().into()).await;
            assert_eq!((later.header(HOW), &later.body), ("replayed", &answers[0].body), "{path}");
        }
    }
    // What one core's failure frees, another makes.
    stage.first_answers(Script::choose(|number, _| match number {
        0 => provider::Answer::error(500),
        _ => whole("Hello"),
    }));
    let (path, body) = questions().remove(0);
    assert_eq!(ask(&stage, path, &body, "fails", "one").await.status, 500);
    other.forgive().await;
    let headers = [("idempotency-key", "fails")];
    let anew = other.client.send(Method::POST, path, &headers, body.to_string().into()).await;
    assert_eq!((anew.status, anew.header(HOW)), (200, ""), "{}", anew.text());
    other.stop().await;
    stage.gateway.stop().await;
}

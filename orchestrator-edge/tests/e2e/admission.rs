//! More requests at once than a core works on: they wait, by their deadlines, or are turned away.

use std::{future::Future, time::Duration};

use http::Method;
use orchestrator_base::config::Config;
use orchestrator_testkit::provider::{Answer, Script};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    client::Streaming,
    gateway::{CHANNELS, Channel, Gateway, openai_error},
    stage::{Asked, Stage, content, events, request, role, streamed, whole},
};

/// A request that is turned away gets its refusal in no more time than this.
const AT_ONCE: Duration = Duration::from_secs(5);

fn room_for(running: usize, waiting: usize) -> impl FnOnce(&mut Config) {
    move |config| {
        config.admission.max_concurrent_sessions = running;
        config.admission.max_queue_length = waiting;
    }
}

/// The first answer begins and does not end until its caller leaves; the others are whole.
fn first_never_ends() -> Script {
    Script::choose(|number, _| match number {
        0 => streamed(&["Hello"]).stall_after(begun().len()),
        _ => whole("Hello"),
    })
}

fn begun() -> String {
    events(&[role(), content("Hello")])
}

/// A gateway for one request at once, and the one that it works on.
async fn busy(channel: Channel, waiting: usize, set: impl FnOnce(&mut Config)) -> (Stage, Streaming) {
    let settings = |config: &mut Config| {
        room_for(1, waiting)(config);
        set(config);
    };
    let stage = Stage::of_one(channel, settings, json!({})).await;
    stage.first_answers(first_never_ends());
    let mut first = stage.open("m", true, "first", &[]).await;
    first.read_until(begun().len()).await;
    (stage, first)
}

/// Waits until that many requests run and that many wait.
async fn stands_at(gateway: &Gateway, running: u64, waiting: u64) -> Value {
    let mut queue = Value::Null;
    for _ in 0..500 {
        queue = gateway.admin.get("/admin/queue").await.json();
        if (queue["running"].as_u64(), queue["waiting"].as_u64()) == (Some(running), Some(waiting)) {
            return queue;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{queue} instead of {running} that run and {waiting} that wait");
}

#[tokio::test]
async fn one_request_too_many_waits_until_another_is_over() {
    for channel in CHANNELS {
        let (stage, first) = busy(channel, 10, |_| {}).await;
        let leaving = async {
            stands_at(&stage.gateway, 1, 1).await;
            assert_eq!(stage.asked(), (1, 0), "{channel:?}: it is not sent before it is its turn");
            drop(first);
        };
        let (asked, ()) = tokio::join!(stage.ask(false), leaving);
        assert_eq!(asked.answer.status, 200, "{channel:?}: {}", asked.answer.text());
        assert_eq!(stage.record(&asked, ["outcome", "attempts"]).await, ["ok", "1"]);
        let queue = stands_at(&stage.gateway, 0, 0).await;
        let settings = ["shed", "max_concurrent_sessions", "max_queue_length", "max_queue_wait"]
            .map(|name| &queue[name]);
        assert_eq!(settings, [&json!(0), &json!(1), &json!(10), &json!(30)]);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn those_who_wait_are_let_in_by_their_deadlines() {
    for channel in CHANNELS {
        let (stage, first) = busy(channel, 10, |_| {}).await;
        let waits = |number, headers: &'static [(&str, &str)]| {
            let stage = &stage;
            async move {
                stands_at(&stage.gateway, 1, number).await;
                stage.ask_for("m", false, headers).await
            }
        };
        let all = async {
            tokio::join!(
                waits(0, &[]),
                waits(1, &[("x-orchestrator-timeout-ms", "20000")]),
                waits(2, &[("x-orchestrator-timeout-ms", "12000")]),
                async {
                    stands_at(&stage.gateway, 1, 3).await;
                    drop(first);
                }
            )
        };
        let (patient, hasty, hastiest, ()) = all.await;
        let asked: Vec<_> = stage.first.seen().into_iter().skip(1).collect();
        let order: Vec<_> = asked.iter().map(|seen| seen.header("x-request-id").unwrap()).collect();
        assert_eq!(order, [&hastiest.id, &hasty.id, &patient.id], "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_request_that_finds_the_queue_full_is_told_so_in_its_own_dialect() {
    for channel in CHANNELS {
        let (stage, _first) = busy(channel, 0, |_| {}).await;
        let messages = json!([{"role": "user", "content": "Hi"}]);
        let openai = [
            ("/v1/chat/completions", json!({"model": "m", "messages": messages})),
            ("/v1/chat/completions", json!({"model": "m", "messages": messages, "stream": true})),
            ("/v1/completions", json!({"model": "m", "prompt": "Hi"})),
            ("/v1/responses", json!({"model": "m", "input": "Hi"})),
            ("/v1/embeddings", json!({"model": "m", "input": "Hi"})),
        ];
        for (path, body) in openai {
            let error = turned_away(&stage, path, &body).await;
            assert_eq!(error["error"]["code"], "overloaded", "{path}: {error}");
        }
        let message = json!({"model": "m", "max_tokens": 9, "messages": messages});
        let error = turned_away(&stage, "/v1/messages", &message).await;
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("overloaded_error")));
        let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
        for verb in ["generateContent", "streamGenerateContent"] {
            let error = turned_away(&stage, &format!("/v1beta/models/m:{verb}"), &contents).await;
            assert_eq!(
                (&error["error"]["code"], &error["error"]["status"]),
                (&json!(503), &json!("UNAVAILABLE"))
            );
        }
        assert_eq!(stage.gateway.client.get("/v1/models").await.status, 200, "a list needs no place");
        assert_eq!(stands_at(&stage.gateway, 1, 0).await["shed"], 8, "{channel:?}");
        assert_eq!(stage.asked(), (1, 0), "{channel:?}");
        stage.gateway.stop().await;
    }
}

/// The body of the refusal.
async fn turned_away(stage: &Stage, path: &str, body: &Value) -> Value {
    let id = stage.next_id();
    let headers = [("x-request-id", &*id)];
    let answer = stage.gateway.client.send(Method::POST, path, &headers, body.to_string().into());
    let answer = tokio::time::timeout(AT_ONCE, answer).await.expect("a refusal at once");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{path}: {}", answer.text());
    assert_eq!(answer.header("x-should-retry"), "", "{path}: another try may well help");
    let record = stage.record_of(&id, ["outcome", "status", "attempts"]).await;
    assert_eq!(record, ["unavailable", "503", "0"], "{path}");
    answer.json()
}

#[tokio::test]
async fn a_typed_call_that_finds_the_queue_full_is_told_when_to_come_back() {
    use crate::typed::{hello, keyed, ways};

    let (stage, _first) = busy(Channel::Embedded, 0, |_| {}).await;
    for (way, mut client) in ways(&stage.gateway) {
        let chat = client.chat(keyed(hello())).await.expect_err("a refusal");
        let stream = client.stream_chat(keyed(hello())).await.expect_err("a refusal");
        for refused in [chat, stream] {
            assert_eq!(refused.code(), Code::Unavailable, "{way}: {refused}");
            let info = refused.get_details_error_info().unwrap();
            assert_eq!((&*info.reason, &*info.metadata["code"]), ("UNAVAILABLE", "overloaded"), "{way}");
            let retry = refused.get_details_retry_info().unwrap().retry_delay;
            assert_eq!(retry, Some(Duration::from_secs(1)), "{way}");
        }
    }
    stage.gateway.stop().await;
}

#[tokio::test]
async fn who_waits_is_turned_away_at_its_deadline_or_after_the_longest_wait() {
    for channel in CHANNELS {
        let (stage, _first) = busy(channel, 9, |config| config.admission.max_queue_wait = 1).await;
        let hasty = timed(stage.ask_for("m", true, &[("x-orchestrator-timeout-ms", "400")]));
        let (hasty, patient) = tokio::join!(hasty, timed(stage.ask(false)));
        for ((asked, waited), least) in [(hasty, 400), (patient, 1000)] {
            assert_eq!(asked.answer.status, 503, "{channel:?}: {}", asked.answer.text());
            assert_eq!(openai_error(&asked.answer).1.as_deref(), Some("overloaded"), "{channel:?}");
            assert!(waited >= Duration::from_millis(least - 50), "{channel:?}: it waited for {waited:?}");
        }
        stands_at(&stage.gateway, 1, 0).await;
        stage.gateway.stop().await;
    }
}

async fn timed(asking: impl Future<Output = Asked>) -> (Asked, Duration) {
    let began = Instant::now();
    (asking.await, began.elapsed())
}

#[tokio::test]
async fn who_leaves_the_queue_makes_room_in_it_and_costs_no_provider_anything() {
    for channel in CHANNELS {
        let (stage, first) = busy(channel, 1, |_| {}).await;
        for stream in [true, false] {
            let id = stage.next_id();
            tokio::select! {
                _ = stage.open("m", stream, &id, &[]) => panic!("an answer to a request that waits"),
                _ = stands_at(&stage.gateway, 1, 1) => {}
            }
            stands_at(&stage.gateway, 1, 0).await;
            let record = stage.record_of(&id, ["outcome", "status", "attempts"]).await;
            assert_eq!(record, ["cancelled", "499", "0"], "{channel:?}");
        }
        let leaving = async {
            stands_at(&stage.gateway, 1, 1).await;
            drop(first);
        };
        let (asked, ()) = tokio::join!(stage.ask(false), leaving);
        assert_eq!(asked.answer.status, 200, "{channel:?}: {}", asked.answer.text());
        assert_eq!(stage.asked(), (2, 0), "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stored_response_needs_a_place_too() {
    let stage = Stage::of_one(Channel::Embedded, room_for(1, 0), json!({})).await;
    stage.first.route("responses", response());
    let body = json!({"model": "m", "input": "Hi"});
    let made = stage.gateway.client.post("/v1/responses", &body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    stage.first.route("responses/resp_1", response());
    assert_eq!(stage.gateway.client.get("/v1/responses/resp_1").await.status, 200);
    stage.first_answers(first_never_ends());
    let mut first = stage.open("m", true, "first", &[]).await;
    first.read_until(begun().len()).await;
    assert_eq!(stage.gateway.client.get("/v1/responses/resp_1").await.status, 503);
    drop(first);
    stands_at(&stage.gateway, 0, 0).await;
    assert_eq!(stage.gateway.client.get("/v1/responses/resp_1").await.status, 200);
    stage.gateway.stop().await;
}

fn response() -> Answer {
    Answer::json(
        200,
        &json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m-upstream",
            "store": true, "output": [], "usage": {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8},
        }),
    )
}

#[tokio::test]
async fn places_are_given_back_however_an_answer_ends() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, room_for(1, 0), json!({"max_retries": 0})).await;
        let answers = [
            whole("Hello"),
            streamed(&["Hello"]),
            streamed(&["Hello"]).reset_after(begun().len()),
            Answer::error(500),
            Answer::reset_before_headers(),
        ];
        for answer in answers {
            stage.first_answers(answer);
            for stream in [false, true] {
                let sent = stage.gateway.client.open(
                    Method::POST,
                    "/v1/chat/completions",
                    &[],
                    request("m", stream),
                );
                let status = sent.await.read_all().await.status;
                assert_ne!(status, 503, "{channel:?}: the place is still taken");
                stands_at(&stage.gateway, 0, 0).await;
            }
        }
        stage.gateway.stop().await;
    }
}

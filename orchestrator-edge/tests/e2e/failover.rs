//! The first of two providers fails before any of its answer is the caller's: the caller sees one clean answer, of the second.

use orchestrator_testkit::provider::{Answer, Script};
use serde_json::json;
use tokio::net::TcpSocket;

use crate::{
    gateway::{CHANNELS, PROVIDER_KEY},
    stage::{Asked, Stage, content, events, role, streamed, whole},
};

const MAX_EVENT: usize = 4096;

#[tokio::test]
async fn whatever_way_the_first_provider_fails_the_second_answers() {
    for channel in CHANNELS {
        let stage =
            Stage::of_two(channel, |config| config.limits.max_event_bytes = MAX_EVENT, json!({})).await;
        for stream in [false, true] {
            let good = if stream { streamed(&["Hel", "lo"]) } else { whole("Hello") };
            stage.second_answers(good.clone());
            for (fault, answer) in faults(stream) {
                let before = stage.asked();
                stage.gateway.forgive().await;
                stage.first_answers(answer);
                let asked = stage.ask(stream).await;
                let case = format!("{fault}, stream {stream}, {channel:?}");
                assert_eq!(stage.asked(), (before.0 + 1, before.1 + 1), "{case}");
                second_answered(&stage, &asked, &good, &case).await;
            }
        }
        assert_eq!(stage.first.complaints(), Vec::<String>::new());
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_like_any_other() {
    // Bound and not listening: nobody else can take the port, and whoever dials it is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}/v1", socket.local_addr().unwrap());
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        let absent = stage.add("absent", &nobody, 900, &json!({})).await;
        let second = stage.add("spare", &stage.second.base_url(), 100, &json!({})).await;
        stage.gateway.add_model("half-there", "m-upstream", &[&absent, &second]).await;
        for stream in [false, true] {
            let good = if stream { streamed(&["Hello"]) } else { whole("Hello") };
            stage.second_answers(good.clone());
            let asked = stage.ask_for("half-there", stream, &[]).await;
            assert_eq!((asked.answer.status, &asked.answer.body), (200, &good.body_bytes()), "{channel:?}");
            assert_eq!(asked.answer.header("x-orchestrator-attempts"), "2");
            assert_eq!(stage.record(&asked, ["attempts", "provider"]).await, ["2", "spare"]);
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_rejected_key_gives_way_to_the_providers_next_key_and_then_to_the_next_provider() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        let providers = stage.gateway.admin.get("/admin/providers").await.json();
        let first = providers.as_array().unwrap().iter().find(|each| each["name"] == "first").unwrap();
        let path = format!("/admin/providers/{}/keys", first["id"].as_str().unwrap());
        stage.gateway.create(&path, &json!({"label": "spare", "secret": "sk-spare-key"})).await;

        stage.first_answers(Script::sequence([Answer::error(401), whole("Hello")]));
        let asked = stage.ask(false).await;
        assert_eq!((asked.answer.status, asked.answer.header("x-orchestrator-provider")), (200, "first"));
        assert_eq!(stage.record(&asked, ["attempts", "provider"]).await, ["2", "first"]);
        let mut keys: Vec<_> =
            stage.first.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
        keys.sort();
        assert_eq!(keys, [format!("Bearer {PROVIDER_KEY}"), "Bearer sk-spare-key".to_owned()], "{channel:?}");

        stage.first_answers(Answer::error(401));
        stage.second_answers(whole("Hello"));
        stage.gateway.forgive().await;
        let asked = stage.ask(false).await;
        assert_eq!((asked.answer.status, asked.answer.header("x-orchestrator-attempts")), (200, "3"));
        assert_eq!(stage.record(&asked, ["attempts", "provider"]).await, ["3", "second"]);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_told_at_once_byte_for_byte() {
    let said = "{\n  \"error\": { \"message\": \"n is too large\", \"type\": \"invalid_request_error\", \"param\": \"n\", \"code\": null, \"hint\": 1e3 }\n}\n";
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        for stream in [false, true] {
            stage.first_answers(Answer::whole(400, "application/json; charset=utf-8", said));
            let asked = stage.ask(stream).await;
            assert_eq!((asked.answer.status, asked.answer.text().as_str()), (400, said), "{channel:?}");
            assert_eq!(asked.answer.header("x-orchestrator-attempts"), "1");
            assert_eq!(asked.answer.header("x-should-retry"), "false");
            let record = stage.record(&asked, ["attempts", "status", "outcome"]).await;
            assert_eq!(record, ["1", "400", "invalid_request"]);
        }
        assert_eq!(stage.asked(), (2, 0), "the second provider is not asked what the first could not take");
        stage.gateway.stop().await;
    }
}

/// The ways to fail before the commit point.
fn faults(stream: bool) -> Vec<(&'static str, Answer)> {
    let mut faults = vec![
        ("500", Answer::error(500)),
        ("503", Answer::error(503)),
        ("529", Answer::error(529)),
        ("429", Answer::error(429)),
        ("the model is not there", Answer::error(404)),
        ("the key is rejected", Answer::error(401)),
        ("reset before headers", Answer::reset_before_headers()),
        ("closed before headers", Answer::close_before_headers()),
        ("an HTML page with 200", Answer::html().status(200)),
        ("an HTML page with 502", Answer::html()),
        ("no HTTP", Answer::not_http("SSH-2.0-OpenSSH_9.6\r\n")),
    ];
    faults.extend(if stream { faults_of_streams() } else { faults_of_whole_answers() });
    faults
}

fn faults_of_whole_answers() -> Vec<(&'static str, Answer)> {
    let error =
        json!({"error": {"message": "overloaded", "type": "server_error", "param": null, "code": null}});
    vec![
        ("an error under a 200", Answer::json(200, &error)),
        ("nothing under a 200", Answer::whole(200, "application/json", "")),
        ("half of it, then closed", whole("Good bye").fin_after(40)),
        ("half of it, then reset", whole("Good bye").reset_after(40)),
    ]
}

fn faults_of_streams() -> Vec<(&'static str, Answer)> {
    let begun = events(&[role()]).len();
    let broken = || streamed(&["Good", " bye"]);
    let large = content(&"x".repeat(MAX_EVENT));
    vec![
        ("an error event first", Answer::sse_error_first()),
        ("an error event after the role", sse_error_after_role()),
        ("an empty stream", Answer::stream("text/event-stream", "")),
        ("a whole answer for a stream", whole("Good bye")),
        ("reset before content", broken().reset_after(begun)),
        ("closed before content", broken().fin_after(begun)),
        ("ended before content", Answer::stream("text/event-stream", events(&[role()]))),
        ("closed inside the first content", broken().fin_after(begun + 30)),
        ("a malformed chunk before content", broken().bad_chunk_after(begun)),
        ("an event that is too large", Answer::sse([role(), large])),
        ("an event that is no JSON", Answer::sse([role(), "{\"choices\": [".to_owned()])),
    ]
}

fn sse_error_after_role() -> Answer {
    let error =
        json!({"error": {"message": "overloaded", "type": "server_error", "param": null, "code": null}});
    Answer::stream("text/event-stream", events(&[role(), error.to_string()]))
}

async fn second_answered(stage: &Stage, asked: &Asked, good: &Answer, case: &str) {
    let answer = &asked.answer;
    assert_eq!(answer.status, 200, "{case}: {}", answer.text());
    assert_eq!(answer.body, good.body_bytes(), "{case}");
    assert_eq!(answer.header("x-orchestrator-provider"), "second", "{case}");
    assert_eq!(answer.header("x-orchestrator-attempts"), "2", "{case}");
    let record = stage.record(asked, ["attempts", "provider", "outcome", "status", "error"]).await;
    assert_eq!(record, ["2", "second", "ok", "200", ""], "{case}");
}

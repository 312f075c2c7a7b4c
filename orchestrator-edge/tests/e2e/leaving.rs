//! A caller that leaves: its provider is told at once, by the connection's end, and the ledger writes what it cost.

use std::time::Duration;

use http::Method;
use orchestrator_testkit::provider::{Answer, Cut, Seen};
use serde_json::json;

use crate::{
    gateway::{CHANNELS, Channel},
    stage::{Stage, content, events, finish, role, streamed, whole},
};

/// How soon a provider is left.
const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_of_a_stream_stops_its_provider() {
    let said = events(&[role(), content("Hello")]);
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        stage.first_answers(streamed(&["Hello", " world"]).stall_after(said.len()));
        let id = stage.next_id();
        let mut stream = stage.open("m", true, &id, &[]).await;
        assert_eq!(stream.read_until(said.len()).await, said);
        drop(stream);
        provider_is_left(&stage, &id, channel).await;
        let record = stage.record_of(&id, ["usage_source", "stream"]).await;
        assert_eq!(record, ["estimated", "1"], "what came before is accounted for");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_first_token_or_a_whole_answer_stops_its_provider() {
    for channel in CHANNELS {
        for stream in [true, false] {
            let stage = Stage::of_two(channel, |_| {}, json!({})).await;
            stage.first_answers(Answer::silence());
            let id = stage.next_id();
            tokio::select! {
                _ = stage.open("m", stream, &id, &[]) => panic!("a silent provider's answer"),
                _ = stage.first.wait_for(1, PATIENCE) => {}
            }
            provider_is_left(&stage, &id, channel).await;
            stage.gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_leaves_between_the_attempts_costs_no_further_attempt() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        stage.first_answers(Answer::error(503).header("retry-after", "1"));
        let id = stage.next_id();
        tokio::select! {
            _ = stage.open("m", true, &id, &[]) => panic!("an answer before the attempts were over"),
            _ = stage.first.wait_for(1, PATIENCE) => {}
        }
        let record = stage.record_of(&id, ["outcome", "status", "attempts"]).await;
        assert_eq!(record, ["cancelled", "499", "1"], "{channel:?}");
        stage.gateway.stop().await;
    }
}

/// From now on what callers leave behind is read on.
async fn drain(stage: &Stage) {
    let keys = stage.gateway.admin.get("/admin/keys").await.json();
    let path = format!("/admin/keys/{}", keys[0]["id"].as_str().unwrap());
    let body = json!({"on_disconnect": "drain"}).to_string();
    let changed = stage.gateway.admin.send(Method::PATCH, &path, &[], body.into()).await;
    assert_eq!(changed.json()["on_disconnect"], "drain", "{}", changed.text());
}

/// Asks, and leaves when the provider has been asked for the `count`th time.
async fn ask_and_leave(stage: &Stage, stream: bool, count: usize) -> (String, Seen) {
    let id = stage.next_id();
    let mut seen = tokio::select! {
        _ = stage.open("m", stream, &id, &[]) => panic!("an answer before its time"),
        seen = stage.first.wait_for(count, PATIENCE) => seen,
    };
    (id, seen.remove(count - 1))
}

/// A stream with the provider's own count, whose first content is followed by a pause.
fn counted(pause: Duration) -> Answer {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    let usage = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-upstream",
        "choices": [], "usage": usage,
    });
    let all = Answer::sse([role(), content("Hello"), content(" world"), finish(), usage.to_string()]);
    all.cut(&Cut::At(vec![said().len()])).pace(pause)
}

fn said() -> String {
    events(&[role(), content("Hello")])
}

const ACCOUNT: [&str; 6] =
    ["outcome", "status", "attempts", "usage_source", "prompt_tokens", "completion_tokens"];

#[tokio::test]
async fn a_stream_whose_caller_left_is_read_on_for_the_providers_own_count_where_the_key_says_so() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        drain(&stage).await;
        stage.first_answers(counted(Duration::from_millis(500)));
        let id = stage.next_id();
        let mut stream = stage.open("m", true, &id, &[]).await;
        assert_eq!(stream.read_until(said().len()).await, said());
        drop(stream);
        let record = stage.record_of(&id, ACCOUNT).await;
        assert_eq!(record, ["cancelled", "499", "1", "provider", "11", "7"], "{channel:?}");
        let seen = stage.first.seen();
        assert!(!seen[0].peer_closed(), "{channel:?}: the provider was left before its end");
        assert_eq!(stage.asked(), (1, 0), "{channel:?}");
        let queue = stage.gateway.admin.get("/admin/queue").await.json();
        assert_eq!(queue["running"], 0, "{channel:?}: it still has its place");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_has_not_begun_is_waited_for_too_but_nobody_else_is_asked() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        drain(&stage).await;
        let pause = Duration::from_millis(300);
        stage.first_answers(whole("Hello").after(pause));
        let (id, _) = ask_and_leave(&stage, false, 1).await;
        let record = stage.record_of(&id, ACCOUNT).await;
        assert_eq!(record, ["cancelled", "499", "1", "provider", "3", "5"], "{channel:?}");
        stage.first_answers(counted(pause).after(pause));
        let (id, _) = ask_and_leave(&stage, true, 2).await;
        let record = stage.record_of(&id, ACCOUNT).await;
        assert_eq!(record, ["cancelled", "499", "1", "provider", "11", "7"], "{channel:?}");
        stage.first_answers(Answer::error(503).after(pause));
        let (id, _) = ask_and_leave(&stage, false, 3).await;
        let record = stage.record_of(&id, ["outcome", "status", "attempts"]).await;
        assert_eq!(record, ["cancelled", "499", "1"], "{channel:?}");
        assert_eq!(stage.asked(), (3, 0), "{channel:?}: another provider works for nobody");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn an_answer_is_read_on_up_to_a_size() {
    let stage = Stage::of_one(Channel::Embedded, |_| {}, json!({})).await;
    drain(&stage).await;
    let long = content(&"x".repeat(64 << 10));
    let mut all = vec![role(), content("Hello")];
    all.extend(std::iter::repeat_n(long, 140));
    let all = Answer::sse(all).cut(&Cut::At(vec![said().len()])).pace(Duration::from_millis(300));
    let length = all.body_bytes().len();
    stage.first_answers(all.stall_after(length - 20));
    let id = stage.next_id();
    let mut stream = stage.open("m", true, &id, &[]).await;
    stream.read_until(said().len()).await;
    drop(stream);
    let record = stage.record_of(&id, ["outcome", "usage_source"]).await;
    assert_eq!(record, ["cancelled", "estimated"]);
    assert!(stage.first.seen()[0].peer_closed_within(AT_ONCE).await, "the provider goes on for nobody");
    stage.gateway.stop().await;
}

#[tokio::test]
async fn an_answer_is_read_on_for_a_minute() {
    let longer = json!({"timeouts": {"idle_ms": 300_000}});
    let stage = Stage::of_one(Channel::Embedded, |_| {}, longer).await;
    drain(&stage).await;
    stage.first_answers(streamed(&["Hello", " world"]).stall_after(said().len()));
    let id = stage.next_id();
    let mut stream = stage.open("m", true, &id, &[]).await;
    stream.read_until(said().len()).await;
    drop(stream);
    let provider = &stage.first.seen()[0];
    assert!(!provider.peer_closed_within(Duration::from_millis(300)).await, "the key says to read on");
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    assert!(provider.peer_closed_within(AT_ONCE).await, "the provider goes on for nobody");
    let record = stage.record_of(&id, ["outcome", "status", "usage_source"]).await;
    assert_eq!(record, ["cancelled", "499", "estimated"]);
    stage.gateway.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_still_read_on_when_the_core_stops_is_accounted_for() {
    let stage = Stage::of_one(Channel::Embedded, |_| {}, json!({})).await;
    drain(&stage).await;
    stage.first_answers(streamed(&["Hello", " world"]).stall_after(said().len()));
    let id = stage.next_id();
    let mut stream = stage.open("m", true, &id, &[]).await;
    stream.read_until(said().len()).await;
    drop(stream);
    let provider = &stage.first.seen()[0];
    assert!(!provider.peer_closed_within(Duration::from_millis(300)).await, "the key says to read on");
    let database = stage.gateway.database.clone();
    let _files = stage.gateway.stop().await;
    let query = "SELECT request_id, outcome, status, usage_source FROM request_logs";
    let rows = orchestrator_testkit::sqlite::rows(&database, query).await;
    let expected =
        json!({"request_id": id, "outcome": "cancelled", "status": 499, "usage_source": "estimated"});
    assert_eq!(rows, [expected]);
}

async fn provider_is_left(stage: &Stage, id: &str, channel: Channel) {
    let seen = stage.first.wait_for(1, PATIENCE).await;
    assert!(seen[0].peer_closed_within(AT_ONCE).await, "{channel:?}: the provider goes on for nobody");
    let record = stage.record_of(id, ["outcome", "status", "attempts", "provider"]).await;
    assert_eq!(record, ["cancelled", "499", "1", "first"], "{channel:?}");
    assert_eq!(stage.asked(), (1, 0), "{channel:?}");
}

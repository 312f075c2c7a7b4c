//! Streams that go wrong after content has been passed on: the caller keeps what came and is told of the rest in the protocol.

use std::time::Duration;

use orchestrator_testkit::provider::{Answer, Piece};
use serde_json::json;

use crate::{
    gateway::CHANNELS,
    stage::{Asked, Stage, content, events, finish, only_an_error_event, role, streamed},
};

const MAX_EVENT: usize = 4096;

/// What every stream here has said before something happens.
fn said() -> String {
    events(&[role(), content("Hello")])
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_with_an_error_event_and_without_done() {
    let whole = || streamed(&["Hello", " world"]);
    let cut = said().len();
    let large = content(&"x".repeat(MAX_EVENT));
    let faults = [
        ("reset", whole().reset_after(cut)),
        ("closed", whole().fin_after(cut)),
        ("closed inside an event", whole().fin_after(cut + 30)),
        ("ended", Answer::stream("text/event-stream", said())),
        ("ended inside an event", Answer::stream("text/event-stream", said() + r#"data: {"id":"chat"#)),
        ("a malformed chunk", whole().bad_chunk_after(cut)),
        ("silence", whole().stall_after(cut)),
        ("an event that is too large", after_a_while(&events(&[large]))),
    ];
    for channel in CHANNELS {
        let timeouts = json!({"timeouts": {"idle_ms": 500}});
        let stage =
            Stage::of_two(channel, |config| config.limits.max_event_bytes = MAX_EVENT, timeouts).await;
        for (fault, answer) in &faults {
            stage.first_answers(answer.clone());
            let asked = stage.ask(true).await;
            truncated(&stage, &asked, &format!("{fault}, {channel:?}")).await;
        }
        assert_eq!(stage.asked(), (faults.len(), 0), "nobody else is asked once there was content");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_takes_longer_than_its_time_is_cut_where_it_stands() {
    for channel in CHANNELS {
        let timeouts = json!({"timeouts": {"total_ms": 1000, "idle_ms": 60_000}});
        let stage = Stage::of_one(channel, |_| {}, timeouts).await;
        // It speaks all the time and never ends.
        let mut pieces = vec![Piece::Data(said().into())];
        let more = events(&[content(".")]);
        for _ in 0..200 {
            pieces.extend([Piece::Wait(Duration::from_millis(50)), Piece::Data(more.clone().into())]);
        }
        stage.first_answers(Answer::pieces(pieces));
        let asked = stage.ask(true).await;
        let text = asked.answer.text();
        let rest = text.strip_prefix(&said()).unwrap().trim_start_matches(&more);
        let message = only_an_error_event(rest)["message"].as_str().unwrap().to_owned();
        assert!(message.contains("time limit"), "{channel:?}: {message}");
        assert_eq!(stage.record(&asked, ["outcome", "status"]).await, ["truncated", "200"]);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_providers_own_error_event_passes_as_it_was_sent() {
    let error = r#"data: {"error":{"message":"out of capacity","type":"server_error","param":null,"code":null,"id":7}}"#;
    let sent = format!("{}{error}\n\n", said());
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        stage.first_answers(after_a_while(&format!("{error}\n\n")));
        let asked = stage.ask(true).await;
        assert_eq!((asked.answer.status, asked.answer.text()), (200, sent.clone()), "{channel:?}");
        let record = stage.record(&asked, ["outcome", "status", "error", "usage_source"]).await;
        assert_eq!(record, ["truncated", "200", "out of capacity", "estimated"]);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_said_why_it_ended_is_whole_without_done() {
    let ended = said() + &events(&[finish()]);
    let without_blank_line = ended.trim_end().to_owned();
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        for sent in [&ended, &without_blank_line] {
            stage.first_answers(Answer::stream("text/event-stream", sent.clone()));
            let asked = stage.ask(true).await;
            assert_eq!((asked.answer.status, &asked.answer.text()), (200, sent), "{channel:?}");
            assert_eq!(stage.record(&asked, ["outcome", "finish_reason"]).await, ["ok", "stop"]);
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_outlives_the_process_as_a_truncated_record() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        stage.first_answers(streamed(&["Hello", " world"]).stall_after(said().len()));
        let id = stage.next_id();
        let mut stream = stage.open("m", true, &id, &[]).await;
        assert_eq!(stream.read_until(said().len()).await, said());

        // What a process that is killed now leaves behind: its files as they are, with the stream open in the journal.
        let left = tempfile::tempdir().unwrap();
        stage.gateway.copy_files(left.path());
        let next = crate::gateway::Gateway::start_on(channel, left, |_| {}).await;
        let row = next.record(&id).await;
        assert_eq!(
            (row["outcome"].as_str(), row["status"].as_i64()),
            (Some("truncated"), Some(200)),
            "{row}"
        );
        assert_eq!(row["usage_source"], "estimated");
        next.stop().await;
        drop(stream);
        stage.gateway.stop().await;
    }
}

/// Content first, and this in a piece of its own.
fn after_a_while(rest: &str) -> Answer {
    let wait = Piece::Wait(Duration::from_millis(50));
    Answer::pieces(vec![Piece::Data(said().into()), wait, Piece::Data(rest.to_owned().into())])
}

async fn truncated(stage: &Stage, asked: &Asked, case: &str) {
    let text = asked.answer.text();
    assert_eq!(asked.answer.status, 200, "{case}: {text}");
    let rest = text.strip_prefix(&said()).unwrap_or_else(|| panic!("{case}: {text}"));
    only_an_error_event(rest);
    let columns = ["outcome", "status", "attempts", "provider", "usage_source"];
    let record = stage.record(asked, columns).await;
    assert_eq!(record, ["truncated", "200", "1", "first", "estimated"], "{case}");
}

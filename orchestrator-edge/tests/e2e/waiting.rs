//! Providers that let a caller wait: time-outs, heads that are sent before an answer, bytes that keep a connection open.

use std::time::Duration;

use orchestrator_base::config::Config;
use orchestrator_testkit::provider::Answer;
use serde_json::json;

use crate::{
    gateway::{CHANNELS, openai_error},
    stage::{Stage, content, events, only_an_error_event, role, streamed, whole},
};

const LIMIT: (&str, &str) = ("x-orchestrator-timeout-ms", "1000");
const IDLE: &str = ": idle\n\n";

#[tokio::test]
async fn a_first_token_that_is_late_is_the_next_providers_turn() {
    let role_alone = streamed(&["Good bye"]).stall_after(events(&[role()]).len());
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"timeouts": {"first_token_ms": 100}})).await;
        let good = streamed(&["Hello"]);
        // The second one is as late, and the last: it is waited for.
        stage.second_answers(good.clone().after(Duration::from_millis(300)));
        for late in [Answer::silence(), role_alone.clone()] {
            stage.first_answers(late);
            let asked = stage.ask(true).await;
            assert_eq!((asked.answer.status, &asked.answer.body), (200, &good.body_bytes()), "{channel:?}");
            assert_eq!(
                stage.record(&asked, ["attempts", "provider", "outcome"]).await,
                ["2", "second", "ok"]
            );
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_late_is_the_next_providers_turn() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"timeouts": {"total_ms": 1000}})).await;
        stage.first_answers(Answer::silence());
        stage.second_answers(whole("Hello"));
        let asked = stage.ask(false).await;
        assert_eq!((asked.answer.status, asked.answer.header("x-orchestrator-provider")), (200, "second"));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_callers_own_time_limit_is_a_504_before_content_and_an_error_event_after() {
    let said = events(&[role(), content("Hello")]);
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        stage.first_answers(Answer::silence());
        for stream in [false, true] {
            let asked = stage.ask_for("m", stream, &[LIMIT]).await;
            assert_eq!(asked.answer.status, 504, "stream {stream}, {channel:?}: {}", asked.answer.text());
            openai_error(&asked.answer);
            let record = stage.record(&asked, ["outcome", "status", "attempts"]).await;
            assert_eq!(record, ["timeout", "504", "1"], "stream {stream}, {channel:?}");
        }
        stage.first_answers(streamed(&["Hello", " world"]).stall_after(said.len()));
        let asked = stage.ask_for("m", true, &[LIMIT]).await;
        let text = asked.answer.text();
        assert_eq!(asked.answer.status, 200, "{channel:?}: {text}");
        only_an_error_event(text.strip_prefix(&said).unwrap());
        assert_eq!(stage.record(&asked, ["outcome", "status"]).await, ["truncated", "200"], "{channel:?}");
        assert_eq!(stage.asked(), (3, 0), "a caller without time is not tried on the next provider");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_silent_provider_gets_its_caller_a_head_and_idle_bytes() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, impatient, json!({})).await;
        let good = streamed(&["Hello"]);
        stage.first_answers(good.clone().after(Duration::from_secs(1)));
        let id = stage.next_id();
        let mut stream = stage.open("m", true, &id, &[]).await;
        assert_eq!(
            (stream.status, &stream.headers["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert!(!stream.headers.contains_key("x-orchestrator-provider"), "nobody has answered yet");
        assert_eq!(stream.piece().await.unwrap().unwrap(), IDLE, "{channel:?}");
        let text = stream.read_all().await.text();
        assert_eq!(text.trim_start_matches(IDLE).as_bytes(), good.body_bytes(), "{channel:?}");
        assert_eq!(stage.record_of(&id, ["outcome", "provider"]).await, ["ok", "first"]);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_pause_inside_an_answer_is_filled_with_idle_bytes_between_events() {
    let said = events(&[role(), content("Hello")]);
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, impatient, json!({})).await;
        let good = streamed(&["Hello", " world"]);
        let cut = orchestrator_testkit::provider::Cut::At(vec![said.len() + 20]);
        stage.first_answers(good.clone().cut(&cut).pace(Duration::from_millis(400)));
        let asked = stage.ask(true).await;
        let text = asked.answer.text();
        let rest = text.strip_prefix(&said).unwrap_or_else(|| panic!("{channel:?}: {text}"));
        assert!(rest.starts_with(IDLE), "{channel:?}: {text}");
        assert_eq!(text.replace(IDLE, "").as_bytes(), good.body_bytes(), "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn when_all_fail_behind_an_early_head_the_stream_says_so() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, impatient, json!({"max_retries": 0})).await;
        stage.first_answers(Answer::error(503).after(Duration::from_secs(1)));
        stage.second_answers(Answer::error(500));
        let asked = stage.ask(true).await;
        assert_eq!(asked.answer.status, 200, "{channel:?}");
        let text = asked.answer.text();
        let error = only_an_error_event(text.trim_start_matches(IDLE));
        assert_eq!(error["message"], "the provider was told to answer 500", "{channel:?}");
        let record = stage.record(&asked, ["attempts", "outcome"]).await;
        assert_eq!(record, ["2", "provider_failed"], "{channel:?}");
        stage.gateway.stop().await;
    }
}

fn impatient(config: &mut Config) {
    config.stream.early_head_ms = 50;
    config.stream.idle_bytes_ms = 50;
}

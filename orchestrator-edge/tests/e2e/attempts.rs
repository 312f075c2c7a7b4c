//! All providers fail: which failure the caller is told, and how often whom is asked before.

use orchestrator_testkit::provider::{Answer, Script};
use serde_json::json;

use crate::{
    gateway::{CHANNELS, openai_error},
    stage::{Stage, streamed, whole},
};

#[tokio::test]
async fn of_several_failures_the_caller_is_told_the_most_telling() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"max_retries": 0})).await;
        for (first, second, told) in telling() {
            stage.first_answers(first.clone());
            stage.second_answers(second.clone());
            for stream in [false, true] {
                stage.gateway.forgive().await;
                let asked = stage.ask(stream).await;
                let case = format!("{} and {}, stream {stream}, {channel:?}", name(&first), name(&second));
                assert_eq!(asked.answer.status, told.status, "{case}: {}", asked.answer.text());
                assert_eq!(asked.answer.header("x-should-retry"), "false", "{case}");
                assert_eq!(asked.answer.header("x-orchestrator-attempts"), "2", "{case}");
                assert_eq!(asked.answer.header("content-type"), "application/json", "{case}");
                let (.., message) = openai_error(&asked.answer);
                assert!(message.contains(told.message), "{case}: {message}");
                if let Some(body) = &told.body {
                    assert_eq!(&asked.answer.body, body, "{case}");
                }
                let record = stage.record(&asked, ["attempts", "status"]).await;
                assert_eq!(record, ["2".to_owned(), told.status.to_string()], "{case}");
            }
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_limits_retry_after_reaches_the_caller_within_a_day() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"max_retries": 0})).await;
        for (said, told) in [("7", "7"), ("1.2", "2"), ("9999999", "86400")] {
            stage.first_answers(Answer::error(429).header("retry-after", said));
            stage.second_answers(Answer::error(500));
            let asked = stage.ask(false).await;
            assert_eq!((asked.answer.status, asked.answer.header("retry-after")), (429, told), "{channel:?}");
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_lone_provider_is_asked_again_within_the_attempts_of_the_model() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 10})).await;
        for stream in [false, true] {
            let good = if stream { streamed(&["Hello"]) } else { whole("Hello") };
            let at_once = Answer::error(503).header("retry-after", "0");
            let answers = [Answer::error(500), at_once.clone(), good.clone()];
            let before = stage.asked().0;
            stage.first_answers(Script::sequence(answers));
            let asked = stage.ask(stream).await;
            assert_eq!((asked.answer.status, &asked.answer.body), (200, &good.body_bytes()), "{channel:?}");
            assert_eq!(stage.record(&asked, ["attempts", "outcome"]).await, ["3", "ok"]);

            stage.first_answers(at_once);
            let asked = stage.ask(stream).await;
            assert_eq!((asked.answer.status, asked.answer.header("x-orchestrator-attempts")), (503, "3"));
            assert_eq!(stage.asked().0, before + 6, "max_retry is 2: three attempts, not one more");
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_lone_provider_is_asked_once_when_asking_again_is_forbidden_or_pointless() {
    let cases = [
        (0, Answer::error(500)),
        (2, Answer::error(429).header("retry-after", "3600")),
        (2, Answer::error(404)),
        (2, Answer::error(403)),
    ];
    for channel in CHANNELS {
        for (max_retries, answer) in &cases {
            let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": max_retries})).await;
            stage.first_answers(answer.clone());
            let asked = stage.ask(false).await;
            let case = format!("{}, {max_retries} retries, {channel:?}", name(answer));
            assert_eq!(asked.answer.header("x-orchestrator-attempts"), "1", "{case}");
            assert_eq!(stage.asked(), (1, 0), "{case}");
            stage.gateway.stop().await;
        }
    }
}

/// What a caller is told.
struct Told {
    status: u16,
    /// A part of it.
    message: &'static str,
    body: Option<bytes::Bytes>,
}

/// How two providers fail, and which of it the caller is told.
fn telling() -> Vec<(Answer, Answer, Told)> {
    let own = |answer: &Answer, status, message| Told { status, message, body: Some(answer.body_bytes()) };
    let ours = |message| Told { status: 502, message, body: None };
    let (limit, failed, missing) = (Answer::error(429), Answer::error(500), Answer::error(404));
    let (reset, page) = (Answer::reset_before_headers(), Answer::html());
    let rejected = Answer::error(401);
    vec![
        (limit.clone(), failed.clone(), own(&limit, 429, "429")),
        (failed.clone(), limit.clone(), own(&limit, 429, "429")),
        (failed.clone(), reset.clone(), own(&failed, 500, "500")),
        (reset.clone(), failed.clone(), own(&failed, 500, "500")),
        (missing.clone(), reset.clone(), ours("second")),
        (missing.clone(), missing.clone(), own(&missing, 404, "404")),
        (rejected.clone(), missing.clone(), own(&missing, 404, "404")),
        (rejected.clone(), rejected.clone(), own(&rejected, 401, "401")),
        (reset.clone(), reset, ours("second")),
        (page.clone(), page, ours("HTML")),
    ]
}

/// How an answer is called in a test's failure.
fn name(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body_bytes()).into_owned();
    body.chars().take(60).collect()
}

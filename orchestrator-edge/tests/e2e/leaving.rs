//! A caller that leaves: its provider is told at once, by the connection's end, and the ledger writes what it cost.

use std::time::Duration;

use serde_json::json;

use orchestrator_testkit::provider::Answer;

use crate::{
    gateway::{CHANNELS, Channel},
    stage::{Stage, content, events, role, streamed},
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

async fn provider_is_left(stage: &Stage, id: &str, channel: Channel) {
    let seen = stage.first.wait_for(1, PATIENCE).await;
    assert!(seen[0].peer_closed_within(AT_ONCE).await, "{channel:?}: the provider goes on for nobody");
    let record = stage.record_of(id, ["outcome", "status", "attempts", "provider"]).await;
    assert_eq!(record, ["cancelled", "499", "1", "first"], "{channel:?}");
    assert_eq!(stage.asked(), (1, 0), "{channel:?}");
}

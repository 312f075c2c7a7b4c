//! What a newcomer sees: an empty installation that answers.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use crate::{
    gateway::{CHANNELS, Channel, Gateway},
    stage::{Stage, request, streamed, whole},
};

#[tokio::test]
async fn an_empty_installation_streams_what_it_was_asked() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let body =
            json!({"model": "echo", "stream": true, "messages": [{"role": "user", "content": "one two"}]});
        let answer = gateway.client.post("/v1/chat/completions", &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"), "{channel:?}");
        assert!(answer.text().contains(r#""content":"one ""#), "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());

        let rows = gateway.logs(1).await;
        assert_eq!((rows[0]["outcome"].as_str(), rows[0]["prompt_tokens"].as_i64()), (Some("ok"), Some(2)));
        gateway.stop().await;
    }
}

/// A core in the edge's own process hands its heads over as they are; another one writes them down.
#[tokio::test]
async fn an_answer_begins_alike_wherever_the_core_is() {
    let (near, far) = (heads(Channel::Embedded).await, heads(Channel::Split).await);
    assert_eq!(near, far);
    assert!(near[0].1.contains(&("x-ratelimit-remaining-tokens".to_owned(), "7".to_owned())), "{near:?}");
}

/// Status and headers of a whole answer, a stream and several failures, without what differs from one to the next.
async fn heads(channel: Channel) -> Vec<(u16, BTreeSet<(String, String)>)> {
    let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
    let client = &stage.gateway.client;
    let mut heads = Vec::new();
    for (model, stream, key) in [
        ("m", false, client.key()),
        ("m", true, client.key()),
        ("none", false, client.key()),
        ("m", true, None),
    ] {
        let answer = if stream { streamed(&["Hel", "lo"]) } else { whole("Hello") };
        stage.first_answers(answer.header("x-ratelimit-remaining-tokens", "7").header("set-cookie", "a=b"));
        let headers = [("x-request-id", "job-1")];
        let answer = client.with_key(key);
        let answer =
            answer.send(Method::POST, "/v1/chat/completions", &headers, request(model, stream)).await;
        let named = answer.headers.iter().map(|(name, value)| {
            let differs = ["date", "x-orchestrator-overhead-us"].contains(&name.as_str());
            let value = if differs { "" } else { value.to_str().unwrap() };
            (name.to_string(), value.to_owned())
        });
        heads.push((answer.status, named.collect()));
    }
    stage.gateway.stop().await;
    heads
}

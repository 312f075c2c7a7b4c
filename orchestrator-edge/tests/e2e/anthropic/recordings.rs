//! Real traffic of Anthropic's through the running gateway.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    provider::{Cut, Provider},
    recorded::{self, Recording},
};
use serde_json::{Value, json};

use super::{PATH, add_anthropic, ask};
use crate::gateway::{Channel, Gateway, PROVIDER_KEY};

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_embedded() {
    sweep(Channel::Embedded).await;
}

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_split() {
    sweep(Channel::Split).await;
}

/// Plays every exchange, cut in several ways, through one gateway, and then reads the ledger.
async fn sweep(channel: Channel) {
    let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
    let mut played: Vec<(String, Recording)> = Vec::new();
    for (number, recording) in recorded::of_anthropic().into_iter().enumerate() {
        let name = format!("r{number}");
        let endpoint = provider.named(&name);
        add_anthropic(&gateway, &name, &endpoint, 100).await;
        let mut request: Value =
            serde_json::from_str(recording.request_body.as_deref().unwrap_or(&ask(recording.streaming)))
                .unwrap();
        if request["model"].is_null() || recording.request_body.is_none() {
            request["model"] = "deployment".into();
        }
        let upstream = request["model"].clone();
        request["model"] = format!("{name}/{}", upstream.as_str().unwrap()).into();
        for (at, cut) in [Cut::Whole, Cut::Seeded(11), Cut::Seeded(12)].iter().enumerate() {
            let case = format!("{channel:?} {} {cut:?}", recording.file);
            endpoint.route("", recording.answer(cut));
            let id = format!("{name}-{at}");
            let headers = [("x-request-id", id.as_str()), ("anthropic-version", "2023-06-01")];
            let answer =
                gateway.client.send(Method::POST, PATH, &headers, Bytes::from(request.to_string())).await;
            let fails_first = recording.file == "anthropic_stream_error_first.json";
            if fails_first {
                assert_eq!(answer.status, 502, "{case}: {}", answer.text());
                assert!(answer.text().contains("Overloaded"), "{case}");
                continue;
            }
            assert_eq!(answer.status, recording.status, "{case}: {}", answer.text());
            assert_eq!(answer.text(), String::from_utf8_lossy(&recording.body), "{case}");
            let seen = endpoint.seen();
            let seen = seen.last().unwrap();
            let mut expected = request.clone();
            expected["model"] = upstream.clone();
            assert_eq!(seen.json(), expected, "{case}");
            assert_eq!(seen.header("x-api-key"), Some(PROVIDER_KEY), "{case}");
            played.push((id, recording.clone()));
        }
    }
    for (id, recording) in played.iter().filter(|(_, recording)| recording.status == 200) {
        let row = gateway.record(id).await;
        let counted = usage(&recording.body);
        if recording.file.contains("error") {
            continue;
        }
        let Some(told) = counted else {
            assert_eq!(row["usage_source"], "estimated", "{}", recording.file);
            continue;
        };
        let columns = ["prompt_tokens", "completion_tokens", "cached_read_tokens"];
        assert_eq!(columns.map(|column| row[column].as_u64().unwrap()), told, "{}: {row}", recording.file);
        assert_eq!(row["usage_source"], "provider", "{}", recording.file);
    }
    gateway.stop().await;
}

/// What a body counts: of a stream the last word on each.
fn usage(body: &Bytes) -> Option<[u64; 3]> {
    let text = String::from_utf8_lossy(body);
    let mut counts = json!({});
    let mut take = |usage: &Value| {
        for (name, count) in usage.as_object().into_iter().flatten().filter(|(_, count)| count.is_u64()) {
            counts[name] = count.clone();
        }
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(message) => take(&message["usage"]),
        Err(_) => {
            for event in text.lines().filter_map(|line| line.strip_prefix("data:")) {
                let event: Value = serde_json::from_str(event).unwrap();
                take(&event["message"]["usage"]);
                take(&event["usage"]);
            }
        }
    }
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    let cached = count("cache_read_input_tokens");
    counts["output_tokens"]
        .as_u64()
        .map(|output| [count("input_tokens") + cached + count("cache_creation_input_tokens"), output, cached])
}

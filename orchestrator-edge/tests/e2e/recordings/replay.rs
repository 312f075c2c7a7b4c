//! Replays an exchange through a running gateway: the provider answers as recorded, judging what it is asked, and the caller sends
//! the recorded request.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    judge::{Body, Judge, Operation},
    provider::{Cut, Endpoint, Provider},
    recorded::Recording,
};
use serde_json::{Map, Value, json, value::RawValue};

use super::oracle::Expected;
use crate::{
    client::{Answer, Client},
    gateway::{CLIENT_KEY, Gateway, PROVIDER_KEY},
};

/// The upstream model of recordings whose request names none: on Azure the path does.
const DEPLOYMENT: &str = "deployment";

/// One recorded exchange, with a provider of its own behind the gateway.
pub(super) struct Exchange {
    pub(super) recording: Recording,
    pub(super) expected: Expected,
    pub(super) endpoint: Endpoint,
    body: Bytes,
}

impl Exchange {
    /// Makes the provider, on the shared listener and in the gateway's catalog, under `name`.
    pub(super) async fn prepare(
        gateway: &Gateway,
        provider: &Provider,
        name: &str,
        recording: Recording,
    ) -> Self {
        let endpoint = provider.named(name);
        let kind =
            if ["openai", "azure"].contains(&&*recording.provider) { "openai" } else { "openai_compatible" };
        let asked_once = json!({"kind": kind, "max_retries": 0});
        gateway.add_provider(name, &endpoint.base_url(), asked_once).await;

        let upstream =
            Some(&*recording.upstream_model).filter(|model| !model.is_empty()).unwrap_or(DEPLOYMENT);
        let operation = recording.operation().unwrap();
        let (request, judged) = match &recording.request_body {
            Some(request) => (request.clone(), Body::recorded_bytes(request)),
            None => (stand_in(&recording), Body::recorded_bytes(&stand_in(&recording))),
        };
        let judge = Judge::new(operation, PROVIDER_KEY, upstream, judged).secret(CLIENT_KEY);
        endpoint.judge(operation.path(), judge);

        let parsed: Value = serde_json::from_str(&request).unwrap();
        assert_eq!(parsed["stream"] == true, recording.streaming, "{}", recording.file);
        let asked = parsed["stream_options"]["include_usage"] == true;
        let expected = Expected::of(&recording, asked);
        let body = Bytes::from(with_model(&request, &format!("{name}/{upstream}")));
        Self { recording, expected, endpoint, body }
    }

    /// One request, whose answer comes in these pieces.
    pub(super) async fn play(&self, client: &Client, cut: &Cut, request_id: &str) -> Answer {
        let operation = self.recording.operation().unwrap();
        self.endpoint.route(operation.path(), self.recording.answer(cut));
        let headers = [("content-type", "application/json"), ("x-request-id", request_id)];
        let path = format!("/v1{}", operation.path());
        client.send(Method::POST, &path, &headers, self.body.clone()).await
    }
}

/// A request for a recording that kept none.
fn stand_in(recording: &Recording) -> String {
    let mut request = match recording.operation().unwrap() {
        Operation::ChatCompletions => json!({"messages": [{"role": "user", "content": "hello"}]}),
        Operation::Completions => json!({"prompt": "hello"}),
        _ => json!({"input": "hello"}),
    };
    request["model"] = DEPLOYMENT.into();
    if recording.streaming {
        request["stream"] = true.into();
    }
    request.to_string()
}

/// The request with another model, every other byte as it is.
pub(super) fn with_model(request: &str, model: &str) -> String {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(request).unwrap();
    let model = Value::from(model).to_string();
    match members.get("model") {
        Some(named) => {
            let start = named.get().as_ptr() as usize - request.as_ptr() as usize;
            format!("{}{model}{}", &request[..start], &request[start + named.get().len()..])
        }
        None => request.replacen('{', &format!("{{\"model\":{model},"), 1),
    }
}

/// The number in a ledger's row.
pub(super) fn count(row: &Value, column: &str) -> u64 {
    row[column].as_u64().unwrap_or_else(|| panic!("no {column} in {row}"))
}

/// The rows of the ledger by their request's id.
pub(super) fn by_request(rows: Vec<Value>) -> Map<String, Value> {
    rows.into_iter().map(|row| (row["request_id"].as_str().unwrap().to_owned(), row)).collect()
}

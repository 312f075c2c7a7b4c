//! What the suites of faults share: a model `m` with two providers, the first of them preferred, and answers to bend.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use orchestrator_base::config::Config;
use orchestrator_testkit::provider::{self, Endpoint, Provider, Script};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Streaming},
    gateway::{Channel, Gateway},
};

/// Where the providers are asked.
const CHAT: &str = "chat/completions";

/// A gateway before two providers, or one.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    _provider: Provider,
    /// The provider `first`.
    pub(crate) first: Endpoint,
    /// The provider `second`; never asked on a stage for one.
    pub(crate) second: Endpoint,
    asked: AtomicUsize,
}

impl Stage {
    /// Two providers with the fields `more`, of which `first` has the higher priority.
    pub(crate) async fn of_two(channel: Channel, set: impl FnOnce(&mut Config), more: Value) -> Self {
        let stage = Self::empty(channel, set).await;
        let second = stage.add("second", &stage.second.base_url(), 100, &more).await;
        let first = stage.add("first", &stage.first.base_url(), 200, &more).await;
        stage.gateway.add_model("m", "m-upstream", &[&first, &second]).await;
        stage
    }

    /// The provider `first` alone, with the fields `more`.
    pub(crate) async fn of_one(channel: Channel, set: impl FnOnce(&mut Config), more: Value) -> Self {
        let stage = Self::empty(channel, set).await;
        let first = stage.add("first", &stage.first.base_url(), 100, &more).await;
        stage.gateway.add_model("m", "m-upstream", &[&first]).await;
        stage
    }

    async fn empty(channel: Channel, set: impl FnOnce(&mut Config)) -> Self {
        let gateway = Gateway::start_with(channel, set).await;
        let provider = Provider::start().await;
        let (first, second) = (provider.named("first"), provider.named("second"));
        Self { gateway, _provider: provider, first, second, asked: AtomicUsize::new(0) }
    }

    /// Makes a provider of that priority and gives its id.
    pub(crate) async fn add(&self, name: &str, base_url: &str, priority: u32, more: &Value) -> String {
        let mut fields = json!({"priority": priority});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.gateway.add_provider(name, base_url, fields).await
    }

    /// What the first provider answers from now on.
    pub(crate) fn first_answers(&self, script: impl Into<Script>) {
        self.first.route(CHAT, script);
    }

    /// What the second provider answers from now on.
    pub(crate) fn second_answers(&self, script: impl Into<Script>) {
        self.second.route(CHAT, script);
    }

    /// How often each provider was asked so far.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.first.seen().len(), self.second.seen().len())
    }

    /// Asks the model `m` and reads all of the answer.
    pub(crate) async fn ask(&self, stream: bool) -> Asked {
        self.ask_for("m", stream, &[]).await
    }

    /// Asks a model, with headers beside the usual ones, and reads all of the answer.
    pub(crate) async fn ask_for(&self, model: &str, stream: bool, headers: &[(&str, &str)]) -> Asked {
        let id = self.next_id();
        let answer = self.open(model, stream, &id, headers).await.read_all().await;
        Asked { id, answer }
    }

    /// Asks and comes back with the answer's head.
    pub(crate) async fn open(
        &self,
        model: &str,
        stream: bool,
        request_id: &str,
        headers: &[(&str, &str)],
    ) -> Streaming {
        let headers: Vec<_> = headers.iter().copied().chain([("x-request-id", request_id)]).collect();
        let body = request(model, stream);
        self.gateway.client.open(Method::POST, "/v1/chat/completions", &headers, body).await
    }

    /// An id that no request of this stage has had.
    pub(crate) fn next_id(&self) -> String {
        format!("request-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Fields of the one record of a request.
    pub(crate) async fn record<const N: usize>(&self, asked: &Asked, columns: [&str; N]) -> [String; N] {
        self.record_of(&asked.id, columns).await
    }

    /// Fields of the one record with that request id.
    pub(crate) async fn record_of<const N: usize>(&self, id: &str, columns: [&str; N]) -> [String; N] {
        let row = self.gateway.record(id).await;
        columns.map(|column| match &row[column] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// A request's id and its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) answer: Answer,
}

/// A request's body.
pub(crate) fn request(model: &str, stream: bool) -> Bytes {
    let messages = json!([{"role": "user", "content": "Say something."}]);
    json!({"model": model, "stream": stream, "messages": messages}).to_string().into()
}

/// A whole answer, with usage.
pub(crate) fn whole(text: &str) -> provider::Answer {
    provider::Answer::json(
        200,
        &json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-upstream",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        }),
    )
}

/// A whole stream of these pieces of text.
pub(crate) fn streamed(texts: &[&str]) -> provider::Answer {
    let mut events = vec![role()];
    events.extend(texts.iter().map(|text| content(text)));
    events.push(finish());
    provider::Answer::sse(events)
}

/// The chunk that opens a stream: no content yet.
pub(crate) fn role() -> String {
    chunk(&json!({"role": "assistant", "content": ""}), &Value::Null)
}

/// A chunk of text.
pub(crate) fn content(text: &str) -> String {
    chunk(&json!({"content": text}), &Value::Null)
}

/// The chunk that says why the answer ends.
pub(crate) fn finish() -> String {
    chunk(&json!({}), &json!("stop"))
}

/// Events as they stand in a stream.
pub(crate) fn events(payloads: &[String]) -> String {
    payloads.iter().flat_map(|payload| ["data: ", payload, "\n\n"]).collect()
}

fn chunk(delta: &Value, finish_reason: &Value) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-upstream",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
    .to_string()
}

/// What follows the passed part of a stream that broke: one error event in OpenAI's envelope and nothing more. Gives the error.
pub(crate) fn only_an_error_event(rest: &str) -> Value {
    let json = rest.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let json = json.unwrap_or_else(|| panic!("no single event: {rest:?}"));
    let event: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {rest:?}"));
    assert!(event["error"]["message"].is_string() && event["error"]["type"].is_string(), "{rest}");
    event["error"].clone()
}

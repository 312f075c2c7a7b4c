//! Models that only a provider's own list knows.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::{Answer, Provider};
use serde_json::{Value, json};

use crate::{
    client::Client,
    gateway::{CHANNELS, Channel, Gateway, PROVIDER_KEY, openai_error},
};

/// A gateway and a provider `lister`, whose list has these models.
struct Lister {
    gateway: Gateway,
    provider: Provider,
    id: String,
}

impl Lister {
    async fn start(channel: Channel, models: &[&str]) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        provider.route("chat/completions", Answer::json(200, &completion()));
        provider.route("models", list(models));
        let id = gateway.add_provider("lister", &provider.base_url(), json!({})).await;
        Self { gateway, provider, id }
    }

    /// Changes the provider.
    async fn change(&self, change: Value) {
        let path = format!("/admin/providers/{}", self.id);
        let answer =
            self.gateway.admin.send(Method::PATCH, &path, &[], Bytes::from(change.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Asks for a model: the answer's status.
    async fn ask(&self, model: &str) -> u16 {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        self.gateway.client.post("/v1/chat/completions", &body).await.status
    }

    /// Waits until `GET /v1/models` gives exactly these, in this order.
    async fn wait_for_models(&self, expected: &[&str]) {
        let mut shown = Vec::new();
        for _ in 0..500 {
            shown = models(&self.gateway.client).await;
            if shown == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("expected {expected:?}, found {shown:?}");
    }
}

fn list(models: &[&str]) -> Answer {
    let data: Vec<Value> = models.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    Answer::json(200, &json!({"object": "list", "data": data}))
}

fn completion() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

/// The ids of `GET /v1/models`.
async fn models(client: &Client) -> Vec<String> {
    let answer = client.get("/v1/models").await.json();
    let models = answer["data"].as_array().unwrap().iter();
    models.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_model_that_only_a_provider_lists_is_shown_and_served() {
    for channel in CHANNELS {
        // The catalog's own `echo` stays what it is, and stands before what is only listed.
        let lister = Lister::start(channel, &["echo", "b-listed", "a-listed"]).await;
        lister.wait_for_models(&["echo", "a-listed", "b-listed"]).await;
        let one = lister.gateway.client.get("/v1/models/a-listed").await.json();
        assert_eq!(one["owned_by"], "lister", "{channel:?}");

        assert_eq!(lister.ask("a-listed").await, 200);
        let seen = lister.provider.seen();
        let asked: Vec<(&str, &str)> = seen.iter().map(|seen| (&*seen.method, &*seen.path)).collect();
        assert_eq!(asked, [("GET", "/v1/models"), ("POST", "/v1/chat/completions")]);
        let bearer = format!("Bearer {PROVIDER_KEY}");
        assert!(seen.iter().all(|seen| seen.header("authorization") == Some(&bearer)));
        assert!(seen[0].body.is_empty());
        assert_eq!(seen[1].json()["model"], "a-listed");
        assert_eq!(lister.provider.complaints(), [""; 0]);
        assert_eq!(lister.gateway.logs(1).await[0]["provider"], "lister");
        lister.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_disabled_providers_models_vanish_at_once() {
    for channel in CHANNELS {
        let lister = Lister::start(channel, &["listed"]).await;
        lister.wait_for_models(&["echo", "listed"]).await;
        lister.change(json!({"enabled": false})).await;
        assert_eq!(models(&lister.gateway.client).await, ["echo"], "{channel:?}");
        assert_eq!(lister.ask("listed").await, 404);
        lister.change(json!({"enabled": true})).await;
        lister.wait_for_models(&["echo", "listed"]).await;
        assert_eq!(lister.ask("listed").await, 200);
        lister.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_changed_provider_is_asked_again_and_a_failure_keeps_its_list() {
    for channel in CHANNELS {
        let lister = Lister::start(channel, &["old"]).await;
        lister.wait_for_models(&["echo", "old"]).await;

        lister.provider.route("models", Answer::error(500));
        lister.change(json!({"headers": {"x-team": "blue"}})).await;
        let seen = lister.provider.wait_for(2, Duration::from_secs(10)).await;
        assert_eq!((seen[1].path.as_str(), seen[1].header("x-team")), ("/v1/models", Some("blue")));
        assert_eq!(lister.ask("old").await, 200, "{channel:?}");

        lister.provider.route("models", list(&["new"]));
        lister.change(json!({"headers": {"x-team": "red"}})).await;
        lister.wait_for_models(&["echo", "new"]).await;
        assert_eq!(lister.ask("old").await, 404);
        lister.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_key_sees_and_uses_only_the_listed_models_that_it_may() {
    for channel in CHANNELS {
        let lister = Lister::start(channel, &["mine-1", "theirs-1"]).await;
        lister.wait_for_models(&["echo", "mine-1", "theirs-1"]).await;
        let body = json!({"name": "narrow", "models": ["mine-*"]});
        let made = lister.gateway.admin.post("/admin/keys", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let narrow = lister.gateway.client.with_key(made.json()["secret"].as_str());
        assert_eq!(models(&narrow).await, ["mine-1"], "{channel:?}");
        let body = json!({"model": "theirs-1", "messages": [{"role": "user", "content": "hello"}]});
        assert_eq!(narrow.post("/v1/chat/completions", &body).await.status, 403);
        // A name that comes near is told, but only to those who may use it.
        let body = json!({"model": "mine-2", "messages": [{"role": "user", "content": "hello"}]});
        let (_, _, message) = openai_error(&narrow.post("/v1/chat/completions", &body).await);
        assert!(message.ends_with("near it: mine-1"), "{message}");
        lister.gateway.stop().await;
    }
}

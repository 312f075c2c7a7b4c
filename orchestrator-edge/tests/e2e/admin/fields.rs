//! Each field that Admin takes has its effect on the requests that follow.

use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Provider, Script};
use serde_json::{Value, json};

use super::{CHAT, answering, change, chat, text};
use crate::gateway::{CHANNELS, Channel, Gateway};

#[tokio::test]
async fn a_providers_fields_have_their_effect() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for name in ["a", "b"] {
            answering(&provider.named(name), name);
        }
        let url = |name: &str| provider.named(name).base_url();
        let a = gateway.add_provider("a", &url("a"), json!({"priority": 10})).await;
        let more = json!({
            "priority": 20,
            "headers": {"x-team": "blue"},
            "options": {"body_overrides_json": {"temperature": "0.5", "store": "false"}, "include_usage": false},
        });
        let b = gateway.add_provider("b", &url("b"), more).await;
        gateway.add_model("m", "up", &[&a, &b]).await;
        let ask = async || text(&gateway.client.post(CHAT, &chat("m")).await);
        assert_eq!(ask().await, "b", "the higher priority");
        let seen = &provider.named("b").seen()[0];
        assert_eq!(seen.header("x-team"), Some("blue"));
        let body = seen.json();
        assert_eq!(
            (&body["model"], &body["temperature"], &body["store"]),
            (&json!("up"), &json!(0.5), &json!(false))
        );

        let events = ["{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}"];
        for name in ["a", "b"] {
            let name = name.to_owned();
            provider.named(&name).route("chat/completions", Scripted::sse(events));
        }
        let mut streamed = chat("m");
        streamed["stream"] = json!(true);
        for (path, wanted) in [("b", None), ("a", Some(true))] {
            assert_eq!(gateway.client.post(CHAT, &streamed).await.status, 200);
            let seen = provider.named(path).seen();
            let asked = seen.last().unwrap().json()["stream_options"]["include_usage"].as_bool();
            assert_eq!(asked, wanted, "usage asked for at {path}");
            change(&gateway, &format!("/admin/providers/{b}"), json!({"enabled": false})).await;
        }

        change(
            &gateway,
            &format!("/admin/providers/{a}"),
            json!({"options": {"dialects": ["openai_embeddings"]}}),
        )
        .await;
        let answer = gateway.client.post(CHAT, &chat("m")).await;
        assert_eq!(answer.status, 400, "it speaks embeddings alone: {}", answer.text());
        assert!(answer.text().contains("chat"), "{}", answer.text());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn weights_are_shares() {
    let (gateway, provider) = (Gateway::start(Channel::Embedded).await, Provider::start().await);
    let mut ids = Vec::new();
    for (name, weight) in [("a", 300), ("b", 100)] {
        answering(&provider.named(name), name);
        ids.push(
            gateway.add_provider(name, &provider.named(name).base_url(), json!({"weight": weight})).await,
        );
    }
    let model = gateway.create("/admin/models", &json!({"name": "m"})).await;
    for (provider, weight) in [(&ids[0], 200), (&ids[1], 200)] {
        let body = json!({"model_id": model, "provider_id": provider, "weight": weight});
        gateway.create("/admin/model-providers", &body).await;
    }
    for _ in 0..300 {
        assert_eq!(gateway.client.post(CHAT, &chat("m")).await.status, 200);
    }
    let (a, b) = (provider.named("a").seen().len(), provider.named("b").seen().len());
    // Of 300 trials with p = 3/4 the mean is 225, the standard deviation 7.5: seven of those either way.
    assert!((172..=278).contains(&a) && a + b == 300, "{a} and {b}");

    let key = format!("/admin/providers/{}/keys", ids[0]);
    gateway.create(&key, &json!({"label": "heavy", "secret": "sk-heavy", "weight": 10_000})).await;
    change(&gateway, &format!("/admin/providers/{}", ids[1]), json!({"enabled": false})).await;
    for _ in 0..20 {
        assert_eq!(gateway.client.post(CHAT, &chat("m")).await.status, 200);
    }
    let seen = provider.named("a").seen();
    let heavy = seen[a..].iter().filter(|seen| seen.header("authorization") == Some("Bearer sk-heavy"));
    assert!(heavy.count() >= 15, "a key with a hundred times the weight");
    gateway.stop().await;
}

#[tokio::test]
async fn names_reach_whom_they_should() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for name in ["a", "b", "broken"] {
            answering(&provider.named(name), name);
        }
        provider.named("broken").route("chat/completions", Script::from(Scripted::error(503)));
        let url = |name: &str| provider.named(name).base_url();
        let a = gateway.add_provider("a", &url("a"), json!({})).await;
        let b = gateway.add_provider("b", &url("b"), json!({})).await;
        let broken = gateway.add_provider("broken", &url("broken"), json!({"max_retries": 0})).await;
        gateway.add_model("claude-*", "*", &[&a]).await;
        gateway.add_model("spare", "spare-upstream", &[&b]).await;
        let first = json!({"name": "first", "fallbacks": ["spare"]});
        let first = gateway.create("/admin/models", &first).await;
        gateway.create("/admin/model-providers", &json!({"model_id": first, "provider_id": broken})).await;
        for (asked, by, upstream) in [
            ("claude-3-haiku", "a", "claude-3-haiku"),
            ("b/org/model:free", "b", "org/model:free"),
            ("first", "b", "spare-upstream"),
        ] {
            let answer = gateway.client.post(CHAT, &chat(asked)).await;
            assert_eq!(text(&answer), by, "{asked}");
            assert_eq!(answer.header("x-orchestrator-provider"), by);
            assert_eq!(provider.named(by).seen().last().unwrap().json()["model"], upstream);
        }
        assert_eq!(provider.named("broken").seen()[0].json()["model"], "first", "`*`: as asked");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_association_overrides_its_provider() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for name in ["a", "b"] {
            answering(&provider.named(name), name);
        }
        let a = gateway.add_provider("a", &provider.named("a").base_url(), json!({"priority": 10})).await;
        let b = gateway.add_provider("b", &provider.named("b").base_url(), json!({"priority": 20})).await;
        let model = gateway.add_model("m", "*", &[&b]).await;
        let association = json!({"model_id": model, "provider_id": a, "priority": 30,
            "structured_output": false, "image": false, "tool_call": false});
        let id = gateway.create("/admin/model-providers", &association).await;
        let ask = async |more: Value| {
            let mut body = chat("m");
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            text(&gateway.client.post(CHAT, &body).await)
        };
        assert_eq!(ask(json!({})).await, "a", "its own priority wins");
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
        let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
        assert_eq!(ask(json!({"tools": [tool]})).await, "b");
        assert_eq!(ask(json!({"response_format": schema})).await, "b");
        assert_eq!(ask(json!({"messages": image})).await, "b");
        change(&gateway, &format!("/admin/model-providers/{id}"), json!({"priority": null})).await;
        assert_eq!(ask(json!({})).await, "b", "null gives the provider's priority back");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_callers_key_is_held_to_its_fields() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        gateway.create("/admin/teams", &json!({"name": "t"})).await;
        let body = json!({"name": "narrow", "models": ["ec*"], "operations": ["chat", "models"],
            "expires_at": "2999-01-01T00:00:00Z", "tags": {"team": "blue", "tier": "key"}, "owner": "o", "team": "t"});
        let made = gateway.admin.post("/admin/keys", &body).await.json();
        assert_eq!((&made["owner"], &made["team"]), (&json!("o"), &json!("t")), "{made}");
        let caller = gateway.client.with_key(made["secret"].as_str());
        let headers = [("x-orchestrator-tags", r#"{"job":"7"}"#)];
        let sent = caller.send(Method::POST, CHAT, &headers, chat("echo").to_string().into()).await;
        assert_eq!(sent.status, 200, "{}", sent.text());
        let rows = gateway.logs(1).await;
        let tags: Value = serde_json::from_str(rows[0]["tags"].as_str().unwrap()).unwrap();
        assert_eq!(tags, json!({"team": "blue", "tier": "key", "job": "7"}));
        assert_eq!(rows[0]["api_key_id"], made["id"]);
        assert_eq!(caller.get("/v1/models").await.status, 200);
        let input = json!({"model": "echo", "input": "a"});
        assert_eq!(caller.post("/v1/embeddings", &input).await.status, 403, "not among its operations");
        assert_eq!(
            gateway.client.post("/v1/embeddings", &input).await.status,
            200,
            "another key's are not narrowed"
        );

        let path = format!("/admin/keys/{}", made["id"].as_str().unwrap());
        change(&gateway, &path, json!({"models": ["gpt-*"]})).await;
        assert_eq!(caller.post(CHAT, &chat("echo")).await.status, 403);
        assert_eq!(caller.get("/v1/models").await.json()["data"], json!([]));
        gateway.stop().await;
    }
}

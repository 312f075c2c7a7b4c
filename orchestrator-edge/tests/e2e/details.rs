//! `/health/detailed` and `/health/queue/status`: who is told, and what, when all is well and when it is not.

use std::time::Duration;

use orchestrator_base::{
    config::{AppEnv, Config},
    runtime,
    stopping::Stages,
    task,
};
use orchestrator_edge::{App, core_client, listener};
use orchestrator_testkit::provider::{Answer as Scripted, Provider};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    gateway::{ADMIN_KEY, CHANNELS, Channel, Gateway},
};

const PATHS: [&str; 3] = ["/health/detailed", "/health/queue/status", "/api/v1/health/detailed"];

#[tokio::test]
async fn details_are_open_or_for_operators_as_the_setting_says() {
    for channel in CHANNELS {
        for (public, nobody_gets) in [(None, 200), (Some(true), 200), (Some(false), 401)] {
            let gateway = Gateway::start_with(channel, |config| config.health.public_details = public).await;
            for path in PATHS {
                let statuses = [
                    gateway.client.with_key(None).get(path).await.status,
                    gateway.client.get(path).await.status,
                    gateway.admin.get(path).await.status,
                ];
                assert_eq!(statuses, [nobody_gets, 401, 200], "{channel:?} {public:?} {path}");
            }
            // Under Admin's paths nobody goes without a key.
            assert_eq!(gateway.client.with_key(None).get("/admin/status").await.status, 401);
            gateway.stop().await;
        }
    }
}

#[test]
fn without_the_setting_production_keeps_details_to_itself() {
    let health = Config::default().health;
    assert_eq!((health.is_public(AppEnv::Development), health.is_public(AppEnv::Production)), (true, false));
}

#[tokio::test]
async fn a_provider_that_fails_is_told_with_its_breaker() {
    for channel in CHANNELS {
        let gateway = Gateway::start_with(channel, |config| config.breaker.threshold = 3).await;
        let provider = Provider::start().await;
        provider.route("/chat/completions", Scripted::whole(500, "application/json", "{}"));
        let id = gateway.add_provider("failing", &provider.base_url(), json!({"max_retries": 0})).await;
        for _ in 0..5 {
            let body = json!({"model": "failing/m", "messages": [{"role": "user", "content": "hi"}]});
            gateway.client.post("/v1/chat/completions", &body).await;
        }
        let details = gateway.admin.get("/health/detailed").await.json();
        assert_eq!(details["status"], "degraded", "{details}");
        assert_eq!(details["breakers"]["open"], 1, "{details}");
        let breaker = &details["breakers"]["items"][0];
        assert_eq!((&breaker["provider_id"], &breaker["state"]), (&json!(id), &json!("open")));
        let worst = &details["providers"]["items"][0];
        assert_eq!((&worst["name"], &worst["status"]), (&json!("failing"), &json!("unhealthy")));
        assert_eq!(
            (&details["providers"]["status"], &details["database"]["status"]),
            (&json!("degraded"), &json!("up"))
        );
        assert!(details["database"]["latency_ms"].as_f64().unwrap() > 0.0);
        let told: Vec<&str> =
            details["degraded"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(told, ["1 of 2 providers are unhealthy", "1 circuit breakers are not closed"]);
        gateway.stop().await;
    }
}

/// An edge alone, before these cores.
fn edge_before(cores: &str) -> Client {
    let mut config = Config::default();
    config.app.env = AppEnv::Development;
    let socket = runtime::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", socket.local_addr().unwrap());
    let app = App::new(
        &config,
        core_client::remote(cores).unwrap(),
        Stages::after(CancellationToken::new(), Duration::ZERO),
    );
    drop(task::spawn("rest", listener::serve(socket, app)));
    Client::new(&base, ADMIN_KEY)
}

#[tokio::test]
async fn an_edge_tells_of_each_of_its_cores() {
    let (one, two) = (Gateway::start(Channel::Embedded).await, Gateway::start(Channel::Embedded).await);
    // Nobody listens on port 1.
    let nowhere = "http://127.0.0.1:1";
    let edge = edge_before(&format!("{nowhere},{},{}", one.grpc, two.grpc));
    let answer = edge.get("/health/detailed").await;
    let details = answer.json();
    assert_eq!((answer.status, &details["status"]), (200, &json!("degraded")));
    let cores = details["cores"].as_array().unwrap();
    let told: Vec<String> = cores
        .iter()
        .map(|core| {
            format!("http://{} {}", core["address"].as_str().unwrap(), core["status"].as_str().unwrap())
        })
        .collect();
    let expected =
        [format!("{nowhere} unreachable"), format!("{} healthy", one.grpc), format!("{} healthy", two.grpc)];
    assert_eq!(told, expected);
    assert!(cores[0]["latency_ms"].is_null() && cores[1]["latency_ms"].as_f64().unwrap() > 0.0);
    assert_ne!(cores[1]["core"], cores[2]["core"]);
    assert_eq!(details["degraded"], json!(["the core at 127.0.0.1:1 does not answer"]));

    let alone = edge_before(nowhere);
    for path in ["/health/detailed", "/health/queue/status"] {
        let answer = alone.get(path).await;
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (503, &json!("unhealthy")),
            "{}",
            answer.text()
        );
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn the_keys_of_a_provider_that_is_not_there_are_a_404() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let id = gateway.admin.get("/admin/providers/echo").await.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(gateway.admin.get(&format!("/admin/providers/{id}/keys")).await.json(), json!([]));
        for nobody in ["echo", "nobody", "01a1fc5f-29d4-7ba2-973d-c861ba8f49a4"] {
            let path = format!("/admin/providers/{nobody}/keys");
            let listed = gateway.admin.get(&path).await;
            let made = gateway.admin.post(&path, &json!({"label": "a", "secret": "sk-0123456789"})).await;
            assert_eq!((listed.status, made.status), (404, 404), "{channel:?} {}", listed.text());
            assert_eq!(listed.json()["error"]["field"], "provider_id");
        }
        let outcomes = gateway.admin.get("/admin/model-providers/nobody/status").await;
        assert_eq!(outcomes.status, 404);
        gateway.stop().await;
    }
}

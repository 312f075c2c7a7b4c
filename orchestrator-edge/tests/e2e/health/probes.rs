//! What the gateway asks on its own account.

use std::time::Duration;

use orchestrator_base::config::Config;
use orchestrator_testkit::provider::{Answer as Scripted, Script, Seen};
use serde_json::{Value, json};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{first, put_config};
use crate::{
    gateway::{CHANNELS, Channel, Gateway, PROVIDER_KEY},
    stage::{Stage, whole},
};

/// Probing, and strict: one failure condemns.
fn probing(config: &mut Config) {
    config.health_check.enabled = true;
    config.health_check.max_errors = 1;
}

/// Waits until the provider `first` is so.
async fn wait_for(stage: &Stage, status: &str) -> Value {
    let mut health = Value::Null;
    for _ in 0..1000 {
        health = first(stage).await;
        if health["status"] == status {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not become {status}: {health}");
}

#[tokio::test]
async fn a_provider_is_probed_unasked_and_a_probe_restores_it() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, probing, json!({})).await;
        // The model's association comes after the provider: until then only its list of models could be asked for.
        stage.first_answers(Scripted::error(500));
        let id = first(&stage).await["provider_id"].as_str().unwrap().to_owned();
        stage.gateway.admin.post(&format!("/admin/providers/{id}/check"), &json!({})).await;
        let sick = wait_for(&stage, "unhealthy").await;
        assert_eq!(sick["last_status_code"], 500, "{channel:?}");

        stage.first_answers(whole("!"));
        let asked_before = stage.asked().0;
        // Turned off and on, probing begins anew: the change holds at once.
        let config = |enabled: bool| json!({"enabled": enabled});
        assert_eq!(put_config(&stage, &config(false)).await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(put_config(&stage, &config(true)).await.status, 200);
        wait_for(&stage, "healthy").await;

        let seen = &stage.first.seen()[asked_before];
        assert_eq!(seen.path, "/v1/chat/completions");
        let body = seen.json();
        let tokens = body.get("max_completion_tokens").or(body.get("max_tokens"));
        assert_eq!((&body["model"], tokens), (&json!("m-upstream"), Some(&json!(1))), "{body}");
        assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {PROVIDER_KEY}")));
        let health = first(&stage).await;
        assert_eq!((&health["total_requests_24h"], &health["success_rate_24h"]), (&json!(0), &Value::Null));
        // The writer goes in order: behind this request nothing of before is still on its way.
        assert_eq!(stage.ask(false).await.answer.status, 200);
        assert_eq!(stage.gateway.logs(1).await.len(), 1, "probes are no requests");
        let probes =
            "SELECT DISTINCT api_key_id, outcome FROM request_logs WHERE origin = 'probe' AND outcome = 'ok'";
        assert_eq!(stage.gateway.rows(probes).await, [json!({"api_key_id": "", "outcome": "ok"})]);
        let sums = "SELECT SUM(requests) AS requests FROM usage_hourly";
        assert_eq!(stage.gateway.rows(sums).await, [json!({"requests": 1})], "probes are in no sum");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_refused_key_is_unhealthy_at_once_and_a_limit_is_alive() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        let check = async || {
            let answer = stage.gateway.admin.post("/admin/providers/first/check", &json!({})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()
        };
        stage.first_answers(Scripted::error(401));
        let refused = check().await;
        assert_eq!((&refused["status"], &refused["last_status_code"]), (&json!("unhealthy"), &json!(401)));
        assert_eq!(refused["error_message"], "the provider does not take the key", "{channel:?}");
        stage.first_answers(Scripted::error(429));
        let limited = check().await;
        assert_eq!((&limited["status"], &limited["last_status_code"]), (&json!("healthy"), &json!(429)));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_provider_may_be_asked_for_its_list_instead_and_every_key_is_tried() {
    for channel in CHANNELS {
        let options = json!({"options": {"probe": "models"}});
        let stage = Stage::of_one(channel, |_| {}, options).await;
        let admin = &stage.gateway.admin;
        let id = first(&stage).await["provider_id"].as_str().unwrap().to_owned();
        let spare = json!({"label": "spare", "secret": "sk-spare-key"});
        stage.gateway.create(&format!("/admin/providers/{id}/keys"), &spare).await;
        let spare_alone = |_, seen: &Seen| match seen.header("authorization") {
            Some("Bearer sk-spare-key") => Scripted::json(200, &json!({"data": [{"id": "m-upstream"}]})),
            _ => Scripted::error(401),
        };
        stage.first.route("models", Script::choose(spare_alone));
        for _ in 0..3 {
            let health = admin.post("/admin/providers/first/check", &json!({})).await.json();
            assert_eq!(health["status"], "healthy", "{channel:?}: one key is taken: {health}");
        }
        stage.first.route("models", Scripted::error(403));
        let health = admin.post("/admin/providers/first/check", &json!({})).await.json();
        assert_eq!((&health["status"], &health["last_status_code"]), (&json!("unhealthy"), &json!(403)));
        assert!(stage.first.seen().iter().all(|seen| seen.path.ends_with("/models")));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_sick_provider_is_asked_last_and_what_is_known_outlives_the_process() {
    let unprobed = json!({"max_retries": 0, "options": {"probe": "off"}});
    let stage = Stage::of_two(Channel::Embedded, |_| {}, unprobed).await;
    let strict =
        json!({"enabled": true, "interval_minutes": 5, "max_error_count": 2, "retry_after_hours": 1});
    assert_eq!(put_config(&stage, &strict).await.status, 200);
    stage.second_answers(whole("second"));
    stage.first_answers(Scripted::error(500));
    for _ in 0..2 {
        assert_eq!(stage.ask(false).await.answer.header("x-orchestrator-provider"), "second");
    }
    assert_eq!((stage.asked(), first(&stage).await["status"].clone()), ((2, 2), json!("unhealthy")));
    assert_eq!(stage.ask(false).await.answer.header("x-orchestrator-attempts"), "1");
    assert_eq!(stage.asked(), (2, 3), "the healthy one comes first now");

    let copy = tempfile::tempdir().unwrap();
    let folder = copy.path().to_owned();
    let written = async || {
        let query = "SELECT status FROM provider_health WHERE status = 'unhealthy'";
        !orchestrator_testkit::sqlite::rows(&stage.gateway.database, query).await.is_empty()
    };
    while !written().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.gateway.copy_files(&folder);
    let next = Gateway::start_on(Channel::Embedded, copy, |_| {}).await;
    let health = next.admin.get("/admin/health/first").await.json();
    assert_eq!((&health["status"], &health["error_count"]), (&json!("unhealthy"), &json!(2)));
    next.stop().await;
    stage.gateway.stop().await;
}

#[tokio::test]
async fn whoever_watches_is_told_of_the_drain_before_the_connection_ends() {
    let gateway = Gateway::start(Channel::Split).await;
    let channel =
        tonic::transport::Endpoint::from_shared(gateway.grpc.clone()).unwrap().connect().await.unwrap();
    let mut watch =
        HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = gateway.stop();
    let told = async {
        let status = watch.message().await.unwrap().unwrap().status();
        (status, watch.message().await.unwrap())
    };
    let (told, _files) = tokio::join!(told, stopping);
    assert_eq!(told, (ServingStatus::NotServing, None), "and it ends, so that nothing waits for it");
}

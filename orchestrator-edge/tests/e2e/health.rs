//! Providers' health as operators see it, and what it changes.

mod probes;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::Answer as Scripted;
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::CHANNELS,
    stage::{Stage, whole},
};

/// Every field that a provider's health has, in the order of the interface.
const FIELDS: [&str; 17] = [
    "provider_id",
    "provider_name",
    "provider_type",
    "status",
    "is_healthy",
    "response_time_ms",
    "avg_response_time_ms",
    "last_checked",
    "last_success",
    "last_error",
    "error_message",
    "last_status_code",
    "error_count",
    "consecutive_successes",
    "next_retry_at",
    "success_rate_24h",
    "total_requests_24h",
];

/// The data of an answer in LLMIO's envelope.
fn data(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!((answer.status, &body["code"]), (200, &json!(200)), "{}", answer.text());
    assert_eq!(body.as_object().unwrap().len(), 2, "{}", answer.text());
    body["data"].clone()
}

/// An error in LLMIO's envelope: its code, which is the status, and its message.
fn refused(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body["code"], json!(answer.status), "{}", answer.text());
    assert_eq!(body.as_object().unwrap().len(), 2, "{}", answer.text());
    (answer.status, body["message"].as_str().unwrap().to_owned())
}

/// The health of the provider `first`, with exactly the documented fields.
async fn first(stage: &Stage) -> Value {
    let health = data(&stage.gateway.admin.get("/api/providers/health/first").await);
    let mut fields: Vec<&str> = health.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = FIELDS.to_vec();
    fields.sort_unstable();
    expected.sort_unstable();
    assert_eq!(fields, expected);
    health
}

async fn put_config(stage: &Stage, config: &Value) -> Answer {
    let body = Bytes::from(config.to_string());
    stage.gateway.admin.send(Method::PUT, "/api/health-check/config", &[], body).await
}

#[tokio::test]
async fn a_provider_that_fails_becomes_unhealthy_and_a_forced_check_restores_it() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        let unasked = first(&stage).await;
        assert_eq!((&unasked["status"], &unasked["is_healthy"]), (&json!("unknown"), &json!(false)));
        assert_eq!((&unasked["success_rate_24h"], &unasked["total_requests_24h"]), (&Value::Null, &json!(0)));

        stage.first_answers(whole("fine"));
        assert_eq!(stage.ask(false).await.answer.status, 200);
        stage.first_answers(Scripted::error(503));
        for (faults, status) in
            [(1, "healthy"), (2, "degraded"), (3, "degraded"), (4, "degraded"), (5, "unhealthy")]
        {
            assert_eq!(stage.ask(false).await.answer.status, 503);
            let health = first(&stage).await;
            assert_eq!(
                (&health["status"], &health["error_count"]),
                (&json!(status), &json!(faults)),
                "{channel:?}"
            );
        }
        let sick = first(&stage).await;
        assert_eq!((&sick["last_status_code"], &sick["consecutive_successes"]), (&json!(503), &json!(0)));
        assert_eq!((&sick["total_requests_24h"], &sick["is_healthy"]), (&json!(6), &json!(false)));
        assert!((sick["success_rate_24h"].as_f64().unwrap() - 100.0 / 6.0).abs() < 0.01, "{sick}");
        assert!(sick["error_message"].as_str().unwrap().contains("told to answer 503"), "{sick}");
        for moment in ["last_checked", "last_success", "last_error", "next_retry_at"] {
            assert!(sick[moment].as_str().unwrap().ends_with('Z'), "{moment}: {sick}");
        }

        let still = data(&stage.gateway.admin.post("/api/health-check/force/first", &json!({})).await);
        assert_eq!((&still["status"], &still["error_count"]), (&json!("unhealthy"), &json!(6)));
        stage.first_answers(whole("!"));
        let id = still["provider_id"].as_str().unwrap();
        let path = format!("/api/health-check/force/{id}");
        let well = data(&stage.gateway.admin.send(Method::POST, &path, &[], Bytes::new()).await);
        assert_eq!(
            (&well["status"], &well["error_count"], &well["next_retry_at"]),
            (&json!("healthy"), &json!(0), &Value::Null)
        );
        assert_eq!(&well["total_requests_24h"], &json!(6), "checks are not counted");
        assert_eq!(well, first(&stage).await);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_changed_configuration_holds_at_once() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        let config = async || data(&stage.gateway.admin.get("/api/health-check/config").await);
        let first_start =
            json!({"enabled": false, "interval_minutes": 5, "max_error_count": 5, "retry_after_hours": 1});
        assert_eq!(config().await, first_start);
        stage.first_answers(Scripted::error(500));
        for _ in 0..3 {
            stage.ask(false).await;
        }
        assert_eq!(first(&stage).await["status"], "degraded");
        let strict =
            json!({"enabled": false, "interval_minutes": 9, "max_error_count": 3, "retry_after_hours": 2});
        assert_eq!(data(&put_config(&stage, &strict).await), strict);
        assert_eq!(first(&stage).await["status"], "unhealthy", "{channel:?}");
        let lenient = json!({"max_error_count": 4});
        assert_eq!(
            data(&put_config(&stage, &lenient).await)["interval_minutes"],
            9,
            "what is not sent stays"
        );
        assert_eq!(first(&stage).await["status"], "degraded");

        let (code, message) = refused(&put_config(&stage, &json!({"interval_minutes": 0})).await);
        assert_eq!((code, message.as_str()), (400, "interval_minutes must be 1 to 1440"));
        assert_eq!(refused(&put_config(&stage, &json!({"interval": 3})).await).0, 400);
        assert_eq!(refused(&put_config(&stage, &json!({"enabled": "yes"})).await).0, 400);
        let bare = stage.gateway.admin.get("/admin/health-check/config").await;
        assert_eq!((bare.status, &bare.json()), (200, &config().await));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn health_is_for_operators_and_of_known_providers() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        let (admin, stranger) = (&stage.gateway.admin, &stage.gateway.client);
        let all = data(&admin.get("/api/providers/health").await);
        let names: Vec<_> = all.as_array().unwrap().iter().map(|one| one["provider_name"].clone()).collect();
        assert_eq!(names, ["echo", "first"]);
        assert_eq!(admin.get("/admin/health").await.json(), all);
        assert_eq!(admin.get("/api/admin/health/first").await.json(), all[1]);

        let (code, message) = refused(&admin.get("/api/providers/health/nobody").await);
        assert_eq!((code, message.as_str()), (404, "provider nobody does not exist"));
        assert_eq!(refused(&admin.post("/api/health-check/force/nobody", &json!({})).await).0, 404);
        for path in ["/api/providers/health", "/api/providers/health/first", "/api/health-check/config"] {
            assert_eq!(refused(&stranger.get(path).await).0, 401, "{path}");
            assert_eq!(refused(&stranger.with_key(None).get(path).await).0, 401, "{path}");
        }
        assert_eq!(refused(&stranger.post("/api/health-check/force/first", &json!({})).await).0, 401);
        assert_eq!(stranger.get("/admin/breakers").await.status, 401);
        assert_eq!(stranger.post("/admin/breakers/reset", &json!({})).await.status, 401);

        let path = format!("/admin/providers/{}", all[1]["provider_id"].as_str().unwrap());
        let off = Bytes::from(json!({"enabled": false}).to_string());
        assert_eq!(admin.send(Method::PATCH, &path, &[], off).await.status, 200);
        assert_eq!(refused(&admin.post("/api/health-check/force/first", &json!({})).await).0, 409);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn an_open_breaker_is_shown_and_can_be_reset() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        let admin = &stage.gateway.admin;
        assert_eq!(admin.get("/admin/breakers").await.json(), json!([]));
        stage.first_answers(Scripted::error(500));
        for _ in 0..5 {
            stage.ask(false).await;
        }
        let breakers = admin.get("/admin/breakers?provider_id=first").await.json();
        let open = &breakers[0];
        assert_eq!(breakers.as_array().unwrap().len(), 1, "{breakers}");
        assert_eq!((&open["state"], &open["failures"]), (&json!("open"), &json!(5)), "{channel:?}");
        assert_eq!(open["upstream_model"], "m-upstream");
        let rest = open["retry_in_ms"].as_u64().unwrap();
        assert!((40_000..=72_000).contains(&rest), "a minute, more or less: {rest}");
        assert_eq!(admin.get("/admin/breakers?provider_id=echo").await.json(), json!([]));

        assert_eq!(admin.post("/admin/breakers/reset", &json!({"provider_id": "nobody"})).await.status, 404);
        assert_eq!(admin.post("/admin/breakers/reset", &json!({"provider_id": "echo"})).await.status, 204);
        assert_eq!(admin.get("/admin/breakers").await.json()[0]["state"], "open", "another's was reset");
        let reset = admin.send(Method::POST, "/api/admin/breakers/reset", &[], Bytes::new()).await;
        assert_eq!((reset.status, reset.text().as_str()), (204, ""));
        assert_eq!(admin.get("/admin/breakers").await.json(), json!([]));
        stage.gateway.stop().await;
    }
}

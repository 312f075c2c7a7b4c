//! What probes and operators ask: is it alive, is it ready, which version is it.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, uri::PathAndQuery};
use orchestrator_base::config::AppEnv;
use prost::Message as _;
use serde_json::json;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

use crate::{Edge, core_client::unary};

/// How long the core may take to say that it serves.
const READY_WITHIN: Duration = Duration::from_secs(1);
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// `grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
/// Under this name the core says whether records of what was used are stored.
const LEDGER: &str = "ledger";
/// Whether cores that share limits can count together.
const SHARED_STATE: &str = "shared_state";

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(prost::Message)]
struct HealthCheckRequest {
    /// Empty: the server as a whole.
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `GET /health`: the edge answers.
pub(crate) async fn health(State(edge): State<Edge>) -> Response {
    let timestamp = edge.clock.now().to_string();
    Json(json!({ "status": "healthy", "timestamp": timestamp })).into_response()
}

/// `GET /health/live`: the process turns.
pub(crate) async fn live() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// `GET /health/ready`: 503 while draining, and while no core serves. A core whose database is away serves, and is degraded.
pub(crate) async fn ready(State(edge): State<Edge>) -> Response {
    if edge.stages.leaving().is_cancelled() {
        return not_ready("draining");
    }
    match check(&edge, "").await {
        None => return not_ready("the core does not answer"),
        Some(SERVING) => {}
        Some(_) => return not_ready("the core does not serve"),
    }
    let mut degraded = Vec::new();
    if check(&edge, LEDGER).await == Some(NOT_SERVING) {
        degraded.push("records of requests are not stored: they wait in the core's journal, and those that its disk does not take are lost");
    }
    if check(&edge, SHARED_STATE).await == Some(NOT_SERVING) {
        degraded.push(
            "Redis is away: rate limits, concurrency limits and budgets are kept by each core's share, and idempotency by each core",
        );
    }
    if !degraded.is_empty() {
        let degraded = degraded.join("; ");
        return Json(json!({ "status": "ready", "degraded": degraded })).into_response();
    }
    Json(json!({ "status": "ready" })).into_response()
}

/// The status that the core gives itself, or one of its parts. `None`: it does not answer.
async fn check(edge: &Edge, service: &str) -> Option<i32> {
    let asked = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let path = PathAndQuery::from_static(HEALTH_CHECK);
    let answer = timeout(READY_WITHIN, unary(&edge.core, path, MetadataMap::new(), asked.into())).await;
    // An answer that cannot be read is no status that there is.
    Some(HealthCheckResponse::decode(answer.ok()?.ok()?).map_or(0, |answer| answer.status))
}

fn not_ready(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "reason": reason })))
        .into_response()
}

/// `GET /version`.
pub(crate) async fn version(State(edge): State<Edge>) -> Response {
    Json(json!({
        "name": "llm-orchestrator",
        "version": env!("CARGO_PKG_VERSION"),
        // Set by whoever builds an image or a package.
        "commit": option_env!("ORCHESTRATOR_COMMIT").unwrap_or("unknown"),
        "environment": environment(&edge),
    }))
    .into_response()
}

/// `development` or `production`.
pub(crate) fn environment(edge: &Edge) -> &'static str {
    match edge.environment {
        AppEnv::Development => "development",
        AppEnv::Production => "production",
    }
}

//! What probes and operators ask: is it alive, is it ready, which version is it.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
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

/// `GET /health/ready`: 503 while draining, and while no core serves.
pub(crate) async fn ready(State(edge): State<Edge>) -> Response {
    if edge.stop.is_cancelled() {
        return not_ready("draining");
    }
    // The empty message asks for the server as a whole.
    let check = unary(&edge.core, PathAndQuery::from_static(HEALTH_CHECK), MetadataMap::new(), Bytes::new());
    let Ok(Ok(answer)) = timeout(READY_WITHIN, check).await else {
        return not_ready("the core does not answer");
    };
    match HealthCheckResponse::decode(answer) {
        Ok(HealthCheckResponse { status: SERVING }) => Json(json!({ "status": "ready" })).into_response(),
        Ok(_) | Err(_) => not_ready("the core does not serve"),
    }
}

fn not_ready(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "reason": reason })))
        .into_response()
}

/// `GET /version`.
pub(crate) async fn version(State(edge): State<Edge>) -> Response {
    let environment = match edge.environment {
        AppEnv::Development => "development",
        AppEnv::Production => "production",
    };
    Json(json!({
        "name": "llm-orchestrator",
        "version": env!("CARGO_PKG_VERSION"),
        // Set by whoever builds an image or a package.
        "commit": option_env!("ORCHESTRATOR_COMMIT").unwrap_or("unknown"),
        "environment": environment,
    }))
    .into_response()
}

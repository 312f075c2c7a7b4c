//! `GET /health/detailed` and `GET /health/queue/status`: what `Admin.GetStatus` says of the core, and what the edge knows besides: how
//! each core answers. For holders of an admin key, or for everybody, as the setting `health.public_details` says.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use orchestrator_base::clock::millis;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use tonic::Code;

use super::{failure::AdminError, metadata, rpc_named, show};
use crate::{
    Edge,
    core_client::{Asked, ask_each},
    ops,
};

/// How long a core may take to say how it is: it asks what it depends on, for a second at most.
const WITHIN: Duration = Duration::from_secs(2);
/// The method that says it.
pub(super) const STATUS: &str = "GetStatus";
const UNHEALTHY: &str = "unhealthy";

/// `GET /health/detailed`: 503 when no core answers.
pub(crate) async fn detailed(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match look(&edge, &head).await {
        Ok(cores) => {
            let known = details(&edge, &cores);
            (status_of(&cores), Json(known)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// `GET /health/queue/status`: what waits in the core that answers. 503 when none does.
pub(crate) async fn queue(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match look(&edge, &head).await {
        Ok(cores) => (status_of(&cores), Json(queues(&edge, &cores))).into_response(),
        Err(error) => error.into_response(),
    }
}

/// A core as this edge sees it.
struct Core {
    asked: Asked,
    /// What it says of itself; `None`: nothing.
    said: Option<Value>,
}

/// How the cores are.
///
/// Errors: what they say of the key.
async fn look(edge: &Edge, head: &Parts) -> Result<Vec<Core>, AdminError> {
    let metadata = metadata(head)?;
    if !edge.public_details && !metadata.contains_key(header::AUTHORIZATION.as_str()) {
        return Err(AdminError::no_key());
    }
    let rpc = rpc_named(STATUS)?;
    let mut cores = Vec::new();
    for asked in ask_each(&edge.core, &rpc.path, &metadata, WITHIN).await {
        let said = match &asked.answer {
            Ok(bytes) => Some(read(rpc, bytes)?),
            Err(status) if is_lost(status.code()) => None,
            Err(status) => return Err(status.clone().into()),
        };
        cores.push(Core { asked, said });
    }
    Ok(cores)
}

fn read(rpc: &super::Rpc, bytes: &Bytes) -> Result<Value, AdminError> {
    let message =
        DynamicMessage::decode(rpc.output.clone(), bytes.clone()).map_err(|_| AdminError::internal())?;
    serde_json::from_str(&show::message(&message, false)).map_err(|_| AdminError::internal())
}

fn is_lost(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded)
}

/// The core that speaks for the others: the first that answers.
fn speaker(cores: &[Core]) -> Option<&Value> {
    cores.iter().find_map(|core| core.said.as_ref())
}

fn status_of(cores: &[Core]) -> StatusCode {
    if speaker(cores).is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The status of all, and what does not work.
fn verdict(edge: &Edge, cores: &[Core]) -> (String, Vec<Value>) {
    let Some(core) = speaker(cores) else { return (UNHEALTHY.into(), vec!["no core answers".into()]) };
    let mut degraded = core["degraded"].as_array().cloned().unwrap_or_default();
    for lost in cores.iter().filter(|core| core.said.is_none()) {
        degraded.push(format!("the core at {} does not answer", address(lost)).into());
    }
    if edge.stages.leaving().is_cancelled() {
        return ("draining".into(), degraded);
    }
    let status = match core["status"].as_str() {
        Some("healthy") | None if !degraded.is_empty() => "degraded",
        Some(status) => status,
        None => UNHEALTHY,
    };
    (status.to_owned(), degraded)
}

fn details(edge: &Edge, cores: &[Core]) -> Value {
    let (status, degraded) = verdict(edge, cores);
    let core = speaker(cores).unwrap_or(&Value::Null);
    let database = json!({
        "status": core["database"],
        "latency_ms": core["database_latency_ms"],
        "away_since": core["database_away_since"],
    });
    let (running, most) = (&core["queue"]["running"], &core["queue"]["max_concurrent_sessions"]);
    let is_full = running.as_u64() >= most.as_u64();
    let sessions = json!({
        "status": if is_full { "full" } else { "healthy" },
        "running": running,
        "max_concurrent_sessions": most,
    });
    let part = |value: Value| if core.is_null() { Value::Null } else { value };
    json!({
        "status": status,
        "degraded": degraded,
        "timestamp": edge.clock.now().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "environment": ops::environment(edge),
        "uptime_seconds": edge.began.elapsed().as_secs(),
        "database": part(database),
        "redis": core["redis"],
        "providers": core["providers"],
        "breakers": core["breakers"],
        "sessions": part(sessions),
        "queue": core["queue"],
        "journal": core["journal"],
        "log_writer": core["log_writer"],
        "catalog": part(json!({ "revision": core["catalog_revision"] })),
        "cores": cores.iter().map(core_in_short).collect::<Value>(),
    })
}

fn core_in_short(core: &Core) -> Value {
    let said = core.said.as_ref().unwrap_or(&Value::Null);
    let latency = core.said.is_some().then(|| millis(core.asked.took));
    json!({
        "address": address(core),
        "status": said["status"].as_str().unwrap_or("unreachable"),
        "latency_ms": latency,
        "core": said["core"],
        "version": said["version"],
        "uptime_seconds": said["uptime_seconds"],
    })
}

fn address(core: &Core) -> String {
    core.asked.at.map_or_else(|| "embedded".to_owned(), |at| at.to_string())
}

fn queues(edge: &Edge, cores: &[Core]) -> Value {
    let core = speaker(cores).unwrap_or(&Value::Null);
    let parts = [&core["queue"], &core["journal"], &core["log_writer"]];
    let is_bad = |part: &&Value| matches!(part["status"].as_str(), Some("unhealthy" | "failing"));
    let status = if core.is_null() || parts.iter().any(is_bad) { UNHEALTHY } else { "healthy" };
    let [queue, journal, log_writer] = parts;
    json!({
        "status": status,
        "timestamp": edge.clock.now().to_string(),
        "queue": queue,
        "journal": journal,
        "log_writer": log_writer,
    })
}

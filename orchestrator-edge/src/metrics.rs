//! What the edge counts, and `GET /metrics`.
//!
//! A request costs it two looks at the clock and a few additions; paths are told apart by class, so that no name in one becomes a
//! label.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use orchestrator_base::metrics::{
    CONTENT_TYPE, Collect, Counter, Description, Gauge, Histogram, Registry, Text, process::Process,
};
use tonic::Code;

use crate::{Edge, admin_api, body::BodyLimits, error::EdgeError};

const REQUESTS: Description = Description::counter(
    "orchestrator_edge_requests_total",
    &["route", "status"],
    "Requests by the status of their answer.",
);
const RESPONSES: Description = Description::histogram(
    "orchestrator_edge_response_seconds",
    &["route"],
    "From a request's head to its answer's.",
);
const OVERHEAD: Description = Description::histogram(
    "orchestrator_edge_overhead_seconds",
    &[],
    "The edge's own work for a request to the core, without its waits.",
);
const CONNECTIONS: Description =
    Description::gauge("orchestrator_edge_connections", &[], "Open connections of clients.");
const CONNECTIONS_MADE: Description =
    Description::counter("orchestrator_edge_connections_total", &[], "Connections that clients have made.");
const STREAMS: Description =
    Description::gauge("orchestrator_edge_streams", &[], "Answers in parts that are under way.");
const BODY_BYTES: Description =
    Description::gauge("orchestrator_edge_body_bytes", &[], "Bytes of requests' bodies in flight.");
const BODY_BYTES_LIMIT: Description = Description::gauge(
    "orchestrator_edge_body_bytes_limit",
    &[],
    "As many bytes of bodies may be in flight.",
);
const CORE_CALLS: Description = Description::counter(
    "orchestrator_edge_core_calls_total",
    &["outcome"],
    "Calls to the core for models and stored responses.",
);
const CORE_LOST: Description = Description::counter(
    "orchestrator_edge_core_lost_total",
    &[],
    "Streams in whose middle the core was lost.",
);

/// In microseconds, as the core's of the same meaning.
const QUICK: [u64; 15] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
const ANSWERS: [u64; 14] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
];

/// The classes of paths.
const ROUTES: [&str; 10] = [
    "chat_completions",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "gemini",
    "models",
    "admin",
    "health",
    "other",
];
const OTHER: usize = ROUTES.len() - 1;

/// Which class a request belongs to. Only the core knows whether there is what it asks for.
fn class(method: &Method, path: &str) -> usize {
    let of = |name: &str| ROUTES.iter().position(|route| *route == name).unwrap_or(OTHER);
    if path.ends_with("/chat/completions") {
        return 0;
    }
    let name = if path.starts_with("/admin") || path.starts_with("/api/") && !path.starts_with("/api/v1/") {
        "admin"
    } else if path.ends_with("/messages") || path.ends_with("/count_tokens") {
        "messages"
    } else if path.contains("/responses") {
        "responses"
    } else if path.ends_with("/embeddings") {
        "embeddings"
    } else if path.ends_with("/completions") {
        "completions"
    } else if *method == Method::POST && path.contains("/models/") || path.contains("/tunedModels/") {
        "gemini"
    } else if path.contains("/models") {
        "models"
    } else if path.contains("/health") || path.ends_with("/metrics") {
        "health"
    } else {
        "other"
    };
    of(name)
}

/// The first status that HTTP has, and how many there may be.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

/// gRPC's words for how a call ended, by its codes.
const OUTCOMES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// What an edge counts, on all threads.
pub(crate) struct Metrics {
    /// By class, then by status.
    requests: Box<[AtomicU64]>,
    responses: [Histogram; ROUTES.len()],
    pub(crate) overhead: Histogram,
    connections: Gauge,
    connections_made: Counter,
    streams: Gauge,
    core_calls: [Counter; OUTCOMES.len()],
    pub(crate) core_lost: Counter,
    bodies: BodyLimits,
}

impl Metrics {
    pub(crate) fn new(bodies: BodyLimits) -> Self {
        Self {
            requests: (0..ROUTES.len() * STATUSES).map(|_| AtomicU64::default()).collect(),
            responses: std::array::from_fn(|_| Histogram::new(&ANSWERS)),
            overhead: Histogram::new(&QUICK),
            connections: Gauge::default(),
            connections_made: Counter::default(),
            streams: Gauge::default(),
            core_calls: Default::default(),
            core_lost: Counter::default(),
            bodies,
        }
    }

    /// The class of a request that has come, for [`Metrics::answered`].
    pub(crate) fn class(request: &Request) -> usize {
        class(request.method(), request.uri().path())
    }

    /// A request of that class has its answer's head, after so long.
    pub(crate) fn answered(&self, class: usize, status: StatusCode, took: std::time::Duration) {
        let place = usize::from(status.as_u16().saturating_sub(FIRST_STATUS)).min(STATUSES - 1);
        if let Some(count) = self.requests.get(class * STATUSES + place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.responses[class.min(OTHER)].record(took);
    }

    /// A call to the core has come to this.
    pub(crate) fn core_call(&self, code: Code) {
        self.core_calls[(code as usize).min(OUTCOMES.len() - 1)].inc();
    }

    /// A client has connected; it leaves when what is given is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> Present {
        self.connections_made.inc();
        Present::among(self, |metrics| &metrics.connections)
    }

    /// An answer in parts has begun; it is over when what is given is dropped.
    pub(crate) fn stream(self: &Arc<Self>) -> Present {
        Present::among(self, |metrics| &metrics.streams)
    }
}

/// Something that is counted as long as it is there.
pub(crate) struct Present {
    metrics: Arc<Metrics>,
    gauge: fn(&Metrics) -> &Gauge,
}

impl Present {
    fn among(metrics: &Arc<Metrics>, gauge: fn(&Metrics) -> &Gauge) -> Self {
        gauge(metrics).inc();
        Self { metrics: Arc::clone(metrics), gauge }
    }
}

impl Present {
    /// Where it is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).dec();
    }
}

impl Collect for Metrics {
    fn descriptions(&self) -> Vec<&'static Description> {
        vec![
            &REQUESTS,
            &RESPONSES,
            &OVERHEAD,
            &CONNECTIONS,
            &CONNECTIONS_MADE,
            &STREAMS,
            &BODY_BYTES,
            &BODY_BYTES_LIMIT,
            &CORE_CALLS,
            &CORE_LOST,
        ]
    }

    fn collect(&self, text: &mut Text) {
        text.family(&REQUESTS);
        for (route, statuses) in ROUTES.into_iter().zip(self.requests.chunks(STATUSES)) {
            for (status, count) in (FIRST_STATUS..).zip(statuses) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    text.whole(&REQUESTS, &[route, &status.to_string()], count);
                }
            }
        }
        text.family(&RESPONSES);
        for (route, responses) in ROUTES.into_iter().zip(&self.responses) {
            text.histogram(&RESPONSES, &[route], responses);
        }
        text.family(&OVERHEAD);
        text.histogram(&OVERHEAD, &[], &self.overhead);
        text.single(&CONNECTIONS, self.connections.get().max(0) as u64);
        text.single(&CONNECTIONS_MADE, self.connections_made.get());
        text.single(&STREAMS, self.streams.get().max(0) as u64);
        let (held, limit) = self.bodies.in_flight();
        text.single(&BODY_BYTES, held as u64);
        text.single(&BODY_BYTES_LIMIT, limit as u64);
        text.family(&CORE_CALLS);
        for (outcome, calls) in OUTCOMES.into_iter().zip(&self.core_calls) {
            text.whole(&CORE_CALLS, &[outcome], calls.get());
        }
        text.single(&CORE_LOST, self.core_lost.get());
    }
}

/// What an edge alone shows.
pub(crate) fn registry(metrics: &Arc<Metrics>, process: Process) -> Registry {
    let registry = Registry::default();
    registry.add(Arc::clone(metrics) as Arc<dyn Collect>);
    registry.add(Arc::new(process));
    registry
}

/// `GET /metrics`, `GET /health/metrics`: to everybody, or to whoever brings an admin key.
pub(crate) async fn show(State(edge): State<Edge>, request: Request) -> Response {
    if !edge.public_metrics
        && let Err(refusal) = admin_api::admit(&edge, request).await
    {
        return refusal;
    }
    let registry = edge.registry.clone();
    // It looks at files.
    match tokio::task::spawn_blocking(move || registry.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], text).into_response(),
        Err(_) => EdgeError::panicked().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_by_what_they_are_for() {
        let cases = [
            (Method::POST, "/v1/chat/completions", "chat_completions"),
            (Method::POST, "/openai/v1/completions", "completions"),
            (Method::POST, "/v1/embeddings", "embeddings"),
            (Method::GET, "/v1/responses/resp_1/input_items", "responses"),
            (Method::POST, "/anthropic/v1/messages/count_tokens", "messages"),
            (Method::POST, "/v1beta/models/a:streamGenerateContent", "gemini"),
            (Method::GET, "/v1/models/a", "models"),
            (Method::PATCH, "/api/admin/models/1", "admin"),
            (Method::GET, "/api/providers/health", "admin"),
            (Method::GET, "/api/v1/health/ready", "health"),
            (Method::GET, "/metrics", "health"),
            (Method::GET, "/wp-login.php", "other"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(ROUTES[class(&method, path)], expected, "{method} {path}");
        }
    }

    #[test]
    fn every_code_of_grpc_has_a_word() {
        for code in 0..OUTCOMES.len() as i32 {
            assert_eq!(Code::from_i32(code) as i32, code);
        }
        assert_eq!(OUTCOMES[Code::Unavailable as usize], "unavailable");
        assert_eq!(OUTCOMES[Code::Unauthenticated as usize], "unauthenticated");
    }
}

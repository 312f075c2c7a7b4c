//! The core's own page for operators' machines: `/metrics` (`/health/metrics`), `/health`, `/health/live`, `/health/ready`, over
//! HTTP/1.1, without a key. It runs beside the request threads, and goes on while they drain.

use std::{convert::Infallible, io, net::TcpListener, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use orchestrator_base::{
    clock::Clock,
    config::{AppEnv, Config},
    metrics::{CONTENT_TYPE, Registry},
    task,
};
use serde_json::json;
use tokio::{net::TcpStream, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::body::Body as AnyBody;

use crate::health::{Health, LEDGER, SHARED_STATE};

/// How many connections there are at once. Who scrapes keeps one.
const CONNECTIONS: usize = 64;
/// How long a peer may take to ask, the time between two scrapes included.
const PATIENCE: Duration = Duration::from_mins(2);
/// Waited after an accept failed for want of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is shown.
#[derive(Clone, Debug)]
pub struct Page {
    /// Numbers.
    pub metrics: Registry,
    /// Whether the core serves.
    pub health: Health,
    /// Wall-clock time.
    pub clock: Clock,
}

/// The listener that the configuration asks for; `None`: none. In development a port that is taken is no reason not to start: it
/// is another core's on the same machine.
///
/// Errors: the address cannot be listened on.
pub fn listen(config: &Config) -> io::Result<Option<TcpListener>> {
    let at = &config.metrics;
    if !at.enabled {
        return Ok(None);
    }
    // Not shared with whoever else has the port: half of the scrapes would see another process.
    match TcpListener::bind((at.host.as_str(), at.port)) {
        Ok(listener) => {
            tracing::info!(address = %listener.local_addr()?, "Listening for metrics");
            Ok(Some(listener))
        }
        Err(error) if config.app.env == AppEnv::Development && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(
                host = at.host,
                port = at.port,
                "metrics are not shown: the port is taken; set METRICS_PORT"
            );
            Ok(None)
        }
        Err(error) => {
            let message = format!("cannot listen on {}:{} for metrics: {error}", at.host, at.port);
            Err(io::Error::new(error.kind(), message))
        }
    }
}

/// Shows the page until `stop`. Call it on the runtime that is to do the work.
///
/// Errors: the listener cannot be registered with the runtime.
pub fn start(listener: TcpListener, page: Page, stop: CancellationToken) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    drop(task::spawn("metrics listener", async move {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((socket, _)), Ok(place)) => {
                    let serving = serve(socket, page.clone(), stop.clone());
                    drop(task::spawn("metrics connection", async move {
                        serving.await;
                        drop(place);
                    }));
                }
                // Whoever keeps so many has its answer in a closed connection.
                (Ok(_), Err(_)) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }));
    Ok(())
}

async fn serve(socket: TcpStream, page: Page, stop: CancellationToken) {
    let handler = service_fn(move |request: Request<Incoming>| {
        let page = page.clone();
        async move { Ok::<_, Infallible>(page.answer(&request).await) }
    });
    let mut settings = http1::Builder::new();
    settings.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let connection = settings.serve_connection(TokioIo::new(socket), handler);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}

impl Page {
    async fn answer<B: Body>(&self, request: &Request<B>) -> Response<AnyBody> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused =
                said(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "only GET is answered here" }));
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" | "/health/metrics" => self.numbers().await,
            "/health" => said(
                StatusCode::OK,
                &json!({ "status": "healthy", "timestamp": self.clock.now().to_string() }),
            ),
            "/health/live" => said(StatusCode::OK, &json!({ "status": "alive" })),
            "/health/ready" => self.ready().await,
            _ => said(
                StatusCode::NOT_FOUND,
                &json!({ "error": "there is /metrics, /health, /health/live and /health/ready" }),
            ),
        }
    }

    async fn numbers(&self) -> Response<AnyBody> {
        let registry = self.metrics.clone();
        match tokio::task::spawn_blocking(move || registry.render()).await {
            Ok(text) => with_type(Bytes::from(text), CONTENT_TYPE),
            Err(_) => {
                said(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "the metrics cannot be written" }))
            }
        }
    }

    /// 503 while it starts and while it drains.
    async fn ready(&self) -> Response<AnyBody> {
        if !self.health.serves("").await {
            let reason =
                if self.health.draining().is_cancelled() { "draining" } else { "the core does not serve" };
            let answer = json!({ "status": "not ready", "reason": reason });
            return said(StatusCode::SERVICE_UNAVAILABLE, &answer);
        }
        let mut degraded = Vec::new();
        for part in [LEDGER, SHARED_STATE] {
            if !self.health.serves(part).await {
                degraded.push(part);
            }
        }
        if degraded.is_empty() {
            return said(StatusCode::OK, &json!({ "status": "ready" }));
        }
        said(StatusCode::OK, &json!({ "status": "ready", "degraded": degraded.join(", ") }))
    }
}

fn said(status: StatusCode, what: &serde_json::Value) -> Response<AnyBody> {
    let mut answer = with_type(Bytes::from(what.to_string()), "application/json");
    *answer.status_mut() = status;
    answer
}

fn with_type(body: Bytes, kind: &'static str) -> Response<AnyBody> {
    let mut answer = Response::new(AnyBody::new(http_body_util::Full::new(body)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_ends_a_start_in_production_alone() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut config = Config::default();
        config.metrics.port = address.port();
        assert!(listen(&config).unwrap().is_none());
        config.app.env = AppEnv::Production;
        let error = listen(&config).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        config.metrics.enabled = false;
        assert!(listen(&config).unwrap().is_none());
        config.metrics.enabled = true;
        config.metrics.port = 0;
        assert_eq!(listen(&config).unwrap().unwrap().local_addr().unwrap().ip().to_string(), "127.0.0.1");
    }
}

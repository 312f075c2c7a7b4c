//! `grpc.health.v1`: whether this core takes calls, for all of it (the empty name) and for each of its services.

use std::{io, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use futures_core::Stream;
use futures_util::StreamExt as _;
use http::Uri;
use hyper_util::rt::TokioIo;
use orchestrator_base::{config::Config, process, task, tls};
use orchestrator_proto::v1::{admin_server, orchestrate_server};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response,
        health_client::HealthClient,
        health_server::{self, HealthServer},
    },
    server::{HealthReporter, HealthService},
};
use tower::service_fn;

const NAMES: [&str; 3] = ["", orchestrate_server::SERVICE_NAME, admin_server::SERVICE_NAME];

/// The name under which it is said whether records of what was used are stored. A core that only waits for its database serves all
/// the same.
pub const LEDGER: &str = "ledger";

/// The name under which it is said whether cores that share limits can count together. One that cannot goes by its own share.
pub const SHARED_STATE: &str = "shared_state";

/// A watch ends so long after it was told that nothing is served any more.
const LAST_WORD: Duration = Duration::from_millis(100);

/// How long `health` waits for an answer.
const ASK: Duration = Duration::from_secs(2);

/// What health checks and watches are told. Clones share one state, whichever runtime they are on.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// Cancelled when the drain begins.
    draining: CancellationToken,
}

impl Health {
    /// Not serving yet: start-up says when.
    pub async fn starting() -> Self {
        let health = Self { reporter: HealthReporter::new(), draining: CancellationToken::new() };
        health.set_serving(false).await;
        health.set_ledger_well(true).await;
        health.set_shared_state_well(true).await;
        health
    }

    /// Whether cores that share limits can count together.
    pub async fn set_shared_state_well(&self, well: bool) {
        let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(SHARED_STATE, status).await;
    }

    /// Whether the ledger's records are stored.
    pub async fn set_ledger_well(&self, well: bool) {
        let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(LEDGER, status).await;
    }

    /// Serving from now on, or not any more: a core that drains says so before it stops.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Serving from now on, and not any more as soon as `drain` begins: who watches leaves before connections are closed.
    pub async fn serve_until(&self, drain: CancellationToken) {
        self.set_serving(true).await;
        let health = self.clone();
        drop(task::spawn("health at the end", async move {
            drain.cancelled().await;
            health.draining.cancel();
            health.set_serving(false).await;
        }));
    }

    /// Whether it serves under this name: empty for all of it.
    pub async fn serves(&self, name: &str) -> bool {
        let service = HealthService::from_health_reporter(self.reporter.clone());
        let asked = tonic::Request::new(HealthCheckRequest { service: name.to_owned() });
        let answer = health_server::Health::check(&service, asked).await;
        answer.is_ok_and(|answer| answer.get_ref().status() == health_check_response::ServingStatus::Serving)
    }

    /// Cancelled as soon as the drain begins: whatever would go on for ever ends then.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// The service that answers with this state.
    pub fn service(&self) -> HealthServer<Watched> {
        let answers = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Watched { answers, draining: self.draining() })
    }
}

/// Watches end with the drain: one that is never ended would hold up the process for as long as any answer may.
#[derive(Debug)]
pub struct Watched {
    answers: HealthService,
    draining: CancellationToken,
}

#[tonic::async_trait]
impl health_server::Health for Watched {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.answers.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let told = self.answers.watch(request).await?.into_inner();
        let draining = self.draining.clone();
        let end = async move {
            draining.cancelled().await;
            tokio::time::sleep(LAST_WORD).await;
        };
        Ok(Response::new(Box::pin(told.take_until(Box::pin(end)))))
    }
}

/// `health`: asks the core at this address, and says so with the exit code. For containers.
pub fn ask(config: &Config) -> ExitCode {
    let grpc = &config.grpc;
    // A listener on all addresses is asked on this machine's own.
    let host = if grpc.host == "0.0.0.0" { "127.0.0.1" } else { &grpc.host };
    let address = format!("http://{host}:{}", grpc.port);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unwell(&error),
    };
    let tls = match tls::of_own_grpc(config) {
        Ok(tls) => tls.map(Arc::new),
        Err(error) => return unwell(&error),
    };
    match runtime.block_on(async { tokio::time::timeout(ASK, serving(address, tls)).await }) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => unwell(&"not serving"),
        Ok(Err(error)) => unwell(&error),
        Err(_) => unwell(&"no answer in time"),
    }
}

async fn serving(
    address: String,
    tls: Option<Arc<tls::Client>>,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let dial = service_fn(move |uri: Uri| {
        let tls = tls.clone();
        async move {
            let authority = uri.authority().ok_or(io::ErrorKind::InvalidInput)?.as_str();
            let stream = TcpStream::connect(authority).await?;
            let wire = match tls {
                Some(tls) => tls.connect(uri.host().unwrap_or_default(), stream).await?,
                None => tls::Wire::Plain(stream),
            };
            Ok::<_, io::Error>(TokioIo::new(wire))
        }
    });
    let channel = tonic::transport::Endpoint::from_shared(address)?.connect_with_connector(dial).await?;
    let mut client = HealthClient::new(channel);
    let answer = client.check(HealthCheckRequest::default()).await?.into_inner();
    Ok(answer.status() == health_check_response::ServingStatus::Serving)
}

fn unwell(why: &dyn std::fmt::Display) -> ExitCode {
    process::complain(&format!("unhealthy: {why}"));
    ExitCode::FAILURE
}

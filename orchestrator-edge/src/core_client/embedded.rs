//! A core in this process: started, served over gRPC beside the edge, and called by it without a socket.

use std::{net::TcpListener, sync::Arc};

use orchestrator_base::{
    config::{Config, Reload},
    metrics::Registry,
    stopping::Stages,
    tls::Listener,
};
use orchestrator_grpc::{boot, metrics_listener, routes::CoreService, server};
use tokio_util::sync::CancellationToken;

pub use orchestrator_grpc::{
    boot::{FLUSH, StartError},
    routes::Part,
};

use super::CoreChannel;

/// A core in this process. Clones are the same core.
#[derive(Clone)]
pub struct EmbeddedCore(Arc<boot::Core>);

impl EmbeddedCore {
    /// Starts it on the runtime that this is called on, background work included.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        boot::start(config).await.map(|core| Self(Arc::new(core)))
    }

    /// What one request thread needs of it. Call it on that thread's runtime.
    pub fn for_thread(&self) -> ThreadCore {
        ThreadCore(self.0.service())
    }

    /// Where its files lie, absolute.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.0.data_dir
    }

    /// Reads settings again: the edge of this process may have it apply its own.
    pub fn reload(&self) -> &Reload {
        self.0.reload()
    }

    /// What the process shows of itself.
    pub fn metrics(&self) -> &Registry {
        &self.0.metrics
    }

    /// The listener for metrics and health that the configuration asks for, if it does.
    pub fn listen_for_metrics(config: &Config) -> std::io::Result<Option<TcpListener>> {
        metrics_listener::listen(config)
    }

    /// Shows metrics and health there until the end. Call it on the runtime that is to do the work.
    pub fn show_at(&self, listener: TcpListener) -> std::io::Result<()> {
        self.0.show_at(listener)
    }

    /// Says to health checks that it takes calls, until the process leaves; and ends what still runs at the curfew.
    pub async fn serve_until(&self, stages: &Stages) {
        self.0.serve_until(stages).await;
    }

    /// Stores what is in the journal and closes the database, once every other clone is gone. `hurry`: not to wait for that.
    pub async fn finish(self, hurry: &CancellationToken) {
        if let Some(core) = Arc::into_inner(self.0) {
            core.finish(hurry).await;
        }
    }
}

/// An embedded core as one request thread sees it.
pub struct ThreadCore(CoreService);

impl ThreadCore {
    /// For the edge of this thread.
    pub fn channel(&self) -> CoreChannel {
        super::embedded(self.0.clone())
    }

    /// What of it a listener serves. The edge of this thread calls all of it.
    pub fn only(&self, part: Part) -> Self {
        Self(part.of(self.0.clone()))
    }

    /// Serves gRPC clients from outside.
    pub async fn serve(self, listener: impl Into<Listener>, stages: Stages) -> std::io::Result<()> {
        server::serve(listener, self.0, stages).await
    }
}

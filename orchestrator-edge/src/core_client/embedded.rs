//! A core in this process: started, served over gRPC beside the edge, and called by it without a socket.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{config::Config, runtime::Background, tls::Listener};
use orchestrator_grpc::{boot, routes::CoreService, server};
use tokio_util::sync::CancellationToken;

pub use orchestrator_grpc::{boot::StartError, routes::Part};

use super::CoreChannel;

/// A core in this process. Clones are the same core.
#[derive(Clone)]
pub struct EmbeddedCore(Arc<boot::Core>);

impl EmbeddedCore {
    /// Starts it; its background work runs on `background`.
    pub fn start(background: &Background, config: &Config) -> Result<Self, StartError> {
        boot::start_on(background, config).map(|core| Self(Arc::new(core)))
    }

    /// Starts it on the runtime that this is called on, background work included: for a program of one runtime.
    pub async fn start_here(config: &Config) -> Result<Self, StartError> {
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

    /// Says to health checks that it takes calls, until `drain`.
    pub async fn serve_until(&self, drain: CancellationToken) {
        self.0.health.serve_until(drain).await;
    }

    /// Stores what is in the journal and closes the database, once every other clone is gone.
    pub async fn finish(self) {
        if let Some(core) = Arc::into_inner(self.0) {
            core.finish().await;
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
    pub async fn serve(
        self,
        listener: impl Into<Listener>,
        stop: CancellationToken,
        drain: Duration,
    ) -> std::io::Result<()> {
        server::serve(listener, self.0, stop, drain).await
    }
}

//! `grpc.health.v1`: whether this core takes calls, for all of it (the empty name) and for each of its services.

use orchestrator_proto::v1::{admin_server, orchestrate_server};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

const NAMES: [&str; 3] = ["", orchestrate_server::SERVICE_NAME, admin_server::SERVICE_NAME];

/// What health checks and watches are told. Clones share one state, whichever runtime they are on.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Not serving yet: start-up says when.
    pub async fn starting() -> Self {
        let health = Self(HealthReporter::new());
        health.set_serving(false).await;
        health
    }

    /// Serving from now on, or not any more: a core that drains says so before it stops.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            self.0.set_service_status(name, status).await;
        }
    }

    /// The service that answers with this state.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }
}

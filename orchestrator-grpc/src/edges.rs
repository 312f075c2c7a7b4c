//! The service `Edges`: what edges before this core have to follow.

use std::sync::Arc;

use orchestrator_base::clock::Clock;
use orchestrator_core::catalog::snapshot::SharedCatalog;
use orchestrator_proto::v1::{self, edges_server};
use tonic::{Request, Response, Status};

/// The service. What it says is in the catalog's snapshot, so that asking it costs nothing.
#[derive(Clone, Debug)]
pub struct EdgesService {
    catalog: Arc<SharedCatalog>,
    clock: Clock,
}

impl EdgesService {
    /// Says what `catalog` has.
    pub fn new(catalog: Arc<SharedCatalog>, clock: Clock) -> Self {
        Self { catalog, clock }
    }
}

#[tonic::async_trait]
impl edges_server::Edges for EdgesService {
    async fn get_edge_settings(
        &self,
        _: Request<v1::GetEdgeSettingsRequest>,
    ) -> Result<Response<v1::EdgeSettings>, Status> {
        let now = self.clock.now();
        let mut settings = v1::EdgeSettings::default();
        if let Some(wish) = &self.catalog.peek().log_level
            && wish.wants(now).is_some()
        {
            settings.log_level.clone_from(&wish.filter);
            let left = wish.until.map_or(0, |until| until.0.saturating_sub(now.0));
            // Less than a millisecond is no end that was never set.
            settings.log_level_expires_ms = u64::try_from(left).unwrap_or_default().div_ceil(1000);
        }
        Ok(Response::new(settings))
    }
}

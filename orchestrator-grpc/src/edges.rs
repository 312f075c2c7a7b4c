//! The service `Edges`: what edges before this core have to follow.

use orchestrator_proto::v1::{self, edges_server};
use tonic::{Request, Response, Status};

use crate::convert::edges::EdgeSource;

/// The service. What it says is in the catalog's snapshot, so that asking it costs nothing.
#[derive(Clone, Debug)]
pub struct EdgesService(EdgeSource);

impl EdgesService {
    /// Says what `source` has.
    pub fn new(source: EdgeSource) -> Self {
        Self(source)
    }
}

#[tonic::async_trait]
impl edges_server::Edges for EdgesService {
    async fn get_edge_settings(
        &self,
        _: Request<v1::GetEdgeSettingsRequest>,
    ) -> Result<Response<v1::EdgeSettings>, Status> {
        Ok(Response::new(self.0.settings()))
    }
}

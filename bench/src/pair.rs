//! The bare tonic pair: edge → server-streaming `StreamInvoke` with raw bytes → core → upstream, tuned like the product.
//!
//! What gRPC between two processes costs when nothing else is done: no keys, no JSON, no routing, no ledger. The contract's own
//! messages are used. In one process the edge calls the core's service without a socket.

mod core;
mod edge;

use std::io;

use orchestrator_proto::v1::{orchestrate_client::OrchestrateClient, orchestrate_server::OrchestrateServer};

use self::core::PairCore;

/// Both halves in one process, before the upstream `to`.
pub(crate) fn run(to: String) -> io::Result<()> {
    crate::serve::on_every_core(move |listener| {
        let client = OrchestrateClient::new(OrchestrateServer::new(PairCore::new(&to)));
        edge::serve(listener, client)
    })
}

/// The edge alone, before a core at `core`.
pub(crate) fn run_edge(core: String) -> io::Result<()> {
    crate::serve::on_every_core(move |listener| {
        let channel = edge::channel(&core);
        async move { edge::serve(listener, OrchestrateClient::new(channel.map_err(io::Error::other)?)).await }
    })
}

/// The core alone, before the upstream `to`.
pub(crate) fn run_core(to: String) -> io::Result<()> {
    crate::serve::on_every_core(move |listener| core::serve(listener, PairCore::new(&to)))
}

//! The way to the core: one type of channel, two constructors.
//!
//! [`embedded()`] calls a core in this process without a socket; [`remote`] keeps a small pool of HTTP/2 connections to the
//! cores that some addresses resolve to. Everything else in the edge sees a [`CoreChannel`] and cannot tell which it is.
//!
//! A channel belongs to one runtime: each request thread makes its own, so that no request crosses threads.

mod begun;
mod connection;
mod each;
#[cfg(feature = "embedded")]
pub mod embedded;
mod greeting;
mod pool;
mod raw;

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use orchestrator_base::tls;
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

pub(crate) use begun::Again;
pub(crate) use each::{Asked, ask_each};
pub use pool::EndpointError;
#[cfg(test)]
pub(crate) use raw::RawCodec;
pub(crate) use raw::{server_streaming, unary};

/// A service that carries gRPC requests to a core.
pub type CoreChannel = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// What the paths of Admin's methods begin with.
const ADMIN: &str = "/orchestrator.v1.Admin/";

/// A core in this process: the service itself, with all its layers, called directly.
pub fn embedded<S>(service: S) -> CoreChannel
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service.map_err(|never| match never {}))
}

/// Cores behind the network: `http://HOST:PORT`, several comma-separated, or a name that resolves to several addresses.
///
/// Nothing is dialled before the first request, so a core may start after its edge.
pub fn remote(endpoints: &str) -> Result<CoreChannel, EndpointError> {
    encrypted(endpoints, None)
}

/// As [`remote`]; endpoints that begin with `https` are called under `tls`.
pub fn encrypted(endpoints: &str, tls: Option<&Arc<tls::Client>>) -> Result<CoreChannel, EndpointError> {
    let pool = pool::Pool::new(endpoints, tls)?;
    Ok(BoxCloneSyncService::new(tower::service_fn(move |request| {
        let pool = pool.clone();
        async move { pool.send(request).await }
    })))
}

/// Calls Admin at `admin` and everything else at `core`: for cores that serve operators elsewhere.
pub fn with_admin_at(core: CoreChannel, admin: CoreChannel) -> CoreChannel {
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Body>| {
        let is_admins = request.uri().path().starts_with(ADMIN);
        let channel = if is_admins { &admin } else { &core };
        channel.clone().oneshot(request)
    }))
}

#[cfg(test)]
mod tests;

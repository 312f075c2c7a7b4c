//! Every service of the core with every layer around it: one list, which the listening server and an embedding edge both use,
//! so that a call is treated alike whether it came over a socket or not.

use std::{convert::Infallible, fmt, sync::Arc};

use http::{Request, Response};
use orchestrator_base::{clock::Clock, random::Random};
use orchestrator_core::error::Result as CoreResult;
use orchestrator_proto::{
    DESCRIPTORS,
    v1::{
        admin_server::{self, Admin, AdminServer},
        edges_server::EdgesServer,
        orchestrate_server::{self, OrchestrateServer},
    },
};
use secrecy::SecretString;
use tonic::{
    Status,
    body::Body,
    service::{Routes, interceptor::InterceptedService},
};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tower::{ServiceBuilder, ServiceExt as _, service_fn, util::BoxCloneSyncService};

use crate::{
    edges::EdgesService,
    health::Health,
    layers::{
        deadline,
        key::{self, Keys},
        panic::PanicLayer,
        trace::{RequestId, TraceLayer},
    },
    orchestrate::OrchestrateService,
    status::to_status,
};

/// All of the core as one service. Each call works on a clone; nothing is shared but what the services themselves share.
pub type CoreService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A message holds more than the body that it carries: a body just above the limit still arrives, and is refused with a reason.
const DECODE_SLACK: usize = 1 << 20;

/// What [`routes`] puts together.
#[derive(Debug)]
pub struct Services<A> {
    /// For models' callers.
    pub orchestrate: OrchestrateService,
    /// For operators.
    pub admin: A,
    /// For edges.
    pub edges: EdgesService,
    /// For load balancers.
    pub health: Health,
    /// For people with grpcurl.
    pub reflection: Reflection,
    /// When request ids are made.
    pub clock: Clock,
    /// What request ids are made of.
    pub random: Random,
}

/// Whether the keys hold one of an administrator; the error says why not.
pub type AdminCheck = Arc<dyn Fn(&[SecretString]) -> CoreResult<()> + Send + Sync>;

/// Who may ask the server what it offers.
#[derive(Clone)]
pub enum Reflection {
    /// Anybody: in development.
    Open,
    /// Administrators: in production.
    ForAdmins(AdminCheck),
}

impl fmt::Debug for Reflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::ForAdmins(_) => "ForAdmins",
        })
    }
}

/// The services, and outside them their layers from the outermost inwards.
pub fn routes<A: Admin>(services: Services<A>) -> CoreService {
    let Services { orchestrate, admin, edges, health, reflection, clock, random } = services;
    let decode_limit = orchestrate.limits().max_body_bytes.saturating_add(DECODE_SLACK);

    let all = Routes::default()
        // Requests are bounded by the configured body; answers are bounded where they are read, at the provider.
        .add_service(OrchestrateServer::new(orchestrate).max_decoding_message_size(decode_limit))
        // tonic's own 4 MiB is plenty for a resource.
        .add_service(AdminServer::new(admin))
        .add_service(EdgesServer::new(edges))
        .add_service(health.service())
        .add_service(InterceptedService::new(reflection_service(), move |request| {
            admit(&reflection, request)
        }))
        .prepare();

    let layered = ServiceBuilder::new()
        // First, so that everything below can say which request it speaks of.
        .layer(TraceLayer::new(clock, random))
        // Around all that could panic, and inside the trace, whose id the report carries.
        .layer(PanicLayer)
        // Before the body is read: the time that reading it takes is the caller's.
        .map_request(deadline::note)
        // Whoever needs the caller's keys finds them in one place, however they were sent.
        .map_request(key::collect)
        .service(all);
    BoxCloneSyncService::new(layered)
}

/// What of a core a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    Whole,
    /// Everything but Admin, which has a listener of its own.
    WithoutAdmin,
    /// Everything but what models' callers use.
    ForOperators,
}

impl Part {
    /// That part of the service. What does not belong to it is answered as any method that there is not.
    pub fn of(self, whole: CoreService) -> CoreService {
        let (service, where_it_is) = match self {
            Self::Whole => return whole,
            Self::WithoutAdmin => (admin_server::SERVICE_NAME, "Admin is served on a port of its own"),
            Self::ForOperators => (orchestrate_server::SERVICE_NAME, "this port is for operators alone"),
        };
        BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            let of = request.uri().path().strip_prefix('/').and_then(|path| path.strip_prefix(service));
            let is_closed = of.is_some_and(|method| method.starts_with('/'));
            let whole = whole.clone();
            async move {
                if is_closed {
                    return Ok(Status::unimplemented(where_it_is).into_http());
                }
                whole.oneshot(request).await
            }
        }))
    }
}

fn reflection_service() -> ServerReflectionServer<impl ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors that this crate was built with can be decoded")
}

fn admit(reflection: &Reflection, request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
    let Reflection::ForAdmins(check) = reflection else { return Ok(request) };
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().map(RequestId::as_str).unwrap_or_default();
    let keys = extensions.get::<Keys>().map(|Keys(keys)| keys.as_slice()).unwrap_or_default();
    check(keys).map_err(|error| to_status(&error, id))?;
    Ok(request)
}

#[cfg(test)]
mod tests;

//! The REST edge: OpenAI-style REST in, gRPC to the core out.
//!
//! The edge knows paths and header names and nothing else of any vendor; bodies travel through it unread. Reading order:
//! [`router`] (every path), [`native`] (the client API's one handler), [`core_client`] (the way to the core), `admin_api`
//! (Admin's RPCs as REST), [`listener`] (connections and their bounds).
//!
//! A process starts one edge per request thread:
//!
//! ```text
//! let app = App::new(&config, channel, stages);        // first thread
//! let other = app.for_thread(another_channel);         // each further one: shares the bound of bodies in flight
//! listener::serve(listener, app).await                 // inside that thread's runtime
//! ```

mod access;
mod admin_api;
pub mod core_client;
mod docs;
mod error;
pub mod follow;
mod forwarded;
pub mod listener;
mod metrics;
mod native;
mod openapi;
mod ops;
pub mod probe;
mod router;

mod body;
mod layers;

use std::{sync::Arc, time::Duration};

use axum::Router;
use orchestrator_base::{
    clock::Clock,
    config::{self, AppEnv, Config, Reload},
    live::Live,
    metrics::{Collect, Registry, process::Process},
    random::Random,
    stopping::Stages,
};
use tokio::time::Instant;
use tower_http::cors::CorsLayer;

use crate::{body::BodyLimits, core_client::CoreChannel, metrics::Metrics, router::Surface};

/// What a message to or from the core has besides a body: field tags, headers, lengths.
const MESSAGE_OVERHEAD_BYTES: usize = 64 * 1024;

/// The edge of one runtime: its routes with all their layers.
#[derive(Clone)]
pub struct App {
    edge: Edge,
    surface: Surface,
    router: Router,
}

impl App {
    /// Everything but the listener. `stages` say when it is not ready any more, when listeners stop accepting, and so on.
    pub fn new(config: &Config, core: CoreChannel, stages: Stages) -> Self {
        let clock = Clock::system();
        let body_time = Duration::from_millis(config.edge.body_timeout_ms);
        let bodies = BodyLimits::new(config.limits.max_body_bytes, body_time);
        let metrics = Arc::new(Metrics::new(bodies.clone()));
        let largest_part = config.limits.max_answer_bytes.max(config.limits.max_body_bytes);
        let surface = if config.admin.port.is_some() { Surface::Callers } else { Surface::Whole };
        let shared = Shared {
            core,
            bodies,
            max_answer_bytes: largest_part.saturating_add(MESSAGE_OVERHEAD_BYTES),
            settings: config.edge.clone().into(),
            cors: layers::cors(&config.edge.cors_origins).into(),
            environment: config.app.env,
            public_details: config.health.is_public(config.app.env),
            began: Instant::now(),
            public_metrics: config.metrics.public.unwrap_or(config.app.env == AppEnv::Development),
            registry: metrics::registry(&metrics, Process::started(&clock)),
            metrics,
            clock,
            random: Random::system(),
            stages,
        };
        Self::assemble(surface, Edge(Arc::new(shared)))
    }

    /// The same edge for another runtime, with a channel of its own. The bound on bodies in flight is common to all.
    pub fn for_thread(&self, core: CoreChannel) -> Self {
        let shared = &self.edge;
        let shared = Shared {
            core,
            bodies: shared.bodies.clone(),
            max_answer_bytes: shared.max_answer_bytes,
            settings: shared.settings.clone(),
            cors: shared.cors.clone(),
            environment: shared.environment,
            public_metrics: shared.public_metrics,
            registry: shared.registry.clone(),
            metrics: Arc::clone(&shared.metrics),
            public_details: shared.public_details,
            began: shared.began,
            clock: shared.clock.clone(),
            random: Random::system(),
            stages: shared.stages.for_thread(),
        };
        Self::assemble(self.surface, Edge(Arc::new(shared)))
    }

    /// The same edge, in one process with what shows itself in this registry: from here on either shows both. Its clones for other
    /// threads must come after.
    pub fn showing(self, registry: &Registry) -> Self {
        let shared = &self.edge;
        registry.add(Arc::clone(&shared.metrics) as Arc<dyn Collect>);
        let shared = Shared { registry: registry.clone(), ..Shared::clone(shared) };
        Self::assemble(self.surface, Edge(Arc::new(shared)))
    }

    /// Says to `reload` what the edge can do with new settings: all threads' edges, and connections made from then on.
    pub fn reloading(&self, reload: &Reload) {
        let (settings, cors, bodies) =
            (self.edge.settings.clone(), self.edge.cors.clone(), self.edge.bodies.clone());
        let names = &[
            "edge.cors_origins",
            "edge.header_timeout_ms",
            "edge.body_timeout_ms",
            "edge.max_headers",
            "edge.max_header_bytes",
            "edge.write_timeout_ms",
        ];
        reload.part(names, move |config| {
            cors.set(layers::cors(&config.edge.cors_origins));
            bodies.set_time(Duration::from_millis(config.edge.body_timeout_ms));
            settings.set(config.edge.clone());
        });
    }

    /// The same edge as the listener for operators serves it: Admin, what describes it, and health, and nothing else.
    pub fn for_operators(&self) -> Self {
        Self::assemble(Surface::Operators, self.edge.clone())
    }

    fn assemble(surface: Surface, edge: Edge) -> Self {
        let router = layers::wrap(router::routes(edge.clone(), surface), &edge);
        Self { edge, surface, router }
    }

    /// The routes with their layers, as a service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// What handlers share.
#[derive(Clone)]
struct Edge(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    core: CoreChannel,
    bodies: BodyLimits,
    /// The largest message that is taken from the core.
    max_answer_bytes: usize,
    settings: Live<config::Edge>,
    /// `None`: pages of no other origin may call.
    cors: Live<Option<CorsLayer>>,
    environment: AppEnv,
    /// Whether `/metrics` is for everybody.
    public_metrics: bool,
    /// What the process shows of itself.
    registry: Registry,
    metrics: Arc<Metrics>,
    /// How the program is, is told without an admin key.
    public_details: bool,
    /// When this process began to serve.
    began: Instant,
    clock: Clock,
    random: Random,
    stages: Stages,
}

impl std::ops::Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[cfg(test)]
mod tests;

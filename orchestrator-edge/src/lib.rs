//! The REST edge: OpenAI-style REST in, gRPC to the core out.
//!
//! The edge knows paths and header names and nothing else of any vendor; bodies travel through it unread. Reading order:
//! [`router`] (every path), [`native`] (the client API's one handler), [`core_client`] (the way to the core), `admin_api`
//! (Admin's RPCs as REST), `ui` (the admin interface's files), [`listener`] (connections and their bounds).
//!
//! A process starts one edge per request thread:
//!
//! ```text
//! let app = App::new(&config, channel, stop);          // first thread
//! let other = app.for_thread(another_channel);         // each further one: shares the bound of bodies in flight
//! listener::serve(listener, app, drain).await          // inside that thread's runtime
//! ```

mod admin_api;
pub mod core_client;
mod error;
pub mod listener;
mod native;
mod ops;
pub mod probe;
mod router;

mod body;
mod layers;
mod ui;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use orchestrator_base::{
    clock::Clock,
    config::{self, AppEnv, Config},
    random::Random,
};
use tokio_util::sync::CancellationToken;

use crate::{admin_api::Guard, body::BodyLimits, core_client::CoreChannel};

/// What a message to or from the core has besides a body: field tags, headers, lengths.
const MESSAGE_OVERHEAD_BYTES: usize = 64 * 1024;

/// The edge of one runtime: its routes with all their layers.
#[derive(Clone)]
pub struct App {
    edge: Edge,
    router: Router,
}

impl App {
    /// Everything but the listener. `stop` begins the drain: readiness fails at once, listeners stop accepting.
    pub fn new(config: &Config, core: CoreChannel, stop: CancellationToken) -> Self {
        let largest_part = config.limits.max_answer_bytes.max(config.limits.max_body_bytes);
        let body_time = Duration::from_millis(config.edge.body_timeout_ms);
        Self::assemble(Edge(Arc::new(Shared {
            core,
            bodies: BodyLimits::new(config.limits.max_body_bytes, body_time),
            max_answer_bytes: largest_part.saturating_add(MESSAGE_OVERHEAD_BYTES),
            settings: Arc::new(config.edge.clone()),
            environment: config.app.env,
            clock: Clock::system(),
            random: Random::system(),
            sign_ins: Arc::default(),
            stop,
        })))
    }

    /// The same edge for another runtime, with a channel of its own. The bound on bodies in flight is common to all.
    pub fn for_thread(&self, core: CoreChannel) -> Self {
        let shared = &self.edge;
        Self::assemble(Edge(Arc::new(Shared {
            core,
            bodies: shared.bodies.clone(),
            max_answer_bytes: shared.max_answer_bytes,
            settings: shared.settings.clone(),
            environment: shared.environment,
            clock: shared.clock.clone(),
            random: Random::system(),
            sign_ins: shared.sign_ins.clone(),
            stop: shared.stop.clone(),
        })))
    }

    fn assemble(edge: Edge) -> Self {
        let router = layers::wrap(router::routes(edge.clone()), &edge);
        Self { edge, router }
    }

    /// The routes with their layers, as a service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// What handlers share.
#[derive(Clone)]
struct Edge(Arc<Shared>);

struct Shared {
    core: CoreChannel,
    bodies: BodyLimits,
    /// The largest message that is taken from the core.
    max_answer_bytes: usize,
    settings: Arc<config::Edge>,
    environment: AppEnv,
    clock: Clock,
    random: Random,
    /// Who has tried to sign in: one for all threads.
    sign_ins: Arc<Mutex<Guard>>,
    stop: CancellationToken,
}

impl std::ops::Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[cfg(test)]
mod tests;

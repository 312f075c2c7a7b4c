//! How the service is made.

use std::sync::Arc;

use orchestrator_base::config::{Config, Declared, Reload};
use orchestrator_core::{
    admin::{Admin, AdminAuth, health::HealthDesk, refusals::Refusals},
    admission::gate::Gate,
};
use tokio_util::sync::CancellationToken;

use super::AdminService;

impl AdminService {
    /// Serves `admin` to whoever `auth` lets in, tells `refusals` of others, and shows how `gate` stands.
    pub fn new(
        admin: Admin,
        health: HealthDesk,
        auth: AdminAuth,
        refusals: Refusals,
        gate: Arc<Gate>,
    ) -> Self {
        let (declared, reload) = (Declared::default(), Reload::new(&Config::default()));
        let draining = CancellationToken::new();
        Self { keeper: admin, desk: health, auth, refusals, gate, declared, reload, draining }
    }

    /// Reads again what this was read from, when it is asked to.
    #[must_use]
    pub fn rereading(self, reload: Reload, declared: Declared) -> Self {
        Self { declared, reload, ..self }
    }

    /// Ends its streams when `draining` begins.
    #[must_use]
    pub fn until(self, draining: CancellationToken) -> Self {
        Self { draining, ..self }
    }
}

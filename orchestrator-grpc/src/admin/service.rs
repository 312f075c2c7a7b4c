//! How the service is made.

use orchestrator_base::config::{Config, Declared, Reload};
use orchestrator_core::admin::{
    Admin, AdminAuth, health::HealthDesk, refusals::Refusals, status::StatusDesk,
};
use tokio_util::sync::CancellationToken;

use super::AdminService;

impl AdminService {
    /// Serves `admin` to whoever `auth` lets in, tells `refusals` of others, and shows how the core is.
    pub fn new(
        admin: Admin,
        health: HealthDesk,
        auth: AdminAuth,
        refusals: Refusals,
        status: StatusDesk,
    ) -> Self {
        let (declared, reload) = (Declared::default(), Reload::new(&Config::default()));
        let (public_status, draining) = (false, CancellationToken::new());
        Self {
            keeper: admin,
            desk: health,
            auth,
            refusals,
            status,
            public_status,
            declared,
            reload,
            draining,
        }
    }

    /// Shows how the core is without a key too.
    #[must_use]
    pub fn with_public_status(self, public_status: bool) -> Self {
        Self { public_status, ..self }
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

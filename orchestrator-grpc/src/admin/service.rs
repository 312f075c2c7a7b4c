//! How the service is made.

use orchestrator_base::config::Declared;
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
        let (declared, draining) = (Declared::default(), CancellationToken::new());
        Self { keeper: admin, desk: health, auth, refusals, status, public_status: false, declared, draining }
    }

    /// Shows how the core is without a key too.
    #[must_use]
    pub fn with_public_status(self, public_status: bool) -> Self {
        Self { public_status, ..self }
    }

    /// Reads again what this was read from, when it is asked to.
    #[must_use]
    pub fn rereading(self, declared: Declared) -> Self {
        Self { declared, ..self }
    }

    /// Ends its streams when `draining` begins.
    #[must_use]
    pub fn until(self, draining: CancellationToken) -> Self {
        Self { draining, ..self }
    }
}

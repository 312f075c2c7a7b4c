//! Section `health`: who is told how the program is.

use serde::{Deserialize, Serialize};

use super::AppEnv;

/// Section `health`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// `HEALTH_PUBLIC_DETAILS`, default `true` in development and `false` in production: details are told without an admin key.
    pub public_details: Option<bool>,
}

impl Health {
    /// Whether details are told without an admin key.
    pub fn is_public(&self, env: AppEnv) -> bool {
        self.public_details.unwrap_or(env == AppEnv::Development)
    }
}

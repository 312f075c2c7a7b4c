//! Where several cores keep what they share, and what they do without it.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::mask;

/// Section `redis`: where several cores keep what they share.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `REDIS_ENABLED`, default `false`: limits, budgets and the like are counted in this process alone.
    pub enabled: bool,
    /// `REDIS_URL`, default `redis://localhost:6379/0`; `rediss://` is over TLS. It may hold a password.
    #[serde(serialize_with = "masked_address")]
    pub url: SecretString,
    /// `REDIS_CA`, default the public authorities: PEM file of who signs the certificate of a Redis at `rediss://`.
    pub ca: Option<PathBuf>,
    /// `REDIS_CERT`, default none: PEM file of the certificate that is shown to such a Redis.
    pub cert: Option<PathBuf>,
    /// `REDIS_KEY`, default none: its private key.
    pub key: Option<PathBuf>,
    /// The most connections, default 16.
    pub pool_size: u32,
    /// How long a request may wait for a free connection, default 250 ms. Nobody waits for one while Redis is away.
    pub checkout_ms: u64,
    /// How long Redis may take for an answer, default 50 ms. Whoever takes longer is away.
    pub command_ms: u64,
    /// What every key in Redis begins with, default `llmo:`. Installations that share a server have different ones.
    pub prefix: String,
    /// How long what a core holds is believed after it was last heard of, default 60 s.
    pub core_expiry_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            enabled: false,
            url: SecretString::from("redis://localhost:6379/0"),
            ca: None,
            cert: None,
            key: None,
            pool_size: 16,
            checkout_ms: 250,
            command_ms: 50,
            prefix: "llmo:".into(),
            core_expiry_ms: 60_000,
        }
    }
}

/// What becomes of requests under a budget while several cores cannot count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutRedis {
    /// Each core may spend a share of what was left; then they are refused.
    #[default]
    Allowance,
    /// They go on, and are counted later.
    Open,
    /// They are refused.
    Closed,
}

/// A URL without its credentials.
fn masked_address<S: Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    mask::url(url.expose_secret()).serialize(serializer)
}

//! The sections about money: what is reserved before a cost is known, and who hears when it runs out.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::WithoutRedis;

/// Section `budget`: what callers with limits are taken to use where it is not known.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// How long the answer to a request that names no length is taken to be, in tokens, default 4096.
    pub default_output_tokens: u64,
    /// What a million tokens read cost where no price is known, in dollars, default 15.
    pub unknown_price_input_usd: String,
    /// What a million tokens written cost where no price is known, in dollars, default 75.
    pub unknown_price_output_usd: String,
    /// What becomes of requests under a budget while Redis is away, default `allowance`.
    pub without_redis: WithoutRedis,
    /// Of what was left of a budget when Redis was last heard, so many percent may be spent without it by all cores together, default 10.
    pub allowance_percent: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            default_output_tokens: 4096,
            unknown_price_input_usd: "15".into(),
            unknown_price_output_usd: "75".into(),
            without_redis: WithoutRedis::default(),
            allowance_percent: 10,
        }
    }
}

/// Section `alerts`: what operators are told of, and where.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// At which percentages of a budget, default 80 and 100.
    pub budget_percent: Vec<u32>,
    /// Where each alert is sent to as JSON, default nowhere. It may hold a token, so it is a secret.
    #[serde(serialize_with = "super::masked")]
    pub webhook_url: Option<SecretString>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { budget_percent: vec![80, 100], webhook_url: None }
    }
}

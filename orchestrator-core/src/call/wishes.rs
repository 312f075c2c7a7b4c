//! What a body says about who is to answer it, for how long and in how many attempts.
//!
//! These are fields that clients of llm-orchestrator-py put into bodies of OpenAI's paths: `provider`, `fallback_providers`, `timeout` and
//! `retry_count`. They are meant for the gateway, and no provider sees them.

use std::time::Duration;

/// The gateway's own fields of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The provider to ask.
    pub provider: Option<String>,
    /// The providers to turn to, in order.
    pub fallbacks: Vec<String>,
    /// How long the caller waits.
    pub timeout: Option<Duration>,
    /// Attempts in all, at least 1.
    pub max_attempts: Option<u32>,
    /// The fields that are the gateway's, to be taken out.
    pub fields: Vec<&'static str>,
}

//! What one core finds out about a provider, and others should know before they find it out themselves.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// No news are believed for longer.
const LONGEST: Duration = Duration::from_mins(5);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionNews {
    /// Of which provider.
    pub provider_id: Arc<str>,
    /// Of which of its keys; empty: it needs none.
    pub key_id: String,
    /// For which model, in the provider's words; empty: for all.
    pub model: String,
    /// What was found out.
    pub what: What,
    /// For how many milliseconds that holds; 0: it says itself.
    pub millis: u64,
}

/// What can be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The key is to rest.
    Cooling,
    /// The key is not taken.
    KeyRefused,
    /// The key is taken again.
    KeyTaken,
    /// The breaker has opened.
    BreakerOpen,
}

impl ConditionNews {
    /// For how long it holds.
    pub(super) fn lasts(&self) -> Duration {
        Duration::from_millis(self.millis).min(LONGEST)
    }
}

/// In whole milliseconds, rounded up: what lasts is not forgotten too early.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

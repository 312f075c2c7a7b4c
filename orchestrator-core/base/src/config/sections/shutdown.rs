//! The section about how the process ends.

use serde::{Deserialize, Serialize};

/// Section `shutdown`: how long what is under way may go on once the process was asked to stop.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownTimes {
    /// How long new connections are still taken after readiness has been withdrawn, default 0: for load balancers that notice late.
    pub ready_delay_ms: u64,
    /// How long answers may go on from then, default 30 s. Those that are longer end with an error.
    pub drain_ms: u64,
}

impl Default for ShutdownTimes {
    fn default() -> Self {
        Self { ready_delay_ms: 0, drain_ms: 30_000 }
    }
}

//! What every core and edge is to log at present, where an operator wants something else than the configuration says.

use orchestrator_base::{clock::UnixMicros, telemetry::Filter};
use serde::{Deserialize, Serialize};

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// A level, or levels by target: as [`Filter`] reads them.
    pub filter: String,
    /// When it ends; `None`: when an operator ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMicros>,
}

impl LogLevel {
    /// What it wants now; `None`: it is over, or cannot be understood.
    pub fn wants(&self, now: UnixMicros) -> Option<Filter> {
        self.until.is_none_or(|until| now < until).then(|| Filter::parse(&self.filter).ok()).flatten()
    }
}

//! The section about metrics: where they are shown, and to whom.

use serde::{Deserialize, Serialize};

/// Section `metrics`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Default `true`: the core has a listener for metrics and health. The edge shows its own in any case.
    pub enabled: bool,
    /// `METRICS_HOST`, default `127.0.0.1`.
    pub host: String,
    /// `METRICS_PORT`, default `9464`.
    pub port: u16,
    /// Whether anybody may read the edge's `/metrics`, default in development alone; else who brings an admin key.
    pub public: Option<bool>,
    /// How many pairs of a model and a provider have series of their own, default 1000.
    pub max_series: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, host: "127.0.0.1".into(), port: 9464, public: None, max_series: 1000 }
    }
}

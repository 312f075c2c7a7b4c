//! What edges have to follow, out of the catalog's snapshot.

use std::sync::Arc;

use orchestrator_base::clock::Clock;
use orchestrator_core::catalog::snapshot::SharedCatalog;
use orchestrator_proto::v1;

/// Where it is found.
#[derive(Clone, Debug)]
pub struct EdgeSource {
    catalog: Arc<SharedCatalog>,
    clock: Clock,
}

impl EdgeSource {
    /// In this catalog.
    pub fn new(catalog: Arc<SharedCatalog>, clock: Clock) -> Self {
        Self { catalog, clock }
    }

    /// Into the contract.
    pub(crate) fn settings(&self) -> v1::EdgeSettings {
        let now = self.clock.now();
        let mut settings = v1::EdgeSettings::default();
        if let Some(wish) = &self.catalog.peek().log_level
            && wish.wants(now).is_some()
        {
            settings.log_level.clone_from(&wish.filter);
            let left = wish.until.map_or(0, |until| until.0.saturating_sub(now.0));
            // Less than a millisecond is no end that was never set.
            settings.log_level_expires_ms = u64::try_from(left).unwrap_or_default().div_ceil(1000);
        }
        settings
    }
}

//! What is logged, changed while the program runs: in the core that is asked at once, in all others and in edges within two seconds.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    telemetry::{self, Filter},
};
use tokio_util::sync::CancellationToken;

use super::Admin;
use crate::{
    catalog::{log_level::LogLevel, snapshot::SharedCatalog},
    error::{Error, Result},
    store::CatalogChange,
};

/// The longest that an operator's wish can last, if it is to end at all: 30 days.
const LONGEST: u64 = 30 * 24 * 60 * 60;
/// How often it is looked whether there is another wish, or one is over.
const LOOK: Duration = Duration::from_millis(250);

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// In force: the operator's wish, else what the configuration says.
    pub level: String,
    /// What this core's configuration says.
    pub configured: String,
    /// When the wish ends, if there is one and it does.
    pub until: Option<UnixMicros>,
    /// Whether an operator wishes something else than the configuration.
    pub overruled: bool,
}

impl Admin {
    /// What is logged.
    pub fn logging(&self) -> Logging {
        let configured = telemetry::configured().unwrap_or_else(|| "off".to_owned());
        let wish = self.reloader.shared().peek().log_level.clone();
        let wanted = wish.as_ref().and_then(|wish| Some((wish.wants(self.clock.now())?, wish.until)));
        match wanted {
            Some((filter, until)) => {
                Logging { level: filter.to_string(), configured, until, overruled: true }
            }
            None => Logging { level: configured.clone(), configured, until: None, overruled: false },
        }
    }

    /// Has all cores and edges log `level`, for so many seconds; 0: until it is set again. An empty level: what their
    /// configurations say.
    ///
    /// Errors: a level that is none, by its field; a time above 30 days.
    pub async fn set_logging(&self, level: &str, seconds: u64) -> Result<Logging> {
        let level = level.trim();
        if seconds > LONGEST {
            return Err(Error::invalid(
                "expires_seconds".to_owned(),
                "expires_seconds must be at most 2592000",
            ));
        }
        let wish = if level.is_empty() {
            None
        } else {
            let filter = Filter::parse(level)
                .map_err(|why| Error::invalid("level".to_owned(), format!("level {why}")))?;
            let end = |seconds| UnixMicros(self.clock.now().0.saturating_add_unsigned(seconds * 1_000_000));
            Some(LogLevel { filter: filter.to_string(), until: (seconds > 0).then(|| end(seconds)) })
        };
        let _alone = self.alone().await?;
        self.commit(vec![CatalogChange::SetLogLevel(wish)]).await?;
        telemetry::overrule(wanted(self.reloader.shared(), &self.clock));
        Ok(self.logging())
    }
}

/// Logs what operators wish, in this process, until told to stop.
pub async fn follow(catalog: Arc<SharedCatalog>, clock: Clock, stop: CancellationToken) {
    loop {
        telemetry::overrule(wanted(&catalog, &clock));
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
    }
}

fn wanted(catalog: &SharedCatalog, clock: &Clock) -> Option<Filter> {
    catalog.peek().log_level.as_ref()?.wants(clock.now())
}

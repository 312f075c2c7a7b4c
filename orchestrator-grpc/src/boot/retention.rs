//! Starts what forgets old request logs.

use std::sync::Arc;

use orchestrator_base::{
    clock::Clock,
    config::{Config, Log},
    task,
};
use orchestrator_core::{
    admin::retention::RetentionKeeper,
    store::{Database, reads::Retention},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;

/// What is older than the account is kept is forgotten; the first start's settings say how long that is.
pub(super) async fn start(
    config: &Config,
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<JoinHandle<Option<()>>, StartError> {
    let Log { retention_days: logs_days, bodies_retention_days: bodies_days, .. } = config.log;
    let first = Retention { logs_days, bodies_days };
    let keeper = RetentionKeeper::start(Arc::new(database.clone()), clock.clone(), first).await;
    let keeper = keeper.map_err(StartError::at("reading how long request logs are kept"))?;
    Ok(task::spawn("retention", keeper.run(stop.clone())))
}

//! The first step of a start, and of every command: reaching the database and bringing its tables up to date.

use std::time::Duration;

use orchestrator_base::config::{Config, DatabaseTarget};
use orchestrator_core::store::{Database, StoreError};

use super::StartError;

/// Where the database is.
pub(crate) fn target(config: &Config) -> Result<DatabaseTarget, StartError> {
    config.database_target().map_err(|error| StartError {
        step: "reading DATABASE_URL",
        reason: error.to_string(),
        configuration: true,
    })
}

/// The database, with its tables up to date. `waits`: told of each try that failed, and of how many there are.
pub(crate) async fn open(
    config: &Config,
    waits: impl Fn(u32, u32, &StoreError),
) -> Result<Database, StartError> {
    let target = target(config)?;
    let wait = Duration::from_secs(config.database.wait_interval);
    let tries = config.database.wait_retries.max(1);
    tracing::info!(database = %target.kind(), tries, interval_s = wait.as_secs(), "Waiting for database");
    let database =
        Database::connect_with_retries(&target, tries, wait, |attempt, error| waits(attempt, tries, error));
    let database = database.await.map_err(StartError::at("connecting to the database"))?;
    tracing::info!("Database is ready");
    tracing::info!("Running database migrations");
    for migration in database.migrate().await.map_err(StartError::at("migrating the database"))? {
        tracing::info!(migration.version = migration.version, "Applied migration: {}", migration.description);
    }
    Ok(database)
}

/// The same, where what happens is said in the log.
pub(crate) async fn open_and_log(config: &Config) -> Result<Database, StartError> {
    open(config, |attempt, _, error| {
        tracing::warn!(attempt, error = %error, "the database does not answer yet");
    })
    .await
}

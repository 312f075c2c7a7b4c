//! The first step of a start: reaching the database and bringing its tables up to date. `migrate` is this step alone.

use std::{fmt::Write as _, time::Duration};

use orchestrator_base::config::Config;
use orchestrator_core::store::{Database, MigrationState};

use super::StartError;

/// The database, with its tables up to date.
pub(super) async fn open(config: &Config) -> Result<Database, StartError> {
    let target = config.database_target().map_err(StartError::at("reading DATABASE_URL"))?;
    let wait = Duration::from_secs(config.database.wait_interval);
    let tries = config.database.wait_retries.max(1);
    tracing::info!(database = %target.kind(), tries, interval_s = wait.as_secs(), "Waiting for database");
    let database = Database::connect_with_retries(&target, tries, wait, |attempt, error| {
        tracing::warn!(attempt, error = %error, "the database does not answer yet");
    });
    let database = database.await.map_err(StartError::at("connecting to the database"))?;
    tracing::info!("Database is ready");
    tracing::info!("Running database migrations");
    for migration in database.migrate().await.map_err(StartError::at("migrating the database"))? {
        tracing::info!(migration.version = migration.version, "Applied migration: {}", migration.description);
    }
    Ok(database)
}

/// `migrate`: brings the tables up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let database = open(config).await?;
    database.close().await;
    tracing::info!("The database is up to date");
    Ok(())
}

/// `migrate --status`: a line for each migration, `applied` or what else it is.
pub async fn migration_status(config: &Config) -> Result<String, StartError> {
    let target = config.database_target().map_err(StartError::at("reading DATABASE_URL"))?;
    let database = Database::connect(&target).await.map_err(StartError::at("connecting to the database"))?;
    let steps = database.migrations().await.map_err(StartError::at("reading the migrations"))?;
    let mut text = String::new();
    for step in steps {
        let state = match step.state {
            MigrationState::Applied => "applied",
            MigrationState::Pending => "pending",
            MigrationState::BrokenOff => "broken off",
            MigrationState::Unknown => "unknown: a newer program's",
        };
        let line = format!("{:04}  {:<24}  {state}", step.migration.version, step.migration.description);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    database.close().await;
    Ok(text)
}

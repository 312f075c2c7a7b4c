//! `migrate` and `migrate --status`.

use std::{fmt::Write as _, process::ExitCode};

use orchestrator_base::{
    config::{Config, DatabaseTarget, Loaded},
    process,
    runtime::Background,
    telemetry, tls,
};
use orchestrator_core::store::{Database, MigrationState, MigrationStatus};

use super::{Failed, Outcome, finish, run as run_command};
use crate::boot::{StartError, database};

/// Brings the tables up to date, with the log lines of a start. With `status` there is no log, but a list.
pub fn run(loaded: &Loaded, status: bool) -> ExitCode {
    let config = &loaded.config;
    if status {
        return run_command(list(config));
    }
    tls::install_crypto();
    let _logs = match telemetry::install(&config.log, config.app.debug) {
        Ok(logs) => logs,
        Err(error) => return process::no_logs(&error),
    };
    let background = match Background::start() {
        Ok(background) => background,
        Err(error) => return finish(Err(Failed::because(error))),
    };
    match background.block_on(migrate(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "migrating failed");
            ExitCode::from(if error.configuration { 2 } else { 1 })
        }
    }
}

async fn migrate(config: &Config) -> Result<(), StartError> {
    let database = database::open_and_log(config).await?;
    database.close().await;
    tracing::info!("The database is up to date");
    Ok(())
}

/// A line for each migration, `applied` or what else it is.
async fn list(config: &Config) -> Outcome {
    let mut text = String::new();
    for step in migrations(config).await? {
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
    Ok(text)
}

async fn migrations(config: &Config) -> Result<Vec<MigrationStatus>, StartError> {
    let target = database::target(config)?;
    // To look is not to make: connecting would leave an empty file behind.
    if let DatabaseTarget::Sqlite { path } = &target
        && !path.exists()
    {
        return Ok(Database::migrations_of_none());
    }
    let database = Database::connect(&target).await.map_err(StartError::at("connecting to the database"))?;
    let steps = database.migrations().await.map_err(StartError::at("reading the migrations"))?;
    database.close().await;
    Ok(steps)
}

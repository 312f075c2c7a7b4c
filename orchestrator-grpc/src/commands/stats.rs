//! `stats rebuild`.

use std::process::ExitCode;

use orchestrator_base::{
    clock::Clock,
    config::{Config, Loaded, StatsCommand},
    process, telemetry,
};
use orchestrator_core::store::{Database, Rebuilt};

use super::{Failed, Outcome, run as run_command};
use crate::boot::{StartError, database};

/// Works on the statistics.
pub fn run(loaded: &Loaded, command: &StatsCommand) -> ExitCode {
    let _logs = match telemetry::install(&loaded.config.log, loaded.config.app.debug) {
        Ok(logs) => logs,
        Err(error) => return process::no_logs(&error),
    };
    match command {
        StatsCommand::Rebuild => run_command(rebuild(&loaded.config)),
    }
}

/// Adds them up anew from the logs; cores may run meanwhile. The database is one that a core has migrated.
async fn rebuild(config: &Config) -> Outcome {
    let connecting = Database::connect(&database::target(config)?).await;
    let database = connecting.map_err(StartError::at("connecting to the database"))?;
    let rebuilt = database.rebuild_stats(Clock::system().now()).await;
    database.close().await;
    let told = |error| Failed::because(format!("stats rebuild: {error}"));
    let Rebuilt { hours, days } = rebuilt.map_err(told)?;
    Ok(format!("added up anew: {hours} hours, {days} days\n"))
}

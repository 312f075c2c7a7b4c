//! Applies what the configuration's file declares: at every start, and again whenever the process is sent SIGHUP.

use orchestrator_base::{
    config::{Config, Declared},
    signals, supervisor, task,
};
use orchestrator_core::{
    admin::{Admin, declared::ApplyOptions, transfer::Report},
    error::ErrorKind,
};
use tokio::{signal::unix::Signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::admin::transfer;

/// Makes the rows so. What the file no longer has stays, until `apply --prune`.
pub(super) async fn apply(config: &Config, admin: &Admin) -> Result<(), StartError> {
    let Some(json) = config.declared.json() else { return Ok(()) };
    let applied = admin.apply_declared(&json.into(), ApplyOptions::default()).await;
    let report = applied.map_err(|error| StartError {
        step: "applying the declared catalog",
        reason: error.message,
        configuration: matches!(error.kind, ErrorKind::InvalidRequest),
    })?;
    log(&report);
    Ok(())
}

/// Reads the files again at each SIGHUP. A process whose files declare nothing is ended by it, as ever: a terminal that is closed
/// sends it too.
pub(super) fn watch(
    config: &Config,
    admin: &Admin,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<Option<()>>>, StartError> {
    if config.declared.json().is_none() {
        return Ok(None);
    }
    let hangups = signals::hangups().map_err(StartError::at("watching for SIGHUP"))?;
    let again = apply_again(config.declared.clone(), admin.clone(), hangups, stop.clone());
    Ok(Some(task::spawn("declared catalog", again)))
}

/// Where something is wrong with the files the catalog stays as it is.
async fn apply_again(declared: Declared, admin: Admin, mut hangups: Signal, stop: CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        let _reloading = supervisor::reloading();
        tracing::info!(signal = "SIGHUP", "Reading the declared catalog again");
        match transfer::reload(&admin, &declared).await {
            Ok(report) => log(&report),
            Err(error) => tracing::error!(error = %error, "the declared catalog is not applied"),
        }
    }
}

fn log(report: &Report) {
    for note in &report.notes {
        tracing::warn!("Declared catalog: {note}");
    }
    tracing::info!("Declared catalog applied: {}", report.summary());
}

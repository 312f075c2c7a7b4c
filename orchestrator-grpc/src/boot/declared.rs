//! Applies what the configuration's file declares at every start; `reload.rs` does it again.

use orchestrator_base::config::Config;
use orchestrator_core::{
    admin::{Admin, declared::ApplyOptions},
    error::ErrorKind,
};

use super::{StartError, reload};

/// Makes the rows so. What the file no longer has stays, until `apply --prune`.
pub(super) async fn apply(config: &Config, admin: &Admin) -> Result<(), StartError> {
    let Some(json) = config.declared.json() else { return Ok(()) };
    let applied = admin.apply_declared(&json.into(), ApplyOptions::default()).await;
    let report = applied.map_err(|error| StartError {
        step: "applying the declared catalog",
        reason: error.message,
        configuration: matches!(error.kind, ErrorKind::InvalidRequest),
    })?;
    reload::log(&report);
    Ok(())
}

//! A core that is killed while it makes its tables, in a folder of its own, and must come up all the same.

use orchestrator_base::random::Random;
use orchestrator_testkit::sqlite;

use super::phase::{Moment, Phase};
use crate::{AnyError, gateway::Gateway};

/// Starts a core on an empty database, kills it while it migrates, and starts it again. Says whether the kill fell into that time.
///
/// Errors: it does not come up, or its database is damaged.
pub(crate) async fn kill_and_recover(dice: &Random) -> Result<bool, AnyError> {
    let mut gateway = Gateway::without_programs(super::setup())?;
    gateway.start_core()?;
    let (program, moment) = (gateway.take_core()?, Moment::of(Phase::Migration, dice));
    let hit = tokio::task::spawn_blocking(move || moment.kill(program)).await??;
    gateway.start_core()?;
    if let Err(why) = gateway.await_core().await {
        return Err(format!(
            "killed in a migration, it does not come up: {why}; see {}",
            gateway.keep().display()
        )
        .into());
    }
    gateway.stop().await?;
    let integrity = sqlite::rows(&gateway.database(), "PRAGMA integrity_check").await;
    if integrity[0]["integrity_check"] != "ok" {
        return Err(
            format!("killed in a migration, its database is damaged: {}", gateway.keep().display()).into()
        );
    }
    Ok(hit)
}

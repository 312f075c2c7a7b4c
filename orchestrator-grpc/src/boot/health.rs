//! Starts what watches: over providers the prober, and what keeps its findings in step with the database; over the ledger what tells
//! health checks how it is.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{config::Config, task};
use orchestrator_core::{
    admin::{Admin, health::HealthDesk},
    health::Settings,
    ledger::Ledger,
    orchestrator::Shared,
    prober::{HealthSync, LiveAsk, Prober, SettingsKeeper},
    store::Database,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::health::Health;

/// How often it is looked at how the ledger is.
const LOOK: Duration = Duration::from_secs(1);

/// What watches over providers.
pub(super) struct Watching {
    /// For Admin.
    pub(super) desk: HealthDesk,
    /// The background work.
    pub(super) tasks: [JoinHandle<Option<()>>; 2],
    /// Whether this core probes.
    pub(super) leads: watch::Receiver<bool>,
}

pub(super) async fn start(
    config: &Config,
    database: &Database,
    shared: &Arc<Shared>,
    admin: &Admin,
    stop: &CancellationToken,
) -> Result<Watching, StartError> {
    let board = Arc::clone(shared.conditions.health());
    let first = Settings::configured(&config.health_check);
    let settings = Arc::new(SettingsKeeper::new(Arc::new(database.clone()), Arc::clone(&board), first));
    // Whoever dies leaves its counts behind under its name, and the next one begins a new name.
    let core_id = shared.random.uuid(shared.clock.now()).to_string();
    let sync = HealthSync::start(Arc::clone(&settings), core_id, shared.clock.clone()).await;
    let sync = sync.map_err(StartError::at("reading providers' health"))?;
    let ask = Arc::new(LiveAsk::new(shared.asker()).recorded_in(shared.ledger.clone()));
    let (catalog, leads) = (Arc::clone(&shared.catalog), sync.leads());
    let (prober, desk) = Prober::new(catalog, Arc::clone(&board), ask, shared.random.clone(), sync.leads());
    let tasks =
        [task::spawn("health sync", sync.run(stop.clone())), task::spawn("prober", prober.run(stop.clone()))];
    let conditions = shared.conditions.clone();
    let desk = HealthDesk { admin: admin.clone(), board, conditions, prober: desk, settings };
    Ok(Watching { desk, tasks, leads })
}

/// Tells health checks whether the ledger's records are stored.
pub(super) fn tell_of_ledger(
    ledger: Ledger,
    health: Health,
    stop: CancellationToken,
) -> JoinHandle<Option<()>> {
    task::spawn("ledger's health", async move {
        while !stop.is_cancelled() {
            health.set_ledger_well(ledger.health().is_well()).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    })
}

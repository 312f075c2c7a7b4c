//! Keeps the [`HealthBoard`] and the database in step: settings and other cores' news in, this core's news out, and the lease by which
//! one core alone probes.

use std::{fmt, sync::Arc, time::Duration};

use orchestrator_base::clock::{Clock, UnixMicros};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Stamp,
    error::{Error, ErrorKind, Result},
    health::Settings,
    health_board::{HealthBoard, Unwritten},
    store::{HealthStore, ProbeLease, StoreError},
};

/// How often the database is looked at: news are in every core within a second.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How often counts are written that are no news.
pub(super) const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// How long the right to probe lasts, and how often it is prolonged: a core that dies is missed for less than a minute.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_EVERY: Duration = Duration::from_secs(10);
/// How long a core's counts outlive it.
const KEPT: Duration = Duration::from_hours(24);

/// What operators have chosen, in the database and on the board alike.
pub struct SettingsKeeper {
    store: Arc<dyn HealthStore>,
    board: Arc<HealthBoard>,
    first: Settings,
    /// Held from the database to the board, so that what was read before a change never replaces it.
    keeping: Mutex<()>,
}

impl SettingsKeeper {
    /// `first` holds where nothing has been chosen yet.
    pub fn new(store: Arc<dyn HealthStore>, board: Arc<HealthBoard>, first: Settings) -> Self {
        Self { store, board, first, keeping: Mutex::new(()) }
    }

    /// Changes them: effective here when the call returns, in every core within a second. Gives what is now stored.
    pub async fn change(&self, change: impl FnOnce(&mut Settings) + Send, stamp: &Stamp) -> Result<Settings> {
        let _alone = self.keeping.lock().await;
        let checks = self.store.health_checks(&self.first).await;
        let mut settings = checks.map_err(unavailable)?.settings;
        change(&mut settings);
        settings.check()?;
        let stored = self.store.set_health_settings(&settings, stamp).await;
        stored.map_err(unavailable)?;
        self.board.set_settings(settings);
        Ok(settings)
    }

    /// Brings them to the board, and gives the revision of what is written about providers.
    async fn refresh(&self) -> Result<i64, StoreError> {
        let _alone = self.keeping.lock().await;
        let checks = self.store.health_checks(&self.first).await?;
        self.board.set_settings(checks.settings);
        Ok(checks.revision)
    }
}

fn unavailable(error: StoreError) -> Error {
    tracing::warn!(%error, "the database did not do what the health checks asked of it");
    Error::new(ErrorKind::Unavailable, "the database is unavailable")
        .with_code("database_unavailable")
        .with_retry_after(Some(Duration::from_secs(2)))
}

impl fmt::Debug for SettingsKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsKeeper").finish_non_exhaustive()
    }
}

/// The background work that keeps step.
pub struct HealthSync {
    keeper: Arc<SettingsKeeper>,
    core_id: String,
    clock: Clock,
    /// Whether this core probes.
    leads: watch::Sender<bool>,
    /// Of what other cores have written, as far as it is on the board.
    revision: i64,
    counts_due: Instant,
    lease_due: Instant,
}

impl HealthSync {
    /// Reads what was stored before, so that a start forgets nothing.
    pub async fn start(
        keeper: Arc<SettingsKeeper>,
        core_id: String,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let revision = keeper.refresh().await?;
        let (leads, now) = (watch::Sender::new(false), Instant::now());
        let counts_due = now + COUNTS_EVERY;
        let sync = Self { keeper, core_id, clock, leads, revision, counts_due, lease_due: now };
        sync.bring().await?;
        Ok(sync)
    }

    /// Whether this core is the one that probes.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Keeps step until `stop`. An outage of the database is logged when it begins and when it ends.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            // A database that hangs must not hold up the end of the program.
            let Some(outcome) = stop.run_until_cancelled(self.step()).await else { break };
            away = note(outcome, away);
        }
        self.end().await;
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        let revision = self.keeper.refresh().await?;
        if revision != self.revision {
            self.bring().await?;
            self.revision = revision;
        }
        let now = Instant::now();
        let counts_due = self.counts_due <= now;
        self.write(if counts_due { Unwritten::Counts } else { Unwritten::News }).await?;
        if counts_due {
            self.counts_due = now + COUNTS_EVERY;
        }
        if self.lease_due <= now && self.keeper.board.settings().enabled {
            self.lease_due = now + LEASE_EVERY;
            self.lead().await?;
        }
        Ok(())
    }

    async fn bring(&self) -> Result<(), StoreError> {
        let rows = self.keeper.store.provider_health_elsewhere(&self.core_id).await?;
        self.keeper.board.bring(&rows);
        Ok(())
    }

    async fn write(&mut self, pressing: Unwritten) -> Result<(), StoreError> {
        let board = &self.keeper.board;
        let taken = board.take_unwritten(pressing);
        if taken.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let stale = UnixMicros(now.0.saturating_sub(micros(KEPT)));
        let written = self.keeper.store.write_provider_health(&self.core_id, &taken, now, stale).await;
        let revision = written.inspect_err(|_| board.give_back(&taken))?;
        // Somebody else's news came in between if it is more than the next.
        if revision == self.revision + 1 {
            self.revision = revision;
        }
        Ok(())
    }

    /// A database that is away changes nothing: who probed goes on, who did not does not begin.
    async fn lead(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let lease = ProbeLease { holder: &self.core_id, now, until: now.plus(LEASE) };
        let leads = self.keeper.store.take_probe_lease(&lease).await?;
        self.leads.send_if_modified(|led| std::mem::replace(led, leads) != leads);
        Ok(())
    }

    /// What is counted is written, and another core need not wait for the lease's end.
    async fn end(&mut self) {
        let written = self.write(Unwritten::Counts).await;
        let left = self.keeper.store.leave_probe_lease(&self.core_id).await;
        if let Err(error) = written.and(left) {
            tracing::warn!(%error, "the latest news of providers' health could not be stored");
        }
    }
}

impl fmt::Debug for HealthSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthSync").field("core_id", &self.core_id).finish_non_exhaustive()
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Logs what changed, and says whether the database is away.
fn note(outcome: Result<(), StoreError>, was_away: bool) -> bool {
    match outcome {
        Ok(()) if was_away => tracing::info!("providers' health can be stored again"),
        Err(error) if !was_away => {
            tracing::warn!(%error, "providers' health cannot be stored; this core goes by what it sees itself");
            return true;
        }
        Ok(()) => {}
        Err(_) => return true,
    }
    false
}

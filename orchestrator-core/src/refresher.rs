//! Keeps the snapshot fresh: `catalog_revision` is polled, and a revision that differs is loaded.
//!
//! Requests never wait for it: they read the last state that was loaded, however long the database is away. Admin loads
//! through the same [`Reloader`], so that its change is live when its call returns.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config,
    live::Live,
};
use tokio::{
    sync::{
        Mutex,
        broadcast::{Receiver, error::RecvError},
    },
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::secrets::Vault,
    catalog::snapshot::{SharedCatalog, Snapshot},
    shared_state::redis::news::{News, Told},
    store::{CatalogReader, StoreError},
};

/// How often the revision is asked for: a change is in every core within a second.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long a poll may take: a database that hangs is away.
const POLL_WITHIN: Duration = Duration::from_secs(2);
/// How long it is asked for how long it takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// What stands for "it answers".
const HERE: i64 = i64::MIN;

/// What a core is told whose master key was changed.
const FOREIGN: &str = "the database's master key was changed since this core started: requests go on with what was loaded before, and \
                       changes are refused, until it is started again with the new MASTER_KEY";

/// Loads the catalog into the shared snapshot.
pub struct Reloader {
    reader: Arc<dyn CatalogReader>,
    vault: Arc<Vault>,
    shared: Arc<SharedCatalog>,
    timeouts: Live<config::Timeouts>,
    /// The snapshot was built with other time-outs than those.
    stale: AtomicBool,
    /// Held while loading, so that an older state never replaces a newer one. Holds the revision that another master key's secrets
    /// were found at: it is not loaded, nor looked at again.
    loading: Mutex<Option<i64>>,
    clock: Clock,
    /// Since when polls have failed, in microseconds since 1970; or [`HERE`].
    away_since: AtomicI64,
    /// The way to other cores: a change is told, so that they need not wait for their next poll.
    news: Option<News>,
}

/// What a change of the catalog is called between cores.
const CHANGED: &str = "catalog";

impl Reloader {
    /// Loads from `reader` into `shared`; `timeouts` hold where no row says otherwise.
    pub fn new(
        reader: Arc<dyn CatalogReader>,
        vault: Arc<Vault>,
        shared: Arc<SharedCatalog>,
        timeouts: config::Timeouts,
    ) -> Self {
        let (loading, clock, away_since) = (Mutex::new(None), Clock::system(), AtomicI64::new(HERE));
        let (timeouts, stale) = (timeouts.into(), AtomicBool::new(false));
        Self { reader, vault, shared, timeouts, stale, loading, clock, away_since, news: None }
    }

    /// Tells other cores of changes, and hears of theirs.
    pub fn with_news(self, news: Option<News>) -> Self {
        Self { news, ..self }
    }

    /// Other time-outs hold where no row says otherwise: in half a second, for the catalog has to be read again.
    pub fn set_timeouts(&self, timeouts: config::Timeouts) {
        self.timeouts.set(timeouts);
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Since when the database has not answered its polls; `None`: it answers.
    pub fn away_since(&self) -> Option<UnixMicros> {
        let since = self.away_since.load(Ordering::Relaxed);
        (since != HERE).then_some(UnixMicros(since))
    }

    /// How long the database takes to answer now. `None`: it does not within [`ANSWER_WITHIN`], or is known to be away.
    pub async fn answer_time(&self) -> Option<Duration> {
        if self.away_since().is_some() {
            return None;
        }
        let began = Instant::now();
        timeout(ANSWER_WITHIN, self.reader.revision()).await.ok()?.ok()?;
        Some(began.elapsed())
    }

    /// Loads the catalog as it is now, and gives its revision. What was committed before the call is in the snapshot after it.
    pub async fn reload(&self) -> Result<i64, StoreError> {
        let revision = self.load().await?;
        if let Some(news) = &self.news {
            news.tell(CHANGED, revision.to_string());
        }
        Ok(revision)
    }

    async fn load(&self) -> Result<i64, StoreError> {
        let mut foreign = self.loading.lock().await;
        let was_stale = self.stale.load(Ordering::Relaxed);
        let timeouts = self.timeouts.get();
        let rows = self.reader.load().await?;
        let revision = rows.revision;
        if rows.sealed_with.as_ref().is_some_and(|fingerprint| fingerprint != self.vault.fingerprint()) {
            // Built from these rows, the snapshot would have no provider's key at all.
            *foreign = Some(revision);
            return Err(StoreError::Conflict(FOREIGN.to_owned()));
        }
        *foreign = None;
        self.shared.swap(Snapshot::build(rows, &|key| self.vault.open(key), &timeouts));
        if was_stale {
            // Whoever has set others meanwhile is heard at the next poll.
            self.stale.store(self.timeouts.get() != timeouts, Ordering::Relaxed);
        }
        Ok(revision)
    }

    /// Loads the catalog if another core has changed it, or if it was never loaded. Says whether it did.
    pub async fn refresh(&self) -> Result<bool, StoreError> {
        let revision = self.reader.revision().await?;
        let stale = self.stale.load(Ordering::Relaxed);
        if self.shared.ready() && self.shared.peek().revision == revision && !stale {
            return Ok(false);
        }
        if *self.loading.lock().await == Some(revision) {
            return Err(StoreError::Conflict(FOREIGN.to_owned()));
        }
        self.load().await?;
        Ok(true)
    }

    /// The snapshot that it loads into.
    pub fn shared(&self) -> &Arc<SharedCatalog> {
        &self.shared
    }

    /// Refreshes every [`POLL_INTERVAL`] until `stop`. An outage is logged when it begins and when it ends.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        // After a poll that took long the next one comes an interval later, not at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_failing = false;
        let mut told = self.news.as_ref().map(News::listen);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = changed_elsewhere(&mut told) => {}
            }
            // A database that hangs must not hold up the end of the program.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = timeout(POLL_WITHIN, self.refresh()) => outcome.unwrap_or_else(|_| {
                    Err(StoreError::Unavailable("it did not answer in time".to_owned()))
                }),
            };
            // One that another master key has sealed does answer: a change of it is refused for that reason.
            let is_away = matches!(&outcome, Err(error) if !matches!(error, StoreError::Conflict(_)));
            if is_away != self.away_since().is_some() {
                let since = if is_away { self.clock.now().0 } else { HERE };
                self.away_since.store(since, Ordering::Relaxed);
            }
            was_failing = note(outcome, was_failing);
        }
    }
}

/// Another core has changed the catalog.
async fn changed_elsewhere(told: &mut Option<Receiver<Told>>) {
    let Some(receiver) = told else { return pending().await };
    loop {
        match receiver.recv().await {
            Ok(told) if told.kind == CHANGED => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return pending().await,
        }
    }
}

/// Logs what changed, and says whether the database is away.
fn note(outcome: Result<bool, StoreError>, was_away: bool) -> bool {
    match outcome {
        Ok(loaded) => {
            if was_away {
                tracing::info!("the catalog can be read again");
            }
            if loaded {
                tracing::debug!("the catalog was loaded again");
            }
            false
        }
        Err(error) => {
            if !was_away && matches!(error, StoreError::Conflict(_)) {
                tracing::error!(%error, "the catalog is not loaded any more");
            } else if !was_away {
                tracing::warn!(%error, "the catalog cannot be read; requests use the last state");
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex as StdMutex, atomic::AtomicU32};

    use async_trait::async_trait;
    use tokio::time::sleep;

    use super::*;
    use crate::catalog::{CatalogRows, samples};

    /// A database that another core changes, and that can be away.
    #[derive(Default)]
    struct Elsewhere {
        rows: StdMutex<CatalogRows>,
        away: AtomicBool,
        loads: AtomicU32,
    }

    impl Elsewhere {
        fn change(&self, change: impl FnOnce(&mut CatalogRows)) {
            let mut rows = self.rows.lock().unwrap();
            rows.revision += 1;
            change(&mut rows);
        }

        fn rows(&self) -> Result<CatalogRows, StoreError> {
            if self.away.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable("away".into()));
            }
            Ok(self.rows.lock().unwrap().clone())
        }
    }

    #[async_trait]
    impl CatalogReader for Elsewhere {
        async fn revision(&self) -> Result<i64, StoreError> {
            self.rows().map(|rows| rows.revision)
        }

        async fn load(&self) -> Result<CatalogRows, StoreError> {
            self.loads.fetch_add(1, Ordering::Relaxed);
            self.rows()
        }
    }

    struct Running {
        elsewhere: Arc<Elsewhere>,
        shared: Arc<SharedCatalog>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<Option<()>>,
    }

    fn running() -> Running {
        let (elsewhere, shared) = (Arc::new(Elsewhere::default()), Arc::new(SharedCatalog::default()));
        let vault = Arc::new(Vault::new(&"a master key".into()));
        let reloader = Reloader::new(elsewhere.clone(), vault, shared.clone(), config::Timeouts::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = orchestrator_base::task::spawn("refresher", async move { reloader.run(stopped).await });
        Running { elsewhere, shared, stop, task }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_another_core_is_seen_at_the_next_tick_and_loaded_once() {
        let running = running();
        sleep(Duration::from_millis(1)).await;
        assert!(running.shared.ready(), "the first tick comes at once");
        running.elsewhere.change(|rows| rows.api_keys.push(samples::api_key("c1", "new", "secret")));
        assert!(running.shared.peek().keys.is_empty());
        sleep(POLL_INTERVAL).await;
        assert!(running.shared.peek().keys.find("secret").is_some());
        sleep(POLL_INTERVAL * 10).await;
        assert_eq!(running.elsewhere.loads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_state_stands_while_the_database_is_away() {
        let running = running();
        running.elsewhere.change(|rows| rows.api_keys.push(samples::api_key("c1", "old", "old")));
        sleep(Duration::from_millis(1)).await;
        running.elsewhere.away.store(true, Ordering::Relaxed);
        running.elsewhere.change(|rows| rows.api_keys.clear());
        sleep(POLL_INTERVAL * 4).await;
        assert!(running.shared.peek().keys.find("old").is_some());
        running.elsewhere.away.store(false, Ordering::Relaxed);
        sleep(POLL_INTERVAL).await;
        assert!(running.shared.peek().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn another_master_key_leaves_the_last_state_until_its_own_is_back() {
        let running = running();
        running.elsewhere.change(|rows| rows.api_keys.push(samples::api_key("c1", "old", "old")));
        sleep(Duration::from_millis(1)).await;
        let seal = |rows: &mut CatalogRows, master: &str| {
            rows.sealed_with = Some(Vault::new(&master.into()).fingerprint().to_owned());
        };
        running.elsewhere.change(|rows| {
            rows.api_keys.clear();
            seal(rows, "another");
        });
        sleep(POLL_INTERVAL * 10).await;
        assert!(running.shared.peek().keys.find("old").is_some(), "requests go on");
        assert_eq!(running.elsewhere.loads.load(Ordering::Relaxed), 2, "what was refused is not read again");
        running.elsewhere.change(|rows| seal(rows, "a master key"));
        sleep(POLL_INTERVAL).await;
        assert!(running.shared.peek().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_told() {
        let running = running();
        running.stop.cancel();
        assert_eq!(running.task.await.unwrap(), Some(()));
    }

    #[test]
    fn an_outage_lasts_until_the_database_answers() {
        let failed = || Err(StoreError::Unavailable("away".into()));
        assert!(note(failed(), false));
        assert!(note(failed(), true));
        assert!(!note(Ok(false), true));
    }
}

//! Forgets request logs in time. Every core does; what one has deleted the others do not find.

use std::{fmt, sync::Arc, time::Duration};

use orchestrator_base::clock::{Clock, UnixMicros};
use tokio_util::sync::CancellationToken;

use super::logs::{FORGET_BATCH, days_ago};
use crate::store::{LogKeeper, StoreError, reads::Retention};

/// How often it is looked for what is too old.
const EVERY: Duration = Duration::from_mins(5);
/// Between two transactions, so that whoever waits to write gets its turn.
const PAUSE: Duration = Duration::from_millis(20);

/// Forgets request logs in time.
pub struct RetentionKeeper {
    store: Arc<dyn LogKeeper>,
    clock: Clock,
}

impl RetentionKeeper {
    /// Forgets what lies in this store; `first` is how long it is kept where operators have not chosen yet.
    ///
    /// Errors: the database is away.
    pub async fn start(
        store: Arc<dyn LogKeeper>,
        clock: Clock,
        first: Retention,
    ) -> Result<Self, StoreError> {
        store.retention(first).await?;
        Ok(Self { store, clock })
    }

    /// Looks at once, and then from time to time until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.forget()).await {
                Some(Ok((0, 0))) | None => {}
                Some(Ok((logs, bodies))) => {
                    tracing::info!(logs, bodies, "request logs were forgotten as their retention says");
                }
                Some(Err(error)) => tracing::warn!(%error, "old request logs could not be forgotten"),
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    }

    /// Forgets what is too old now. Says how many requests, and of how many others the bodies.
    pub(super) async fn forget(&self) -> Result<(u64, u64), StoreError> {
        let kept = self.store.retention(super::logs::FIRST_RETENTION).await?;
        let now = self.clock.now();
        let (mut logs, mut bodies) = (0, 0);
        if kept.logs_days > 0 {
            let before = days_ago(now, kept.logs_days);
            while self.forget_some(before, false, &mut logs).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
        if kept.bodies_days > 0 {
            let before = days_ago(now, kept.bodies_days);
            while self.forget_some(before, true, &mut bodies).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok((logs, bodies))
    }

    /// One batch. Says whether there may be more.
    async fn forget_some(
        &self,
        before: UnixMicros,
        bodies: bool,
        count: &mut u64,
    ) -> Result<bool, StoreError> {
        let forgotten = if bodies {
            self.store.forget_bodies(before, FORGET_BATCH).await?
        } else {
            self.store.forget_logs(before, FORGET_BATCH).await?
        };
        *count += forgotten;
        Ok(forgotten >= u64::from(FORGET_BATCH))
    }
}

impl fmt::Debug for RetentionKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetentionKeeper").finish_non_exhaustive()
    }
}

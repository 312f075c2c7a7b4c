//! Request logs as they are stored.
//!
//! An id says when a request arrived, its row is stored when it has ended: rows do not come in the order of their ids, from several
//! cores least of all. So two looks take turns, and what was shown is remembered: every half second at what arrived within seconds, and
//! every few seconds at what arrived long ago and ended since. Both are bounded: a tail of more than some thousand requests a second
//! leaves some out.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use orchestrator_base::clock::{Clock, UnixMicros};

use super::super::store_error;
use crate::{
    error::Result,
    ledger::RequestRecord,
    store::{
        AdminStore,
        reads::{LogFilter, LogScan, first_id_at},
    },
};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(500);
/// Each so many looks one looks far back.
const FAR_EACH: u32 = 10;
/// How far back a look goes.
const NEAR: i64 = 10_000_000;
const FAR: i64 = 30 * 60 * 1_000_000;
/// How long a row may take from the request's end into the database and still be shown by the look far back.
const LATE: i64 = 60_000_000;
/// The most that a look shows.
const MOST_SHOWN: u32 = 1_000;
/// The most rows that a look examines.
const MOST_EXAMINED_NEAR: u32 = 5_000;
const MOST_EXAMINED_FAR: u32 = 50_000;

/// The most that is remembered of what was shown. Where there is more, a very long request may be shown twice.
const MOST_REMEMBERED: usize = 100_000;

/// A tail that is followed.
pub struct LogTail {
    store: Arc<dyn AdminStore>,
    filter: LogFilter,
    clock: Clock,
    began: UnixMicros,
    looks: u32,
    /// What was shown and may be seen again.
    shown: BTreeSet<String>,
}

impl LogTail {
    pub(super) fn new(store: Arc<dyn AdminStore>, filter: LogFilter, clock: Clock) -> Self {
        let began = clock.now();
        Self { store, filter, clock, began, looks: 0, shown: BTreeSet::new() }
    }

    /// Waits for the next look and gives what it shows: by their arrival, often nothing.
    ///
    /// Errors: the database is away. The next call looks again.
    pub async fn next(&mut self) -> Result<Vec<RequestRecord>> {
        tokio::time::sleep(EVERY).await;
        self.look().await
    }

    pub(super) async fn look(&mut self) -> Result<Vec<RequestRecord>> {
        let now = self.clock.now().0;
        let far = self.looks % FAR_EACH == FAR_EACH - 1;
        self.looks = self.looks.wrapping_add(1);
        let (back, examine, ended) = if far {
            (FAR, MOST_EXAMINED_FAR, self.began.0.max(now - LATE))
        } else {
            (NEAR, MOST_EXAMINED_NEAR, self.began.0)
        };
        let filter = LogFilter {
            from: Some(UnixMicros(now - back)),
            ended_from: Some(UnixMicros(ended)),
            ..self.filter.clone()
        };
        let scan = LogScan { filter, before: None, limit: MOST_SHOWN, examine };
        let mut records = self.store.request_logs(&scan).await.map_err(store_error)?.records;
        records.retain(|record| !self.shown.contains(&record.id));
        records.reverse();
        self.shown.extend(records.iter().map(|record| record.id.clone()));
        // Nothing looks further back.
        self.shown = self.shown.split_off(&first_id_at(UnixMicros(now - FAR)));
        while self.shown.len() > MOST_REMEMBERED {
            self.shown.pop_first();
        }
        Ok(records)
    }
}

impl fmt::Debug for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogTail").field("filter", &self.filter).finish_non_exhaustive()
    }
}

//! How the journal and its writer are, for operators.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{Journal, locked, segment};
use crate::store::JournalOffset;

/// How the journal and its writer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// Bytes that the database does not have yet.
    pub pending_bytes: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// As many as there may be.
    pub max_bytes: u64,
    /// Records that could not be written since the start: they are in no account.
    pub lost: u64,
    /// Records that the database refused since the start: they lie beside the segments.
    pub refused: u64,
    /// For how long something has been waiting for the database.
    pub lag: Duration,
    /// For how long the database has not taken records; `None`: it does.
    pub failing_for: Option<Duration>,
    /// The disk does not take records.
    pub disk_failing: bool,
}

impl JournalHealth {
    /// Whether all is as it should be: nothing is being lost, and the database takes what there is.
    pub fn is_well(&self) -> bool {
        !self.disk_failing && self.failing_for.is_none()
    }
}

/// How far the writer is.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Progress {
    /// What is stored.
    pub(in crate::ledger) stored: JournalOffset,
    /// Since when something waits.
    pub(in crate::ledger) behind_since: Option<Instant>,
    /// Since when the database does not take it.
    pub(in crate::ledger) failing_since: Option<Instant>,
}

impl Journal {
    /// How it is. Looks at the files' sizes.
    pub fn health(&self) -> JournalHealth {
        let progress = locked(&self.progress);
        let (stored, behind, failing) = (progress.stored, progress.behind_since, progress.failing_since);
        drop(progress);
        let since = |moment: Instant| moment.elapsed();
        JournalHealth {
            pending_bytes: self.pending_bytes(stored),
            bytes: self.bytes.load(Ordering::Relaxed),
            max_bytes: self.max_bytes,
            lost: self.lost(),
            refused: self.refused.load(Ordering::Relaxed),
            lag: behind.map(since).unwrap_or_default(),
            failing_for: failing.map(since),
            disk_failing: self.failing.load(Ordering::Relaxed),
        }
    }

    /// The writer tells how far it is.
    pub(in crate::ledger) fn note_progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut locked(&self.progress));
    }

    fn pending_bytes(&self, stored: JournalOffset) -> u64 {
        // A folder that cannot be read is a matter for whoever writes.
        let numbers = segment::numbers(&self.folder).unwrap_or_default();
        let length = |number: u64| {
            let whole = std::fs::metadata(self.segment_path(number)).map_or(0, |about| about.len());
            if number == stored.segment { whole.saturating_sub(stored.position) } else { whole }
        };
        numbers.into_iter().filter(|number| *number >= stored.segment).map(length).sum()
    }
}

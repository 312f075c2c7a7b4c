//! Carries the journal's records into the database, at its own pace.
//!
//! The journal's files are the queue: the writer goes through them from the offset that the database remembers, so that live
//! traffic and the replay after a crash are one path, and a database that is away for an hour costs disk, not memory. What this
//! process has just written is taken from memory instead of the file. Records and the new offset go into one transaction: exactly
//! once. A segment is deleted when all of it is stored and no stream that it opened is still running.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    RequestRecord,
    journal::{self, Journal, Line, Stretch},
};
use crate::store::{JournalOffset, LogStore, StoreError};

/// The most records in one transaction.
const BATCH: usize = 500;
/// Records are gathered for this long and stored together: a transaction costs as much as dozens of rows, and being woken for
/// every request would cost as much again.
const GATHER: Duration = Duration::from_millis(100);
/// A pause after a failure of the database, so that it is not hammered.
const PAUSE: Duration = Duration::from_secs(1);

/// The writer of one journal.
pub struct Writer {
    journal: Arc<Journal>,
    store: Arc<dyn LogStore>,
    /// Streams that are open, and the segment that says so.
    open: HashMap<String, u64>,
    at: JournalOffset,
    failing: bool,
}

/// What one step of the writer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing that is not stored.
    Nothing,
    /// Less than a transaction holds.
    Some,
    /// As much as a transaction holds: more may be waiting.
    Full,
}

/// Why a stretch could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The journal cannot be read.
    #[error("the journal: {0}")]
    Journal(#[from] io::Error),
    /// The database does not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Writer {
    /// A writer that goes on where the database left off. Streams that an earlier process opened and never closed are closed
    /// here as truncated.
    pub async fn start(journal: Arc<Journal>, store: Arc<dyn LogStore>) -> Result<Self, WriterError> {
        let at = store.offset(journal.name()).await?;
        let replay = Arc::clone(&journal);
        // Reading files blocks; this runs once, before the first request.
        tokio::task::spawn_blocking(move || close_orphans(&replay)).await.map_err(io::Error::other)??;
        Ok(Self { journal, store, open: HashMap::new(), at, failing: false })
    }

    /// Stores until told to stop, then stores what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let stopping = stop.is_cancelled();
            match self.step().await {
                Ok(Step::Full) => {}
                Ok(Step::Nothing) if stopping => return,
                Ok(Step::Some) if stopping => {}
                Ok(Step::Nothing | Step::Some) => wait(GATHER, &stop).await,
                Err(error) => {
                    self.complain(&error);
                    if stopping {
                        return; // The journal keeps it for the next start.
                    }
                    wait(PAUSE, &stop).await;
                }
            }
        }
    }

    /// Stores the next stretch.
    pub async fn step(&mut self) -> Result<Step, WriterError> {
        if self.at == self.journal.end() {
            return Ok(Step::Nothing);
        }
        let mut next = self.at;
        let stretch = self.read_from(&mut next).await?;
        if stretch.damaged > 0 {
            tracing::error!(
                journal.segment = next.segment,
                lines = stretch.damaged,
                "damaged lines in the journal were skipped"
            );
        }
        next.position = stretch.end;
        let full = stretch.lines.len() == BATCH;
        let records = self.take_in(stretch.lines, next.segment);
        let advanced = next > self.at;
        if advanced {
            self.store.append(self.journal.name(), &records, next).await?;
            self.at = next;
            if self.failing {
                self.failing = false;
                tracing::info!("the database takes the ledger's records again");
            }
        }
        self.delete_stored()?;
        Ok(match (advanced, full) {
            (false, _) => Step::Nothing,
            (true, false) => Step::Some,
            (true, true) => Step::Full,
        })
    }

    /// Reads on from `next`, which moves over the end of a finished segment to the following one.
    async fn read_from(&self, next: &mut JournalOffset) -> io::Result<Stretch> {
        if let Some(stretch) = self.journal.fresh(*next, BATCH) {
            return Ok(stretch);
        }
        let segments = self.journal.segments()?;
        // The segment of the offset may be gone: it was stored wholly before a crash could say so.
        let Some(&first) = segments.iter().find(|&&number| number >= next.segment) else {
            return Ok(Stretch { end: next.position, ..Stretch::default() });
        };
        if first > next.segment {
            *next = JournalOffset { segment: first, position: 0 };
        }
        let path = self.journal.segment_path(next.segment);
        let from = next.position;
        let stretch = tokio::task::spawn_blocking(move || journal::read(&path, from, BATCH))
            .await
            .map_err(io::Error::other)??;
        let finished = stretch.at_end && stretch.lines.is_empty() && stretch.damaged == 0;
        if finished && let Some(&following) = segments.iter().find(|&&number| number > next.segment) {
            *next = JournalOffset { segment: following, position: 0 };
            return Ok(Stretch::default());
        }
        Ok(stretch)
    }

    /// Keeps account of open streams and gives back the records to store.
    fn take_in(&mut self, lines: Vec<Line>, segment: u64) -> Vec<RequestRecord> {
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            match line {
                Line::Open(record) => {
                    self.open.insert(record.id, segment);
                }
                Line::Close(record) => {
                    self.open.remove(&record.id);
                    records.push(record);
                }
            }
        }
        records
    }

    fn delete_stored(&self) -> io::Result<()> {
        let oldest_open = self.open.values().min().copied().unwrap_or(u64::MAX);
        let keep_from = self.at.segment.min(oldest_open).min(self.journal.current_segment());
        for number in self.journal.segments()?.into_iter().filter(|&number| number < keep_from) {
            std::fs::remove_file(self.journal.segment_path(number))?;
        }
        Ok(())
    }

    fn complain(&mut self, error: &WriterError) {
        // Once per outage: the writer comes back every second.
        if !self.failing {
            self.failing = true;
            tracing::error!(error = %error, "the ledger's records cannot be stored; they wait in the journal");
        }
    }
}

async fn wait(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

/// Closes what an earlier process left open: its stream was cut, and what is known of it is an estimate.
fn close_orphans(journal: &Journal) -> io::Result<()> {
    let mut open: HashMap<String, RequestRecord> = HashMap::new();
    for number in journal.segments()? {
        let path = journal.segment_path(number);
        let mut from = 0;
        loop {
            let stretch = journal::read(&path, from, BATCH)?;
            from = stretch.end;
            for line in stretch.lines {
                match line {
                    Line::Open(record) => {
                        open.insert(record.id.clone(), record);
                    }
                    Line::Close(record) => {
                        open.remove(&record.id);
                    }
                }
            }
            if stretch.at_end {
                break;
            }
        }
    }
    for record in open.into_values() {
        journal.close_record(&RequestRecord {
            outcome: "truncated".into(),
            error: "the core ended before the stream did".into(),
            ..record
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use orchestrator_base::config;

    use super::*;

    /// A database that keeps what it is given, and can be away.
    #[derive(Default)]
    struct Memory {
        rows: Mutex<Vec<RequestRecord>>,
        offset: Mutex<JournalOffset>,
        away: Mutex<bool>,
    }

    #[async_trait]
    impl LogStore for Memory {
        async fn offset(&self, _: &str) -> Result<JournalOffset, StoreError> {
            Ok(*self.offset.lock().unwrap())
        }

        async fn append(
            &self,
            _: &str,
            records: &[RequestRecord],
            upto: JournalOffset,
        ) -> Result<(), StoreError> {
            if *self.away.lock().unwrap() {
                return Err(StoreError::Unavailable("away".into()));
            }
            self.rows.lock().unwrap().extend_from_slice(records);
            *self.offset.lock().unwrap() = upto;
            Ok(())
        }
    }

    impl Memory {
        fn ids(&self) -> Vec<String> {
            self.rows.lock().unwrap().iter().map(|row| row.id.clone()).collect()
        }
    }

    fn settings(segment_bytes: u64) -> config::Journal {
        config::Journal { segment_bytes, ..config::Journal::default() }
    }

    fn record(id: &str) -> RequestRecord {
        RequestRecord { id: id.to_owned(), outcome: "ok".into(), ..RequestRecord::default() }
    }

    async fn drain(writer: &mut Writer) {
        while writer.step().await.unwrap() != Step::Nothing {}
    }

    #[tokio::test]
    async fn a_restart_stores_what_was_left_exactly_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Memory::default());
        {
            let journal = Arc::new(
                Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap(),
            );
            journal.close_record(&record("a"));
            let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
            drain(&mut writer).await;
            journal.close_record(&record("b")); // The process dies before this one is stored.
        }
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
        journal.close_record(&record("c"));
        let mut writer = Writer::start(journal, store.clone()).await.unwrap();
        drain(&mut writer).await;
        assert_eq!(store.ids(), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_stream_that_the_process_did_not_survive_is_stored_as_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Memory::default());
        {
            let journal = Arc::new(
                Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap(),
            );
            journal.open_record(&record("cut"));
            let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await;
            // The first writer closes orphans of earlier processes; this stream is of this one, so it must not run before.
            drain(writer.as_mut().unwrap()).await;
            store.rows.lock().unwrap().clear();
            journal.open_record(&record("cut later"));
            drain(writer.as_mut().unwrap()).await;
        }
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
        let mut writer = Writer::start(journal, store.clone()).await.unwrap();
        drain(&mut writer).await;
        let rows = store.rows.lock().unwrap().clone();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].id.as_str(), rows[0].outcome.as_str()), ("cut later", "truncated"));
    }

    #[tokio::test]
    async fn a_database_that_is_away_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Memory::default());
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(300)).unwrap());
        let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
        *store.away.lock().unwrap() = true;
        for id in ["a", "b", "c", "d", "e"] {
            journal.close_record(&record(id));
        }
        assert!(writer.step().await.is_err());
        *store.away.lock().unwrap() = false;
        drain(&mut writer).await;
        assert_eq!(store.ids(), ["a", "b", "c", "d", "e"]);
    }

    #[tokio::test]
    async fn a_stored_segment_is_deleted_unless_a_stream_that_it_opened_still_runs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Memory::default());
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(300)).unwrap());
        let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
        journal.open_record(&record("long"));
        for id in ["a", "b", "c"] {
            journal.close_record(&record(id));
        }
        drain(&mut writer).await;
        assert_eq!(journal.segments().unwrap()[0], 1, "the stream's beginning is kept");
        journal.close_record(&record("long"));
        drain(&mut writer).await;
        assert_eq!(journal.segments().unwrap(), [journal.current_segment()]);
    }
}

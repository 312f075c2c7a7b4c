//! Carries the journal's records into the database, at its own pace.
//!
//! The journal's files are the queue: the writer goes through them from the offset that the database remembers, so that live
//! traffic and the replay after a crash are one path, and a database that is away for an hour costs disk, not memory. What this
//! process has just written is taken from memory instead of the file. Records and the new offset go into one transaction: exactly
//! once. A segment is deleted when all of it is stored and no stream that it opened is still running.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

use orchestrator_base::clock::UnixMicros;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    RequestRecord, bounds,
    journal::{self, Journal, Line, Stretch},
    record::Held,
    replay,
};
use crate::{
    catalog::limits::Period,
    policy::budget,
    shared_state::{Added, SharedState, Touched},
    store::{JournalOffset, LogStore, StoreError},
};

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
    /// The last batch failed: the database may have it all the same.
    unsure: bool,
    /// What that batch charges, and up to where it went.
    in_doubt: Option<(JournalOffset, Vec<Added>)>,
    /// Behind it is what this process writes itself; what stands before it, nobody here has outstanding.
    own_from: JournalOffset,
    /// Who is told of what was charged.
    listener: Option<SharedState>,
    /// Where it is noted whose spending has changed.
    touched: Option<Touched>,
    /// What was charged and is not told yet.
    untold: Vec<Added>,
    failing: bool,
}

/// What one step of the writer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing that is not stored.
    Nothing,
    /// Less than a transaction holds.
    Some,
    /// As much as a transaction holds, or a segment's rest: more is waiting.
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
        tracing::debug!("replaying the journal");
        let at = store.offset(journal.name()).await?;
        let replay = Arc::clone(&journal);
        // Reading files blocks; this runs once, before the first request.
        let replaying = tokio::task::spawn_blocking(move || {
            replay.begin_after(at.segment)?;
            replay::close_orphans(&replay)
        });
        replaying.await.map_err(io::Error::other)??;
        journal.note_progress(|progress| progress.stored = at);
        let own_from = journal.end();
        let (open, untold) = (HashMap::new(), Vec::new());
        let (in_doubt, listener, touched) = (None, None, None);
        Ok(Self {
            journal,
            store,
            open,
            at,
            unsure: false,
            in_doubt,
            own_from,
            listener,
            touched,
            untold,
            failing: false,
        })
    }

    /// Tells of what is charged to budgets once it is stored.
    pub fn telling(self, listener: SharedState, touched: Touched) -> Self {
        Self { listener: Some(listener), touched: Some(touched), ..self }
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
        self.tell().await;
        if self.is_done() {
            self.journal.note_progress(|progress| progress.behind_since = None);
            return Ok(Step::Nothing);
        }
        let now = Instant::now();
        self.journal.note_progress(|progress| _ = progress.behind_since.get_or_insert(now));
        if self.unsure {
            // An answer that was lost on its way: what is stored already must not be part of a longer batch.
            let stored = self.store.offset(self.journal.name()).await?;
            if let Some((_, added)) = self.in_doubt.take().filter(|(upto, _)| *upto <= stored) {
                self.untold.extend(added);
            }
            self.advance(stored.max(self.at));
            self.unsure = false;
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
        // A stretch ends with its segment, and behind that one more is waiting.
        let full = stretch.lines.len() == BATCH || next.segment < self.journal.current_segment();
        next.position = stretch.end;
        let advanced = next > self.at;
        if advanced {
            let batch = self.take_in(stretch, next.segment);
            self.store(batch, next).await?;
            self.tell().await;
            self.recovered();
        }
        self.delete_stored()?;
        Ok(match (advanced, full) {
            (false, _) => Step::Nothing,
            (true, false) => Step::Some,
            (true, true) => Step::Full,
        })
    }

    /// Stores a batch. Where the database refuses it for what is in it, it is halved until the one record is found that cannot be
    /// stored; that one is put aside. What was stored so far stays so, should the rest have to wait.
    async fn store(&mut self, batch: Batch, upto: JournalOffset) -> Result<(), WriterError> {
        let mut waiting = vec![(0..batch.records.len(), upto)];
        while let Some((range, upto)) = waiting.pop() {
            tracing::debug!(records = range.len(), "storing records");
            let stored = self.store.append(self.journal.name(), &batch.records[range.clone()], upto).await;
            tracing::debug!(stored = stored.is_ok(), "storing records is over");
            match (stored, range.len()) {
                (Ok(()), _) => {
                    let added = self.charged(&batch.records[range]);
                    self.untold.extend(added);
                    self.advance(upto);
                }
                (Err(StoreError::Refused(why)), 1) => {
                    let (journal, record) = (Arc::clone(&self.journal), batch.records[range.start].clone());
                    let refusing = tokio::task::spawn_blocking(move || journal.refuse(&record, &why));
                    refusing.await.map_err(io::Error::other)??;
                    self.unsure = true;
                    self.store.append(self.journal.name(), &[], upto).await?;
                    self.unsure = false;
                    self.advance(upto);
                }
                (Err(StoreError::Refused(_)), count) if count > 1 => {
                    let middle = range.start + count / 2;
                    let position = batch.ends[middle - 1];
                    waiting.push((middle..range.end, upto));
                    waiting.push((range.start..middle, JournalOffset { position, ..upto }));
                }
                (Err(error), _) => {
                    self.unsure = true;
                    self.in_doubt = Some((upto, self.charged(&batch.records[range])));
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// What records charge, for whoever is told of it.
    fn charged(&self, records: &[RequestRecord]) -> Vec<Added> {
        if self.listener.is_some() { charged(records) } else { Vec::new() }
    }

    /// Tells what was charged. What cannot be told now is told with the next step: until then it counts as outstanding.
    async fn tell(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        if let Some(touched) = &self.touched {
            touched.add(self.untold.iter().map(|added| Arc::clone(&added.scope)));
        }
        if let Some(listener) = &self.listener
            && let Err(error) = listener.tell(&mut self.untold).await
        {
            tracing::debug!(%error, "what was spent cannot be read now");
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.journal.end()
    }

    fn advance(&mut self, upto: JournalOffset) {
        self.at = upto;
        self.journal.note_progress(|progress| progress.stored = upto);
    }

    /// Reads on from `next`, which moves over the end of a finished segment to the following one.
    async fn read_from(&self, next: &mut JournalOffset) -> io::Result<Stretch> {
        loop {
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
            match segments.iter().find(|&&number| number > next.segment) {
                Some(&following) if finished => *next = JournalOffset { segment: following, position: 0 },
                _ => return Ok(stretch),
            }
        }
    }

    /// Keeps account of open streams and gives back the records to store.
    fn take_in(&mut self, stretch: Stretch, segment: u64) -> Batch {
        let mut batch = Batch::default();
        for (line, end) in stretch.lines.into_iter().zip(stretch.ends) {
            match line {
                Line::Open(record) => {
                    self.open.insert(record.id.clone(), segment);
                }
                Line::Close(record) => {
                    self.open.remove(&record.id);
                    let mut record = Arc::unwrap_or_clone(record);
                    // An earlier version may have written it.
                    bounds::bound(&mut record);
                    if (JournalOffset { segment, position: end }) <= self.own_from {
                        record.held = Held::default();
                    }
                    batch.records.push(record);
                    batch.ends.push(end);
                }
            }
        }
        batch
    }

    fn delete_stored(&mut self) -> io::Result<()> {
        for lost in self.journal.take_lost_ends() {
            self.open.remove(&lost);
        }
        let oldest_open = self.open.values().min().copied().unwrap_or(u64::MAX);
        let keep_from = self.at.segment.min(oldest_open).min(self.journal.current_segment());
        // The oldest first: where a stream's beginning is left, so is its end.
        for number in self.journal.segments()?.into_iter().filter(|&number| number < keep_from) {
            self.journal.delete_segment(number)?;
        }
        Ok(())
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.journal.note_progress(|progress| progress.failing_since = None);
            tracing::info!("the database takes the ledger's records again");
        }
    }

    fn complain(&mut self, error: &WriterError) {
        // Once per outage: the writer comes back every second.
        if !std::mem::replace(&mut self.failing, true) {
            let now = Instant::now();
            self.journal.note_progress(|progress| progress.failing_since = Some(now));
            tracing::error!(error = %error, "the ledger's records cannot be stored; they wait in the journal");
        }
    }
}

/// What records charge to their keys and teams, day by day, and what of it this core has held.
fn charged(records: &[RequestRecord]) -> Vec<Added> {
    let mut sums: BTreeMap<(&str, &str, i64), u64> = BTreeMap::new();
    for record in records {
        let Some(nanos) = record.charged_nanos else { continue };
        let day = budget::start(Period::Day, record.started_at).0;
        let scopes =
            [("key", &record.api_key_id, record.held.key), ("team", &record.team_id, record.held.team)];
        for (kind, id, held) in scopes {
            if !id.is_empty() {
                let sum = sums.entry((kind, id.as_str(), day)).or_default();
                *sum = sum.saturating_add(if held { nanos } else { 0 });
            }
        }
    }
    let added = |((kind, id, day), nanos): ((&str, &str, i64), u64)| Added {
        scope: format!("{kind}:{id}").into(),
        day: UnixMicros(day),
        nanos,
    };
    sums.into_iter().map(added).collect()
}

/// Records to store, and the byte after each.
#[derive(Default)]
struct Batch {
    records: Vec<RequestRecord>,
    ends: Vec<u64>,
}

async fn wait(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests;

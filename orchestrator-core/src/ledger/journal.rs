//! The journal: every record is on its way to the disk before the last byte of its answer leaves.
//!
//! Lines of JSON in numbered segments, `data/journal/<core>/00000001.jsonl`. A line is one of
//!
//! * `{"open":RECORD}`: a stream has been committed. If the process dies, this is what the account knows of it.
//! * `{"close":RECORD}`: a request is over. Exactly one per request.
//!
//! An append is one synchronous `write(2)` (about 0.4 µs for 500 B: less than a hop to another thread), from the request's own
//! thread and from `Drop` alike, so that there is one way to write. It survives the death of the process at once, that of
//! the machine after the next fsync. Every start begins a new segment, so that a line torn by a crash is the last one of its segment.
//!
//! A record whose write fails (a full disk, or `journal.max_bytes` of records that no database has taken) is lost: it is counted and
//! said in the log, and the request goes on. Records that the database refuses for ever lie in `refused.jsonl` beside the segments.

mod health;
mod read;
mod segment;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use orchestrator_base::config;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use health::JournalHealth;
pub(super) use health::Progress;
pub use read::{Stretch, read};
use segment::Segment;

use super::RequestRecord;
use crate::store::JournalOffset;

/// What the database will not have, each with the reason.
const REFUSED: &str = "refused.jsonl";
/// A loss is said in the log when it is the first of a row, and then once in so many: an alarm, not a flood on a disk that is
/// full already.
const ALARM_EVERY: u64 = 1000;
/// The most requests whose end was lost that are remembered, so that nobody waits for it.
const MOST_LOST_ENDS: usize = 10_000;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A stream has been committed.
    Open(Arc<RequestRecord>),
    /// A request is over.
    Close(Arc<RequestRecord>),
}

/// The journal of one core.
#[derive(Debug)]
pub struct Journal {
    name: String,
    folder: PathBuf,
    segment_bytes: u64,
    max_bytes: u64,
    /// Every record is forced to the disk by itself.
    sync_each: bool,
    current: Mutex<Segment>,
    /// All segments together.
    bytes: AtomicU64,
    unsynced: AtomicBool,
    /// The latest write failed.
    failing: AtomicBool,
    lost: AtomicU64,
    refused: AtomicU64,
    /// Requests whose end could not be written.
    lost_ends: Mutex<Vec<String>>,
    progress: Mutex<Progress>,
    /// Held for as long as the process lives: two cores on one folder would tear each other's lines.
    _lock: File,
}

impl Journal {
    /// Opens the journal `name` in `folder` and begins a new segment. A journal that is new is called `NAME-ID` with this `id`
    /// for as long as it lives: cores that share a database must not share an offset in it.
    ///
    /// Errors: the folder cannot be made or written, or another process has it ([`io::ErrorKind::AddrInUse`]).
    pub fn open(folder: &Path, name: &str, id: Uuid, settings: &config::Journal) -> io::Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        lock.try_lock().map_err(|_| {
            let message = format!("{} is used by another core: give each its own DATA_DIR", folder.display());
            io::Error::new(io::ErrorKind::AddrInUse, message)
        })?;
        let numbers = segment::numbers(&folder)?;
        let mut bytes = 0;
        for number in &numbers {
            bytes += fs::metadata(segment::path(&folder, *number))?.len();
        }
        let current = Segment::create(&folder, numbers.last().copied().unwrap_or(0) + 1)?;
        let journal = Self {
            name: lasting_name(&folder.join("name"), &format!("{name}-{id}"))?,
            segment_bytes: settings.segment_bytes,
            max_bytes: settings.max_bytes,
            sync_each: settings.fsync_ms == 0,
            current: Mutex::new(current),
            bytes: AtomicU64::new(bytes),
            unsynced: AtomicBool::new(true),
            failing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lost_ends: Mutex::default(),
            progress: Mutex::default(),
            folder,
            _lock: lock,
        };
        journal.sync()?;
        Ok(journal)
    }

    /// The name under which the database keeps this journal's offset.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many records could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes that a stream has been committed.
    pub fn open_record(&self, record: &Arc<RequestRecord>) {
        self.append(Line::Open(Arc::clone(record)));
    }

    /// Writes that a request is over.
    pub fn close_record(&self, record: &Arc<RequestRecord>) {
        self.append(Line::Close(Arc::clone(record)));
    }

    /// Forces what was written to the disk, if anything was since the last time. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // Handles of its own, so that requests can append meanwhile.
        let result = locked(&self.current).take_unsynced().and_then(|pending| pending.sync(&self.folder));
        if result.is_err() {
            self.unsynced.store(true, Ordering::Release);
        }
        result
    }

    /// The segments on disk, oldest first.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        segment::numbers(&self.folder)
    }

    /// Where a segment lies.
    pub fn segment_path(&self, number: u64) -> PathBuf {
        segment::path(&self.folder, number)
    }

    /// The segment that is being written.
    pub fn current_segment(&self) -> u64 {
        locked(&self.current).number
    }

    /// Where the next line will stand.
    pub fn end(&self) -> JournalOffset {
        let segment = locked(&self.current);
        JournalOffset { segment: segment.number, position: segment.length }
    }

    /// Sees to it that what is written from now on stands behind the segment of this number. The database remembers an offset in it
    /// though the files are gone: what stood before that offset would be taken for stored.
    pub(super) fn begin_after(&self, number: u64) -> io::Result<()> {
        let mut segment = locked(&self.current);
        if segment.number <= number { segment.follow_with(&self.folder, number + 1) } else { Ok(()) }
    }

    /// Takes the lines from `from` on, at most `limit`, without reading a file. `None`: only the file has them.
    pub(super) fn fresh(&self, from: JournalOffset, limit: usize) -> Option<Stretch> {
        locked(&self.current).fresh.take(from, limit)
    }

    /// Deletes a segment that is stored.
    pub(super) fn delete_segment(&self, number: u64) -> io::Result<()> {
        let path = self.segment_path(number);
        let length = fs::metadata(&path)?.len();
        fs::remove_file(path)?;
        // Half a line that could not be taken back was never counted.
        let less = |bytes: u64| Some(bytes.saturating_sub(length));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        Ok(())
    }

    /// The ids of requests whose end was lost since the last time.
    pub(super) fn take_lost_ends(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.lost_ends))
    }

    /// Puts a record aside that the database will never take. It may stand there twice after a crash.
    pub(super) fn refuse(&self, record: &RequestRecord, why: &str) -> io::Result<()> {
        #[derive(Serialize)]
        struct Refused<'a> {
            refused: &'a str,
            record: &'a RequestRecord,
        }
        let mut line = serde_json::to_vec(&Refused { refused: why, record })?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(self.folder.join(REFUSED))?;
        io::Write::write_all(&mut file, &line)?;
        file.sync_data()?;
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            record.id = record.id,
            request_id = record.request_id,
            error = why,
            "the database refuses a record of the ledger; it was put into {REFUSED}"
        );
        Ok(())
    }

    fn append(&self, line: Line) {
        let end_of = match &line {
            Line::Open(_) => None,
            Line::Close(record) => Some(Arc::clone(record)),
        };
        match self.try_append(line) {
            Ok(()) => {
                if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                    tracing::warn!(lost = self.lost(), "the ledger's journal can be written again");
                }
            }
            Err(error) => self.lose(end_of, &error),
        }
    }

    /// A line could not be written. Only its request's end is a loss: what has begun may still end well.
    fn lose(&self, end_of: Option<Arc<RequestRecord>>, error: &io::Error) {
        let first = !self.failing.swap(true, Ordering::Relaxed);
        let mut lost = self.lost();
        let mut alarm = first;
        if let Some(record) = end_of {
            lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            alarm |= lost.is_multiple_of(ALARM_EVERY);
            let mut ends = locked(&self.lost_ends);
            if record.stream && ends.len() < MOST_LOST_ENDS {
                ends.push(record.id.clone());
            }
        }
        if alarm {
            tracing::error!(error = %error, lost, "the ledger's journal cannot be written: records are lost");
        }
    }

    fn try_append(&self, line: Line) -> io::Result<()> {
        let mut segment = locked(&self.current);
        let bytes = segment.append(&self.folder, line, |bytes| {
            let all = self.bytes.load(Ordering::Relaxed) + bytes;
            if all <= self.max_bytes { Ok(()) } else { Err(full()) }
        })?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_full = segment.length >= self.segment_bytes;
        // The line is written: what fails from here on loses nothing, and is tried again with the next line.
        let next = segment.number + 1;
        if is_full {
            tracing::debug!(journal.segment = segment.number, "a segment of the journal is full");
            match segment.follow_with(&self.folder, next) {
                Ok(()) => tracing::debug!(journal.segment = next, "a segment of the journal has begun"),
                Err(error) => tracing::error!(
                    error = %error,
                    "the ledger's journal cannot begin a new segment; it goes on with the old one"
                ),
            }
        }
        if self.sync_each
            && let Err(error) = segment.take_unsynced().and_then(|pending| pending.sync(&self.folder))
        {
            tracing::error!(error = %error, "the ledger's journal cannot be forced to the disk");
        }
        self.unsynced.store(!self.sync_each, Ordering::Release);
        Ok(())
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "journal.max_bytes of records wait for the database")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in the file, which is made of `fresh` when it is not there. The folder's lock is held.
fn lasting_name(path: &Path, fresh: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        // A start that broke off between making the file and filling it.
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            fs::write(path, fresh)?;
            File::open(path)?.sync_all()?;
            Ok(fresh.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(segment_bytes: u64) -> config::Journal {
        config::Journal { segment_bytes, ..config::Journal::default() }
    }

    const ID: Uuid = Uuid::nil();

    #[test]
    fn a_journal_keeps_its_name_and_no_other_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let open =
            |place: &str, id| Journal::open(&folder.path().join(place), "core", id, &settings(600)).unwrap();
        let name = open("one", ID).name().to_owned();
        assert_eq!(open("one", Uuid::max()).name(), name, "the same core, started again");
        assert_ne!(open("other", Uuid::max()).name(), name, "another core on the same database");
    }

    fn record(id: &str) -> Arc<RequestRecord> {
        Arc::new(RequestRecord { id: id.to_owned(), model: "m".into(), ..RequestRecord::default() })
    }

    #[test]
    fn what_was_appended_is_read_back_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "core", ID, &settings(1 << 20)).unwrap();
        journal.open_record(&record("a"));
        journal.close_record(&record("a"));
        journal.sync().unwrap();

        let first = read(&journal.segment_path(1), 0, 1).unwrap();
        assert_eq!(first.lines, [Line::Open(record("a"))]);
        let rest = read(&journal.segment_path(1), first.end, 10).unwrap();
        assert_eq!(rest.lines, [Line::Close(record("a"))]);
        assert!(rest.at_end);
    }

    #[test]
    fn a_torn_line_is_left_and_a_new_start_begins_a_new_segment() {
        let folder = tempfile::tempdir().unwrap();
        {
            let journal = Journal::open(folder.path(), "core", ID, &settings(1 << 20)).unwrap();
            journal.close_record(&record("a"));
            io::Write::write_all(&mut locked(&journal.current).file, b"{\"close\":{\"id\":\"torn").unwrap();
        }
        let journal = Journal::open(folder.path(), "core", ID, &settings(1 << 20)).unwrap();
        journal.close_record(&record("b"));

        assert_eq!(journal.segments().unwrap(), [1, 2]);
        let torn = read(&journal.segment_path(1), 0, 10).unwrap();
        assert_eq!((torn.lines, torn.at_end), (vec![Line::Close(record("a"))], true));
        assert_eq!(read(&journal.segment_path(2), 0, 10).unwrap().lines, [Line::Close(record("b"))]);
    }

    #[test]
    fn a_full_segment_is_followed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "core", ID, &settings(600)).unwrap();
        for id in ["a", "b", "c", "d"] {
            journal.close_record(&record(id));
        }
        let numbers = journal.segments().unwrap();
        assert!(numbers.len() > 1, "{numbers:?}");
        let lines: usize =
            numbers.iter().map(|&n| read(&journal.segment_path(n), 0, 10).unwrap().lines.len()).sum();
        assert_eq!(lines, 4);
    }

    #[test]
    fn two_cores_on_one_folder_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::open(folder.path(), "core", ID, &settings(600)).unwrap();
        let second = Journal::open(folder.path(), "core", ID, &settings(600)).unwrap_err();
        assert!(second.to_string().contains("another core"), "{second}");
    }

    fn lines(journal: &Journal) -> Vec<Line> {
        let read = |number| read(&journal.segment_path(number), 0, 100).unwrap().lines;
        journal.segments().unwrap().into_iter().flat_map(read).collect()
    }

    #[test]
    fn a_segment_that_cannot_be_begun_costs_no_line_and_is_begun_later() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "core", ID, &settings(100)).unwrap();
        let (here, away) = (folder.path().join("core"), folder.path().join("away"));
        // Nothing can be made in a folder that is not there; what is open can be written all the same.
        fs::rename(&here, &away).unwrap();
        journal.close_record(&record("a"));
        journal.close_record(&record("b"));
        fs::rename(&away, &here).unwrap();
        assert_eq!(journal.current_segment(), 1);
        journal.close_record(&record("c"));
        assert_eq!((journal.current_segment(), journal.lost()), (2, 0));
        assert_eq!(lines(&journal), ["a", "b", "c"].map(|id| Line::Close(record(id))));
    }

    #[test]
    fn a_full_disk_loses_what_it_cannot_hold_counts_it_and_goes_on_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "core", ID, &settings(1 << 20)).unwrap();
        journal.close_record(&record("a"));
        let stream = Arc::new(RequestRecord { stream: true, ..RequestRecord::clone(&record("b")) });
        journal.open_record(&stream);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let disk = std::mem::replace(&mut locked(&journal.current).file, full);
        journal.close_record(&stream);
        assert!(journal.health().disk_failing);
        assert_eq!((journal.health().lost, journal.take_lost_ends()), (1, vec!["b".to_owned()]));
        // Half a line might stand there, and could not be taken back: what follows goes elsewhere.
        drop(disk);
        journal.close_record(&record("c"));
        assert_eq!(lines(&journal), [Line::Close(record("a")), Line::Open(stream), Line::Close(record("c"))]);
        assert!(!journal.health().disk_failing);
    }

    #[test]
    fn a_journal_grows_to_its_bound_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let bounded = config::Journal { segment_bytes: 400, max_bytes: 1000, ..config::Journal::default() };
        let journal = Journal::open(folder.path(), "core", ID, &bounded).unwrap();
        for number in 0..20 {
            journal.close_record(&record(&number.to_string()));
        }
        let written = lines(&journal).len() as u64;
        assert!(written > 1 && journal.lost() == 20 - written, "{written} {}", journal.lost());
        let health = journal.health();
        assert!(health.bytes <= 1000 && health.pending_bytes == health.bytes, "{health:?}");
        // A restart counts what is there.
        drop(journal);
        let journal = Journal::open(folder.path(), "core", ID, &bounded).unwrap();
        journal.close_record(&record("more"));
        assert_eq!(journal.lost(), 1);
        journal.delete_segment(1).unwrap();
        journal.close_record(&record("again"));
        assert_eq!(journal.lost(), 1);
    }

    #[test]
    fn what_the_database_refuses_lies_beside_the_segments_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "core", ID, &settings(600)).unwrap();
        journal.refuse(&record("a"), "too long").unwrap();
        let text = fs::read_to_string(folder.path().join("core").join(REFUSED)).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((line["refused"].as_str(), line["record"]["id"].as_str()), (Some("too long"), Some("a")));
        assert_eq!((journal.health().refused, journal.segments().unwrap()), (1, vec![1]));
    }
}

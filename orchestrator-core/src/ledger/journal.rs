//! The journal: every record is on its way to the disk before the last byte of its answer leaves.
//!
//! Lines of JSON in numbered segments, `data/journal/<core>/00000001.jsonl`. A line is one of
//!
//! * `{"open":RECORD}`: a stream has been committed. If the process dies, this is what the account knows of it.
//! * `{"close":RECORD}`: a request is over. Exactly one per request.
//!
//! An append is one synchronous `write(2)` (about 0.4 µs for 500 B: less than a hop to another thread), from the request's own
//! thread and from `Drop` alike, so that there is one way to write. It survives the death of the process at once, that of
//! the machine after the next fsync. A record whose write fails (a full disk) is counted and said in the log; the request goes
//! on. Every start begins a new segment, so that a line torn by a crash is the last one of its segment.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use orchestrator_base::config;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{RequestRecord, fresh::Fresh};
use crate::store::JournalOffset;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A stream has been committed.
    Open(RequestRecord),
    /// A request is over.
    Close(RequestRecord),
}

/// The journal of one core.
#[derive(Debug)]
pub struct Journal {
    name: String,
    folder: PathBuf,
    segment_bytes: u64,
    /// Every record is forced to the disk by itself.
    sync_each: bool,
    current: Mutex<Segment>,
    unsynced: AtomicBool,
    lost: AtomicU64,
    /// Held for as long as the process lives: two cores on one folder would tear each other's lines.
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    length: u64,
    /// Reused from line to line.
    buffer: Vec<u8>,
    fresh: Fresh,
}

impl Journal {
    /// Opens the journal `name` in `folder` and begins a new segment. A journal that is new is called `NAME-ID` with this `id`
    /// for as long as it lives: cores that share a database must not share an offset in it.
    ///
    /// Errors: the folder cannot be made or written, or another process has it.
    pub fn open(folder: &Path, name: &str, id: Uuid, settings: &config::Journal) -> io::Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        lock.try_lock().map_err(|_| {
            let message = format!("{} is used by another core: give each its own DATA_DIR", folder.display());
            io::Error::new(io::ErrorKind::AddrInUse, message)
        })?;
        let number = segments(&folder)?.last().copied().unwrap_or(0) + 1;
        let current = Mutex::new(Segment::create(&folder, number)?);
        Ok(Self {
            name: lasting_name(&folder.join("name"), &format!("{name}-{id}"))?,
            folder,
            segment_bytes: settings.segment_bytes,
            sync_each: settings.fsync_ms == 0,
            current,
            unsynced: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            _lock: lock,
        })
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
    pub fn open_record(&self, record: &RequestRecord) {
        self.append(Line::Open(record.clone()));
    }

    /// Writes that a request is over.
    pub fn close_record(&self, record: &RequestRecord) {
        self.append(Line::Close(record.clone()));
    }

    /// Forces what was written to the disk, if anything was since the last time. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // A handle of its own, so that requests can append meanwhile.
        let file = self.segment().file.try_clone()?;
        file.sync_data()
    }

    /// The segments on disk, oldest first.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        segments(&self.folder)
    }

    /// Where a segment lies.
    pub fn segment_path(&self, number: u64) -> PathBuf {
        segment_path(&self.folder, number)
    }

    /// The segment that is being written.
    pub fn current_segment(&self) -> u64 {
        self.segment().number
    }

    /// Where the next line will stand.
    pub fn end(&self) -> JournalOffset {
        let segment = self.segment();
        JournalOffset { segment: segment.number, position: segment.length }
    }

    /// Takes the lines from `from` on, at most `limit`, without reading a file. `None`: only the file has them.
    pub(super) fn fresh(&self, from: JournalOffset, limit: usize) -> Option<Stretch> {
        self.segment().fresh.take(from, limit)
    }

    fn append(&self, line: Line) {
        if let Err(error) = self.try_append(line) {
            // The first loss and every thousandth: an alarm, not a flood on a disk that is full already.
            if self.lost.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
                tracing::error!(error = %error, "the ledger's journal cannot be written: a record is lost");
            }
        }
    }

    fn try_append(&self, line: Line) -> io::Result<()> {
        let mut segment = self.segment();
        segment.append(line)?;
        if self.sync_each {
            segment.file.sync_data()?;
        } else {
            self.unsynced.store(true, Ordering::Release);
        }
        if segment.length >= self.segment_bytes {
            segment.file.sync_data()?;
            let next = Segment::create(&self.folder, segment.number + 1)?;
            let full = std::mem::replace(&mut *segment, next);
            segment.fresh = full.fresh;
        }
        Ok(())
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(segment_path(folder, number))?;
        Ok(Self { number, file, length: 0, buffer: Vec::with_capacity(2048), fresh: Fresh::default() })
    }

    /// One line, whole or not at all.
    fn append(&mut self, line: Line) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &line)?;
        self.buffer.push(b'\n');
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A disk that filled up in the middle of the line: take the half back, or it would swallow the next one.
            self.file.set_len(self.length)?;
            self.file.seek(io::SeekFrom::End(0))?;
            return Err(error);
        }
        let at = JournalOffset { segment: self.number, position: self.length };
        self.length += self.buffer.len() as u64;
        self.fresh.push(at, self.length, line);
        Ok(())
    }
}

/// What stands in the file, which is made of `fresh` when it is not there. The folder's lock is held.
fn lasting_name(path: &Path, fresh: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::write(path, fresh)?;
            Ok(fresh.to_owned())
        }
        name => Ok(name?.trim().to_owned()),
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.jsonl"))
}

fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The lines of a segment from a position on: at most `limit` of them.
#[derive(Debug, Default)]
pub struct Stretch {
    /// The lines that could be read. A damaged line is left out and counted.
    pub lines: Vec<Line>,
    /// The byte after the last whole line.
    pub end: u64,
    /// Lines that are not records.
    pub damaged: usize,
    /// Nothing more stands in the segment for now.
    pub at_end: bool,
}

/// Reads whole lines of a segment. A line without its end (being written, or torn by a crash) is left for later.
pub fn read(path: &Path, from: u64, limit: usize) -> io::Result<Stretch> {
    use io::{BufRead as _, BufReader};
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(from))?;
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut stretch = Stretch { end: from, ..Stretch::default() };
    let mut text = Vec::new();
    while stretch.lines.len() + stretch.damaged < limit {
        text.clear();
        let length = reader.read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") {
            stretch.at_end = true;
            break;
        }
        stretch.end += length as u64;
        match serde_json::from_slice(&text) {
            Ok(line) => stretch.lines.push(line),
            Err(_) => stretch.damaged += 1,
        }
    }
    Ok(stretch)
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

    fn record(id: &str) -> RequestRecord {
        RequestRecord { id: id.to_owned(), model: "m".into(), ..RequestRecord::default() }
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
            journal.segment().file.write_all(b"{\"close\":{\"id\":\"torn").unwrap();
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
}

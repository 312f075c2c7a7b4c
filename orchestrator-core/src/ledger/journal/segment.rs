//! One file of the journal, as it is written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::Line;
use crate::{ledger::fresh::Fresh, store::JournalOffset};

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) fresh: Fresh,
    /// Half a line stands at its end and could not be taken back: nothing may follow it here.
    broken: bool,
    /// Segments before it, full and not forced to the disk yet.
    full: Vec<File>,
    /// The folder does not hold its name for sure.
    unnamed: bool,
    /// Reused from line to line.
    buffer: Vec<u8>,
}

impl Segment {
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path(folder, number))?;
        Ok(Self {
            number,
            file,
            length: 0,
            fresh: Fresh::default(),
            broken: false,
            full: Vec::new(),
            unnamed: true,
            buffer: Vec::with_capacity(2048),
        })
    }

    /// Goes on in a new file of this number.
    pub(super) fn follow_with(&mut self, folder: &Path, number: u64) -> io::Result<()> {
        let mut next = Self::create(folder, number)?;
        std::mem::swap(self, &mut next);
        let Self { file, fresh, buffer, mut full, .. } = next;
        full.push(file);
        (self.fresh, self.buffer, self.full) = (fresh, buffer, full);
        Ok(())
    }

    /// Writes one line, whole or not at all, if `may` allows its bytes; says how many there were.
    pub(super) fn append(
        &mut self,
        folder: &Path,
        line: Line,
        may: impl FnOnce(u64) -> io::Result<()>,
    ) -> io::Result<u64> {
        if self.broken {
            self.follow_with(folder, self.number + 1)?;
        }
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &line)?;
        self.buffer.push(b'\n');
        let bytes = self.buffer.len() as u64;
        may(bytes)?;
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A disk that filled up in the middle of the line: take the half back, or it would swallow the next one.
            let taken_back =
                self.file.set_len(self.length).and_then(|()| self.file.seek(io::SeekFrom::End(0)));
            self.broken = taken_back.is_err();
            return Err(error);
        }
        let at = JournalOffset { segment: self.number, position: self.length };
        self.length += bytes;
        self.fresh.push(at, self.length, line);
        Ok(bytes)
    }

    /// What is not on the disk for sure.
    pub(super) fn take_unsynced(&mut self) -> io::Result<Unsynced> {
        let current = self.file.try_clone()?;
        let mut files = std::mem::take(&mut self.full);
        files.push(current);
        Ok(Unsynced { files, folder: std::mem::take(&mut self.unnamed) })
    }
}

/// What is to be forced to the disk.
pub(super) struct Unsynced {
    files: Vec<File>,
    folder: bool,
}

impl Unsynced {
    /// Blocks until it is there. A file whose sync fails is not asked again: the system has given its pages up.
    pub(super) fn sync(self, folder: &Path) -> io::Result<()> {
        let mut result = Ok(());
        for file in self.files {
            result = result.and(file.sync_data());
        }
        if self.folder {
            result = result.and(File::open(folder).and_then(|folder| folder.sync_all()));
        }
        result
    }
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.jsonl"))
}

/// The segments in a folder, oldest first.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

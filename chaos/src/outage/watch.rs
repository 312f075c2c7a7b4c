//! How much the core takes while it is looked at: memory, and disk for the journal.

use std::{fmt, fs, io, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{AnyError, gateway::Gateway};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What was seen, in bytes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    memory_before: u64,
    memory_highest: u64,
    memory_last: u64,
    journal_before: u64,
    journal_highest: u64,
    journal_last: u64,
}

impl Watch {
    /// Looks again and again for so long.
    pub(super) async fn look_for(&mut self, time: Duration, gateway: &Gateway) -> Result<(), AnyError> {
        let until = Instant::now() + time;
        loop {
            self.look(gateway)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK)).await;
        }
    }

    /// What is seen now is what it takes when all is well; the highest counts from here.
    pub(super) fn remember_calm(&mut self, gateway: &Gateway) -> Result<(), AnyError> {
        *self = Self::default();
        self.look(gateway)?;
        (self.memory_before, self.journal_before) = (self.memory_last, self.journal_last);
        Ok(())
    }

    /// How much more memory it took at most than when all was well.
    pub(super) fn growth(&self) -> u64 {
        self.memory_highest.saturating_sub(self.memory_before)
    }

    fn look(&mut self, gateway: &Gateway) -> Result<(), AnyError> {
        self.memory_last = gateway.core()?.memory()?;
        self.memory_highest = self.memory_highest.max(self.memory_last);
        self.journal_last = bytes_in(&gateway.folder().join("data/journal"))?;
        self.journal_highest = self.journal_highest.max(self.journal_last);
        Ok(())
    }
}

/// What the files in a folder of folders hold; some are deleted meanwhile.
fn bytes_in(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// So many bytes, to be read.
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| the core's | before | highest | at the end |\n|---|---:|---:|---:|")?;
        let rows = [
            ("memory", self.memory_before, self.memory_highest, self.memory_last),
            ("journal", self.journal_before, self.journal_highest, self.journal_last),
        ];
        for (what, before, highest, last) in rows {
            writeln!(f, "| {what} | {} | {} | {} |", mib(before), mib(highest), mib(last))?;
        }
        Ok(())
    }
}

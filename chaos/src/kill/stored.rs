//! What stands in the core's journal and is not in its database yet, seen from outside.

use std::{fs, io, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{AnyError, books::Query, database::Database, gateway::Gateway};

/// Until where the database has the journal. A run has one core, and so one journal.
const OFFSET: Query =
    Query { columns: &[("segment", "segment"), ("position", "segment_position")], from: "ledger_offsets" };
/// How long it may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until the core, which nobody asks any more, has stored all that stands in its journal. What was thrown away from there stays
/// lost.
pub(super) async fn await_all(gateway: &mut Gateway) -> Result<(), AnyError> {
    let journal = gateway.folder().join("data/journal/core");
    let database = Database::Sqlite(gateway.database());
    let give_up = Instant::now() + PATIENCE;
    loop {
        gateway.all_run()?;
        let found = database.rows(OFFSET).await?;
        let column = |name: &str| found.first().and_then(|row| row[name].as_u64()).unwrap_or_default();
        let left = bytes_behind(&journal, (column("segment"), column("position")))?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(format!("{left} bytes of the journal are not stored after {PATIENCE:?}").into());
        }
        sleep(LOOK).await;
    }
}

/// How much stands in the journal's segments behind that segment and position.
fn bytes_behind(journal: &Path, stored: (u64, u64)) -> io::Result<u64> {
    let mut left = 0;
    for file in fs::read_dir(journal)? {
        let file = file?;
        let name = file.file_name();
        let segment = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<u64>().ok());
        let Some(segment) = segment else { continue };
        // It may be stored, and so deleted, between two looks.
        let bytes = file.metadata().map_or(0, |file| file.len());
        left += match segment.cmp(&stored.0) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => bytes.saturating_sub(stored.1),
            std::cmp::Ordering::Greater => bytes,
        };
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_stands_behind_the_offset() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in
            [("00000001.jsonl", 5), ("00000002.jsonl", 70), ("00000003.jsonl", 9), ("refused.jsonl", 4)]
        {
            fs::write(folder.path().join(name), "x".repeat(bytes)).unwrap();
        }
        let left = |segment, position| bytes_behind(folder.path(), (segment, position)).unwrap();
        assert_eq!((left(0, 0), left(2, 60), left(3, 9), left(4, 0)), (84, 19, 0, 0));
    }
}

//! What an earlier process left in a journal: streams that it opened and did not live to close, and the journals of cores that
//! are gone.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use orchestrator_base::config;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    RequestRecord,
    journal::{self, Journal, Line},
    writer::{Step, Writer, WriterError},
};
use crate::{error::ErrorKind, store::LogStore};

/// Lines that are read at once.
const AT_ONCE: usize = 500;

/// Closes what an earlier process left open: its stream was cut, and what is known of it is an estimate. No more is held in memory
/// than ran at once then.
pub(super) fn close_orphans(journal: &Journal) -> io::Result<()> {
    let mut open: HashMap<String, Arc<RequestRecord>> = HashMap::new();
    for number in journal.segments()? {
        let path = journal.segment_path(number);
        let mut from = 0;
        loop {
            let stretch = journal::read(&path, from, AT_ONCE)?;
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
        journal.close_record(&Arc::new(cut(Arc::unwrap_or_clone(record))));
    }
    // Their beginnings may be deleted as soon as these lines are stored.
    journal.sync()
}

/// The record of a stream whose core ended before it did.
fn cut(record: RequestRecord) -> RequestRecord {
    let mut record = RequestRecord {
        outcome: "truncated".into(),
        error_kind: ErrorKind::Internal.name().into(),
        error: "the core ended before the stream did".into(),
        ..record
    };
    if let Some(attempt) = record.tried.last_mut().filter(|attempt| attempt.outcome.is_empty()) {
        attempt.outcome.clone_from(&record.outcome);
        attempt.error.clone_from(&record.error);
    }
    record
}

/// Stores what lies in the journals beside `own` whose cores are gone, each under its own name, so that nothing of it is stored
/// twice: a folder of another core, moved here, is all that it takes. One that is in use is left alone.
pub async fn adopt(
    folder: &Path,
    own: &str,
    settings: &config::Journal,
    store: Arc<dyn LogStore>,
    stop: &CancellationToken,
) {
    for name in others(folder, own) {
        if stop.is_cancelled() {
            return;
        }
        let opened = Journal::open(folder, &name, Uuid::nil(), settings);
        let journal = match opened {
            Ok(journal) => Arc::new(journal),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => {
                tracing::error!(journal = name, error = %error, "a journal of another core cannot be opened");
                continue;
            }
        };
        match drain(journal, Arc::clone(&store), stop).await {
            Ok(0) => {}
            Ok(batches) => tracing::info!(journal = name, batches, "the journal of another core was stored"),
            Err(error) => {
                tracing::error!(journal = name, error = %error, "a journal of another core waits for the next start");
            }
        }
    }
}

async fn drain(
    journal: Arc<Journal>,
    store: Arc<dyn LogStore>,
    stop: &CancellationToken,
) -> Result<usize, WriterError> {
    let mut writer = Writer::start(journal, store).await?;
    let mut batches = 0;
    while !stop.is_cancelled() && !writer.is_done() {
        batches += usize::from(writer.step().await? != Step::Nothing);
    }
    Ok(batches)
}

/// Folders that hold a journal.
fn others(folder: &Path, own: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().join("name").is_file());
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name != own).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;

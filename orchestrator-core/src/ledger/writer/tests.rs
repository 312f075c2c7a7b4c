//! The writer, its journal, and a database that keeps what it is given.

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
    /// Ids that it will never take.
    poison: Vec<&'static str>,
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
        if let Some(record) = records.iter().find(|record| self.poison.contains(&&*record.id)) {
            return Err(StoreError::Refused(format!("{} is poison", record.id)));
        }
        if upto <= *self.offset.lock().unwrap() {
            return Ok(());
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

fn shared(id: &str) -> Arc<RequestRecord> {
    Arc::new(record(id))
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
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
        journal.close_record(&shared("a"));
        let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
        drain(&mut writer).await;
        journal.close_record(&shared("b")); // The process dies before this one is stored.
    }
    let journal =
        Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
    journal.close_record(&shared("c"));
    let mut writer = Writer::start(journal, store.clone()).await.unwrap();
    drain(&mut writer).await;
    assert_eq!(store.ids(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_stream_that_the_process_did_not_survive_is_stored_as_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::default());
    {
        let journal =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
        journal.open_record(&shared("cut"));
        let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await;
        // The first writer closes orphans of earlier processes; this stream is of this one, so it must not run before.
        drain(writer.as_mut().unwrap()).await;
        store.rows.lock().unwrap().clear();
        journal.open_record(&shared("cut later"));
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
    let journal = Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(300)).unwrap());
    let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
    *store.away.lock().unwrap() = true;
    for id in ["a", "b", "c", "d", "e"] {
        journal.close_record(&shared(id));
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
    let journal = Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(300)).unwrap());
    let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
    journal.open_record(&shared("long"));
    for id in ["a", "b", "c"] {
        journal.close_record(&shared(id));
    }
    drain(&mut writer).await;
    assert_eq!(journal.segments().unwrap()[0], 1, "the stream's beginning is kept");
    journal.close_record(&shared("long"));
    drain(&mut writer).await;
    assert_eq!(journal.segments().unwrap(), [journal.current_segment()]);
}

#[tokio::test]
async fn what_the_database_refuses_is_put_aside_and_all_else_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory { poison: vec!["b", "e"], ..Memory::default() });
    let journal =
        Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
    for id in ["a", "b", "c", "d", "e"] {
        journal.open_record(&shared(id));
        journal.close_record(&shared(id));
    }
    let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
    drain(&mut writer).await;
    assert_eq!(store.ids(), ["a", "c", "d"]);
    let refused = std::fs::read_to_string(folder.path().join("core/refused.jsonl")).unwrap();
    let words: Vec<_> = refused.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(words, ["b is poison", "e is poison"]);
    assert_eq!((journal.health().refused, journal.health().pending_bytes), (2, 0));
}

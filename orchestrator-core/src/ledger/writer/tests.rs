//! The writer, its journal, and a database that keeps what it is given.

use std::sync::Mutex;

use async_trait::async_trait;
use orchestrator_base::config;

use super::*;
use crate::{
    catalog::{
        limits::{Budget, Limits},
        tenants::Tenant,
    },
    ledger::record::Held,
    shared_state::{Ask, Scope, StoredSpend, Used, local::Local},
};

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

/// A database of what was spent: all that the memory has.
struct Spend(Arc<Memory>);

#[async_trait]
impl StoredSpend for Spend {
    async fn spent(&self, scopes: &[Scope], _: UnixMicros) -> crate::error::Result<Vec<[u64; 3]>> {
        if *self.0.away.lock().unwrap() {
            return Err(crate::error::Error::new(crate::error::ErrorKind::Unavailable, "away"));
        }
        let sum = self.0.rows.lock().unwrap().iter().filter_map(|row| row.charged_nanos).sum();
        Ok(scopes.iter().map(|_| [sum; 3]).collect())
    }
}

/// A database that stores and then does not say so.
struct Silent {
    memory: Arc<Memory>,
    lost: Mutex<u32>,
}

#[async_trait]
impl LogStore for Silent {
    async fn offset(&self, journal: &str) -> Result<JournalOffset, StoreError> {
        self.memory.offset(journal).await
    }

    async fn append(
        &self,
        journal: &str,
        records: &[RequestRecord],
        upto: JournalOffset,
    ) -> Result<(), StoreError> {
        self.memory.append(journal, records, upto).await?;
        let mut lost = self.lost.lock().unwrap();
        if *lost == 0 {
            return Ok(());
        }
        *lost -= 1;
        Err(StoreError::Unavailable("the answer is lost".into()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_outstanding_no_more_though_the_databases_answer_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::default());
    let store = Arc::new(Silent { memory: memory.clone(), lost: Mutex::new(1) });
    let journal =
        Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(1 << 20)).unwrap());
    let local = Arc::new(Local::new(Arc::new(Spend(memory.clone()))));
    let shared = SharedState::Local(local.clone());
    let budget = Some(Budget { nanos: 1000, period: Period::Total });
    let limits = Limits { budget, ..Limits::default() };
    let tenant = Arc::new(Tenant { tag: "k".into(), scopes: vec![("key:k".into(), limits)] });
    let at = UnixMicros(1_795_262_400_000_000);
    let charged = |id: &str, nanos| RequestRecord {
        api_key_id: "k".into(),
        started_at: at,
        charged_nanos: Some(nanos),
        held: Held { key: true, team: false },
        ..record(id)
    };
    // One that an earlier process has left, and one of this.
    journal.close_record(&Arc::new(charged("old", 100)));
    let mut writer =
        Writer::start(Arc::clone(&journal), store).await.unwrap().telling(shared.clone(), Touched::default());
    let grant = shared.admit(&tenant, Ask { nanos: 50, at, tokens: 0 }).await.unwrap();
    journal.close_record(&Arc::new(charged("new", 30)));
    grant.settle(Used { tokens: 0, nanos: 30 });
    assert!(writer.step().await.is_err());
    assert_eq!((local.used("key:k", Period::Total, at), local.outstanding("key:k").nanos), (Some(30), 30));
    *memory.away.lock().unwrap() = true;
    drain(&mut writer).await;
    assert_eq!(local.outstanding("key:k").nanos, 30, "what was spent cannot be read: nothing is forgotten");
    *memory.away.lock().unwrap() = false;
    drain(&mut writer).await;
    assert_eq!((local.used("key:k", Period::Total, at), local.outstanding("key:k").nanos), (Some(130), 0));
}

#[tokio::test(start_paused = true)]
async fn segments_that_wait_are_stored_without_a_pause_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::default());
    let ids: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    // Half of them are read from files, the others are in memory still.
    let mut journal = None;
    for half in ids.chunks(20) {
        drop(journal.take());
        let opened =
            Arc::new(Journal::open(folder.path(), "core", uuid::Uuid::nil(), &settings(300)).unwrap());
        for id in half {
            opened.close_record(&shared(id));
        }
        journal = Some(opened);
    }
    let journal = journal.unwrap();
    assert!(journal.segments().unwrap().len() > 20, "{:?}", journal.segments());

    let (begun, stop) = (Instant::now(), CancellationToken::new());
    let writer = Writer::start(journal, store.clone()).await.unwrap();
    let all_stored = async {
        while store.rows.lock().unwrap().len() < ids.len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = begun.elapsed();
        stop.cancel();
        took
    };
    let ((), took) = tokio::join!(writer.run(stop.clone()), all_stored);
    assert_eq!(store.ids(), ids);
    assert!(took < GATHER, "{took:?}");
}

//! Several at once: two cores on a server, and many on a file.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use super::{CatalogChange, Database, JournalOffset, Slice, Stamp, record, samples, stored};
use crate::{
    audit::AuditFilter,
    store::{AuditStore as _, CatalogReader as _, CatalogWriter as _, LogStore as _, StoreError},
};

/// Another core: connections of its own to the same database.
async fn beside(db: &Database) -> Database {
    Database::connect(&db.target).await.unwrap()
}

pub(super) async fn two_cores_change_the_catalog_at_once(db: &Database) {
    let other = beside(db).await;
    let before = db.revision().await.unwrap();
    // Each change touches two rows, half of them in the opposite order: whoever locks as it goes stands in another's way.
    for id in ["x1", "x2"] {
        db.apply(vec![CatalogChange::InsertModel(Box::new(samples::model(id, id)))], &Stamp::for_tests())
            .await
            .unwrap();
    }
    let change = |id: &str, round: i64| {
        let mut model = samples::model(id, id);
        model.updated_at.0 = round;
        CatalogChange::UpdateModel(Box::new(model))
    };
    let stamp = &Stamp::for_tests();
    let changes = (0..40).map(|round| {
        let core = if round % 2 == 0 { db } else { &other };
        let (first, second) = if round % 4 < 2 { ("x1", "x2") } else { ("x2", "x1") };
        core.apply(vec![change(first, round), change(second, round)], stamp)
    });
    try_join_all(changes).await.unwrap();
    assert_eq!(db.revision().await.unwrap(), before + 2 + 40);
    let models = db.load().await.unwrap().models;
    let last = |id: &str| models.iter().find(|model| model.id == id).unwrap().updated_at;
    assert_eq!(last("x1"), last("x2"), "each change is whole");
    let (target, action) = (Some("x1".to_owned()), Some("update".to_owned()));
    let of_one = AuditFilter { action, target, ..AuditFilter::default() };
    let log = db.audit_log(&of_one, &Slice { after: None, limit: 100 }).await.unwrap();
    assert_eq!(log.len(), 40, "a change that was tried again is on record once");
    other.close().await;
}

pub(super) async fn two_cores_store_their_records_at_once(db: &Database) {
    let other = beside(db).await;
    let batch = |core: usize, number: u64| {
        let names = (0..20).map(move |index| format!("crowd-{core}-{number}-{index}"));
        names.map(|name| record(&name)).collect::<Vec<_>>()
    };
    let writing = [db, &other].into_iter().enumerate().map(|(core, database)| async move {
        let journal = format!("crowd-{core}");
        for number in 1..=10 {
            let upto = JournalOffset { segment: 1, position: number };
            database.append(&journal, &batch(core, number), upto).await.unwrap();
            // Told twice, as after a crash.
            database.append(&journal, &batch(core, number), upto).await.unwrap();
        }
    });
    join_all(writing).await;
    assert_eq!(stored(db, "id LIKE 'crowd-%'").await, 2 * 10 * 20);
    other.close().await;
}

/// Two programs have the file open. Each of them, and each writer in it, waits for the others, and none is told that the file is locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_and_eight_readers_never_find_a_file_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let first = Database::open(&path).await.unwrap();
    let second = Database::open(&path).await.unwrap();
    let (written, read) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let until = Instant::now() + Duration::from_secs(30);
    let writers = (0..8).map(|number| {
        let (database, written) = (if number < 6 { &first } else { &second }.clone(), Arc::clone(&written));
        orchestrator_base::task::spawn("writer", async move {
            while Instant::now() < until {
                let batch = written.fetch_add(1, Ordering::Relaxed);
                write(&database, number, batch).await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    let readers = (0..8).map(|number| {
        let (database, read) = (if number < 6 { &first } else { &second }.clone(), Arc::clone(&read));
        orchestrator_base::task::spawn("reader", async move {
            while Instant::now() < until {
                database.revision().await?;
                database.load().await?;
                read.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, StoreError>(())
        })
    });
    for task in writers.chain(readers).collect::<Vec<_>>() {
        task.await.unwrap().unwrap().unwrap();
    }
    let batches = written.load(Ordering::Relaxed);
    assert!(batches > 100 && read.load(Ordering::Relaxed) > 100, "{batches} batches is no crowd");
    assert_eq!(stored(&first, "1 = 1").await, i64::try_from(batches).unwrap() * 5);
    first.close().await;
    second.close().await;
    sound(&path).await;
}

async fn write(database: &Database, writer: u64, batch: u64) -> Result<(), StoreError> {
    let records: Vec<_> = (0..5).map(|index| record(&format!("{batch}-{index}"))).collect();
    let upto = JournalOffset { segment: batch + 1, position: 1 };
    database.append(&format!("writer-{writer}"), &records, upto).await?;
    let name = format!("of-{batch}");
    database
        .apply(vec![CatalogChange::InsertModel(Box::new(samples::model(&name, &name)))], &Stamp::for_tests())
        .await?;
    database.apply(vec![CatalogChange::DeleteModel(name)], &Stamp::for_tests()).await
}

async fn sound(path: &Path) {
    let said = orchestrator_testkit::sqlite::rows(path, "PRAGMA integrity_check").await;
    assert_eq!(said[0]["integrity_check"], "ok");
}

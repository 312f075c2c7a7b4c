//! A database that is away: calls fail at once or soon, none hangs, and when it is back they work again.

use std::time::Duration;

use orchestrator_testkit::databases::{Kind, Server};
use sqlx::{Connection as _, Executor as _};
use tokio::time::{Instant, timeout};

use super::{CatalogChange, Database, JournalOffset, Stamp, migrated, record, samples, stored};
use crate::store::{CatalogReader as _, CatalogWriter as _, LogStore as _, StoreError};

/// No call may take longer, whatever has become of the database: a connection's time and a little.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn mariadb_may_go_away_and_come_back() {
    stop_and_go(Kind::MariaDb).await;
}

#[tokio::test]
async fn postgresql_may_go_away_and_come_back() {
    stop_and_go(Kind::Postgres).await;
}

async fn stop_and_go(kind: Kind) {
    let server = Server::start(kind);
    let db = migrated(&server.database().await).await;
    db.apply(vec![CatalogChange::InsertModel(Box::new(samples::model("m1", "before")))], &Stamp::for_tests())
        .await
        .unwrap();

    server.stop();
    every_call_fails_soon(&db).await;
    server.resume();
    back_at_once(&db, 1).await;

    // A restart that nobody noticed: every connection in hand is dead.
    db.load().await.unwrap();
    server.stop();
    server.resume();
    back_at_once(&db, 2).await;

    // It hangs: nothing is refused, and nothing answers.
    server.freeze();
    every_call_fails_soon(&db).await;
    server.thaw();
    back_at_once(&db, 3).await;
    db.close().await;
}

#[tokio::test]
async fn what_sqlite_has_undone_by_itself_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("x.db")).await.unwrap();
    // As it does where the disk is full, whoever writes and whoever reads.
    let mut writing = db.db.write().await.unwrap();
    writing.execute("ROLLBACK".to_owned(), Vec::new()).await.unwrap();
    assert!(writing.commit().await.is_err());
    let mut reading = db.db.read().await.unwrap();
    reading.execute("ROLLBACK".to_owned(), Vec::new()).await.unwrap();
    drop(reading);
    db.append("core", &[record("r1")], JournalOffset { segment: 1, position: 1 }).await.unwrap();
    assert_eq!(stored(&db, "1 = 1").await, 1);
}

async fn every_call_fails_soon(db: &Database) {
    let model = || CatalogChange::InsertModel(Box::new(samples::model("m2", "during")));
    let (lost, stamp) = ([record("lost")], Stamp::for_tests());
    let (read, write, log) = tokio::join!(
        timeout(SOON, db.load()),
        timeout(SOON, db.apply(vec![model()], &stamp)),
        timeout(SOON, db.append("core", &lost, JournalOffset { segment: 9, position: 9 })),
    );
    for outcome in [read.expect("soon").map(|_| ()), write.expect("soon"), log.expect("soon")] {
        let refused = outcome.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    }
}

/// Without a restart of ours. PostgreSQL listens before it is ready, so a moment is allowed.
async fn back_at_once(db: &Database, round: u64) {
    let begun = Instant::now();
    while let Err(error) = db.revision().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let upto = JournalOffset { segment: 1, position: round };
    db.append("core", &[record(&format!("r{round}"))], upto).await.unwrap();
    assert_eq!(stored(db, "1 = 1").await, i64::try_from(round).unwrap());
    assert_eq!(db.load().await.unwrap().models.len(), 1, "nothing was half done");
}

#[tokio::test]
async fn a_file_that_another_program_has_locked_is_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let db = Database::open(&path).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();

    let upto = JournalOffset { segment: 1, position: 1 };
    let records = [record("r1")];
    let (refused, read) =
        tokio::join!(timeout(SOON, db.append("core", &records, upto)), timeout(SOON, db.load()));
    let refused = refused.expect("soon").unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    read.expect("soon").unwrap();

    other.execute("COMMIT").await.unwrap();
    db.append("core", &[record("r1")], upto).await.unwrap();
    assert_eq!(stored(&db, "1 = 1").await, 1);
}

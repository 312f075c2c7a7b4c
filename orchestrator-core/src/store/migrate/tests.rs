//! Migrating a file, and everything that can stand in its way.

mod servers;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use sqlx::{SqlSafeStr as _, migrate::MigrationType, sqlite::SqlitePool};

use super::*;
use crate::store::{Database, SettingStore as _};

async fn connected(path: &Path) -> SqlitePool {
    let target = DatabaseTarget::Sqlite { path: path.to_owned() };
    let Db::Sqlite(pools) = Db::connect(&target).await.unwrap() else { panic!("{target:?}") };
    pools.writers
}

async fn migrate(
    migrator: &Migrator,
    writer: &SqlitePool,
    path: &Path,
) -> Result<Vec<Migration>, StoreError> {
    sqlite::run(&Plan::of(migrator), writer, path, LOCK_WAIT).await
}

/// The program's migrations and these, by version and SQL.
fn and_also(more: &[(i64, &'static str)]) -> Migrator {
    let mut migrations: Vec<_> = SQLITE.iter().cloned().collect();
    for (version, sql) in more {
        let (kind, sql) = (MigrationType::Simple, sql.into_sql_str());
        migrations.push(sqlx::migrate::Migration::new(*version, "more".into(), kind, sql, false));
    }
    Migrator::with_migrations(migrations)
}

fn backups(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("backups")) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_migration_is_applied_once_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let target = DatabaseTarget::Sqlite { path: folder.path().join("x.db") };
    let database = Database::connect(&target).await.unwrap();
    let applied = database.migrate().await.unwrap();
    let described: Vec<_> = applied.iter().map(|m| (m.version, m.description.as_str())).collect();
    assert_eq!(
        described,
        [
            (1, "catalog"),
            (2, "request logs"),
            (3, "provider health"),
            (4, "api key on disconnect"),
            (5, "provider rate limit"),
            (6, "request accounts"),
            (7, "request attempts"),
            (8, "request bodies"),
            (9, "usage hourly"),
            (10, "provider stats"),
            (11, "prices"),
            (12, "admin keys"),
            (13, "audit log"),
            (14, "managed by"),
            (15, "llmio views"),
            (16, "usage daily"),
            (17, "error kind"),
            (18, "teams"),
            (19, "api key limits"),
            (20, "model limits"),
            (21, "request charges"),
            (22, "budget spend"),
            (23, "alerts"),
            (24, "ended sessions"),
        ]
    );
    assert_eq!(database.migrate().await.unwrap(), []);
    assert!(backups(folder.path()).is_empty(), "there was nothing to copy");
}

#[tokio::test]
async fn two_programs_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = DatabaseTarget::Sqlite { path: folder.path().join("x.db") };
    let (a, b) = (Database::connect(&target).await.unwrap(), Database::connect(&target).await.unwrap());
    let (first, second) = tokio::join!(a.migrate(), b.migrate());
    assert_eq!(first.unwrap().len() + second.unwrap().len(), SQLITE.iter().count());
}

#[tokio::test]
async fn a_database_that_holds_something_is_copied_first_and_three_copies_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let database = Database::open(&path).await.unwrap();
    database.setting_or_insert("colour", "green").await.unwrap();
    let writer = connected(&path).await;
    let steps: [(i64, &'static str); 4] = [
        (101, "CREATE TABLE a (id TEXT)"),
        (102, "CREATE TABLE b (id TEXT)"),
        (103, "CREATE TABLE c (id TEXT)"),
        (104, "CREATE TABLE d (id TEXT)"),
    ];
    for upto in 1..=steps.len() {
        migrate(&and_also(&steps[..upto]), &writer, &path).await.unwrap();
    }
    assert_eq!(backups(folder.path()), ["x-before-0102.db", "x-before-0103.db", "x-before-0104.db"]);
    let copy = folder.path().join("backups/x-before-0104.db");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = Database::connect(&DatabaseTarget::Sqlite { path: copy }).await.unwrap();
    assert_eq!(copy.setting("colour").await.unwrap().as_deref(), Some("green"));
}

#[tokio::test]
async fn a_newer_programs_database_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let writer = connected(&path).await;
    migrate(&and_also(&[(900, "CREATE TABLE future (id TEXT)")]), &writer, &path).await.unwrap();
    let refused = migrate(&SQLITE, &writer, &path).await.unwrap_err().to_string();
    assert!(refused.contains("migration 900") && refused.contains("newer"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
}

#[tokio::test]
async fn a_changed_migration_and_a_broken_one_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let writer = connected(&path).await;
    migrate(&and_also(&[(900, "CREATE TABLE a (id TEXT)")]), &writer, &path).await.unwrap();
    let changed = migrate(&and_also(&[(900, "CREATE TABLE b (id TEXT)")]), &writer, &path).await;
    assert!(changed.unwrap_err().to_string().contains("changed sources"));

    sqlx::query("UPDATE _sqlx_migrations SET success = 0 WHERE version = 900")
        .execute(&writer)
        .await
        .unwrap();
    let broken = migrate(&and_also(&[(900, "CREATE TABLE a (id TEXT)")]), &writer, &path).await;
    assert!(broken.unwrap_err().to_string().contains("broke off"));
}

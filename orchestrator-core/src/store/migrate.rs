//! Bringing the tables up to date.
//!
//! SQLite has no lock that holds over several transactions of several processes, so migrating is done under a lock on a file
//! beside the database. A database that holds something is copied first: into `backups/` beside it, where the last three
//! copies are kept.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    SqliteConnection,
    migrate::{Migrate as _, MigrateError, Migrator},
    sqlite::SqlitePool,
};
use tokio::time::Instant;

use super::{StoreError, db::unavailable};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Where sqlx writes down what was applied.
const APPLIED: &str = "_sqlx_migrations";
/// How long another process may migrate before this one gives up.
const LOCK_WAIT: Duration = Duration::from_mins(1);
/// How often the lock is tried.
const LOCK_RETRY: Duration = Duration::from_millis(100);
/// Copies kept.
const BACKUPS: usize = 3;

/// One step that brought the tables up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its file's name: `request logs`.
    pub description: String,
}

/// Applies what is pending to the file at `path`, which `writer` has open.
pub(super) async fn sqlite(writer: &SqlitePool, path: &Path) -> Result<Vec<Migration>, StoreError> {
    run(&SQLITE, writer, path).await
}

async fn run(migrator: &Migrator, writer: &SqlitePool, path: &Path) -> Result<Vec<Migration>, StoreError> {
    let _lock = lock(&beside(path, ".migrate.lock")).await?;
    let mut connection = writer.acquire().await.map_err(unavailable)?;
    let pending = pending(migrator, &mut connection).await?;
    if let Some(first) = pending.first()
        && holds_something(&mut connection).await?
    {
        back_up(&mut connection, path, first.version).await?;
    }
    // Also when nothing is pending: this is what compares the checksums.
    migrator.run_direct(None, &mut *connection, false).await.map_err(explain)?;
    Ok(pending)
}

/// Takes the lock, waiting for whoever has it. It is released when the file is dropped, or when the process dies.
async fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    let give_up = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(format!(
                    "another program has held {} for {} s",
                    path.display(),
                    LOCK_WAIT.as_secs()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

async fn pending(
    migrator: &Migrator,
    connection: &mut SqliteConnection,
) -> Result<Vec<Migration>, StoreError> {
    connection.ensure_migrations_table(APPLIED).await.map_err(explain)?;
    let applied = connection.list_applied_migrations(APPLIED).await.map_err(explain)?;
    let is_pending = |version| applied.iter().all(|migration| migration.version != version);
    let pending = migrator.iter().filter(|migration| is_pending(migration.version));
    Ok(pending
        .map(|migration| Migration {
            version: migration.version,
            description: migration.description.to_string(),
        })
        .collect())
}

async fn holds_something(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> ?")
            .bind(APPLIED)
            .fetch_one(connection)
            .await
            .map_err(unavailable)?;
    Ok(tables > 0)
}

/// Copies the database as it stands into `backups/<name>-before-<version>.db`, and keeps only the last three copies.
///
/// The name says the migration, not the time: a start that fails and is repeated replaces its own copy instead of pushing
/// out older ones.
async fn back_up(connection: &mut SqliteConnection, path: &Path, version: i64) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| {
        StoreError::Unavailable(format!("the copy before migrating could not be made: {error}"))
    };
    let folder = path.with_file_name("backups");
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let copy = folder.join(format!("{stem}-before-{version:04}.db"));
    let partial = beside(&copy, ".partial");
    // VACUUM INTO refuses a file that is there; this one was left by a start that died.
    match tokio::fs::remove_file(&partial).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    sqlx::query("VACUUM INTO ?")
        .bind(partial.to_string_lossy().into_owned())
        .execute(connection)
        .await
        .map_err(|error| failed(std::io::Error::other(error)))?;
    tokio::fs::rename(&partial, &copy).await.map_err(failed)?;
    forget_old_copies(&folder, &format!("{stem}-before-")).await.map_err(failed)
}

async fn forget_old_copies(folder: &Path, beginning: &str) -> std::io::Result<()> {
    let mut copies = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(beginning) && entry.path().extension().is_some_and(|end| end == "db") {
            copies.push(entry.path());
        }
    }
    // The version is zero-padded, so that names sort as versions do.
    copies.sort();
    let surplus = copies.len().saturating_sub(BACKUPS);
    for copy in copies.drain(..surplus) {
        tokio::fs::remove_file(copy).await?;
    }
    Ok(())
}

/// `x.db` and `.lock` make `x.db.lock`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What went wrong, in a line that says what to do about it.
fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Conflict(format!(
            "the database has migration {version}, which this program does not know: a newer one wrote it; run that, or \
             restore the copy in backups/"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Conflict(format!(
            "migration {version} is not the one that this database was made with: the program was built from changed \
             sources"
        )),
        MigrateError::Dirty(version) => StoreError::Conflict(format!(
            "migration {version} broke off half-way; restore the copy in backups/ and start again"
        )),
        MigrateError::ExecuteMigration(error, version) => {
            StoreError::Conflict(format!("migration {version} failed: {error}"))
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{SqlSafeStr as _, migrate::MigrationType};

    use super::*;
    use orchestrator_base::config::DatabaseTarget;

    use crate::store::{Database, SettingStore as _, db::Db};

    async fn connected(path: &Path) -> SqlitePool {
        let Db::Sqlite { writer, .. } = Db::sqlite(path).await.unwrap();
        writer
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
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
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
            run(&and_also(&steps[..upto]), &writer, &path).await.unwrap();
        }
        assert_eq!(backups(folder.path()), ["x-before-0102.db", "x-before-0103.db", "x-before-0104.db"]);
        let copy = DatabaseTarget::Sqlite { path: folder.path().join("backups/x-before-0104.db") };
        let copy = Database::connect(&copy).await.unwrap();
        assert_eq!(copy.setting("colour").await.unwrap().as_deref(), Some("green"));
    }

    #[tokio::test]
    async fn a_newer_programs_database_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let writer = connected(&path).await;
        run(&and_also(&[(900, "CREATE TABLE future (id TEXT)")]), &writer, &path).await.unwrap();
        let refused = sqlite(&writer, &path).await.unwrap_err().to_string();
        assert!(refused.contains("migration 900") && refused.contains("newer"), "{refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }

    #[tokio::test]
    async fn a_changed_migration_and_a_broken_one_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let writer = connected(&path).await;
        run(&and_also(&[(900, "CREATE TABLE a (id TEXT)")]), &writer, &path).await.unwrap();
        let changed = run(&and_also(&[(900, "CREATE TABLE b (id TEXT)")]), &writer, &path).await;
        assert!(changed.unwrap_err().to_string().contains("changed sources"));

        sqlx::query("UPDATE _sqlx_migrations SET success = 0 WHERE version = 900")
            .execute(&writer)
            .await
            .unwrap();
        let broken = run(&and_also(&[(900, "CREATE TABLE a (id TEXT)")]), &writer, &path).await;
        assert!(broken.unwrap_err().to_string().contains("broke off"));
    }
}

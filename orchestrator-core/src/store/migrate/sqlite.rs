//! Migrating a SQLite file.
//!
//! SQLite has no lock that holds over several transactions of several processes, so this is done under a lock on a file beside the
//! database. A database that holds something is copied first: into `backups/` beside it, where the last three copies are kept.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{SqliteConnection, sqlite::SqlitePool};
use tokio::time::Instant;

use super::{APPLIED, LOCK_RETRY, Migration, MigrationStatus, Plan, too_long};
use crate::store::{
    StoreError,
    db::{make_private, unavailable},
};

/// Copies kept.
const BACKUPS: usize = 3;

/// Applies what is pending to the file at `path`, which `writer` has open.
pub(super) async fn run(
    plan: &Plan,
    writer: &SqlitePool,
    path: &Path,
    wait: Duration,
) -> Result<Vec<Migration>, StoreError> {
    let _lock = lock(&beside(path, ".migrate.lock"), wait).await?;
    let mut connection = writer.acquire().await.map_err(unavailable)?;
    let tables = tables(&mut connection).await?;
    let pending = plan.pending(&mut *connection, &tables).await?;
    if let Some(first) = pending.first()
        && tables.iter().any(|table| table != APPLIED)
    {
        back_up(&mut connection, path, first.version).await?;
    }
    plan.apply(&mut *connection, &pending).await?;
    Ok(pending)
}

/// What is applied, and what is not.
pub(super) async fn status(plan: &Plan, readers: &SqlitePool) -> Result<Vec<MigrationStatus>, StoreError> {
    let mut connection = readers.acquire().await.map_err(unavailable)?;
    let tables = tables(&mut connection).await?;
    plan.status(&mut *connection, &tables).await
}

/// Takes the lock, waiting for whoever has it. It is released when the file is dropped, or when the process dies.
async fn lock(path: &Path, wait: Duration) -> Result<File, StoreError> {
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    let give_up = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(too_long(&format!("the lock {}", path.display()), wait));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        .fetch_all(connection)
        .await
        .map_err(unavailable)
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
    // VACUUM INTO refuses a file that holds something; this one was left by a start that died.
    match tokio::fs::remove_file(&partial).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    make_private(&partial).await.map_err(failed)?;
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

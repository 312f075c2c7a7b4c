//! The database as the program holds it: which one, connecting to it, waiting for it.

use std::{path::Path, sync::Arc, time::Duration};

use orchestrator_base::config::DatabaseTarget;

use super::{StoreError, db::Db, migrate};
use crate::metrics::DatabaseMeter;

pub use super::migrate::{Migration, MigrationState, MigrationStatus};

/// The database. Cheap to clone; every clone uses the same connections.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) db: Db,
    pub(super) target: DatabaseTarget,
}

impl Database {
    /// Connects, without touching what is in it. A file that is not there is made.
    pub async fn connect(target: &DatabaseTarget) -> Result<Self, StoreError> {
        Ok(Self { db: Db::connect(target).await?, target: target.clone() })
    }

    /// Connects, trying `tries` times and sleeping `interval` in between. `on_wait` is told of each failure that is followed by
    /// another try: its number, from 1, and why.
    pub async fn connect_with_retries(
        target: &DatabaseTarget,
        tries: u32,
        interval: Duration,
        mut on_wait: impl FnMut(u32, &StoreError),
    ) -> Result<Self, StoreError> {
        let mut attempt = 1;
        loop {
            match Self::connect(target).await {
                Ok(database) => return Ok(database),
                Err(error) if attempt < tries => {
                    on_wait(attempt, &error);
                    tokio::time::sleep(interval).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Brings the tables up to date and says what was done, in order; an empty list means that nothing had to be.
    ///
    /// Errors, each a line that says what to do: a newer program's database, a migration that was changed or broke off, a
    /// copy that could not be made, another program that migrates for too long.
    pub async fn migrate(&self) -> Result<Vec<Migration>, StoreError> {
        migrate::run(&self.db, &self.target).await
    }

    /// Every migration that this program knows, in order, and how far it has come; then those that only a newer program knows.
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        migrate::status(&self.db, &self.target).await
    }

    /// The same of a database that nobody has made yet: all is pending.
    pub fn migrations_of_none() -> Vec<MigrationStatus> {
        migrate::none_applied()
    }

    /// Connects to a file and migrates it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Self::connect(&DatabaseTarget::Sqlite { path: path.to_owned() }).await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Connects to a file that must be there, without bringing its tables up to date: what is to be copied stays as it is.
    pub async fn connect_for_copy(path: &Path) -> Result<Self, StoreError> {
        let is_there = tokio::fs::try_exists(path).await;
        let is_there =
            is_there.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        if !is_there {
            return Err(StoreError::Unavailable(format!("{} is not there", path.display())));
        }
        Self::connect(&DatabaseTarget::Sqlite { path: path.to_owned() }).await
    }

    /// Writes a consistent copy into a file that is empty or not there. Whoever writes meanwhile neither waits nor is in it.
    pub async fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        self.db.copy_into(path).await
    }

    /// How long its transactions take, and how often they fail.
    pub fn meter(&self) -> &Arc<DatabaseMeter> {
        self.db.meter()
    }

    /// Closes the connections. Later calls fail with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.db.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;
    use crate::store::SettingStore as _;

    #[tokio::test]
    async fn a_file_that_is_made_is_its_owners_alone_and_one_that_is_there_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let modes = || {
            ["x.db", "x.db-wal", "x.db-shm"]
                .map(|name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777)
        };
        let database = Database::open(&path).await.unwrap();
        assert_eq!(modes(), [0o600; 3]);
        database.close().await;

        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        let database = Database::open(&path).await.unwrap();
        database.setting_or_insert("colour", "green").await.unwrap();
        assert_eq!(modes(), [0o664; 3]);
    }

    #[tokio::test]
    async fn waiting_ends_after_the_last_try() {
        // A file cannot be a folder, so nothing can be opened below it.
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = DatabaseTarget::Sqlite { path: file.path().join("x.db") };
        let mut waits = Vec::new();
        let refused =
            Database::connect_with_retries(&target, 3, Duration::ZERO, |attempt, _| waits.push(attempt))
                .await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!(waits, [1, 2]);
    }
}

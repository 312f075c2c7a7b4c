//! The database as the program holds it: which one, connecting to it, waiting for it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{StoreError, db::Db, migrate};

pub use super::migrate::Migration;

/// Which database: what `DATABASE_URL` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseTarget {
    /// A file.
    Sqlite(PathBuf),
}

impl DatabaseTarget {
    /// Reads a database URL.
    ///
    /// `sqlite://data/x.db` and `sqlite:data/x.db` are relative, `sqlite:///var/x.db` is absolute. With a driver
    /// (`sqlite+aiosqlite:///./data/x.db`) SQLAlchemy's rule holds: the path begins after the third slash, so an absolute one
    /// has four. A query (`?mode=rwc`) means nothing here.
    ///
    /// Errors: another database, or one in memory; the text is for `database.url` and repeats nothing of the URL's secrets.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').ok_or("it is not a URL")?;
        let (database, driver) = match scheme.split_once('+') {
            Some((database, driver)) => (database, Some(driver)),
            None => (scheme, None),
        };
        if !database.eq_ignore_ascii_case("sqlite") {
            return Err(format!("{database} is not supported by this version; use sqlite:"));
        }
        let path = rest.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = match driver {
            Some(_) => path.strip_prefix('/').unwrap_or(path),
            // `/./` at the front can only be meant relative.
            None if path.starts_with("/./") => &path[1..],
            None => path,
        };
        if path.is_empty() || path.contains(":memory:") {
            return Err("it must name a file: a database in memory would be another one for each connection"
                .to_owned());
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// The database. Cheap to clone; every clone uses the same connections.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) db: Db,
    target: DatabaseTarget,
}

impl Database {
    /// Connects, without touching what is in it. A file that is not there is made.
    pub async fn connect(target: &DatabaseTarget) -> Result<Self, StoreError> {
        let db = match target {
            DatabaseTarget::Sqlite(path) => Db::sqlite(path).await?,
        };
        Ok(Self { db, target: target.clone() })
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
        match (&self.db, &self.target) {
            (Db::Sqlite { writer, .. }, DatabaseTarget::Sqlite(path)) => migrate::sqlite(writer, path).await,
        }
    }

    /// Connects to a file and migrates it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Self::connect(&DatabaseTarget::Sqlite(path.to_owned())).await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Closes the connections. Later calls fail with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.db.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_in_each_of_its_forms() {
        let cases = [
            ("sqlite://data/x.db", "data/x.db"),
            ("sqlite:data/x.db", "data/x.db"),
            ("sqlite:///var/lib/x.db?mode=rwc", "/var/lib/x.db"),
            ("sqlite:///./data/x.db", "./data/x.db"),
            ("sqlite+aiosqlite:///./data/x.db", "./data/x.db"),
            ("sqlite+aiosqlite:///data/x.db", "data/x.db"),
            ("sqlite+aiosqlite:////var/lib/x.db", "/var/lib/x.db"),
        ];
        for (url, path) in cases {
            assert_eq!(DatabaseTarget::from_url(url), Ok(DatabaseTarget::Sqlite(path.into())), "{url}");
        }
        for url in ["mysql://u:hunter2@h/d", "sqlite::memory:", "sqlite://", "nonsense"] {
            let refused = DatabaseTarget::from_url(url).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[tokio::test]
    async fn waiting_ends_after_the_last_try() {
        // A file cannot be a folder, so nothing can be opened below it.
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = DatabaseTarget::Sqlite(file.path().join("x.db"));
        let mut waits = Vec::new();
        let refused =
            Database::connect_with_retries(&target, 3, Duration::ZERO, |attempt, _| waits.push(attempt))
                .await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!(waits, [1, 2]);
    }
}

//! The one place that knows which database it is: connections, transactions, values in and rows out.
//!
//! The tables' code is written once, with `?` placeholders and three column types (text, integer, double), against [`Tx`],
//! [`Value`] and [`Row`]. Another database is another variant of [`Db`], [`Tx`] and [`Row`], and the compiler points at what it
//! must say.
//!
//! SQLite takes one writer at a time, so the writing pool has exactly one connection, and a write transaction takes the
//! lock at once (`BEGIN IMMEDIATE`): one that only upgrades later fails with SQLITE_BUSY_SNAPSHOT, which no waiting mends.
//! Readers have connections of their own and, thanks to WAL, never wait for the writer.

use std::{path::Path, time::Duration};

use orchestrator_base::clock::UnixMicros;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    AssertSqlSafe, Row as _, Sqlite, Transaction,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};

use super::StoreError;

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reading.
const READERS: u32 = 4;

/// The connections to one database.
#[derive(Clone, Debug)]
pub(super) enum Db {
    /// One file.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Connections that cannot write.
        readers: SqlitePool,
    },
}

impl Db {
    /// Opens the file, and makes it (and its folder) when it is not there.
    pub(super) async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder)
                .await
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", folder.display())))?;
        }
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
        let writing = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        // The writer first: it makes the file that a reader needs.
        let writer = pool.clone().max_connections(1).connect_with(writing).await.map_err(unavailable)?;
        let readers =
            pool.max_connections(READERS).connect_with(options.read_only(true)).await.map_err(unavailable)?;
        Ok(Self::Sqlite { writer, readers })
    }

    /// Begins a transaction that may write. It holds the database's write lock until it ends.
    pub(super) async fn write(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => {
                writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite).map_err(unavailable)
            }
        }
    }

    /// Begins a transaction that reads one consistent state.
    pub(super) async fn read(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { readers, .. } => readers.begin().await.map(Tx::Sqlite).map_err(unavailable),
        }
    }

    /// The end of an INSERT that leaves an existing row with the same `key` as it is.
    pub(super) fn unless_exists(&self, key: &str) -> String {
        match self {
            Self::Sqlite { .. } => format!(" ON CONFLICT ({key}) DO NOTHING"),
        }
    }

    /// Writes one consistent state into another file.
    pub(super) async fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { readers, .. } => {
                let into = sqlx::query("VACUUM INTO ?").bind(path.to_string_lossy().into_owned());
                into.execute(readers).await.map_err(unavailable).map(|_| ())
            }
        }
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
pub(super) enum Tx {
    /// On one file.
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// Runs a statement and says how many rows it touched. `sql` holds `?` for each of `values`, and nothing of the caller's.
    pub(super) async fn execute(&mut self, sql: String, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                sqlite_query(sql, values).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        }
    }

    /// Runs a query.
    pub(super) async fn rows(&mut self, sql: String, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let rows = sqlite_query(sql, values).fetch_all(&mut **tx).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
        }
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await.map_err(unavailable),
        }
    }
}

fn sqlite_query(sql: String, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(int) => query.bind(int),
        };
    }
    query
}

/// A value for a placeholder. NULL has a type, because some databases ask for it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// TEXT.
    Text(Option<String>),
    /// BIGINT.
    Int(Option<i64>),
}

impl Value {
    /// A list, a map or a struct as JSON text.
    pub(super) fn json<T: Serialize>(value: &T) -> Result<Self, StoreError> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|error| StoreError::Conflict(format!("a value cannot be written as JSON: {error}")))
    }

    /// A count. What a BIGINT cannot hold becomes the largest that it can.
    pub(super) fn count(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(Some(i64::from(int)))
    }
}

impl From<Option<u32>> for Value {
    fn from(int: Option<u32>) -> Self {
        Self::Int(int.map(i64::from))
    }
}

impl From<bool> for Value {
    fn from(bit: bool) -> Self {
        Self::Int(Some(i64::from(bit)))
    }
}

impl From<UnixMicros> for Value {
    fn from(moment: UnixMicros) -> Self {
        Self::Int(Some(moment.0))
    }
}

impl From<Option<UnixMicros>> for Value {
    fn from(moment: Option<UnixMicros>) -> Self {
        Self::Int(moment.map(|moment| moment.0))
    }
}

/// One row of an answer; columns are asked for by name.
pub(super) enum Row {
    /// From one file.
    Sqlite(SqliteRow),
}

impl Row {
    /// TEXT NOT NULL.
    pub(super) fn text(&self, column: &str) -> Result<String, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column).map_err(unavailable),
        }
    }

    /// TEXT.
    pub(super) fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column).map_err(unavailable),
        }
    }

    /// BIGINT.
    pub(super) fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column).map_err(unavailable),
        }
    }

    /// BIGINT NOT NULL.
    pub(super) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| damaged(column, "is NULL"))
    }

    /// A BIGINT NOT NULL that holds a small number.
    pub(super) fn small(&self, column: &str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|error| damaged(column, &error.to_string()))
    }

    /// A BIGINT that holds a small number.
    pub(super) fn maybe_small(&self, column: &str) -> Result<Option<u32>, StoreError> {
        match self.maybe_int(column)? {
            Some(int) => u32::try_from(int).map(Some).map_err(|error| damaged(column, &error.to_string())),
            None => Ok(None),
        }
    }

    /// A BIGINT NOT NULL that holds a count or an offset.
    pub(super) fn count(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|error| damaged(column, &error.to_string()))
    }

    /// A BIGINT NOT NULL of 0 or 1.
    pub(super) fn bit(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// A BIGINT NOT NULL that holds a moment.
    pub(super) fn moment(&self, column: &str) -> Result<UnixMicros, StoreError> {
        self.int(column).map(UnixMicros)
    }

    /// JSON text.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|error| damaged(column, &error.to_string()))
    }
}

/// A column that holds what this program never wrote.
pub(super) fn damaged(column: &str, why: &str) -> StoreError {
    StoreError::Unavailable(format!("column {column} cannot be read: {why}"))
}

/// Any failure that is not about the values given.
pub(super) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

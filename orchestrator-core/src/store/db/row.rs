//! What comes out of a query.

use orchestrator_base::clock::UnixMicros;
use serde::de::DeserializeOwned;
use sqlx::{Row as _, mysql::MySqlRow, postgres::PgRow, sqlite::SqliteRow};

use super::fault::{damaged, unavailable};
use crate::store::StoreError;

/// One row of an answer; columns are asked for by name.
pub(in crate::store) enum Row {
    /// From one file.
    Sqlite(SqliteRow),
    /// From MySQL or MariaDB.
    MySql(MySqlRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// TEXT NOT NULL.
    pub(in crate::store) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| damaged(column, "is NULL"))
    }

    /// TEXT.
    pub(in crate::store) fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        let read = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::MySql(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        read.map_err(unavailable)
    }

    /// BIGINT.
    pub(in crate::store) fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        let read = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::MySql(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        read.map_err(unavailable)
    }

    /// BIGINT NOT NULL.
    pub(in crate::store) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| damaged(column, "is NULL"))
    }

    /// A BIGINT NOT NULL that holds a small number.
    pub(in crate::store) fn small(&self, column: &str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|error| damaged(column, &error.to_string()))
    }

    /// A BIGINT that holds a small number.
    pub(in crate::store) fn maybe_small(&self, column: &str) -> Result<Option<u32>, StoreError> {
        match self.maybe_int(column)? {
            Some(int) => u32::try_from(int).map(Some).map_err(|error| damaged(column, &error.to_string())),
            None => Ok(None),
        }
    }

    /// A BIGINT NOT NULL that holds a count or an offset.
    pub(in crate::store) fn count(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|error| damaged(column, &error.to_string()))
    }

    /// A BIGINT NOT NULL of 0 or 1.
    pub(in crate::store) fn bit(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// A BIGINT NOT NULL that holds a moment.
    pub(in crate::store) fn moment(&self, column: &str) -> Result<UnixMicros, StoreError> {
        self.int(column).map(UnixMicros)
    }

    /// JSON text.
    pub(in crate::store) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|error| damaged(column, &error.to_string()))
    }
}

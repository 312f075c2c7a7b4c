//! The one place that knows which database it is: connections, transactions, values in and rows out.
//!
//! The tables' code is written once, with `?` placeholders and two column types (text, integer), against [`Tx`], [`Value`] and
//! [`Row`]. What the databases say differently is a fragment that [`Db`] gives: [`Db::unless_exists`], [`Db::upsert`],
//! [`Db::for_update`], [`Db::bigint`].
//!
//! SQLite takes one writer at a time, so its writing pool has exactly one connection, and a write transaction takes the
//! lock at once (`BEGIN IMMEDIATE`): one that only upgrades later fails with SQLITE_BUSY_SNAPSHOT, which no waiting mends.
//! Readers have connections of their own and, thanks to WAL, never wait for the writer. The servers let several write at once, so
//! that two can stand in each other's way: [`Tx::settle`].

mod connect;
mod fault;
mod placeholders;
mod row;
mod tx;
mod value;

use std::{fmt::Write as _, path::Path, sync::Arc};

use orchestrator_base::config::DatabaseTarget;
use sqlx::{MySql, Postgres, Sqlite};

use self::tx::{On, in_time};
pub(super) use self::{
    connect::{Pools, make_private, mysql_options, postgres_options},
    fault::{damaged, stored, unavailable},
    row::Row,
    tx::{Tries, Tx},
    value::Value,
};
use super::StoreError;
use crate::metrics::{Access, DatabaseMeter};

/// The connections to one database.
#[derive(Clone, Debug)]
pub(super) enum Db {
    /// One file.
    Sqlite(Pools<Sqlite>),
    /// MySQL or MariaDB.
    MySql(Pools<MySql>),
    /// PostgreSQL.
    Postgres(Pools<Postgres>),
}

/// What an upsert does to a column of a row that is there already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Set<'a> {
    /// Takes the new value.
    To(&'a str),
    /// Adds the new value to what is there.
    Add(&'a str),
    /// Keeps the larger of the two.
    Max(&'a str),
}

impl Db {
    /// Connects.
    pub(super) async fn connect(target: &DatabaseTarget) -> Result<Self, StoreError> {
        Ok(match target {
            DatabaseTarget::Sqlite { path } => Self::Sqlite(connect::sqlite(path).await?),
            DatabaseTarget::MySql { url } => Self::MySql(connect::mysql(url.expose()).await?),
            DatabaseTarget::Postgres { url } => Self::Postgres(connect::postgres(url.expose()).await?),
        })
    }

    /// How long its transactions take, and how often they fail.
    pub(super) fn meter(&self) -> &Arc<DatabaseMeter> {
        match self {
            Self::Sqlite(pools) => &pools.meter,
            Self::MySql(pools) => &pools.meter,
            Self::Postgres(pools) => &pools.meter,
        }
    }

    /// Begins a transaction that may write. On SQLite it holds the database's write lock until it ends.
    pub(super) async fn write(&self) -> Result<Tx, StoreError> {
        let timer = self.meter().begin(Access::Write);
        let on = match self {
            Self::Sqlite(pools) => pools.writers.begin_with("BEGIN IMMEDIATE").await.map(On::Sqlite),
            Self::MySql(pools) => in_time(pools.writers.begin()).await.map(On::MySql),
            Self::Postgres(pools) => in_time(pools.writers.begin()).await.map(On::Postgres),
        };
        Tx::begun(on, timer)
    }

    /// Begins a transaction that reads one consistent state.
    pub(super) async fn read(&self) -> Result<Tx, StoreError> {
        let timer = self.meter().begin(Access::Read);
        let on = match self {
            Self::Sqlite(pools) => pools.readers.begin().await.map(On::Sqlite),
            Self::MySql(pools) => {
                let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
                in_time(pools.readers.begin_with(begin)).await.map(On::MySql)
            }
            Self::Postgres(pools) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                in_time(pools.readers.begin_with(begin)).await.map(On::Postgres)
            }
        };
        Tx::begun(on, timer)
    }

    /// The end of an INSERT that leaves an existing row with the same `key` (column names, comma-separated) as it is.
    ///
    /// MySQL cannot say which key: a clash of any other unique key passes silently there too, so use it where there is no other.
    pub(super) fn unless_exists(&self, key: &str) -> String {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => format!(" ON CONFLICT ({key}) DO NOTHING"),
            Self::MySql(_) => {
                let first = key.split(',').next().unwrap_or(key).trim();
                format!(" ON DUPLICATE KEY UPDATE {first} = {first}")
            }
        }
    }

    /// The end of an INSERT INTO `table` that, where a row with the same `keys` exists, changes that row's columns as `sets` say.
    pub(super) fn upsert(&self, table: &str, keys: &[&str], sets: &[Set<'_>]) -> String {
        let mut sql = match self {
            Self::Sqlite(_) | Self::Postgres(_) => {
                format!(" ON CONFLICT ({}) DO UPDATE SET ", keys.join(", "))
            }
            Self::MySql(_) => " ON DUPLICATE KEY UPDATE ".to_owned(),
        };
        for (index, set) in sets.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let (Set::To(column) | Set::Add(column) | Set::Max(column)) = set;
            let new = match self {
                Self::Sqlite(_) | Self::Postgres(_) => format!("excluded.{column}"),
                Self::MySql(_) => format!("VALUES({column})"),
            };
            let largest = if matches!(self, Self::Sqlite(_)) { "MAX" } else { "GREATEST" };
            // Writing to a String cannot fail.
            let _ = match set {
                Set::To(_) => write!(sql, "{comma}{column} = {new}"),
                Set::Add(_) => write!(sql, "{comma}{column} = {table}.{column} + {new}"),
                Set::Max(_) => write!(sql, "{comma}{column} = {largest}({table}.{column}, {new})"),
            };
        }
        sql
    }

    /// The end of a SELECT in a write transaction that keeps others from changing the rows found, until it ends. SQLite's writer is
    /// alone anyway.
    pub(super) fn for_update(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::MySql(_) | Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// A whole number, such as a sum, as [`Row::int`] reads it: sums are DECIMAL on MySQL and NUMERIC on PostgreSQL.
    pub(super) fn bigint(&self, expression: &str) -> String {
        let kind = match self {
            Self::Sqlite(_) | Self::Postgres(_) => "BIGINT",
            Self::MySql(_) => "SIGNED",
        };
        format!("CAST({expression} AS {kind})")
    }

    /// The sum of a column, as BIGINT: `expression AS name`. Of no rows it is NULL.
    pub(super) fn sum(&self, expression: &str, name: &str) -> String {
        format!("{} AS {name}", self.bigint(&format!("SUM({expression})")))
    }

    /// Whether the rows of one value are asked for as a stretch of its index (`a >= x AND a <= x ORDER BY a, id`) rather than by
    /// equality: PostgreSQL takes values for evenly spread over the ids, and looks for a value that was not used of late through
    /// everything newer.
    pub(super) fn walks_in_stretches(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Has the database look at its tables, so that it knows which index picks most.
    #[cfg(feature = "measure")]
    pub(super) fn analyze(&self, table: &str) -> String {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => format!("ANALYZE {table}"),
            Self::MySql(_) => format!("ANALYZE TABLE {table}"),
        }
    }

    /// Asks how a query would be answered, and the columns that say it.
    #[cfg(feature = "measure")]
    pub(super) fn explain(&self, sql: &str) -> (String, &'static [&'static str]) {
        match self {
            Self::Sqlite(_) => (format!("EXPLAIN QUERY PLAN {sql}"), &["detail"]),
            Self::MySql(_) => (format!("EXPLAIN {sql}"), &["table", "type", "key", "Extra"]),
            Self::Postgres(_) => (format!("EXPLAIN (COSTS OFF) {sql}"), &["QUERY PLAN"]),
        }
    }

    /// Writes one consistent state of an SQLite file into another file.
    pub(super) async fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let into = sqlx::query("VACUUM INTO ?").bind(path.to_string_lossy().into_owned());
                into.execute(&pools.readers).await.map_err(unavailable).map(|_| ())
            }
            Self::MySql(_) | Self::Postgres(_) => {
                Err(StoreError::Conflict("a server's database is copied by its own program".to_owned()))
            }
        }
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pools) => pools.close().await,
            Self::MySql(pools) => pools.close().await,
            Self::Postgres(pools) => pools.close().await,
        }
    }
}

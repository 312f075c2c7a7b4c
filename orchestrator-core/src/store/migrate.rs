//! Bringing the tables up to date.
//!
//! The three databases have the same migrations by number and name, each in its own words. sqlx applies them and keeps the list of
//! what was applied. That no two programs do so at once is seen to here, for sqlx's own lock does nothing on MariaDB and there is
//! none for SQLite. On SQLite and PostgreSQL a migration is one transaction, all or nothing. MySQL commits each change of a table by
//! itself, so there every migration does no harm when it is done twice, and one that broke off is done again.

mod mysql;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::time::Duration;

use orchestrator_base::config::DatabaseTarget;
use sqlx::migrate::{Migrate, MigrateError, Migrator};

use super::{
    StoreError,
    db::{Db, mysql_options, postgres_options},
};

/// Where sqlx writes down what was applied.
const APPLIED: &str = "_sqlx_migrations";
/// How long another program may migrate before this one gives up.
const LOCK_WAIT: Duration = Duration::from_mins(1);
/// How often the lock is tried.
const LOCK_RETRY: Duration = Duration::from_millis(100);

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("../migrations/mysql");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// One step that brings the tables up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its file's name: `request logs`.
    pub description: String,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// It is in the database.
    Applied,
    /// It is not.
    Pending,
    /// It began, and did not end.
    BrokenOff,
    /// It is in the database, and this program does not know it: a newer one does.
    Unknown,
}

/// A step, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The step.
    pub migration: Migration,
    /// How far it has come.
    pub state: MigrationState,
}

/// Applies what is pending, and says what that was.
pub(super) async fn run(db: &Db, target: &DatabaseTarget) -> Result<Vec<Migration>, StoreError> {
    match (db, target) {
        (Db::Sqlite(pools), DatabaseTarget::Sqlite { path }) => {
            sqlite::run(&Plan::of(&SQLITE), &pools.writers, path, LOCK_WAIT).await
        }
        (_, DatabaseTarget::MySql { url }) => {
            mysql::run(&Plan::of(&MYSQL), &mysql_options(url.expose())?, LOCK_WAIT).await
        }
        (_, DatabaseTarget::Postgres { url }) => {
            postgres::run(&Plan::of(&POSTGRES), &postgres_options(url.expose())?, LOCK_WAIT).await
        }
        (_, DatabaseTarget::Sqlite { path }) => Err(unlike(&path.display().to_string())),
    }
}

/// What is applied, and what is not. Nothing is changed.
pub(super) async fn status(db: &Db, target: &DatabaseTarget) -> Result<Vec<MigrationStatus>, StoreError> {
    match (db, target) {
        (Db::Sqlite(pools), _) => sqlite::status(&Plan::of(&SQLITE), &pools.readers).await,
        (_, DatabaseTarget::MySql { url }) => {
            mysql::status(&Plan::of(&MYSQL), &mysql_options(url.expose())?).await
        }
        (_, DatabaseTarget::Postgres { url }) => {
            postgres::status(&Plan::of(&POSTGRES), &postgres_options(url.expose())?).await
        }
        (_, DatabaseTarget::Sqlite { path }) => Err(unlike(&path.display().to_string())),
    }
}

/// Every migration, pending.
pub(super) fn none_applied() -> Vec<MigrationStatus> {
    let pending = |step| MigrationStatus { migration: described(step), state: MigrationState::Pending };
    SQLITE.iter().map(pending).collect()
}

/// A database is connected to as its target says, so this cannot be; it is no reason to end the process either.
fn unlike(target: &str) -> StoreError {
    StoreError::Conflict(format!("{target} is not what is connected"))
}

/// The migrations of one database.
struct Plan {
    migrator: Migrator,
}

impl Plan {
    fn of(migrator: &Migrator) -> Self {
        let mut migrator = Migrator::with_migrations(migrator.iter().cloned().collect());
        migrator.set_locking(false);
        Self { migrator }
    }

    /// What is to be applied. `tables` are the tables and views that are there.
    async fn pending<C: Migrate>(
        &self,
        connection: &mut C,
        tables: &[String],
    ) -> Result<Vec<Migration>, StoreError> {
        let applied = self.applied(connection, tables).await?;
        let mut pending = Vec::new();
        for migration in self.migrator.iter().filter(|step| !applied.contains(&step.version)) {
            if let Some(table) = made_by(migration.sql.as_str()).find(|made| tables.iter().any(|t| t == made))
            {
                return Err(StoreError::Conflict(format!(
                    "there is a table {table} already, though migration {} ({}), which makes it, was never applied: this is \
                     another program's database, or a part of a restored one; give this program a database of its own",
                    migration.version, migration.description
                )));
            }
            pending.push(described(migration));
        }
        Ok(pending)
    }

    /// Applies what is pending, and compares the checksums of all that is not. Where nothing is pending nothing is written, so that a
    /// user who may not change tables can serve.
    async fn apply<C: Migrate>(&self, connection: &mut C, pending: &[Migration]) -> Result<(), StoreError> {
        if pending.is_empty() {
            return self.compare(connection).await.map_err(explain);
        }
        self.migrator.run_direct(None, connection, false).await.map_err(explain)
    }

    async fn compare<C: Migrate>(&self, connection: &mut C) -> Result<(), MigrateError> {
        if let Some(version) = connection.dirty_version(APPLIED).await? {
            return Err(MigrateError::Dirty(version));
        }
        for applied in connection.list_applied_migrations(APPLIED).await? {
            match self.migrator.iter().find(|step| step.version == applied.version) {
                None => return Err(MigrateError::VersionMissing(applied.version)),
                Some(step) if step.checksum != applied.checksum => {
                    return Err(MigrateError::VersionMismatch(applied.version));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn status<C: Migrate>(
        &self,
        connection: &mut C,
        tables: &[String],
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        let applied = self.applied(connection, tables).await?;
        let dirty = if applied.is_empty() {
            None
        } else {
            connection.dirty_version(APPLIED).await.map_err(explain)?
        };
        let state = |version: i64| match version {
            _ if dirty == Some(version) => MigrationState::BrokenOff,
            _ if applied.contains(&version) => MigrationState::Applied,
            _ => MigrationState::Pending,
        };
        let known = self
            .migrator
            .iter()
            .map(|step| MigrationStatus { state: state(step.version), migration: described(step) });
        let unknown = applied.iter().filter(|version| !self.migrator.version_exists(**version));
        let unknown = unknown.map(|version| MigrationStatus {
            state: MigrationState::Unknown,
            migration: Migration { version: *version, description: String::new() },
        });
        Ok(known.chain(unknown).collect())
    }

    async fn applied<C: Migrate>(
        &self,
        connection: &mut C,
        tables: &[String],
    ) -> Result<Vec<i64>, StoreError> {
        if !tables.iter().any(|table| table == APPLIED) {
            return Ok(Vec::new());
        }
        let applied = connection.list_applied_migrations(APPLIED).await.map_err(explain)?;
        Ok(applied.into_iter().map(|migration| migration.version).collect())
    }
}

fn described(migration: &sqlx::migrate::Migration) -> Migration {
    Migration { version: migration.version, description: migration.description.to_string() }
}

/// The tables and views that a migration makes.
fn made_by(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines().filter_map(|line| {
        let rest =
            ["CREATE TABLE IF NOT EXISTS ", "CREATE TABLE ", "CREATE OR REPLACE VIEW ", "CREATE VIEW "]
                .iter()
                .find_map(|beginning| line.strip_prefix(beginning))?;
        rest.split([' ', '(']).next()
    })
}

/// Somebody else has the lock, and keeps it.
fn too_long(what: &str, wait: Duration) -> StoreError {
    StoreError::Unavailable(format!(
        "another program has held {what} for {} s: it is still migrating, or hangs",
        wait.as_secs()
    ))
}

/// What went wrong, in a line that says what to do about it.
fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Conflict(format!(
            "the database has migration {version}, which this program does not know: a newer one wrote it; run that, or \
             restore a backup (of a SQLite file: the copy in backups/)"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Conflict(format!(
            "migration {version} is not the one that this database was made with: the program was built from changed \
             sources"
        )),
        MigrateError::Dirty(version) => StoreError::Conflict(format!(
            "migration {version} broke off half-way; restore a backup (of a SQLite file: the copy in backups/) and start again"
        )),
        MigrateError::ExecuteMigration(error, version) => refused(&error).unwrap_or_else(|| {
            StoreError::Conflict(format!("migration {version} failed: {}", one_line(&error)))
        }),
        MigrateError::Execute(error) => {
            refused(&error).unwrap_or_else(|| StoreError::Unavailable(one_line(&error)))
        }
        other => StoreError::Unavailable(one_line(&other)),
    }
}

/// The user may not do what migrating needs: MySQL's 1044, 1142 and 1227, PostgreSQL's 42501, SQLite's SQLITE_READONLY (8).
fn refused(error: &sqlx::Error) -> Option<StoreError> {
    let said = error.as_database_error()?;
    let mysql = said
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map(sqlx::mysql::MySqlDatabaseError::number);
    let code = said.code();
    if !matches!(mysql, Some(1044 | 1142 | 1227)) && !matches!(code.as_deref(), Some("42501" | "8")) {
        return None;
    }
    Some(StoreError::Conflict(format!(
        "the database's user may not do what migrating needs ({}): docs/DATABASES.md says what to grant",
        one_line(error)
    )))
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().replace('\n', " ")
}

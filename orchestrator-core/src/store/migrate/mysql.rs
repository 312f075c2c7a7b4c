//! Migrating on MySQL or MariaDB, under a lock of the server's: it ends with the connection that took it.

use std::time::Duration;

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, migrate::Migrate as _,
    mysql::MySqlConnectOptions,
};
use tokio::time::Instant;

use super::{APPLIED, Migration, MigrationStatus, Plan, explain, too_long};
use crate::store::{StoreError, db::unavailable};

/// Locks are the server's, not the database's: the name says whose. It may have 64 characters.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('llm_orchestrator.', LEFT(SHA2(DATABASE(), 256), 32)), 1)";

/// Nobody waits a day, which is the default, for a table that somebody reads.
const SESSION: &str = "SET SESSION lock_wait_timeout = 60";

pub(super) async fn run(
    plan: &Plan,
    options: &MySqlConnectOptions,
    wait: Duration,
) -> Result<Vec<Migration>, StoreError> {
    let mut connection = options.connect().await.map_err(unavailable)?;
    connection.execute(SESSION).await.map_err(unavailable)?;
    lock(&mut connection, wait).await?;
    let mut tables = tables(&mut connection).await?;
    if tables.iter().any(|table| table == APPLIED) {
        forget_what_broke_off(plan, &mut connection, &mut tables).await?;
    }
    let pending = plan.pending(&mut connection, &tables).await?;
    plan.apply(&mut connection, &pending).await?;
    let _ = connection.close().await;
    Ok(pending)
}

pub(super) async fn status(
    plan: &Plan,
    options: &MySqlConnectOptions,
) -> Result<Vec<MigrationStatus>, StoreError> {
    let mut connection = options.connect().await.map_err(unavailable)?;
    let tables = tables(&mut connection).await?;
    let status = plan.status(&mut connection, &tables).await?;
    let _ = connection.close().await;
    Ok(status)
}

/// GET_LOCK answers 1, 0 after its time, or NULL when it cannot. A second at a time, so that no server's limit on it matters.
pub(super) async fn lock(connection: &mut MySqlConnection, wait: Duration) -> Result<(), StoreError> {
    let give_up = Instant::now() + wait;
    loop {
        let answer: Option<i64> =
            sqlx::query_scalar(LOCK).fetch_one(&mut *connection).await.map_err(unavailable)?;
        match answer {
            Some(1) => return Ok(()),
            Some(_) if Instant::now() < give_up => {}
            Some(_) => return Err(too_long("the lock that migrating takes", wait)),
            None => return Err(StoreError::Unavailable("the server cannot lock (GET_LOCK)".to_owned())),
        }
    }
}

/// A migration that broke off is in the list, marked. It does no harm when it is done twice, so it counts as not done; what it has
/// made already is ours, and left out of `tables`.
async fn forget_what_broke_off(
    plan: &Plan,
    connection: &mut MySqlConnection,
    tables: &mut Vec<String>,
) -> Result<(), StoreError> {
    let Some(version) = connection.dirty_version(APPLIED).await.map_err(explain)? else { return Ok(()) };
    // One that this program does not know is a newer one's: that is said, and not repeated.
    let Some(step) = plan.migrator.iter().find(|step| step.version == version) else { return Ok(()) };
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ? AND success = FALSE")
        .bind(version)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    tracing::warn!(migration.version = version, "A migration broke off; it is done again");
    let made: Vec<&str> = super::made_by(step.sql.as_str()).collect();
    tables.retain(|table| !made.contains(&table.as_str()));
    Ok(())
}

async fn tables(connection: &mut MySqlConnection) -> Result<Vec<String>, StoreError> {
    // The cast: some versions say that the column is binary.
    sqlx::query_scalar(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()",
    )
    .fetch_all(connection)
    .await
    .map_err(unavailable)
}

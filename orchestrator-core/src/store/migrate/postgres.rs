//! Migrating on PostgreSQL, under an advisory lock: it is the database's, and ends with the connection that took it.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;

use super::{LOCK_RETRY, Migration, MigrationStatus, Plan, too_long};
use crate::store::{StoreError, db::unavailable};

/// Any number will do that no other program takes: "llm-orch" in ASCII.
const LOCK: i64 = 0x6c6c_6d2d_6f72_6368;

/// What exists already is no news, and nobody waits for ever for a table that somebody reads.
const SESSION: &str = "SET client_min_messages = 'error'; SET lock_timeout = '60s'";

pub(super) async fn run(
    plan: &Plan,
    options: &PgConnectOptions,
    wait: Duration,
) -> Result<Vec<Migration>, StoreError> {
    let mut connection = options.connect().await.map_err(unavailable)?;
    connection.execute(SESSION).await.map_err(unavailable)?;
    lock(&mut connection, wait).await?;
    let tables = tables(&mut connection).await?;
    let pending = plan.pending(&mut connection, &tables).await?;
    plan.apply(&mut connection, &pending).await?;
    let _ = connection.close().await;
    Ok(pending)
}

pub(super) async fn status(
    plan: &Plan,
    options: &PgConnectOptions,
) -> Result<Vec<MigrationStatus>, StoreError> {
    let mut connection = options.connect().await.map_err(unavailable)?;
    let tables = tables(&mut connection).await?;
    let status = plan.status(&mut connection, &tables).await?;
    let _ = connection.close().await;
    Ok(status)
}

pub(super) async fn lock(connection: &mut PgConnection, wait: Duration) -> Result<(), StoreError> {
    let give_up = Instant::now() + wait;
    loop {
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await
            .map_err(unavailable)?;
        if taken {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(too_long("the lock that migrating takes", wait));
        }
        tokio::time::sleep(LOCK_RETRY).await;
    }
}

async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()",
    )
    .fetch_all(connection)
    .await
    .map_err(unavailable)
}

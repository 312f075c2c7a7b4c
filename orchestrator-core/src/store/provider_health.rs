//! Table `provider_health`: a row for each provider and core.

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    Database, ProviderHealthStore, StoreError,
    db::{Db, Row, Set, Tries, Tx, Value, damaged, unavailable},
    entity::placeholders,
};
use crate::{health::Facts, health_board::StoredHealth};

const COLUMNS: [&str; 14] = [
    "provider_id",
    "core_id",
    "status",
    "consecutive_successes",
    "error_count",
    "refused",
    "response_time_ms",
    "last_status_code",
    "last_checked",
    "last_success",
    "last_error",
    "error_message",
    "hours",
    "updated_at",
];

#[async_trait]
impl ProviderHealthStore for Database {
    async fn provider_health_elsewhere(&self, core_id: &str) -> Result<Vec<StoredHealth>, StoreError> {
        let mut tx = self.db.read().await?;
        let columns = COLUMNS.join(", ");
        let select =
            format!("SELECT {columns} FROM provider_health WHERE core_id <> ? ORDER BY provider_id, core_id");
        tx.rows(select, vec![core_id.into()]).await?.iter().map(read).collect()
    }

    async fn write_provider_health(
        &self,
        core_id: &str,
        rows: &[StoredHealth],
        now: UnixMicros,
        stale_before: UnixMicros,
    ) -> Result<i64, StoreError> {
        let mut tries = Tries::default();
        loop {
            let mut tx = self.db.write().await?;
            let outcome = write(&self.db, &mut tx, core_id, rows, now, stale_before).await;
            if let Some(revision) = tx.settle(outcome, &mut tries).await? {
                return Ok(revision);
            }
        }
    }
}

async fn write(
    db: &Db,
    tx: &mut Tx,
    core_id: &str,
    rows: &[StoredHealth],
    now: UnixMicros,
    stale_before: UnixMicros,
) -> Result<i64, StoreError> {
    // The revision first: its one row lets only one core at a time write.
    let count = "UPDATE health_check_configs SET health_revision = health_revision + 1 WHERE id = 1";
    tx.execute(count.to_owned(), Vec::new()).await.map_err(unavailable)?;
    let (keys, others) = COLUMNS.split_at(2);
    let sets: Vec<Set<'_>> = others.iter().map(|column| Set::To(column)).collect();
    for stored in rows {
        let insert = format!(
            "INSERT INTO provider_health ({}) VALUES {}{}",
            COLUMNS.join(", "),
            placeholders(COLUMNS.len()),
            db.upsert("provider_health", keys, &sets)
        );
        tx.execute(insert, values(core_id, stored, now)?).await.map_err(unavailable)?;
    }
    // What outlived its provider, or its core by a day.
    let forget = "DELETE FROM provider_health \
                  WHERE updated_at < ? OR provider_id NOT IN (SELECT id FROM providers)";
    tx.execute(forget.to_owned(), vec![stale_before.into()]).await.map_err(unavailable)?;
    let select = "SELECT health_revision FROM health_check_configs WHERE id = 1".to_owned();
    match tx.rows(select, Vec::new()).await?.first() {
        Some(row) => row.int("health_revision"),
        None => Ok(0),
    }
}

/// A value for each of [`COLUMNS`].
fn values(core_id: &str, stored: &StoredHealth, now: UnixMicros) -> Result<Vec<Value>, StoreError> {
    let facts = &stored.facts;
    Ok(vec![
        (&stored.provider_id).into(),
        core_id.into(),
        (&stored.status).into(),
        facts.consecutive_successes.into(),
        facts.error_count.into(),
        facts.refused.into(),
        facts.response_time_ms.map_or(Value::Int(None), Value::count),
        facts.last_status_code.map(u32::from).into(),
        facts.last_checked.into(),
        facts.last_success.into(),
        facts.last_error.into(),
        Value::Text(facts.error_message.clone()),
        Value::json(&stored.hours)?,
        now.into(),
    ])
}

fn read(row: &Row) -> Result<StoredHealth, StoreError> {
    let moment = |column: &str| row.maybe_int(column).map(|moment| moment.map(UnixMicros));
    let status_code = row.maybe_small("last_status_code")?.map(u16::try_from).transpose();
    Ok(StoredHealth {
        provider_id: row.text("provider_id")?,
        facts: Facts {
            consecutive_successes: row.small("consecutive_successes")?,
            error_count: row.small("error_count")?,
            refused: row.bit("refused")?,
            response_time_ms: row.maybe_int("response_time_ms")?.and_then(|ms| u64::try_from(ms).ok()),
            last_status_code: status_code.map_err(|error| damaged("last_status_code", &error.to_string()))?,
            last_checked: moment("last_checked")?,
            last_success: moment("last_success")?,
            last_error: moment("last_error")?,
            error_message: row.maybe_text("error_message")?,
        },
        hours: row.json("hours")?,
        status: row.text("status")?,
    })
}

//! How long request logs are kept, in table `settings`, and deleting what is older.

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    Database, SettingStore as _, StoreError,
    db::{damaged, unavailable},
    reads::{LogKeeper, Retention, first_id_at},
};

const LOGS_DAYS: &str = "retention.logs_days";
const BODIES_DAYS: &str = "retention.bodies_days";

#[async_trait]
impl LogKeeper for Database {
    async fn retention(&self, first: Retention) -> Result<Retention, StoreError> {
        Ok(Retention {
            logs_days: self.days(LOGS_DAYS, first.logs_days).await?,
            bodies_days: self.days(BODIES_DAYS, first.bodies_days).await?,
        })
    }

    async fn set_retention(&self, retention: Retention) -> Result<(), StoreError> {
        // Both rows are there before they are changed.
        self.retention(retention).await?;
        let mut tx = self.db.write().await?;
        for (name, days) in [(LOGS_DAYS, retention.logs_days), (BODIES_DAYS, retention.bodies_days)] {
            let sql = "UPDATE settings SET value = ? WHERE name = ?".to_owned();
            tx.execute(sql, vec![(&days.to_string()).into(), name.into()]).await.map_err(unavailable)?;
        }
        tx.commit().await
    }

    async fn forget_logs(&self, before: UnixMicros, batch: u32) -> Result<u64, StoreError> {
        let Some(end) = self.end_of_batch("request_logs", "id", before, batch).await? else { return Ok(0) };
        let mut tx = self.db.write().await?;
        for table in ["request_attempts", "request_bodies"] {
            let sql = format!("DELETE FROM {table} WHERE log_id <= ?");
            tx.execute(sql, vec![(&end).into()]).await.map_err(unavailable)?;
        }
        let sql = "DELETE FROM request_logs WHERE id <= ?".to_owned();
        let deleted = tx.execute(sql, vec![(&end).into()]).await.map_err(unavailable)?;
        tx.commit().await?;
        Ok(deleted)
    }

    async fn forget_bodies(&self, before: UnixMicros, batch: u32) -> Result<u64, StoreError> {
        let end = self.end_of_batch("request_bodies", "log_id", before, batch).await?;
        let Some(end) = end else { return Ok(0) };
        let mut tx = self.db.write().await?;
        let sql = "DELETE FROM request_bodies WHERE log_id <= ?".to_owned();
        let deleted = tx.execute(sql, vec![(&end).into()]).await.map_err(unavailable)?;
        tx.commit().await?;
        Ok(deleted)
    }
}

impl Database {
    async fn days(&self, name: &str, first: u32) -> Result<u32, StoreError> {
        let value = match self.setting(name).await? {
            Some(value) => value,
            None => self.setting_or_insert(name, &first.to_string()).await?,
        };
        value.parse().map_err(|_| damaged("value", &format!("{name} is no number of days")))
    }

    /// The last id of the oldest `batch` rows that are older than `before`; `None` when there is none. Everything up to it may go: a
    /// stretch of ids holds no lock on what is newer.
    async fn end_of_batch(
        &self,
        table: &str,
        id: &str,
        before: UnixMicros,
        batch: u32,
    ) -> Result<Option<String>, StoreError> {
        let mut tx = self.db.read().await?;
        let oldest = format!("SELECT {id} AS id FROM {table} WHERE {id} < ? ORDER BY {id} LIMIT ?");
        let sql = format!("SELECT MAX(id) AS last FROM ({oldest}) AS oldest");
        let rows = tx.rows(sql, vec![(&first_id_at(before)).into(), batch.into()]).await?;
        rows.first().map_or(Ok(None), |row| row.maybe_text("last"))
    }
}

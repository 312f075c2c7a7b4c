//! Table `health_check_configs`: one row.

use async_trait::async_trait;

use super::{
    Database, HealthCheckStore, HealthChecks, ProbeLease, StoreError,
    audit_log::append,
    db::{Row, Tx, unavailable},
};
use crate::{
    audit::{Stamp, action, shown},
    health::Settings,
};

const SELECT: &str = "SELECT enabled, interval_minutes, max_error_count, retry_after_hours, health_revision \
                      FROM health_check_configs WHERE id = 1";

#[async_trait]
impl HealthCheckStore for Database {
    async fn health_checks(&self, first: &Settings) -> Result<HealthChecks, StoreError> {
        let mut reading = self.db.read().await?;
        if let Some(row) = select(&mut reading).await? {
            return Ok(row);
        }
        drop(reading);
        let mut tx = self.db.write().await?;
        let insert = format!(
            "INSERT INTO health_check_configs (id, enabled, interval_minutes, max_error_count, retry_after_hours, \
             updated_at, lease_holder, lease_until, health_revision) VALUES (1, ?, ?, ?, ?, 0, '', 0, 0){}",
            self.db.unless_exists("id")
        );
        let values = vec![
            first.enabled.into(),
            first.interval_minutes.into(),
            first.max_error_count.into(),
            first.retry_after_hours.into(),
        ];
        tx.execute(insert, values).await.map_err(unavailable)?;
        let row = select(&mut tx).await?;
        tx.commit().await?;
        row.ok_or(StoreError::NotFound("the health check configuration"))
    }

    async fn set_health_settings(&self, settings: &Settings, stamp: &Stamp) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        let before = select(&mut tx).await?.map(|checks| checks.settings);
        let update = "UPDATE health_check_configs SET enabled = ?, interval_minutes = ?, max_error_count = ?, \
                      retry_after_hours = ?, updated_at = ? WHERE id = 1";
        let values = vec![
            settings.enabled.into(),
            settings.interval_minutes.into(),
            settings.max_error_count.into(),
            settings.retry_after_hours.into(),
            stamp.at.into(),
        ];
        let touched = tx.execute(update.to_owned(), values).await.map_err(unavailable)?;
        if touched == 0 {
            return Err(StoreError::NotFound("the health check configuration"));
        }
        let changed = shown::changed(action::UPDATE, before.as_ref(), settings);
        append(&mut tx, &stamp.entries([changed])).await?;
        tx.commit().await
    }

    async fn take_probe_lease(&self, lease: &ProbeLease<'_>) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        let update = "UPDATE health_check_configs SET lease_holder = ?, lease_until = ? \
                      WHERE id = 1 AND (lease_holder = ? OR lease_until <= ? OR lease_until > ?)";
        let ProbeLease { holder, now, until } = *lease;
        // A lease that ends later than any that could be taken now was taken by a clock that was wrong.
        let values = vec![holder.into(), until.into(), holder.into(), now.into(), until.into()];
        let touched = tx.execute(update.to_owned(), values).await.map_err(unavailable)?;
        tx.commit().await?;
        Ok(touched > 0)
    }

    async fn leave_probe_lease(&self, holder: &str) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        let update = "UPDATE health_check_configs SET lease_until = 0 WHERE id = 1 AND lease_holder = ?";
        tx.execute(update.to_owned(), vec![holder.into()]).await.map_err(unavailable)?;
        tx.commit().await
    }
}

/// What was chosen, if that was ever settled.
pub(super) async fn settings(tx: &mut Tx) -> Result<Option<Settings>, StoreError> {
    Ok(select(tx).await?.map(|checks| checks.settings))
}

async fn select(tx: &mut Tx) -> Result<Option<HealthChecks>, StoreError> {
    let rows = tx.rows(SELECT.to_owned(), Vec::new()).await?;
    rows.first().map(read).transpose()
}

fn read(row: &Row) -> Result<HealthChecks, StoreError> {
    Ok(HealthChecks {
        settings: Settings {
            enabled: row.bit("enabled")?,
            interval_minutes: row.small("interval_minutes")?,
            max_error_count: row.small("max_error_count")?,
            retry_after_hours: row.small("retry_after_hours")?,
        },
        revision: row.int("health_revision")?,
    })
}

//! What is read or written when the configuration moves as a whole, or its master key changes.

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;
use serde_json::json;

use super::{
    Database, HealthCheckStore as _, MASTER_KEY_FINGERPRINT, MasterKeyStore, Rewrap, StoreError,
    TransferStore,
    audit_log::append,
    db::{Tx, Value, unavailable},
    entity::all,
};
use crate::{
    audit::{Event, Stamp, action},
    catalog::ProviderKey,
    health::Settings,
};

#[async_trait]
impl TransferStore for Database {
    async fn health_settings(&self) -> Result<Option<Settings>, StoreError> {
        let mut tx = self.db.read().await?;
        let rows = tx.rows("SELECT id FROM health_check_configs WHERE id = 1".to_owned(), Vec::new()).await?;
        drop(tx);
        if rows.is_empty() {
            return Ok(None);
        }
        // The row is there, so that what holds at first does not matter.
        self.health_checks(&Settings::default()).await.map(|checks| Some(checks.settings))
    }
}

#[async_trait]
impl MasterKeyStore for Database {
    async fn rotate(
        &self,
        from: &str,
        to: &str,
        rewrap: Rewrap<'_>,
        stamp: &Stamp,
    ) -> Result<usize, StoreError> {
        let mut tx = self.db.write().await?;
        // First, as every change does, so that whoever seals with the old key at the same moment waits, and then finds another
        // fingerprint.
        let count = "UPDATE catalog_revision SET revision = revision + 1 WHERE id = 1".to_owned();
        tx.execute(count, Vec::new()).await.map_err(unavailable)?;
        let update = "UPDATE settings SET value = ? WHERE name = ? AND value = ?".to_owned();
        let values = vec![to.into(), MASTER_KEY_FINGERPRINT.into(), from.into()];
        if tx.execute(update, values).await.map_err(unavailable)? == 0 {
            let why = "the master key (MASTER_KEY) is not the one this database was sealed with";
            return Err(StoreError::Conflict(why.to_owned()));
        }
        let keys: Vec<ProviderKey> = all(&mut tx).await?;
        for key in &keys {
            let update = "UPDATE provider_keys SET sealed = ? WHERE id = ?".to_owned();
            let values = vec![(&rewrap(key)?).into(), (&key.id).into()];
            tx.execute(update, values).await.map_err(unavailable)?;
        }
        let event = Event::new(action::ROTATE, "master_key").after(json!({ "secrets": keys.len() }));
        append(&mut tx, &stamp.entries([event])).await?;
        tx.commit().await?;
        Ok(keys.len())
    }
}

/// The fingerprint of the master key that secrets are sealed with.
pub(super) async fn fingerprint(tx: &mut Tx) -> Result<Option<String>, StoreError> {
    let select = "SELECT value FROM settings WHERE name = ?".to_owned();
    let rows = tx.rows(select, vec![MASTER_KEY_FINGERPRINT.into()]).await?;
    rows.first().map(|row| row.text("value")).transpose()
}

/// Fails where secrets are sealed with another master key. Holds the fingerprint's row until the transaction ends.
pub(super) async fn sealed_with(tx: &mut Tx, ours: &str) -> Result<(), StoreError> {
    let hold = "UPDATE settings SET value = value WHERE name = ?".to_owned();
    tx.execute(hold, vec![MASTER_KEY_FINGERPRINT.into()]).await.map_err(unavailable)?;
    match fingerprint(tx).await? {
        Some(theirs) if theirs != ours => Err(StoreError::Conflict(
            "the database's master key was changed since this core started; start it again with the new one"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Fails where the catalog was changed since its revision was this one. The transaction has counted it up already, and so holds it.
pub(super) async fn only_at(tx: &mut Tx, revision: i64) -> Result<(), StoreError> {
    if super::revision::revision(tx).await? == revision + 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict("the catalog was changed meanwhile".to_owned()))
    }
}

/// How health is checked from now on, on a database too where no core has started yet.
pub(super) async fn set_health_settings(
    tx: &mut Tx,
    settings: &Settings,
    now: UnixMicros,
) -> Result<(), StoreError> {
    let values: Vec<Value> = vec![
        settings.enabled.into(),
        settings.interval_minutes.into(),
        settings.max_error_count.into(),
        settings.retry_after_hours.into(),
        now.into(),
    ];
    let update = "UPDATE health_check_configs SET enabled = ?, interval_minutes = ?, max_error_count = ?, \
                  retry_after_hours = ?, updated_at = ? WHERE id = 1";
    if tx.execute(update.to_owned(), values.clone()).await.map_err(unavailable)? > 0 {
        return Ok(());
    }
    let insert = "INSERT INTO health_check_configs (enabled, interval_minutes, max_error_count, retry_after_hours, updated_at, \
                  id, lease_holder, lease_until, health_revision) VALUES (?, ?, ?, ?, ?, 1, '', 0, 0)";
    tx.execute(insert.to_owned(), values).await.map_err(unavailable).map(|_| ())
}

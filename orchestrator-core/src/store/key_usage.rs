//! When callers' keys were last used: the column `api_keys.last_used_at`, which the ledger's writer says and Admin shows.
//!
//! It is no part of a key's row as the catalog knows it: it changes all the time, and no request is decided by it. So it is no change
//! of the catalog, counts no revision, and is not in a snapshot.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    Database, KeyUsage, StoreError,
    db::{Tx, stored},
    entity::placeholders,
};
use crate::ledger::RequestRecord;

#[async_trait]
impl KeyUsage for Database {
    async fn last_used(&self, ids: &[&str]) -> Result<HashMap<String, UnixMicros>, StoreError> {
        let mut used = HashMap::new();
        if ids.is_empty() {
            return Ok(used);
        }
        let mut tx = self.db.read().await?;
        let ids_there = placeholders(ids.len());
        let sql = format!(
            "SELECT id, last_used_at FROM api_keys WHERE last_used_at IS NOT NULL AND id IN {ids_there}"
        );
        for row in tx.rows(sql, ids.iter().map(|id| (*id).into()).collect()).await? {
            used.insert(row.text("id")?, row.moment("last_used_at")?);
        }
        Ok(used)
    }
}

/// Notes the use of the keys that these requests came with: one statement for each key, in the order of their ids, so that two writers
/// do not wait for each other.
pub(super) async fn note(
    tx: &mut Tx,
    records: impl Iterator<Item = &RequestRecord>,
) -> Result<(), StoreError> {
    let mut latest: BTreeMap<&str, UnixMicros> = BTreeMap::new();
    for record in records.filter(|record| !record.api_key_id.is_empty()) {
        let at = latest.entry(&record.api_key_id).or_insert(record.started_at);
        *at = record.started_at.max(*at);
    }
    for (id, at) in latest {
        let sql = "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)";
        tx.execute(sql.to_owned(), vec![at.into(), id.into(), at.into()]).await.map_err(stored)?;
    }
    Ok(())
}

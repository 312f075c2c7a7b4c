//! Table `audit_log`: rows are added and read. Nothing here changes or deletes one, and `tidy` holds that no other file does.

use async_trait::async_trait;

use super::{
    AuditStore, Database, Slice, StoreError,
    db::{Row, Tx, Value, unavailable},
    entity::placeholders,
};
use crate::audit::{AuditEntry, AuditFilter, least_id};

const COLUMNS: [&str; 12] = [
    "id",
    "at",
    "actor",
    "address",
    "request_id",
    "action",
    "noun",
    "target",
    "target_name",
    "outcome",
    "state_before",
    "state_after",
];

#[async_trait]
impl AuditStore for Database {
    async fn record(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        append(&mut tx, entries).await?;
        tx.commit().await
    }

    async fn audit_log(&self, filter: &AuditFilter, slice: &Slice) -> Result<Vec<AuditEntry>, StoreError> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        let mut only = |condition: &'static str, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        };
        let text = |value: &Option<String>| value.as_ref().map(Value::from);
        only("actor = ?", text(&filter.actor));
        only("action = ?", text(&filter.action));
        only("noun = ?", text(&filter.noun));
        only("target = ?", text(&filter.target));
        // Ids sort by their time, so that a stretch of time is a stretch of the primary key.
        only("id >= ?", filter.from.map(|from| Value::from(&least_id(from))));
        only("id < ?", filter.to.map(|to| Value::from(&least_id(to))));
        only("id < ?", text(&slice.after));
        values.push(Value::from(slice.limit));
        let (columns, conditions) = (COLUMNS.join(", "), conditions.join(" AND "));
        let wanted = if conditions.is_empty() { String::new() } else { format!(" WHERE {conditions}") };
        let select = format!("SELECT {columns} FROM audit_log{wanted} ORDER BY id DESC LIMIT ?");
        let mut tx = self.db.read().await?;
        tx.rows(select, values).await?.iter().map(read).collect()
    }
}

/// Adds rows, in the transaction of what they speak of.
pub(super) async fn append(tx: &mut Tx, entries: &[AuditEntry]) -> Result<(), StoreError> {
    for entry in entries {
        let sql =
            format!("INSERT INTO audit_log ({}) VALUES {}", COLUMNS.join(", "), placeholders(COLUMNS.len()));
        let AuditEntry { id, at, actor, address, request_id, action, noun, target, target_name, .. } = entry;
        let texts = [actor, address, request_id, action, noun, target, target_name];
        let states = [&entry.outcome, &entry.state_before, &entry.state_after];
        let mut values = vec![Value::from(id), Value::from(*at)];
        values.extend(texts.into_iter().chain(states).map(Value::from));
        tx.execute(sql, values).await.map_err(unavailable)?;
    }
    Ok(())
}

fn read(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.text("id")?,
        at: row.moment("at")?,
        actor: row.text("actor")?,
        address: row.text("address")?,
        request_id: row.text("request_id")?,
        action: row.text("action")?,
        noun: row.text("noun")?,
        target: row.text("target")?,
        target_name: row.text("target_name")?,
        outcome: row.text("outcome")?,
        state_before: row.text("state_before")?,
        state_after: row.text("state_after")?,
    })
}

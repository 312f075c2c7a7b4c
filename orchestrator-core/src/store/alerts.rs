//! Table `alerts`: each thing that happened has one row, whichever core saw it first.

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    AlertStore, Database, Slice, StoreError,
    audit_log::append,
    db::{Row, Value, stored},
    entity::placeholders,
};
use crate::audit::AuditEntry;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// UUID v7.
    pub id: String,
    /// When it was noticed.
    pub created_at: UnixMicros,
    /// `budget_threshold`, `budget_exhausted` or `provider_key_refused`.
    pub kind: String,
    /// What it is about: `key:ID`, `team:ID`, `provider_key:ID`.
    pub subject: String,
    /// Which time it was.
    pub mark: String,
    /// The same in words.
    pub message: String,
    /// When an operator has said that it is known.
    pub acknowledged_at: Option<UnixMicros>,
}

const COLUMNS: &str = "id, created_at, kind, subject, mark, message, acknowledged_at";

#[async_trait]
impl AlertStore for Database {
    async fn raise(&self, alert: &Alert) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        let sql = format!("INSERT INTO alerts ({COLUMNS}) VALUES {}", placeholders(7));
        let Alert { id, created_at, kind, subject, mark, message, .. } = alert;
        let mut values = vec![Value::from(id), Value::from(*created_at)];
        values.extend([kind, subject, mark, message].map(Value::from));
        values.push(Value::Int(None));
        match tx.execute(sql, values).await.map_err(stored) {
            Ok(_) => tx.commit().await.map(|()| true),
            Err(StoreError::Exists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn alerts(&self, open_only: bool, slice: &Slice) -> Result<Vec<Alert>, StoreError> {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        if open_only {
            conditions.push("acknowledged_at IS NULL");
        }
        if let Some(after) = &slice.after {
            conditions.push("id < ?");
            values.push(Value::from(after));
        }
        values.push(Value::from(slice.limit));
        let conditions = conditions.join(" AND ");
        let wanted = if conditions.is_empty() { String::new() } else { format!(" WHERE {conditions}") };
        let sql = format!("SELECT {COLUMNS} FROM alerts{wanted} ORDER BY id DESC LIMIT ?");
        let mut tx = self.db.read().await?;
        tx.rows(sql, values).await?.iter().map(read).collect()
    }

    async fn acknowledge(
        &self,
        id: &str,
        at: UnixMicros,
        entries: &[AuditEntry],
    ) -> Result<Option<Alert>, StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "UPDATE alerts SET acknowledged_at = ? WHERE id = ? AND acknowledged_at IS NULL";
        let changed = tx.execute(sql.to_owned(), vec![at.into(), id.into()]).await.map_err(stored)?;
        if changed > 0 {
            append(&mut tx, entries).await?;
        }
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE id = ?");
        let alert = tx.rows(sql, vec![id.into()]).await?.first().map(read).transpose()?;
        tx.commit().await?;
        Ok(alert)
    }
}

fn read(row: &Row) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: row.text("id")?,
        created_at: row.moment("created_at")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        mark: row.text("mark")?,
        message: row.text("message")?,
        acknowledged_at: row.maybe_int("acknowledged_at")?.map(UnixMicros),
    })
}

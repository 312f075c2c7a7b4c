//! Table `ended_sessions`: those that may not be used any more, although their time is not over.

use orchestrator_base::clock::UnixMicros;

use super::{
    StoreError,
    db::{Row, Tx, Value, unavailable},
    entity::{Entity, Table, find, insert},
};
use crate::catalog::admin_keys::EndedSession;

impl Entity for EndedSession {
    const TABLE: Table =
        Table { name: "ended_sessions", noun: "ended session", columns: &["id", "expires_at"] };

    fn label(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        Ok(vec![(&self.id).into(), self.expires_at.into()])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { id: row.text("id")?, expires_at: row.moment("expires_at")? })
    }
}

/// Ends a session, and forgets those that would be over by now. One that has ended stays so.
pub(super) async fn end(tx: &mut Tx, session: &EndedSession, now: UnixMicros) -> Result<(), StoreError> {
    let forget = "DELETE FROM ended_sessions WHERE expires_at < ?".to_owned();
    tx.execute(forget, vec![now.into()]).await.map_err(unavailable)?;
    let before: Option<EndedSession> = find(tx, "id", &session.id).await?;
    if before.is_some() { Ok(()) } else { insert(tx, session).await }
}

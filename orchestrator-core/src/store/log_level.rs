//! What operators want logged: one row of table `settings`.

use serde_json::json;

use super::{
    StoreError,
    db::{Tx, damaged, unavailable},
};
use crate::{
    audit::{Event, action},
    catalog::log_level::LogLevel,
};

const NAME: &str = "log.level";

/// The wish that is written down.
pub(super) async fn read(tx: &mut Tx) -> Result<Option<LogLevel>, StoreError> {
    let rows = tx.rows("SELECT value FROM settings WHERE name = ?".to_owned(), vec![NAME.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let level = serde_json::from_str(&row.text("value")?);
    level.map(Some).map_err(|_| damaged("value", &format!("{NAME} is no level")))
}

/// Writes another one down, or none, and says what was changed.
pub(super) async fn set(tx: &mut Tx, level: Option<&LogLevel>) -> Result<Event, StoreError> {
    let before = read(tx).await?;
    let delete = "DELETE FROM settings WHERE name = ?".to_owned();
    tx.execute(delete, vec![NAME.into()]).await.map_err(unavailable)?;
    if let Some(level) = level {
        let insert = "INSERT INTO settings (name, value) VALUES (?, ?)".to_owned();
        let value = json!(level).to_string();
        tx.execute(insert, vec![NAME.into(), (&value).into()]).await.map_err(unavailable)?;
    }
    let event = Event::new(action::UPDATE, "log_level");
    Ok(Event { before: before.map(|level| json!(level)), after: level.map(|level| json!(level)), ..event })
}

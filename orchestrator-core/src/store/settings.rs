//! Table `settings`.

use async_trait::async_trait;

use super::{Database, SettingStore, StoreError, db::unavailable};

const SELECT: &str = "SELECT value FROM settings WHERE name = ?";

#[async_trait]
impl SettingStore for Database {
    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut tx = self.db.read().await?;
        let rows = tx.rows(SELECT.to_owned(), vec![name.into()]).await?;
        rows.first().map(|row| row.text("value")).transpose()
    }

    async fn setting_or_insert(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let mut tx = self.db.write().await?;
        let insert =
            format!("INSERT INTO settings (name, value) VALUES (?, ?){}", self.db.unless_exists("name"));
        tx.execute(insert, vec![name.into(), value.into()]).await.map_err(unavailable)?;
        let rows = tx.rows(SELECT.to_owned(), vec![name.into()]).await?;
        tx.commit().await?;
        match rows.first() {
            Some(row) => row.text("value"),
            None => Err(StoreError::NotFound("setting")),
        }
    }
}

//! Alerts, as operators see them and say that they know.

use super::{Admin, Listed, Page, found, store_error};
use crate::{
    audit::{Event, action},
    error::Result,
    store::Alert,
};

impl Admin {
    /// A page of the alerts, newest first. `open_only`: those that nobody has acknowledged.
    pub async fn alerts(&self, open_only: bool, page: &Page) -> Result<Listed<Alert>> {
        let rows = self.store.alerts(open_only, &page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// Says that an alert is known. One that is known already stays as it is.
    pub async fn acknowledge_alert(&self, id: &str) -> Result<Alert> {
        self.database_is_there()?;
        let stamp = self.stamp();
        let at = stamp.at;
        let entries = stamp.entries([Event::new(action::UPDATE, "alert").on(id, "")]);
        found(self.store.acknowledge(id, at, &entries).await, "alert", id)
    }
}

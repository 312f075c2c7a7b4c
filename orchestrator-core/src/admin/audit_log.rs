//! The audit log, as Admin adds to it and shows it.

use super::{Admin, Listed, Page, store_error};
use crate::{
    audit::{AuditEntry, AuditFilter, Event, Stamp},
    error::Result,
};

impl Admin {
    /// Records what is no change of the catalog: before it is done, so that nothing is done that is not on record.
    ///
    /// Errors: the database is away; then it must not be done.
    pub async fn record(&self, event: Event) -> Result<()> {
        self.database_is_there()?;
        let entries = self.stamp().entries([event]);
        self.in_time(self.store.record(&entries)).await
    }

    /// A page of the audit log, newest first.
    pub async fn audit_log(&self, filter: &AuditFilter, page: &Page) -> Result<Listed<AuditEntry>> {
        let rows = self.store.audit_log(filter, &page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// Who does what is done through this handle, and when.
    pub fn stamp(&self) -> Stamp {
        Stamp { actor: (*self.actor).clone(), at: self.clock.now(), random: self.random.clone() }
    }
}

//! What keys and teams have spent of their budgets, as far as it is stored.

use super::Admin;
use crate::{catalog::tenants::Scope, error::Result};

impl Admin {
    /// What the keys, or teams, of these ids have spent today, this month (UTC) and in all, in nano-dollars. What still runs, and what
    /// was over a moment ago, is not in it.
    ///
    /// Errors: the database is away.
    pub async fn spent(&self, kind: &str, ids: &[&str]) -> Result<Vec<[u64; 3]>> {
        let scopes: Vec<Scope> = ids.iter().map(|id| Scope::from(format!("{kind}:{id}"))).collect();
        self.store.spent(&scopes, self.clock.now()).await
    }
}

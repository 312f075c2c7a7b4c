//! What keys and teams with a budget have spent of it: put into what is shown of them.

use orchestrator_core::admin::Admin;
use orchestrator_proto::v1;

use crate::convert::admin::limits::spent;

/// Something that may have a budget.
pub(super) trait Budgeted {
    /// As the store names it.
    const KIND: &'static str;

    /// Its id, and its budget's period; empty: it has none.
    fn budget(&self) -> (&str, &str);

    /// Sets what was spent.
    fn set_spent(&mut self, dollars: Option<f64>);
}

impl Budgeted for v1::ApiKey {
    const KIND: &'static str = "key";

    fn budget(&self) -> (&str, &str) {
        (&self.id, &self.budget_period)
    }

    fn set_spent(&mut self, dollars: Option<f64>) {
        self.spent_usd = dollars;
    }
}

impl Budgeted for v1::Team {
    const KIND: &'static str = "team";

    fn budget(&self) -> (&str, &str) {
        (&self.id, &self.budget_period)
    }

    fn set_spent(&mut self, dollars: Option<f64>) {
        self.spent_usd = dollars;
    }
}

/// The same thing, with what it has spent.
pub(super) async fn told<T: Budgeted>(admin: &Admin, mut shown: T) -> T {
    tell(admin, std::slice::from_mut(&mut shown)).await;
    shown
}

/// Says what each has spent, where it has a budget. While that cannot be read it is left unsaid: the rest can be shown.
pub(super) async fn tell<T: Budgeted>(admin: &Admin, shown: &mut [T]) {
    let mut budgeted: Vec<_> = shown.iter_mut().filter(|one| !one.budget().1.is_empty()).collect();
    let ids: Vec<&str> = budgeted.iter().map(|one| one.budget().0).collect();
    if ids.is_empty() {
        return;
    }
    match admin.spent(T::KIND, &ids).await {
        Ok(sums) => {
            for (one, nanos) in budgeted.iter_mut().zip(sums) {
                let dollars = spent(nanos, one.budget().1);
                one.set_spent(dollars);
            }
        }
        Err(error) => tracing::debug!(%error, "what was spent of budgets cannot be told"),
    }
}

//! Budgets of keys and teams: a number of dollars in the contract, nano-dollars inside.

use orchestrator_core::{
    catalog::limits::{Limits, Period},
    error::{Error, Result},
    policy::price::usd,
};

/// Out of the contract.
pub(super) fn nanos(dollars: Option<f64>) -> Result<Option<u64>> {
    let Some(dollars) = dollars else { return Ok(None) };
    match usd::from_number(dollars) {
        Some(nanos) => Ok(Some(nanos)),
        None => Err(Error::invalid("budget_usd".to_owned(), format!("budget_usd {}", usd::NUMBERS))),
    }
}

/// Into the contract: the dollars, and for how long they are.
pub(super) fn budget(limits: &Limits) -> (Option<f64>, String) {
    match limits.budget {
        Some(budget) => (Some(usd::to_number(budget.nanos)), budget.period.name().to_owned()),
        None => (None, String::new()),
    }
}

/// Of what was spent today, this month and in all: what counts for a budget of this period.
pub(crate) fn spent(nanos: [u64; 3], period: &str) -> Option<f64> {
    let [day, month, total] = nanos;
    let nanos = match Period::named(period)? {
        Period::Day => day,
        Period::Month => month,
        Period::Total => total,
    };
    Some(usd::to_number(nanos))
}

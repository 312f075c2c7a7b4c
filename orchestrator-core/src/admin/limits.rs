//! What a key, a team or a model may use, as Admin changes it.

use super::{
    providers::set,
    validate::{at_least_and_most, refuse},
};
use crate::{
    catalog::limits::{Budget, Limits, Period},
    error::{Error, Result},
};

/// The most requests a minute, and at once.
const MOST_REQUESTS: u64 = 1_000_000;
/// The most tokens a minute.
const MOST_TOKENS: u64 = 1_000_000_000_000;
/// The largest budget: 9 billion dollars, which is what a database's whole number holds of nano-dollars.
const MOST_NANOS: u64 = 9_000_000_000 * 1_000_000_000;

/// The limits that may be set; `Some(None)` takes one away.
#[derive(Clone, Debug, Default)]
pub struct LimitsChange {
    /// [`Limits::requests_per_minute`].
    pub requests_per_minute: Option<Option<u32>>,
    /// [`Limits::tokens_per_minute`].
    pub tokens_per_minute: Option<Option<u64>>,
    /// [`Limits::max_concurrency`].
    pub max_concurrency: Option<Option<u32>>,
    /// [`Budget::nanos`]. Without them there is no period either.
    pub budget_nanos: Option<Option<u64>>,
    /// [`Budget::period`], by its name; empty: none.
    pub budget_period: Option<String>,
}

impl LimitsChange {
    /// Errors: a budget without its period, a period without a budget, or one that is not known.
    pub(super) fn make(self, row: &mut Limits) -> Result<()> {
        set(&mut row.requests_per_minute, self.requests_per_minute);
        set(&mut row.tokens_per_minute, self.tokens_per_minute);
        set(&mut row.max_concurrency, self.max_concurrency);
        let (mut nanos, mut period) =
            (row.budget.map(|budget| budget.nanos), row.budget.map(|budget| budget.period));
        set(&mut nanos, self.budget_nanos);
        let given =
            self.budget_period.as_deref().filter(|name| !name.is_empty()).map(self::period).transpose()?;
        if self.budget_period.is_some() {
            period = given;
        }
        row.budget = match (nanos, period) {
            (Some(nanos), Some(period)) => Some(Budget { nanos, period }),
            (Some(_), None) => {
                return refuse("budget_period", "is required with budget_usd: day, month or total");
            }
            (None, _) if given.is_some() => {
                return refuse("budget_period", "says for how long budget_usd is, which is not set");
            }
            (None, _) => None,
        };
        Ok(())
    }
}

fn period(name: &str) -> Result<Period> {
    let wrong = || Error::invalid("budget_period".to_owned(), "budget_period must be day, month or total");
    Period::named(name).ok_or_else(wrong)
}

/// Whether limits are within their bounds.
pub(super) fn check(limits: &Limits) -> Result<()> {
    let Limits { requests_per_minute, tokens_per_minute, max_concurrency, budget } = limits;
    at_least_and_most("requests_per_minute", requests_per_minute.map(u64::from), 1, MOST_REQUESTS)?;
    at_least_and_most("tokens_per_minute", *tokens_per_minute, 1, MOST_TOKENS)?;
    at_least_and_most("max_concurrency", max_concurrency.map(u64::from), 1, MOST_REQUESTS)?;
    if budget.is_some_and(|budget| budget.nanos > MOST_NANOS) {
        return refuse("budget_usd", "must be at most 9000000000");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(nanos: u64, period: Period) -> Limits {
        Limits { budget: Some(Budget { nanos, period }), ..Limits::default() }
    }

    fn changed(mut row: Limits, change: LimitsChange) -> Result<Limits> {
        change.make(&mut row).map(|()| row)
    }

    /// So many nano-dollars, or none.
    fn amount(nanos: Option<u64>) -> LimitsChange {
        LimitsChange { budget_nanos: Some(nanos), ..LimitsChange::default() }
    }

    fn lasting(period: &str, change: LimitsChange) -> LimitsChange {
        LimitsChange { budget_period: Some(period.to_owned()), ..change }
    }

    #[test]
    fn a_budget_and_its_period_come_and_go_together() {
        let (none, monthly) = (Limits::default(), budget(5, Period::Month));
        let unnamed = LimitsChange::default;
        let good = [
            (changed(none, lasting("month", amount(Some(5)))), monthly),
            (changed(monthly, amount(Some(7))), budget(7, Period::Month)),
            (changed(monthly, lasting("day", unnamed())), budget(5, Period::Day)),
            (changed(monthly, amount(None)), none),
            (changed(monthly, lasting("", amount(None))), none),
            (changed(none, lasting("", amount(None))), none),
            (changed(monthly, unnamed()), monthly),
        ];
        for (number, (made, expected)) in good.into_iter().enumerate() {
            assert_eq!(made.unwrap(), expected, "{number}");
        }
        let bad = [
            changed(none, amount(Some(5))),
            changed(none, lasting("day", unnamed())),
            changed(monthly, lasting("day", amount(None))),
            changed(monthly, lasting("", unnamed())),
            changed(none, lasting("week", amount(Some(5)))),
        ];
        for refused in bad {
            assert_eq!(refused.unwrap_err().param.as_deref(), Some("budget_period"));
        }
    }

    #[test]
    fn each_bound_is_checked_by_name() {
        let none = Limits::default;
        let table = [
            (Limits { requests_per_minute: Some(0), ..none() }, "requests_per_minute"),
            (Limits { requests_per_minute: Some(1_000_001), ..none() }, "requests_per_minute"),
            (Limits { tokens_per_minute: Some(0), ..none() }, "tokens_per_minute"),
            (Limits { tokens_per_minute: Some(MOST_TOKENS + 1), ..none() }, "tokens_per_minute"),
            (Limits { max_concurrency: Some(0), ..none() }, "max_concurrency"),
            (budget(MOST_NANOS + 1, Period::Day), "budget_usd"),
        ];
        for (limits, param) in table {
            assert_eq!(check(&limits).unwrap_err().param.as_deref(), Some(param));
        }
        assert!(check(&budget(0, Period::Total)).is_ok(), "nothing may be spent: that is a budget");
        assert!(check(&budget(MOST_NANOS, Period::Total)).is_ok());
    }
}

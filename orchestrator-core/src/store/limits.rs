//! The columns in which keys, teams and models have their limits.

use super::{
    StoreError,
    db::{Row, Value, damaged},
};
use crate::catalog::limits::{Budget, Limits, Period};

/// The values of `requests_per_minute`, `tokens_per_minute`, `max_concurrency`, `budget_nanos` and `budget_period`.
pub(super) fn values(limits: &Limits) -> Result<[Value; 5], StoreError> {
    let budget = limits.budget.as_ref();
    Ok([
        limits.requests_per_minute.into(),
        whole(limits.tokens_per_minute)?,
        limits.max_concurrency.into(),
        whole(budget.map(|budget| budget.nanos))?,
        budget.map_or("", |budget| budget.period.name()).into(),
    ])
}

/// What they say.
pub(super) fn read(row: &Row) -> Result<Limits, StoreError> {
    let limits = read_rates(row)?;
    let period = row.text("budget_period")?;
    let budget = match maybe::<u64>(row, "budget_nanos")? {
        None => None,
        Some(nanos) => {
            let period = Period::named(&period).ok_or_else(|| damaged("budget_period", &period))?;
            Some(Budget { nanos, period })
        }
    };
    Ok(Limits { max_concurrency: maybe(row, "max_concurrency")?, budget, ..limits })
}

/// The values of `requests_per_minute` and `tokens_per_minute`, which are all that a model has.
pub(super) fn rates(limits: &Limits) -> Result<[Value; 2], StoreError> {
    Ok([limits.requests_per_minute.into(), whole(limits.tokens_per_minute)?])
}

/// What they say.
pub(super) fn read_rates(row: &Row) -> Result<Limits, StoreError> {
    Ok(Limits {
        requests_per_minute: maybe(row, "requests_per_minute")?,
        tokens_per_minute: maybe(row, "tokens_per_minute")?,
        ..Limits::default()
    })
}

fn whole(number: Option<u64>) -> Result<Value, StoreError> {
    let number = number.map(i64::try_from).transpose();
    Ok(number
        .map_err(|_| StoreError::Refused("a limit is larger than the database can hold".to_owned()))?
        .into())
}

fn maybe<T: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError> {
    let number = row.maybe_int(column)?;
    number.map(|number| T::try_from(number).map_err(|_| damaged(column, &number.to_string()))).transpose()
}

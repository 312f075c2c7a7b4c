//! The account of what a key was charged: in the rows of its requests, in the sums that budgets are made of, and at the provider.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    cores::{Key, PRICES},
    scene::Scene,
    upstream::Asked,
};
use crate::{AnyError, books::Query, database::Database};

/// All that is answered is stored by then.
const STORED_WITHIN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

const LOGS: Query = Query {
    columns: &[
        ("key", "api_key_id"),
        ("request_id", "request_id"),
        ("outcome", "outcome"),
        ("charged", "COALESCE(charged_nanos, 0)"),
    ],
    from: "request_logs WHERE origin = 'caller'",
};
const SPEND: Query = Query {
    columns: &[("scope", "scope"), ("charged", "SUM(charged_nanos)")],
    from: "budget_spend GROUP BY scope",
};

/// What stands in the database.
#[derive(Debug)]
pub(crate) struct Account {
    /// By key, then by the request's id, every row's outcome and charge.
    rows: HashMap<String, HashMap<String, Vec<(String, u64)>>>,
    /// By scope.
    spend: HashMap<String, u64>,
}

impl Account {
    /// Reads it.
    pub(crate) async fn read(database: &Database) -> Result<Self, AnyError> {
        let mut rows: HashMap<String, HashMap<String, Vec<(String, u64)>>> = HashMap::new();
        for row in database.rows(LOGS).await? {
            let of_key = rows.entry(text(&row["key"])).or_default();
            let charge = (text(&row["outcome"]), row["charged"].as_u64().ok_or("a charge is no number")?);
            of_key.entry(text(&row["request_id"])).or_default().push(charge);
        }
        let spend = database.rows(SPEND).await?;
        let spend =
            spend.iter().map(|row| (text(&row["scope"]), row["charged"].as_u64().unwrap_or_default()));
        Ok(Self { rows, spend: spend.collect() })
    }

    /// Reads it once these are in it, or not in time.
    pub(crate) async fn with(database: &Database, answers: &[(&Key, &str)]) -> Result<Self, AnyError> {
        let give_up = Instant::now() + STORED_WITHIN;
        loop {
            let account = Self::read(database).await?;
            if answers.iter().all(|(key, request)| account.row(&key.id, request) != Err(0))
                || Instant::now() > give_up
            {
                return Ok(account);
            }
            sleep(LOOK).await;
        }
    }

    /// How many requests of a key were answered.
    pub(crate) fn answered(&self, key: &str) -> usize {
        let rows = self.rows.get(key).into_iter().flat_map(|rows| rows.values().flatten());
        rows.filter(|(outcome, _)| outcome == "ok").count()
    }

    /// What the rows of a key were charged.
    pub(crate) fn charged(&self, key: &str) -> u64 {
        let rows = self.rows.get(key).into_iter().flat_map(|rows| rows.values().flatten());
        rows.map(|(_, charged)| charged).sum()
    }

    /// What of it was charged for answers that did not come to their end.
    pub(crate) fn charged_for_cut(&self, key: &str) -> u64 {
        let rows = self.rows.get(key).into_iter().flat_map(|rows| rows.values().flatten());
        rows.filter(|(outcome, _)| outcome != "ok").map(|(_, charged)| charged).sum()
    }

    /// What a budget's scope has spent.
    pub(crate) fn spent(&self, scope: &str) -> u64 {
        self.spend.get(scope).copied().unwrap_or_default()
    }

    /// The one row of a request; otherwise how many there are.
    pub(crate) fn row(&self, key: &str, request: &str) -> Result<&(String, u64), usize> {
        let rows = self.rows.get(key).and_then(|rows| rows.get(request)).map_or(&[][..], Vec::as_slice);
        if let [row] = rows { Ok(row) } else { Err(rows.len()) }
    }
}

/// What the provider's counted tokens cost, in nano-dollars.
pub(crate) fn cost(asked: &[Asked]) -> u64 {
    asked.iter().map(|asked| asked.prompt * PRICES.0 + asked.completion * PRICES.1).sum()
}

/// The three sums are one, but for what streams are charged that were cut, whose tokens are estimated.
pub(crate) fn compare(what: &str, (charged, cut): (u64, u64), spent: u64, cost: u64, scene: &mut Scene) {
    let of_cut = if cut == 0 { String::new() } else { format!(" and {} for what was cut", dollars(cut)) };
    scene.say(format!(
        "{what}: request_logs {}, budget_spend {}, the provider's tokens {}{of_cut}",
        dollars(charged),
        dollars(spent),
        dollars(cost)
    ));
    scene.check(charged == spent && spent == cost + cut, || format!("{what}: the three sums are not one"));
}

/// Nano-dollars as dollars, to the last digit.
pub(crate) fn dollars(nanos: u64) -> String {
    format!("${}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_have_all_their_digits() {
        assert_eq!(dollars(0), "$0.000000000");
        assert_eq!(dollars(12_000_000_345), "$12.000000345");
    }
}

//! Table `budget_spend`: what was charged to each key and team, day by day. It is written with the logs, and outlives them: no rebuild
//! of statistics and no retention touches it, for a budget that forgot what was spent would be spent twice.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    Database, StoreError,
    db::{Db, Set, Tx, Value},
    entity::placeholders,
    rollups::{SumTable, merge},
};
use crate::{
    catalog::limits::Period,
    error::{Error, ErrorKind, Result},
    ledger::RequestRecord,
    policy::budget,
    shared_state::{Scope, StoredSpend},
};

const SPEND: SumTable = SumTable {
    name: "budget_spend",
    keys: &["scope", "day"],
    columns: &[Set::Add("charged_nanos"), Set::Add("requests")],
};

/// The most scopes that one query asks for.
const AT_ONCE: usize = 128;

/// What records charge, to each key and team for each day: nano-dollars and requests.
fn charges<'a>(
    records: impl Iterator<Item = &'a RequestRecord>,
) -> BTreeMap<(&'static str, &'a str, i64), (u64, u64)> {
    let mut charges: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for record in records {
        let Some(nanos) = record.charged_nanos else { continue };
        let day = record.started_at.0 - record.started_at.0.rem_euclid(budget::DAY);
        for (kind, id) in [("key", &record.api_key_id), ("team", &record.team_id)] {
            if !id.is_empty() {
                let (sum, requests) = charges.entry((kind, id.as_str(), day)).or_default();
                *sum = sum.saturating_add(nanos);
                *requests += 1;
            }
        }
    }
    charges
}

/// Adds what records charge, in the caller's transaction.
pub(super) async fn add<'a>(
    db: &Db,
    tx: &mut Tx,
    records: impl Iterator<Item = &'a RequestRecord>,
) -> Result<(), StoreError> {
    let rows = charges(records).into_iter().map(|((kind, id, day), (nanos, requests))| {
        vec![(&format!("{kind}:{id}")).into(), day.into(), Value::count(nanos), Value::count(requests)]
    });
    merge(db, tx, &SPEND, &[], rows.collect()).await
}

#[async_trait]
impl StoredSpend for Database {
    async fn spent(&self, scopes: &[Scope], at: UnixMicros) -> Result<Vec<[u64; 3]>> {
        let mut known = HashMap::new();
        for scopes in scopes.chunks(AT_ONCE) {
            known.extend(self.sums(scopes, at).await.map_err(unread)?);
        }
        Ok(scopes.iter().map(|scope| known.get(&**scope).copied().unwrap_or_default()).collect())
    }
}

fn unread(error: StoreError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("what was spent cannot be read: {error}"))
}

impl Database {
    async fn sums(&self, scopes: &[Scope], at: UnixMicros) -> Result<Vec<(String, [u64; 3])>, StoreError> {
        let [day, month, _] = budget::starts(at);
        let end = budget::end(Period::Month, at).unwrap_or(UnixMicros(i64::MAX));
        let within = "CASE WHEN day >= ? AND day < ? THEN charged_nanos ELSE 0 END";
        let sql = format!(
            "SELECT scope, {}, {}, {} FROM budget_spend WHERE scope IN {} GROUP BY scope",
            self.db.sum(within, "day_sum"),
            self.db.sum(within, "month_sum"),
            self.db.sum("charged_nanos", "total_sum"),
            placeholders(scopes.len()),
        );
        let tomorrow = UnixMicros(day.0.saturating_add(budget::DAY));
        let mut values: Vec<Value> = vec![day.into(), tomorrow.into(), month.into(), end.into()];
        values.extend(scopes.iter().map(|scope| Value::from(&scope.to_string())));
        let mut tx = self.db.read().await?;
        let rows = tx.rows(sql, values).await?;
        let sums = rows.iter().map(|row| {
            let sum = |name| row.count(name);
            Ok((row.text("scope")?, [sum("day_sum")?, sum("month_sum")?, sum("total_sum")?]))
        });
        sums.collect()
    }
}

//! Tables `usage_hourly`, `usage_daily`, `usage_tags_hourly` and `provider_stats`, as they are read.
//!
//! Usage is summed by the database, of whole days from `usage_daily`, and of the hours before and after them from `usage_hourly`; what
//! these sums have in common is added up here.

use std::collections::{BTreeMap, btree_map::Entry};

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use super::{
    Database, StoreError,
    db::{Row, Value},
    reads::{Dimension, ProviderDay, StatsReader, Step, UsageQuery, UsageRow, UsageSums},
    rollups::USAGE_SUMS,
};
use crate::{
    ledger::rollup::{DAY_MICROS, day_of},
    policy::percentile::{BUCKETS, Counts},
};

/// What `usage_tags_hourly` sums.
const TAG_SUMS: [&str; 6] =
    ["requests", "successes", "prompt_tokens", "completion_tokens", "cost_nanos", "unpriced"];

#[async_trait]
impl StatsReader for Database {
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        let mut tx = self.db.read().await?;
        let mut found: BTreeMap<_, UsageRow> = BTreeMap::new();
        for (sql, values) in self.usage_queries(query) {
            for row in tx.rows(sql, values).await? {
                let row = usage_row(&row, query)?;
                let group = |row: &UsageRow| {
                    let [provider, model, key, team] =
                        [&row.provider, &row.model, &row.api_key_id, &row.team].map(String::clone);
                    (row.start, provider, model, key, team)
                };
                match found.entry(group(&row)) {
                    Entry::Vacant(place) => drop(place.insert(row)),
                    Entry::Occupied(mut place) => place.get_mut().sums.add(&row.sums),
                }
            }
        }
        Ok(found.into_values().take(query.limit as usize).collect())
    }

    async fn usage_by_tag(&self, query: &UsageQuery, tag: &str) -> Result<Vec<UsageRow>, StoreError> {
        let (sql, values) = self.tag_query(query, tag);
        let mut tx = self.db.read().await?;
        let rows = tx.rows(sql, values).await?;
        rows.iter()
            .map(|row| {
                let tag_value = row.text("tag_value")?;
                let start = begin_of(row, query)?;
                let sums = sums_of(row, &TAG_SUMS)?;
                Ok(UsageRow { start, tag_value, sums, ..UsageRow::default() })
            })
            .collect()
    }

    async fn provider_days(
        &self,
        (from, to): (UnixMicros, UnixMicros),
        provider_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ProviderDay>, StoreError> {
        let (sql, values) = provider_days_query((from, to), provider_id, limit);
        let mut tx = self.db.read().await?;
        tx.rows(sql, values).await?.iter().map(provider_day).collect()
    }
}

impl Database {
    /// The queries of [`StatsReader::usage`], one for each stretch.
    pub(super) fn usage_queries(&self, query: &UsageQuery) -> Vec<(String, Vec<Value>)> {
        let stretches = stretches(query).into_iter();
        stretches.map(|stretch| self.usage_query(query, &stretch)).collect()
    }

    /// The query of [`StatsReader::usage_by_tag`].
    pub(super) fn tag_query(&self, query: &UsageQuery, tag: &str) -> (String, Vec<Value>) {
        let start = start_of(query.step, "hour");
        let sums: Vec<String> = TAG_SUMS.iter().map(|column| self.db.sum(column, column)).collect();
        let groups = groups(query.step, "hour", &["tag_value"]);
        // A tag of the request would be a group too many: the whole stretch is one index's.
        let sql = format!(
            "SELECT {start} AS start_at, tag_value, {} FROM usage_tags_hourly \
             WHERE hour >= ? AND hour < ? AND tag = ?{groups} LIMIT ?",
            sums.join(", ")
        );
        (sql, vec![query.from.into(), query.to.into(), tag.into(), query.limit.into()])
    }

    fn usage_query(&self, query: &UsageQuery, stretch: &Stretch) -> (String, Vec<Value>) {
        let Stretch { table, time, from, to } = *stretch;
        let mut columns = vec![format!("{} AS start_at", start_of(query.step, time))];
        let by: Vec<&str> = query.by.iter().map(|dimension| column_of(*dimension)).collect();
        columns.extend(by.iter().map(ToString::to_string));
        if query.by.contains(&Dimension::Key) {
            // A key may have had two names in that time; one is told.
            columns.push("MAX(api_key_name) AS api_key_name".to_owned());
        }
        columns.extend(USAGE_SUMS.iter().map(|column| self.db.sum(column, column)));
        columns.extend(latencies().map(|column| self.db.sum(&column, &column)));
        let groups = groups(query.step, time, &by);
        let sql = format!(
            "SELECT {} FROM {table} WHERE {time} >= ? AND {time} < ?{groups} LIMIT ?",
            columns.join(", ")
        );
        (sql, vec![from.into(), to.into(), query.limit.into()])
    }
}

/// A stretch of time in one of the tables.
struct Stretch {
    table: &'static str,
    /// Its column of time.
    time: &'static str,
    from: i64,
    to: i64,
}

/// Whole days, with the hours before and after them.
fn stretches(query: &UsageQuery) -> Vec<Stretch> {
    let (from, to) = (query.from.0, query.to.0);
    let hours = |from, to| Stretch { table: "usage_hourly", time: "hour", from, to };
    let (first_day, end) = (day_of(UnixMicros(from.saturating_add(DAY_MICROS - 1))), day_of(query.to));
    if query.step == Step::Hour || first_day >= end {
        return vec![hours(from, to)];
    }
    let days = Stretch { table: "usage_daily", time: "day", from: first_day, to: end };
    let mut stretches = vec![hours(from, first_day), days, hours(end, to)];
    stretches.retain(|stretch| stretch.from < stretch.to);
    stretches
}

/// The query of [`StatsReader::provider_days`].
pub(super) fn provider_days_query(
    (from, to): (UnixMicros, UnixMicros),
    provider_id: Option<&str>,
    limit: u32,
) -> (String, Vec<Value>) {
    let mut values = vec![from.into(), to.into()];
    let only = if provider_id.is_some() { " AND provider_id = ?" } else { "" };
    values.extend(provider_id.map(Value::from));
    values.push(limit.into());
    let sql = format!(
        "SELECT * FROM provider_stats WHERE day >= ? AND day < ?{only} ORDER BY day, provider_id, upstream_model LIMIT ?"
    );
    (sql, values)
}

fn column_of(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Provider => "provider",
        Dimension::Model => "model",
        Dimension::Key => "api_key_id",
        Dimension::Team => "team",
    }
}

/// The expression of a row's start; `time` is the table's column.
fn start_of(step: Step, time: &str) -> String {
    match step {
        Step::Hour => time.to_owned(),
        Step::Day => format!("{time} - {time} % {DAY_MICROS}"),
        Step::Whole => format!("MIN({time})"),
    }
}

/// By time and then by the columns. A whole stretch without columns is one row without GROUP BY, which is there even where nothing is.
fn groups(step: Step, time: &str, by: &[&str]) -> String {
    let mut groups = Vec::new();
    if step != Step::Whole {
        groups.push(start_of(step, time));
    }
    groups.extend(by.iter().map(ToString::to_string));
    if groups.is_empty() {
        return String::new();
    }
    let groups = groups.join(", ");
    format!(" GROUP BY {groups} ORDER BY {groups}")
}

fn latencies() -> impl Iterator<Item = String> {
    (0..BUCKETS).map(|bucket| format!("latency_{bucket:02}"))
}

fn usage_row(row: &Row, query: &UsageQuery) -> Result<UsageRow, StoreError> {
    let mut usage = UsageRow { start: begin_of(row, query)?, ..UsageRow::default() };
    for dimension in &query.by {
        let value = row.text(column_of(*dimension))?;
        match dimension {
            Dimension::Provider => usage.provider = value,
            Dimension::Model => usage.model = value,
            Dimension::Key => {
                usage.api_key_id = value;
                usage.api_key_name = row.text("api_key_name")?;
            }
            Dimension::Team => usage.team = value,
        }
    }
    usage.sums = sums_of(row, &USAGE_SUMS)?;
    let mut counts: Counts = [0; BUCKETS];
    for (count, column) in counts.iter_mut().zip(latencies()) {
        *count = sum(row, &column)?;
    }
    usage.sums.latencies = Some(counts);
    Ok(usage)
}

/// A stretch as a whole begins where it was asked to.
fn begin_of(row: &Row, query: &UsageQuery) -> Result<UnixMicros, StoreError> {
    if query.step == Step::Whole { Ok(query.from) } else { row.moment("start_at") }
}

fn sums_of(row: &Row, columns: &[&str]) -> Result<UsageSums, StoreError> {
    let value = |column: &str| if columns.contains(&column) { sum(row, column) } else { Ok(0) };
    Ok(UsageSums {
        requests: value("requests")?,
        successes: value("successes")?,
        streams: value("streams")?,
        attempts: value("attempts")?,
        prompt_tokens: value("prompt_tokens")?,
        completion_tokens: value("completion_tokens")?,
        cached_read_tokens: value("cached_read_tokens")?,
        cache_write_tokens: value("cache_write_tokens")?,
        reasoning_tokens: value("reasoning_tokens")?,
        estimated: value("estimated")?,
        cost_nanos: value("cost_nanos")?,
        unpriced: value("unpriced")?,
        latency_us: value("latency_us")?,
        ttft_us: value("ttft_us")?,
        ttft_count: value("ttft_count")?,
        latencies: None,
    })
}

/// A sum; of nothing it is NULL.
fn sum(row: &Row, column: &str) -> Result<u64, StoreError> {
    if row.maybe_int(column)?.is_none() { Ok(0) } else { row.count(column) }
}

fn provider_day(row: &Row) -> Result<ProviderDay, StoreError> {
    let columns = [
        "attempts",
        "successes",
        "prompt_tokens",
        "completion_tokens",
        "cached_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_nanos",
        "latency_us",
        "ttft_us",
        "ttft_count",
    ];
    Ok(ProviderDay {
        day: row.moment("day")?,
        provider_id: row.text("provider_id")?,
        provider: row.text("provider")?,
        upstream_model: row.text("upstream_model")?,
        last_used_at: row.moment("last_used_at")?,
        sums: sums_of(row, &columns)?,
    })
}

//! Tables `usage_hourly`, `usage_daily`, `usage_tags_hourly` and `provider_stats`: sums are added to what is there.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;

use super::{
    StoreError,
    db::{Db, Set, Tx, Value, stored},
    entity::placeholders,
};
use crate::ledger::rollup::{
    DAY_MICROS, LATENCY_BUCKETS, ProviderKey, ProviderSums, Rollups, TagKey, TagSums, TokenSums, UsageKey,
    UsageSums, day_of,
};

/// The most rows a statement; statements hold a power of two of rows, so that the few that there are stay prepared.
const ROWS_A_STATEMENT: usize = 32;

/// A table of sums.
pub(super) struct SumTable {
    /// Its name.
    pub(super) name: &'static str,
    /// Its primary key, which comes first.
    pub(super) keys: &'static [&'static str],
    /// What else it holds, and how it is brought together with what is there.
    pub(super) columns: &'static [Set<'static>],
}

use Set::{Add, Max, To};

/// What [`USAGE`] and [`DAYS`] sum, before the latencies by size.
pub(super) const USAGE_SUMS: [&str; 15] = [
    "requests",
    "successes",
    "streams",
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "cached_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "estimated",
    "cost_nanos",
    "unpriced",
    "latency_us",
    "ttft_us",
    "ttft_count",
];

const USAGE: SumTable = SumTable {
    name: "usage_hourly",
    keys: &["hour", "api_key_id", "model", "provider", "team"],
    columns: &[To("api_key_name")],
};

/// The same by day.
const DAYS: SumTable = SumTable {
    name: "usage_daily",
    keys: &["day", "api_key_id", "model", "provider", "team"],
    columns: &[To("api_key_name")],
};

const TAGS: SumTable = SumTable {
    name: "usage_tags_hourly",
    keys: &["hour", "tag", "tag_value"],
    columns: &[
        Add("requests"),
        Add("successes"),
        Add("prompt_tokens"),
        Add("completion_tokens"),
        Add("cost_nanos"),
        Add("unpriced"),
    ],
};

const PROVIDERS: SumTable = SumTable {
    name: "provider_stats",
    keys: &["day", "provider_id", "upstream_model"],
    columns: &[
        To("provider"),
        Add("attempts"),
        Add("successes"),
        Add("prompt_tokens"),
        Add("completion_tokens"),
        Add("cached_read_tokens"),
        Add("cache_write_tokens"),
        Add("reasoning_tokens"),
        Add("cost_nanos"),
        Add("latency_us"),
        Add("ttft_us"),
        Add("ttft_count"),
        Max("last_used_at"),
    ],
};

/// Adds sums to the tables, in the caller's transaction.
pub(super) async fn add(db: &Db, tx: &mut Tx, sums: &Rollups) -> Result<(), StoreError> {
    add_usage(db, tx, sums).await?;
    add_providers(db, tx, sums).await
}

/// The half that is summed up by hour, and what of it is summed up by day too.
async fn add_usage(db: &Db, tx: &mut Tx, sums: &Rollups) -> Result<(), StoreError> {
    let columns = usage_columns();
    let mut rows = Vec::new();
    let mut days: BTreeMap<UsageKey, UsageSums> = BTreeMap::new();
    for (key, sums) in &sums.usage {
        rows.push(usage_row(key, sums));
        // A day's row has the day where an hour's has the hour.
        let day = UsageKey { hour: day_of(UnixMicros(key.hour)), ..key.clone() };
        days.entry(day).or_default().merge(sums);
    }
    merge(db, tx, &USAGE, &columns, rows).await?;
    let rows = days.iter().map(|(key, sums)| usage_row(key, sums)).collect();
    merge(db, tx, &DAYS, &columns, rows).await?;
    add_tags(db, tx, sums).await
}

async fn add_tags(db: &Db, tx: &mut Tx, sums: &Rollups) -> Result<(), StoreError> {
    let tags = sums.tags.iter().map(|(key, sums)| tag_row(key, sums)).collect();
    merge(db, tx, &TAGS, &[], tags).await
}

/// The half that is summed up by day.
async fn add_providers(db: &Db, tx: &mut Tx, sums: &Rollups) -> Result<(), StoreError> {
    let providers = sums.providers.iter().map(|(key, sums)| provider_row(key, sums)).collect();
    merge(db, tx, &PROVIDERS, &[], providers).await
}

/// Puts an hour's sums in place of those that are there, and sums its day up.
pub(super) async fn replace_hour(db: &Db, tx: &mut Tx, hour: i64, sums: &Rollups) -> Result<(), StoreError> {
    for table in [&USAGE, &TAGS] {
        let delete = format!("DELETE FROM {} WHERE hour = ?", table.name);
        tx.execute(delete, vec![hour.into()]).await.map_err(stored)?;
    }
    add_usage(db, tx, sums).await?;
    sum_day(db, tx, day_of(UnixMicros(hour))).await
}

/// Makes a day's usage the sum of its hours'.
pub(super) async fn sum_day(db: &Db, tx: &mut Tx, day: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM usage_daily WHERE day = ?".to_owned(), vec![day.into()]).await.map_err(stored)?;
    let columns = usage_columns();
    let sums: Vec<String> = columns.iter().map(|column| db.bigint(&format!("SUM({column})"))).collect();
    let sql = format!(
        "INSERT INTO usage_daily (day, api_key_id, model, provider, team, api_key_name, {}) \
         SELECT MIN(hour) - MIN(hour) % {DAY_MICROS}, api_key_id, model, provider, team, MAX(api_key_name), {} \
         FROM usage_hourly WHERE hour >= ? AND hour < ? GROUP BY api_key_id, model, provider, team",
        columns.join(", "),
        sums.join(", ")
    );
    tx.execute(sql, vec![day.into(), (day + DAY_MICROS).into()]).await.map_err(stored).map(drop)
}

fn usage_columns() -> Vec<String> {
    let sums = USAGE_SUMS.iter().map(ToString::to_string);
    sums.chain((0..LATENCY_BUCKETS).map(|bucket| format!("latency_{bucket:02}"))).collect()
}

/// Puts a day's sums in place of those that are there.
pub(super) async fn replace_day(db: &Db, tx: &mut Tx, day: i64, sums: &Rollups) -> Result<(), StoreError> {
    let delete = format!("DELETE FROM {} WHERE day = ?", PROVIDERS.name);
    tx.execute(delete, vec![day.into()]).await.map_err(stored)?;
    add_providers(db, tx, sums).await
}

/// Adds rows to a table of sums. `more`: further columns to add to.
pub(super) async fn merge(
    db: &Db,
    tx: &mut Tx,
    table: &SumTable,
    more: &[String],
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sets: Vec<Set<'_>> = table.columns.to_vec();
    sets.extend(more.iter().map(|column| Add(column)));
    let columns = sets.iter().map(|set| match set {
        To(column) | Add(column) | Max(column) => *column,
    });
    let names: Vec<&str> = table.keys.iter().copied().chain(columns).collect();
    let head = format!("INSERT INTO {} ({}) VALUES ", table.name, names.join(", "));
    let tail = db.upsert(table.name, table.keys, &sets);
    let mut rows = rows.into_iter();
    while let Some(power) = rows.len().checked_ilog2() {
        let count = (1 << power).min(ROWS_A_STATEMENT);
        let places = vec![placeholders(names.len()); count].join(", ");
        let values = rows.by_ref().take(count).flatten().collect();
        tx.execute(format!("{head}{places}{tail}"), values).await.map_err(stored)?;
    }
    Ok(())
}

fn usage_row(key: &UsageKey, sums: &UsageSums) -> Vec<Value> {
    let mut row = vec![
        key.hour.into(),
        (&key.api_key_id).into(),
        (&key.model).into(),
        (&key.provider).into(),
        (&key.team).into(),
        (&sums.api_key_name).into(),
    ];
    row.extend([sums.requests, sums.successes, sums.streams, sums.attempts].map(Value::count));
    row.extend(token_values(&sums.tokens));
    row.extend([
        Value::count(sums.estimated),
        Value::count(sums.cost.nanos),
        Value::count(sums.cost.unpriced),
        Value::count(sums.latency_us),
        Value::count(sums.ttft.us),
        Value::count(sums.ttft.count),
    ]);
    row.extend(sums.latencies.0.map(Value::count));
    row
}

fn tag_row(key: &TagKey, sums: &TagSums) -> Vec<Value> {
    vec![
        key.hour.into(),
        (&key.tag).into(),
        (&key.value).into(),
        Value::count(sums.requests),
        Value::count(sums.successes),
        Value::count(sums.prompt),
        Value::count(sums.completion),
        Value::count(sums.cost.nanos),
        Value::count(sums.cost.unpriced),
    ]
}

fn provider_row(key: &ProviderKey, sums: &ProviderSums) -> Vec<Value> {
    let mut row = vec![
        key.day.into(),
        (&key.provider_id).into(),
        (&key.upstream_model).into(),
        (&sums.provider).into(),
        Value::count(sums.attempts),
        Value::count(sums.successes),
    ];
    row.extend(token_values(&sums.tokens));
    row.extend([
        Value::count(sums.cost_nanos),
        Value::count(sums.latency_us),
        Value::count(sums.ttft.us),
        Value::count(sums.ttft.count),
        sums.last_used_at.into(),
    ]);
    row
}

fn token_values(tokens: &TokenSums) -> [Value; 5] {
    [tokens.prompt, tokens.completion, tokens.cached_read, tokens.cache_write, tokens.reasoning]
        .map(Value::count)
}

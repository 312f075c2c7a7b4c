//! For the benchmark alone: a database full of plausible request logs, and how it plans the queries that lists and statistics ask.

use orchestrator_base::{clock::UnixMicros, random::Random};

use super::{
    Database, StoreError,
    db::{Value, unavailable},
    entity::placeholders,
    log_query::Plan,
    log_reads::{examine, last_attempts_query, page_query},
    reads::{LogScan, UsageQuery},
    rollups,
    stats::provider_days_query,
};
use crate::{
    ledger::rollup::{DAY_MICROS, day_of},
    policy::percentile::{BUCKETS, longest_us},
};

/// Days that samples lie in.
const DAYS: i64 = 30;
/// How many there are of each.
const KEYS: u64 = 20;
const TEAMS: u64 = 4;
const MODELS: u64 = 15;
const PROVIDERS: u64 = 6;
/// Requests of one session.
const SESSION: u64 = 12;
/// Rows a statement, and statements a transaction.
const ROWS: u64 = 100;
const STATEMENTS: u64 = 100;

const COLUMNS: [&str; 34] = [
    "id",
    "request_id",
    "session_id",
    "api_key_id",
    "api_key_name",
    "team",
    "started_at",
    "dialect",
    "operation",
    "stream",
    "model",
    "answered_model",
    "provider_id",
    "provider",
    "provider_key",
    "upstream_model",
    "attempts",
    "status",
    "outcome",
    "error_kind",
    "error",
    "finish_reason",
    "latency_us",
    "overhead_us",
    "prompt_tokens",
    "completion_tokens",
    "cached_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_source",
    "client_address",
    "user_agent",
    "end_user",
    "tags",
];

const ATTEMPT: [&str; 11] = [
    "log_id",
    "number",
    "started_at",
    "provider_id",
    "provider",
    "provider_key",
    "upstream_model",
    "status",
    "outcome",
    "error",
    "latency_us",
];

impl Database {
    /// Adds so many requests that arrived within the thirty days before `now`, each with its attempt.
    pub async fn fill_with_samples(
        &self,
        count: u64,
        now: UnixMicros,
        random: &Random,
    ) -> Result<(), StoreError> {
        let begin = now.0 - DAYS * DAY_MICROS;
        let gap = (DAYS * DAY_MICROS).unsigned_abs() / count.max(1);
        let mut number = 0;
        while number < count {
            let mut tx = self.db.write().await?;
            for _ in 0..STATEMENTS {
                let until = (number + ROWS).min(count);
                let (mut logs, mut attempts) = (Vec::new(), Vec::new());
                for number in number..until {
                    let at = UnixMicros(begin + i64::try_from(number * gap).unwrap_or(i64::MAX));
                    sample(number, at, random, &mut logs, &mut attempts);
                }
                if until > number {
                    let rows = usize::try_from(until - number).unwrap_or(0);
                    for (table, columns, values) in
                        [("request_logs", &COLUMNS[..], logs), ("request_attempts", &ATTEMPT[..], attempts)]
                    {
                        let places = vec![placeholders(columns.len()); rows].join(", ");
                        let sql = format!("INSERT INTO {table} ({}) VALUES {places}", columns.join(", "));
                        tx.execute(sql, values).await.map_err(unavailable)?;
                    }
                }
                number = until;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Sums the samples up until `now`, in place of whatever sums there are. Each key's name is a tag.
    pub async fn sum_samples(&self, now: UnixMicros) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        for table in ["usage_hourly", "usage_daily", "usage_tags_hourly", "provider_stats"] {
            tx.execute(format!("DELETE FROM {table}"), Vec::new()).await.map_err(unavailable)?;
        }
        for sql in [hourly(), TO_TAGS.to_owned(), TO_PROVIDERS.to_owned()] {
            tx.execute(sql, Vec::new()).await.map_err(unavailable)?;
        }
        for day in 0..=DAYS {
            rollups::sum_day(&self.db, &mut tx, day_of(now) - day * DAY_MICROS).await?;
        }
        tx.commit().await
    }

    /// Has the database learn what its tables hold.
    pub async fn analyze(&self) -> Result<(), StoreError> {
        for table in [
            "request_logs",
            "request_attempts",
            "usage_hourly",
            "usage_daily",
            "usage_tags_hourly",
            "provider_stats",
        ] {
            let mut tx = self.db.write().await?;
            tx.execute(self.db.analyze(table), Vec::new()).await.map_err(unavailable)?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// How a stretch of the logs is read. `statuses` are those of the filter's class.
    pub async fn plan_of_logs(&self, scan: &LogScan, statuses: &[u16]) -> Result<Vec<String>, StoreError> {
        let plan = Plan::new(&self.db, &scan.filter, scan.before.as_deref(), statuses);
        let page = page_query(&plan, scan.limit + 1, examine(&plan, scan));
        let Some((sql, values)) = page else { return Ok(Vec::new()) };
        self.plan(&sql, values).await
    }

    /// How usage is summed.
    pub async fn plan_of_usage(&self, query: &UsageQuery) -> Result<Vec<String>, StoreError> {
        let mut plans = Vec::new();
        for (sql, values) in self.usage_queries(query) {
            plans.extend(self.plan(&sql, values).await?);
        }
        Ok(plans)
    }

    /// How usage is summed by a tag's values.
    pub async fn plan_of_tag(&self, query: &UsageQuery, tag: &str) -> Result<Vec<String>, StoreError> {
        let (sql, values) = self.tag_query(query, tag);
        self.plan(&sql, values).await
    }

    /// How the days of all providers are read.
    pub async fn plan_of_provider_days(
        &self,
        stretch: (UnixMicros, UnixMicros),
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let (sql, values) = provider_days_query(stretch, None, limit);
        self.plan(&sql, values).await
    }

    /// How the last attempts at a provider's model are read.
    pub async fn plan_of_attempts(&self, provider_id: &str, model: &str) -> Result<Vec<String>, StoreError> {
        self.plan(&last_attempts_query(), vec![provider_id.into(), model.into(), 100_u32.into()]).await
    }

    async fn plan(&self, sql: &str, values: Vec<Value>) -> Result<Vec<String>, StoreError> {
        let (sql, columns) = self.db.explain(sql);
        let mut tx = self.db.read().await?;
        let mut lines = Vec::new();
        for row in tx.rows(sql, values).await? {
            let mut words = Vec::new();
            for column in columns {
                let Some(text) = row.maybe_text(column)?.filter(|text| !text.is_empty()) else { continue };
                words.push(if columns.len() == 1 { text } else { format!("{column}: {text}") });
            }
            lines.push(words.join(", "));
        }
        Ok(lines)
    }
}

/// One request and its attempt: four of a hundred fail, some keys are used far more than others.
fn sample(number: u64, at: UnixMicros, random: &Random, logs: &mut Vec<Value>, attempts: &mut Vec<Value>) {
    let skewed = |most: u64| (random.unit() * random.unit() * most as f64) as u64;
    // A caller uses few models, and a model has one provider that answers nearly always and another that stands in.
    let key = skewed(KEYS);
    let model = (key + random.bits() % 3) % MODELS;
    let provider = (model + u64::from(random.bits().is_multiple_of(20))) % PROVIDERS;
    let (status, outcome, kind) = match random.bits() % 1000 {
        0..20 => (503, "provider_failed", "provider_failed"),
        20..30 => (504, "timeout", "timeout"),
        30..38 => (429, "rate_limited", "rate_limited"),
        38..40 => (200, "truncated", "provider_failed"),
        _ => (200, "ok", ""),
    };
    let latency = (random.unit() * random.unit() * 20_000_000.0) as i64;
    let id = random.uuid(at).to_string();
    let text = |text: &str| Value::from(text);
    let (provider_id, provider) = (format!("provider-id-{provider}"), format!("provider-{provider}"));
    let upstream = format!("upstream-{model}");
    logs.extend([
        text(&id),
        text(&format!("request-{number}")),
        text(&format!("session-{}", number / SESSION)),
        text(&format!("key-id-{key}")),
        text(&format!("key-{key}")),
        text(&format!("team-{}", key % TEAMS)),
        at.into(),
        text("openai_chat"),
        text("chat"),
        number.is_multiple_of(3).into(),
        text(&format!("model-{model}")),
        text(&upstream),
        text(&provider_id),
        text(&provider),
        text("main"),
        text(&upstream),
        1_i64.into(),
        i64::from(status).into(),
        text(outcome),
        text(kind),
        text(""),
        text("stop"),
        latency.into(),
        90_i64.into(),
        i64::try_from(random.bits() % 4000).unwrap_or(0).into(),
        i64::try_from(random.bits() % 900).unwrap_or(0).into(),
        0_i64.into(),
        0_i64.into(),
        0_i64.into(),
        text("provider"),
        text("192.0.2.7"),
        text("sample/1.0"),
        text(""),
        text("{}"),
    ]);
    attempts.extend([
        text(&id),
        1_i64.into(),
        at.into(),
        text(&provider_id),
        text(&provider),
        text("main"),
        text(&upstream),
        i64::from(status).into(),
        text(outcome),
        text(""),
        latency.into(),
    ]);
}

/// From hours to tags.
const TO_TAGS: &str = "INSERT INTO usage_tags_hourly (hour, tag, tag_value, requests, successes, prompt_tokens, \
    completion_tokens, cost_nanos, unpriced) SELECT hour, 'app', api_key_name, SUM(requests), SUM(successes), \
    SUM(prompt_tokens), SUM(completion_tokens), 0, SUM(unpriced) FROM usage_hourly GROUP BY hour, api_key_name";

/// From hours to days of providers. A model has the same name at each.
const TO_PROVIDERS: &str = "INSERT INTO provider_stats (day, provider_id, upstream_model, provider, attempts, successes, \
    prompt_tokens, completion_tokens, cached_read_tokens, cache_write_tokens, reasoning_tokens, cost_nanos, latency_us, \
    ttft_us, ttft_count, last_used_at) SELECT hour - hour % 86400000000, provider, model, provider, SUM(attempts), \
    SUM(successes), SUM(prompt_tokens), SUM(completion_tokens), 0, 0, 0, 0, SUM(latency_us), 0, 0, MAX(hour) \
    FROM usage_hourly GROUP BY hour - hour % 86400000000, provider, model";

/// From the logs to hours.
fn hourly() -> String {
    let sums = "COUNT(*), SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), SUM(stream), SUM(attempts), SUM(prompt_tokens), \
                SUM(completion_tokens), 0, 0, 0, 0, 0, COUNT(*), SUM(latency_us), 0, 0";
    let hour = "started_at - started_at % 3600000000";
    let bound = |bucket: usize| longest_us(bucket).map_or(i64::MAX, |longest| longest as i64);
    let buckets: Vec<String> = (0..BUCKETS)
        .map(|bucket| {
            let shortest = bucket.checked_sub(1).map_or(-1, bound);
            let longest = bound(bucket);
            format!("SUM(CASE WHEN latency_us > {shortest} AND latency_us <= {longest} THEN 1 ELSE 0 END)")
        })
        .collect();
    let columns: Vec<String> = (0..BUCKETS).map(|bucket| format!("latency_{bucket:02}")).collect();
    format!(
        "INSERT INTO usage_hourly (hour, api_key_id, model, provider, team, api_key_name, requests, successes, streams, \
         attempts, prompt_tokens, completion_tokens, cached_read_tokens, cache_write_tokens, reasoning_tokens, estimated, \
         cost_nanos, unpriced, latency_us, ttft_us, ttft_count, {}) \
         SELECT {hour}, api_key_id, model, provider, team, MAX(api_key_name), {sums}, {} FROM request_logs \
         GROUP BY {hour}, api_key_id, model, provider, team",
        columns.join(", "),
        buckets.join(", ")
    )
}

//! `stats rebuild`: the sums of whole hours and days, made anew from the logs that are there, while cores run.
//!
//! Sums outlive the logs, so only hours and days that the logs cover wholly are touched: those behind the one that the oldest log
//! lies in. An hour (for `provider_stats` a day) is read page by page, without a lock; then, with every journal's offset locked, so
//! that no writer stores meanwhile, the logs of it are counted again, and only if they are those that were read, its sums
//! are replaced. Where writers are faster than that, it is read under the lock.

use orchestrator_base::clock::UnixMicros;

use super::{
    Database, StoreError,
    db::{Row, Tx, damaged},
    rollups,
};
use crate::{
    call::UsageSource,
    ledger::{
        RequestRecord,
        record::{AttemptRecord, Origin, UsageRecord},
        rollup::{DAY_MICROS, HOUR_MICROS, Rollups, day_of, hour_of},
    },
};

/// Logs that are read at once.
const PAGE: u32 = 1000;
/// How often what was read may be outdated before it is read under the lock.
const TRIES: u32 = 3;

/// What was made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Hours of `usage_hourly` and `usage_tags_hourly`; the days that they lie in are summed up from them again.
    pub hours: u64,
    /// Days of `provider_stats`.
    pub days: u64,
}

/// What is summed up at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Hour(i64),
    Day(i64),
}

/// Which logs a span holds: how many, the first and the last.
type Extent = (i64, Option<String>, Option<String>);

impl Span {
    /// The bounds of its logs' ids, the first within and the second without: ids begin with their time.
    fn ids(self) -> [String; 2] {
        let (start, length) = match self {
            Self::Hour(start) => (start, HOUR_MICROS),
            Self::Day(start) => (start, DAY_MICROS),
        };
        [start, start + length].map(|moment| {
            let millis = moment / 1000;
            format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
        })
    }
}

impl Database {
    /// Makes the sums of every hour and day anew that the logs cover wholly, `upto` the one that this moment lies in.
    pub async fn rebuild_stats(&self, upto: UnixMicros) -> Result<Rebuilt, StoreError> {
        let mut tx = self.db.read().await?;
        let oldest =
            tx.rows("SELECT started_at FROM request_logs ORDER BY id LIMIT 1".into(), vec![]).await?;
        drop(tx);
        let Some(oldest) = oldest.first() else { return Ok(Rebuilt::default()) };
        let oldest = oldest.moment("started_at")?;
        let mut rebuilt = Rebuilt::default();
        let mut hour = hour_of(oldest) + HOUR_MICROS;
        while hour <= upto.0 {
            self.rebuild(Span::Hour(hour)).await?;
            rebuilt.hours += 1;
            hour += HOUR_MICROS;
        }
        let mut day = day_of(oldest) + DAY_MICROS;
        while day <= upto.0 {
            self.rebuild(Span::Day(day)).await?;
            rebuilt.days += 1;
            day += DAY_MICROS;
        }
        Ok(rebuilt)
    }

    async fn rebuild(&self, span: Span) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let mut tx = self.db.read().await?;
            let (read, sums) = (extent(&mut tx, span).await?, sums(&mut tx, span).await?);
            drop(tx);
            let mut tx = self.db.write().await?;
            self.stop_writers(&mut tx).await?;
            if extent(&mut tx, span).await? == read {
                return self.replace(tx, span, &sums).await;
            }
        }
        let mut tx = self.db.write().await?;
        self.stop_writers(&mut tx).await?;
        let sums = sums(&mut tx, span).await?;
        self.replace(tx, span, &sums).await
    }

    /// Each writer reads its journal's row before it stores, to change it.
    async fn stop_writers(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let sql = format!("SELECT journal FROM ledger_offsets ORDER BY journal{}", self.db.for_update());
        tx.rows(sql, Vec::new()).await.map(drop)
    }

    async fn replace(&self, mut tx: Tx, span: Span, sums: &Rollups) -> Result<(), StoreError> {
        match span {
            Span::Hour(hour) => rollups::replace_hour(&self.db, &mut tx, hour, sums).await?,
            Span::Day(day) => rollups::replace_day(&self.db, &mut tx, day, sums).await?,
        }
        tx.commit().await
    }
}

async fn extent(tx: &mut Tx, span: Span) -> Result<Extent, StoreError> {
    let sql = "SELECT COUNT(*) AS logs, MIN(id) AS first_id, MAX(id) AS last_id FROM request_logs WHERE id >= ? AND id < ?";
    let rows = tx.rows(sql.to_owned(), span.ids().map(|id| (&id).into()).to_vec()).await?;
    let row = rows.first().ok_or_else(|| damaged("logs", "a count has no row"))?;
    Ok((row.int("logs")?, row.maybe_text("first_id")?, row.maybe_text("last_id")?))
}

/// What the logs of a span add up to.
async fn sums(tx: &mut Tx, span: Span) -> Result<Rollups, StoreError> {
    let mut sums = Rollups::default();
    let [mut from, to] = span.ids();
    loop {
        let sql = format!("SELECT {COLUMNS} FROM request_logs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?");
        let rows = tx.rows(sql, vec![(&from).into(), (&to).into(), PAGE.into()]).await?;
        let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        if matches!(span, Span::Day(_)) {
            add_attempts(tx, &mut records).await?;
        }
        for record in &records {
            match span {
                Span::Hour(_) => sums.add_request(record),
                Span::Day(_) => sums.add_attempts(record),
            }
        }
        let Some(last) = records.pop().filter(|_| rows.len() == PAGE as usize) else { return Ok(sums) };
        // Nothing sorts between an id and the same one with a letter more.
        from = format!("{}!", last.id);
    }
}

/// Reads the attempts of records that are sorted by id.
async fn add_attempts(tx: &mut Tx, records: &mut [RequestRecord]) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
    let sql = "SELECT log_id, started_at, provider_id, provider, upstream_model, outcome, latency_us, ttft_us \
               FROM request_attempts WHERE log_id >= ? AND log_id <= ? ORDER BY log_id, number";
    let rows = tx.rows(sql.to_owned(), vec![(&first.id).into(), (&last.id).into()]).await?;
    for row in rows {
        let id = row.text("log_id")?;
        if let Ok(at) = records.binary_search_by(|record| record.id.cmp(&id)) {
            records[at].tried.push(AttemptRecord {
                started_at: row.moment("started_at")?,
                provider_id: row.text("provider_id")?,
                provider: row.text("provider")?,
                upstream_model: row.text("upstream_model")?,
                outcome: row.text("outcome")?,
                latency_us: row.count("latency_us")?,
                ttft_us: maybe_count(&row, "ttft_us")?,
                ..AttemptRecord::default()
            });
        }
    }
    Ok(())
}

/// What sums are made of.
const COLUMNS: &str = "id, started_at, api_key_id, api_key_name, team, model, provider, origin, outcome, stream, attempts, \
                       prompt_tokens, completion_tokens, cached_read_tokens, cache_write_tokens, reasoning_tokens, \
                       usage_source, cost_nanos, latency_us, ttft_us, tags";

fn record(row: &Row) -> Result<RequestRecord, StoreError> {
    let reported = row.text("usage_source")? == "provider";
    Ok(RequestRecord {
        id: row.text("id")?,
        started_at: row.moment("started_at")?,
        api_key_id: row.text("api_key_id")?,
        api_key_name: row.text("api_key_name")?,
        team: row.text("team")?,
        model: row.text("model")?,
        provider: row.text("provider")?,
        origin: if row.text("origin")? == Origin::Probe.name() { Origin::Probe } else { Origin::Caller },
        outcome: row.text("outcome")?,
        stream: row.bit("stream")?,
        attempts: row.small("attempts")?,
        usage: UsageRecord {
            prompt: row.count("prompt_tokens")?,
            completion: row.count("completion_tokens")?,
            cached_read: row.count("cached_read_tokens")?,
            cache_write: row.count("cache_write_tokens")?,
            reasoning: row.count("reasoning_tokens")?,
            source: if reported { UsageSource::Provider } else { UsageSource::Estimated },
        },
        cost_nanos: maybe_count(row, "cost_nanos")?,
        latency_us: row.count("latency_us")?,
        ttft_us: maybe_count(row, "ttft_us")?,
        tags: row.json("tags")?,
        ..RequestRecord::default()
    })
}

fn maybe_count(row: &Row, column: &str) -> Result<Option<u64>, StoreError> {
    let value = row.maybe_int(column)?;
    value.map(|value| u64::try_from(value).map_err(|error| damaged(column, &error.to_string()))).transpose()
}

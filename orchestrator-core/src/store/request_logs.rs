//! Tables `request_logs`, `request_attempts`, `request_bodies` and `ledger_offsets`: what the ledger's writer stores, with the sums of
//! `rollups`, in one transaction.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{
    Database, JournalOffset, LogStore, StoreError, budget_spend,
    db::{Db, Tries, Tx, Value, stored},
    entity::placeholders,
    key_usage, rollups,
};
use crate::{
    call::UsageSource,
    ledger::{
        RequestRecord,
        record::{BodiesRecord, BodyRecord},
        rollup::Rollups,
    },
};

const LOGS: LogTable = LogTable { name: "request_logs", columns: &COLUMNS, rows_a_statement: 64 };

const ATTEMPTS: LogTable = LogTable {
    name: "request_attempts",
    columns: &[
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
        "ttft_us",
    ],
    rows_a_statement: 64,
};

/// Bodies may be large: a statement of them must not be larger than a database takes at once.
const BODIES: LogTable = LogTable {
    name: "request_bodies",
    columns: &[
        "log_id",
        "request",
        "request_encoding",
        "request_bytes",
        "response",
        "response_encoding",
        "response_bytes",
    ],
    rows_a_statement: 16,
};

const COLUMNS: [&str; 40] = [
    "id",
    "request_id",
    "session_id",
    "api_key_id",
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
    "error",
    "finish_reason",
    "latency_us",
    "ttft_us",
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
    "trace_id",
    "api_key_name",
    "team",
    "origin",
    "error_kind",
    "cost_nanos",
    "price_version",
    "charged_nanos",
];

#[async_trait]
impl LogStore for Database {
    async fn offset(&self, journal: &str) -> Result<JournalOffset, StoreError> {
        let mut tx = self.db.read().await?;
        Ok(stored_offset(&mut tx, journal, "").await?.unwrap_or_default())
    }

    async fn append(
        &self,
        journal: &str,
        records: &[RequestRecord],
        upto: JournalOffset,
    ) -> Result<(), StoreError> {
        let mut tries = Tries::default();
        let mut look = Look::No;
        loop {
            let mut tx = self.db.write().await?;
            let outcome = store(&self.db, &mut tx, journal, records, upto, look).await;
            // Some are there already: they came by another journal, or the database is an older one. Those are left as they are.
            if look == Look::No && matches!(outcome, Err(StoreError::Exists { .. })) {
                look = Look::First;
                continue;
            }
            let outcome = outcome.map_err(|error| match error {
                // Its row is new and its attempts are not.
                StoreError::Exists { name, .. } => StoreError::Refused(name),
                error => error,
            });
            if let Some(()) = tx.settle(outcome, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

/// Whether to look which records are there already. It costs a query a statement, and nearly always none is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    No,
    First,
}

async fn store(
    db: &Db,
    tx: &mut Tx,
    journal: &str,
    records: &[RequestRecord],
    upto: JournalOffset,
    look: Look,
) -> Result<(), StoreError> {
    let known = stored_offset(tx, journal, db.for_update()).await?;
    if known.is_some_and(|known| upto <= known) {
        return Ok(());
    }
    let mut new: Vec<&RequestRecord> = records.iter().collect();
    if look == Look::First {
        let mut seen = ids_there(tx, records).await?;
        new.retain(|record| seen.insert(record.id.clone()));
    }
    let rows = new.iter().map(|record| row(record)).collect::<Result<_, _>>()?;
    insert(tx, &LOGS, rows).await?;
    insert(tx, &ATTEMPTS, new.iter().flat_map(|record| attempt_rows(record)).collect()).await?;
    let bodies = new.iter().filter_map(|record| Some(body_row(&record.id, record.bodies.as_ref()?)));
    insert(tx, &BODIES, bodies.collect()).await?;
    rollups::add(db, tx, &Rollups::of(new.iter().copied())).await?;
    budget_spend::add(db, tx, new.iter().copied()).await?;
    key_usage::note(tx, new.iter().copied()).await?;
    store_offset(tx, journal, upto, known.is_some()).await
}

/// A table that rows are only added to.
struct LogTable {
    name: &'static str,
    columns: &'static [&'static str],
    /// The most rows a statement. Statements hold a power of two of rows, so that the few that there are stay prepared: parsing one
    /// costs more than running it.
    rows_a_statement: usize,
}

async fn insert(tx: &mut Tx, table: &LogTable, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
    let mut rows = rows.into_iter();
    while let Some(power) = rows.len().checked_ilog2() {
        let count = (1 << power).min(table.rows_a_statement);
        let places = vec![placeholders(table.columns.len()); count].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES {places}", table.name, table.columns.join(", "));
        let values = rows.by_ref().take(count).flatten().collect();
        tx.execute(sql, values).await.map_err(stored)?;
    }
    Ok(())
}

/// Which of the records are there already.
async fn ids_there(tx: &mut Tx, records: &[RequestRecord]) -> Result<HashSet<String>, StoreError> {
    let mut there = HashSet::new();
    let mut rest = records;
    while let Some(power) = rest.len().checked_ilog2() {
        let (chunk, later) = rest.split_at((1 << power).min(LOGS.rows_a_statement));
        rest = later;
        let sql = format!("SELECT id FROM request_logs WHERE id IN {}", placeholders(chunk.len()));
        let rows = tx.rows(sql, chunk.iter().map(|record| (&record.id).into()).collect()).await?;
        for row in rows {
            there.insert(row.text("id")?);
        }
    }
    Ok(there)
}

/// `locking` ends the statement.
async fn stored_offset(
    tx: &mut Tx,
    journal: &str,
    locking: &str,
) -> Result<Option<JournalOffset>, StoreError> {
    let sql = format!("SELECT segment, segment_position FROM ledger_offsets WHERE journal = ?{locking}");
    let rows = tx.rows(sql, vec![journal.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(JournalOffset { segment: row.count("segment")?, position: row.count("segment_position")? }))
}

async fn store_offset(
    tx: &mut Tx,
    journal: &str,
    upto: JournalOffset,
    known: bool,
) -> Result<(), StoreError> {
    let sql = if known {
        "UPDATE ledger_offsets SET segment = ?, segment_position = ? WHERE journal = ?"
    } else {
        "INSERT INTO ledger_offsets (segment, segment_position, journal) VALUES (?, ?, ?)"
    };
    let values = vec![Value::count(upto.segment), Value::count(upto.position), journal.into()];
    tx.execute(sql.to_owned(), values).await.map_err(stored)?;
    Ok(())
}

/// A value for each of [`COLUMNS`].
fn row(record: &RequestRecord) -> Result<Vec<Value>, StoreError> {
    let usage = &record.usage;
    Ok(vec![
        (&record.id).into(),
        (&record.request_id).into(),
        (&record.session_id).into(),
        (&record.api_key_id).into(),
        record.started_at.into(),
        (&record.dialect).into(),
        (&record.operation).into(),
        record.stream.into(),
        (&record.model).into(),
        (&record.answered_model).into(),
        (&record.provider_id).into(),
        (&record.provider).into(),
        (&record.provider_key).into(),
        (&record.upstream_model).into(),
        record.attempts.into(),
        u32::from(record.status).into(),
        (&record.outcome).into(),
        (&record.error).into(),
        (&record.finish_reason).into(),
        Value::count(record.latency_us),
        record.ttft_us.map_or(Value::Int(None), Value::count),
        Value::count(record.overhead_us),
        Value::count(usage.prompt),
        Value::count(usage.completion),
        Value::count(usage.cached_read),
        Value::count(usage.cache_write),
        Value::count(usage.reasoning),
        source_name(usage.source).into(),
        (&record.client_address).into(),
        (&record.user_agent).into(),
        (&record.end_user).into(),
        Value::json(&record.tags)?,
        (&record.trace_id).into(),
        (&record.api_key_name).into(),
        (&record.team).into(),
        record.origin.name().into(),
        (&record.error_kind).into(),
        record.cost_nanos.map_or(Value::Int(None), Value::count),
        (&record.price_version).into(),
        record.charged_nanos.map_or(Value::Int(None), Value::count),
    ])
}

fn attempt_rows(record: &RequestRecord) -> impl Iterator<Item = Vec<Value>> {
    (1u32..).zip(&record.tried).map(|(number, attempt)| {
        vec![
            (&record.id).into(),
            number.into(),
            attempt.started_at.into(),
            (&attempt.provider_id).into(),
            (&attempt.provider).into(),
            (&attempt.provider_key).into(),
            (&attempt.upstream_model).into(),
            u32::from(attempt.status).into(),
            (&attempt.outcome).into(),
            (&attempt.error).into(),
            Value::count(attempt.latency_us),
            attempt.ttft_us.map_or(Value::Int(None), Value::count),
        ]
    })
}

fn body_row(id: &String, bodies: &BodiesRecord) -> Vec<Value> {
    let body = |body: &BodyRecord| {
        let encoding = if body.base64 { "base64" } else { "utf8" };
        [(&body.text).into(), encoding.into(), Value::count(body.bytes)]
    };
    let mut row = vec![id.into()];
    row.extend(body(&bodies.request));
    row.extend(body(&bodies.response));
    row
}

fn source_name(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
    }
}

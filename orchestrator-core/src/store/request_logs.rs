//! Tables `request_logs` and `ledger_offsets`.

use async_trait::async_trait;

use super::{
    Database, JournalOffset, LogStore, StoreError,
    db::{Db, Tries, Tx, Value, unavailable},
    entity::placeholders,
};
use crate::{call::UsageSource, ledger::RequestRecord};

/// The most rows a statement. Statements hold a power of two of rows, so that the few that there are stay prepared: parsing one
/// costs more than running it.
const ROWS_A_STATEMENT: usize = 64;

const COLUMNS: [&str; 32] = [
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
        loop {
            let mut tx = self.db.write().await?;
            let outcome = store(&self.db, &mut tx, journal, records, upto).await;
            if let Some(()) = tx.settle(outcome, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

async fn store(
    db: &Db,
    tx: &mut Tx,
    journal: &str,
    records: &[RequestRecord],
    upto: JournalOffset,
) -> Result<(), StoreError> {
    let stored = stored_offset(tx, journal, db.for_update()).await?;
    if stored.is_some_and(|stored| upto <= stored) {
        return Ok(());
    }
    let mut rest = records;
    while let Some(power) = rest.len().checked_ilog2() {
        let (chunk, later) = rest.split_at((1 << power).min(ROWS_A_STATEMENT));
        rest = later;
        let rows = vec![placeholders(COLUMNS.len()); chunk.len()].join(", ");
        let columns = COLUMNS.join(", ");
        let ending = db.unless_exists("id");
        let sql = format!("INSERT INTO request_logs ({columns}) VALUES {rows}{ending}");
        let mut values = Vec::with_capacity(chunk.len() * COLUMNS.len());
        for record in chunk {
            values.extend(row(record)?);
        }
        tx.execute(sql, values).await.map_err(unavailable)?;
    }
    store_offset(tx, journal, upto, stored.is_some()).await
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
    tx.execute(sql.to_owned(), values).await.map_err(unavailable)?;
    Ok(())
}

/// A value for each of [`COLUMNS`].
fn row(record: &RequestRecord) -> Result<[Value; COLUMNS.len()], StoreError> {
    let usage = &record.usage;
    Ok([
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
    ])
}

fn source_name(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
    }
}

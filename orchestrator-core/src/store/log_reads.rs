//! Tables `request_logs`, `request_attempts` and `request_bodies`, as they are read.

use async_trait::async_trait;

use super::{
    Database, StoreError,
    db::{Row, Tx, Value, damaged},
    log_query::Plan,
    reads::{LogPage, LogReader, LogScan},
};
use crate::{
    call::UsageSource,
    ledger::{
        RequestRecord,
        record::{AttemptRecord, BodiesRecord, BodyRecord, Held, Origin, UsageRecord},
    },
};

/// Statuses of one class that are walked side by side. There are not so many in use.
const MOST_STATUSES: usize = 40;

const COLUMNS: &str = "id, request_id, trace_id, session_id, api_key_id, api_key_name, team, started_at, dialect, operation, \
    stream, model, answered_model, provider_id, provider, provider_key, upstream_model, attempts, status, outcome, error_kind, \
    error, finish_reason, latency_us, ttft_us, overhead_us, prompt_tokens, completion_tokens, cached_read_tokens, \
    cache_write_tokens, reasoning_tokens, usage_source, cost_nanos, price_version, charged_nanos, client_address, user_agent, end_user, tags, \
    origin";

const ATTEMPT: &str = "log_id, started_at, provider_id, provider, provider_key, upstream_model, status, outcome, error, \
    latency_us, ttft_us";

#[async_trait]
impl LogReader for Database {
    async fn request_logs(&self, scan: &LogScan) -> Result<LogPage, StoreError> {
        let mut tx = self.db.read().await?;
        let statuses = match scan.filter.status {
            Some(range) => statuses_in_use(&mut tx, range).await?,
            None => Vec::new(),
        };
        let plan = Plan::new(&self.db, &scan.filter, scan.before.as_deref(), &statuses);
        let limit = scan.limit.max(1);
        let examine = examine(&plan, scan);
        let Some(page) = page_query(&plan, limit + 1, examine) else { return Ok(LogPage::default()) };
        let rows = tx.rows(page.0, page.1).await?;
        let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        if records.len() > limit as usize {
            records.truncate(limit as usize);
            let next = records.last().map(|last| last.id.clone());
            return Ok(LogPage { records, next });
        }
        let next = if plan.rest.is_empty() { None } else { end_of_examined(&mut tx, &plan, examine).await? };
        Ok(LogPage { records, next })
    }

    async fn request_log(&self, id: &str, with_bodies: bool) -> Result<Option<RequestRecord>, StoreError> {
        let mut tx = self.db.read().await?;
        let Some(mut found) = whole_record(&mut tx, id).await? else { return Ok(None) };
        let sql = format!("SELECT {ATTEMPT} FROM request_attempts WHERE log_id = ? ORDER BY number");
        let rows = tx.rows(sql, vec![(&found.id).into()]).await?;
        found.tried = rows.iter().map(attempt).collect::<Result<_, _>>()?;
        if with_bodies {
            let sql = "SELECT request, request_encoding, request_bytes, response, response_encoding, response_bytes \
                       FROM request_bodies WHERE log_id = ?";
            let rows = tx.rows(sql.to_owned(), vec![(&found.id).into()]).await?;
            found.bodies = rows.first().map(bodies).transpose()?;
        }
        Ok(Some(found))
    }

    async fn upstream_models(&self, provider_id: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut tx = self.db.read().await?;
        // One look into the index for each name, however often it was asked.
        let sql = "SELECT upstream_model FROM request_attempts WHERE provider_id = ? AND upstream_model > ? \
                   ORDER BY upstream_model LIMIT 1";
        let mut names: Vec<String> = Vec::new();
        while names.len() < limit as usize {
            let last = names.last().map(String::as_str).unwrap_or_default();
            let rows = tx.rows(sql.to_owned(), vec![provider_id.into(), last.into()]).await?;
            let Some(row) = rows.first() else { break };
            names.push(row.text("upstream_model")?);
        }
        Ok(names)
    }

    async fn last_attempts(
        &self,
        provider_id: &str,
        upstream_model: &str,
        limit: u32,
    ) -> Result<Vec<(String, AttemptRecord)>, StoreError> {
        let mut tx = self.db.read().await?;
        let rows = tx
            .rows(last_attempts_query(), vec![provider_id.into(), upstream_model.into(), limit.into()])
            .await?;
        rows.iter().map(|row| Ok((row.text("log_id")?, attempt(row)?))).collect()
    }
}

pub(super) fn last_attempts_query() -> String {
    format!(
        "SELECT {ATTEMPT} FROM request_attempts WHERE provider_id = ? AND upstream_model = ? \
         ORDER BY log_id DESC LIMIT ?"
    )
}

/// The statuses from the first to the second that there are, each found by one look into the index.
async fn statuses_in_use(tx: &mut Tx, (least, greatest): (u16, u16)) -> Result<Vec<u16>, StoreError> {
    if least == greatest {
        return Ok(vec![least]);
    }
    let sql = "SELECT status FROM request_logs WHERE status >= ? AND status <= ? ORDER BY status LIMIT 1";
    let (mut found, mut from) = (Vec::new(), u32::from(least));
    while found.len() < MOST_STATUSES {
        let rows = tx.rows(sql.to_owned(), vec![from.into(), u32::from(greatest).into()]).await?;
        let Some(row) = rows.first() else { break };
        let status = row.small("status")?;
        found.push(u16::try_from(status).map_err(|error| damaged("status", &error.to_string()))?);
        from = status + 1;
    }
    Ok(found)
}

/// How many rows may be looked at. Without a condition to pick by, what is looked at is what is found.
pub(super) fn examine(plan: &Plan, scan: &LogScan) -> u32 {
    let found = scan.limit.max(1) + 1;
    if plan.rest.is_empty() { found } else { scan.examine.max(found) }
}

/// The rows of a page: at most `limit` of the `examine` that may be looked at.
pub(super) fn page_query(plan: &Plan, limit: u32, examine: u32) -> Option<(String, Vec<Value>)> {
    if plan.rest.is_empty() {
        return plan.examined(COLUMNS, &[], examine);
    }
    let columns = format!("id, ({}) AS picked", plan.rest.all());
    let (examined, mut values) = plan.examined(&columns, &plan.rest.values, examine)?;
    // SQLite takes the tables of a CROSS JOIN in their order: the few ids first.
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT id AS found_id FROM ({examined}) AS examined WHERE picked ORDER BY id DESC LIMIT ?) \
         AS found CROSS JOIN request_logs WHERE id = found_id ORDER BY id DESC"
    );
    values.push(limit.into());
    Some((sql, values))
}

/// The last id that was looked at, when as many were as may be: there may be more.
async fn end_of_examined(tx: &mut Tx, plan: &Plan, examine: u32) -> Result<Option<String>, StoreError> {
    let Some((examined, values)) = plan.examined("id", &[], examine) else { return Ok(None) };
    let sql = format!("SELECT COUNT(*) AS n, MIN(id) AS last FROM ({examined}) AS examined");
    let rows = tx.rows(sql, values).await?;
    match rows.first() {
        Some(row) if row.int("n")? >= i64::from(examine) => row.maybe_text("last"),
        _ => Ok(None),
    }
}

async fn whole_record(tx: &mut Tx, id: &str) -> Result<Option<RequestRecord>, StoreError> {
    for column in ["id", "request_id"] {
        let sql = format!("SELECT {COLUMNS} FROM request_logs WHERE {column} = ? ORDER BY id DESC LIMIT 1");
        if let Some(row) = tx.rows(sql, vec![id.into()]).await?.first() {
            return record(row).map(Some);
        }
    }
    Ok(None)
}

fn record(row: &Row) -> Result<RequestRecord, StoreError> {
    Ok(RequestRecord {
        id: row.text("id")?,
        request_id: row.text("request_id")?,
        trace_id: row.text("trace_id")?,
        session_id: row.text("session_id")?,
        api_key_id: row.text("api_key_id")?,
        api_key_name: row.text("api_key_name")?,
        team: row.text("team")?,
        team_id: String::new(),
        started_at: row.moment("started_at")?,
        dialect: row.text("dialect")?,
        operation: row.text("operation")?,
        stream: row.bit("stream")?,
        model: row.text("model")?,
        answered_model: row.text("answered_model")?,
        provider_id: row.text("provider_id")?,
        provider: row.text("provider")?,
        provider_key: row.text("provider_key")?,
        upstream_model: row.text("upstream_model")?,
        attempts: row.small("attempts")?,
        tried: Vec::new(),
        status: status(row)?,
        outcome: row.text("outcome")?,
        error_kind: row.text("error_kind")?,
        error: row.text("error")?,
        finish_reason: row.text("finish_reason")?,
        latency_us: row.count("latency_us")?,
        ttft_us: maybe_count(row, "ttft_us")?,
        overhead_us: row.count("overhead_us")?,
        usage: usage(row)?,
        cost_nanos: maybe_count(row, "cost_nanos")?,
        price_version: row.text("price_version")?,
        charged_nanos: maybe_count(row, "charged_nanos")?,
        held: Held::default(),
        client_address: row.text("client_address")?,
        user_agent: row.text("user_agent")?,
        end_user: row.text("end_user")?,
        tags: row.json("tags")?,
        bodies: None,
        origin: match row.text("origin")?.as_str() {
            "probe" => Origin::Probe,
            _ => Origin::Caller,
        },
    })
}

fn usage(row: &Row) -> Result<UsageRecord, StoreError> {
    Ok(UsageRecord {
        prompt: row.count("prompt_tokens")?,
        completion: row.count("completion_tokens")?,
        cached_read: row.count("cached_read_tokens")?,
        cache_write: row.count("cache_write_tokens")?,
        reasoning: row.count("reasoning_tokens")?,
        source: match row.text("usage_source")?.as_str() {
            "provider" => UsageSource::Provider,
            _ => UsageSource::Estimated,
        },
    })
}

fn attempt(row: &Row) -> Result<AttemptRecord, StoreError> {
    Ok(AttemptRecord {
        started_at: row.moment("started_at")?,
        provider_id: row.text("provider_id")?,
        provider: row.text("provider")?,
        provider_key: row.text("provider_key")?,
        upstream_model: row.text("upstream_model")?,
        status: status(row)?,
        outcome: row.text("outcome")?,
        error: row.text("error")?,
        latency_us: row.count("latency_us")?,
        ttft_us: maybe_count(row, "ttft_us")?,
    })
}

fn bodies(row: &Row) -> Result<BodiesRecord, StoreError> {
    let body = |what: &str| -> Result<BodyRecord, StoreError> {
        Ok(BodyRecord {
            text: row.text(what)?,
            base64: row.text(&format!("{what}_encoding"))? == "base64",
            bytes: row.count(&format!("{what}_bytes"))?,
        })
    };
    Ok(BodiesRecord { request: body("request")?, response: body("response")? })
}

fn status(row: &Row) -> Result<u16, StoreError> {
    u16::try_from(row.int("status")?).map_err(|error| damaged("status", &error.to_string()))
}

fn maybe_count(row: &Row, column: &str) -> Result<Option<u64>, StoreError> {
    let count = row.maybe_int(column)?.map(u64::try_from).transpose();
    count.map_err(|error| damaged(column, &error.to_string()))
}

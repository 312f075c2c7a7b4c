//! Request logs, as operators look for them, follow them, take them away and forget them.

mod export;
mod tail;

use orchestrator_base::clock::UnixMicros;
use serde_json::{Value, json};

use super::{Admin, Listed, Page, found, store_error, validate};
use crate::{
    audit::{Event, action},
    error::Result,
    ledger::RequestRecord,
    store::reads::{LogFilter, LogScan, Retention, is_id},
};

pub use self::{
    export::{ExportFormat, LogExport},
    tail::LogTail,
};

/// The most rows that one page looks at where conditions pick from them. Where they lie far apart, the database reads a page for each.
const MOST_EXAMINED: u32 = 5_000;
/// The longest that anything is kept: a hundred years.
const MOST_DAYS: u32 = 36_500;
/// How many requests one transaction forgets. With their attempts and bodies that is about a thousand rows.
pub(crate) const FORGET_BATCH: u32 = 250;

/// What operators look for; empty strings and `None` mean everything.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Arrived then or later, to the millisecond.
    pub from: Option<UnixMicros>,
    /// Arrived before.
    pub to: Option<UnixMicros>,
    /// The model asked for.
    pub model: String,
    /// A provider's name at that time, or its id.
    pub provider: String,
    /// A caller's key, by its id or its name.
    pub api_key: String,
    /// `404`, or a class: `5xx`.
    pub status: String,
    /// `ok`, `truncated`, or an error kind.
    pub outcome: String,
    /// An error kind, truncated answers included.
    pub error_kind: String,
    /// A session.
    pub session_id: String,
    /// A request's id.
    pub request_id: String,
    /// A trace's id.
    pub trace_id: String,
    /// Streamed, or not.
    pub stream: Option<bool>,
}

impl Admin {
    /// A page of the request logs, newest first. A page may be short, even empty, and still have a next one: however rare what is
    /// looked for is, one page looks at a bounded number of rows.
    ///
    /// Errors: a value that cannot be looked for, by its field.
    pub async fn list_request_logs(&self, query: &LogQuery, page: &Page) -> Result<Listed<RequestRecord>> {
        let before = page.slice()?.after;
        let filter = self.log_filter(query).await?;
        let scan = LogScan { filter, before, limit: page.limit(), examine: MOST_EXAMINED };
        let found = self.store.request_logs(&scan).await.map_err(store_error)?;
        Ok(Listed { items: found.records, next: found.next })
    }

    /// A request with its attempts, by the id of its log or else the newest with this request id.
    pub async fn request_log(&self, id: &str) -> Result<RequestRecord> {
        found(self.store.request_log(id, false).await, "request log", id)
    }

    /// The same with what was said, as far as it was kept. Apart from the other because it is for fewer eyes, and on record.
    pub async fn request_log_with_bodies(&self, id: &str) -> Result<RequestRecord> {
        let row = self.request_log(id).await?;
        let event = Event::new(action::READ_BODIES, "request_log").on(&row.id, &row.request_id);
        self.record(event).await?;
        found(self.store.request_log(id, true).await, "request log", id)
    }

    /// All that [`Admin::list_request_logs`] would list, piece by piece.
    pub async fn export_request_logs(&self, query: &LogQuery, format: ExportFormat) -> Result<LogExport> {
        let filter = self.log_filter(query).await?;
        Ok(LogExport::new(std::sync::Arc::clone(&self.store), filter, format))
    }

    /// The requests that end from now on, as they are stored.
    ///
    /// Errors: a stretch of time, which the future has not.
    pub async fn tail_request_logs(&self, query: &LogQuery) -> Result<LogTail> {
        for (param, moment) in [("from", query.from), ("to", query.to)] {
            if moment.is_some() {
                return validate::refuse(param, "must be unset: what is followed is what comes");
            }
        }
        let filter = self.log_filter(query).await?;
        Ok(LogTail::new(std::sync::Arc::clone(&self.store), filter, self.clock.clone()))
    }

    /// Forgets the requests that are older than so many days, with their attempts and bodies; 0 days: all. Statistics stay. Says how
    /// many.
    pub async fn purge_request_logs(&self, retention_days: u32) -> Result<u64> {
        check_days("retention_days", retention_days)?;
        let event = Event::new(action::PURGE, "request_log");
        self.record(event.after(json!({ "retention_days": retention_days }))).await?;
        let before = days_ago(self.clock.now(), retention_days);
        let mut forgotten = 0;
        loop {
            let batch = self.store.forget_logs(before, FORGET_BATCH).await.map_err(store_error)?;
            forgotten += batch;
            if batch < u64::from(FORGET_BATCH) {
                return Ok(forgotten);
            }
            // Others want to write too.
            tokio::task::yield_now().await;
        }
    }

    /// How long the logs are kept.
    pub async fn retention(&self) -> Result<Retention> {
        self.store.retention(FIRST_RETENTION).await.map_err(store_error)
    }

    /// Keeps the logs so long from now on. What is older is forgotten within minutes.
    pub async fn set_retention(&self, retention: Retention) -> Result<Retention> {
        check_days("logs_days", retention.logs_days)?;
        check_days("bodies_days", retention.bodies_days)?;
        let _alone = self.alone().await?;
        let before = self.retention().await?;
        let event = Event::new(action::UPDATE, "retention");
        self.record(event.before(shown_retention(before)).after(shown_retention(retention))).await?;
        self.store.set_retention(retention).await.map_err(store_error)?;
        Ok(retention)
    }

    async fn log_filter(&self, query: &LogQuery) -> Result<LogFilter> {
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from >= to
        {
            return validate::refuse("to", "must be later than from");
        }
        let some = |param: &str, value: &String| -> Result<Option<String>> {
            validate::text(param, value, 0, 256)?;
            Ok((!value.is_empty()).then(|| value.clone()))
        };
        let mut filter = LogFilter {
            from: query.from,
            to: query.to,
            model: some("model", &query.model)?,
            status: status_range(&query.status)?,
            outcome: some("outcome", &query.outcome)?,
            error_kind: some("error_kind", &query.error_kind)?,
            session_id: some("session_id", &query.session_id)?,
            request_id: some("request_id", &query.request_id)?,
            trace_id: some("trace_id", &query.trace_id)?,
            stream: query.stream,
            ..LogFilter::default()
        };
        match some("provider", &query.provider)? {
            Some(id) if is_id(&id) => filter.provider_id = Some(id),
            name => filter.provider = name,
        }
        match some("api_key", &query.api_key)? {
            Some(id) if is_id(&id) => filter.api_key_id = Some(id),
            Some(name) => match self.store.api_key(&name).await.map_err(store_error)? {
                Some(key) => filter.api_key_id = Some(key.id),
                None => filter.api_key_name = Some(name),
            },
            None => {}
        }
        Ok(filter)
    }
}

/// What holds where no start has said anything else: 30 days.
pub const FIRST_RETENTION: Retention = Retention { logs_days: 30, bodies_days: 0 };

/// The moment so many days before another.
pub(crate) fn days_ago(now: UnixMicros, days: u32) -> UnixMicros {
    UnixMicros(now.0 - i64::from(days) * 86_400_000_000)
}

fn shown_retention(retention: Retention) -> Value {
    json!({ "logs_days": retention.logs_days, "bodies_days": retention.bodies_days })
}

fn check_days(param: &str, days: u32) -> Result<()> {
    if days <= MOST_DAYS { Ok(()) } else { validate::refuse(param, "must be 0 to 36500 days") }
}

/// `404` or `5xx`.
fn status_range(status: &str) -> Result<Option<(u16, u16)>> {
    if status.is_empty() {
        return Ok(None);
    }
    let class = status.strip_suffix("xx").and_then(|class| class.parse().ok());
    if let Some(class @ 1..=5) = class {
        return Ok(Some((class * 100, class * 100 + 99)));
    }
    if let Ok(exact @ 100..=599) = status.parse() {
        return Ok(Some((exact, exact)));
    }
    validate::refuse("status", "must be an HTTP status, or a class of them: 4xx, 5xx")
}

#[cfg(test)]
mod tests;

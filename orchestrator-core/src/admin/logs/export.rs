//! Request logs as a file: CSV or JSON lines, a page at a time, so that a million rows need no more memory than a few hundred.

use std::{fmt, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{super::store_error, MOST_EXAMINED};
use crate::{
    call::UsageSource,
    error::{Error, Result},
    ledger::RequestRecord,
    store::{
        AdminStore,
        reads::{LogFilter, LogScan},
    },
};

/// Rows that one piece holds at most.
const PIECE_ROWS: u32 = 500;

/// How a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// RFC 4180, with a header. A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl ExportFormat {
    /// `csv` or `jsonl`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::JsonLines),
            _ => Err(Error::invalid("format".to_owned(), "format must be csv or jsonl")),
        }
    }
}

/// An export under way.
pub struct LogExport {
    store: Arc<dyn AdminStore>,
    scan: LogScan,
    format: ExportFormat,
    begun: bool,
    ended: bool,
}

impl LogExport {
    pub(super) fn new(store: Arc<dyn AdminStore>, filter: LogFilter, format: ExportFormat) -> Self {
        let scan = LogScan { filter, before: None, limit: PIECE_ROWS, examine: MOST_EXAMINED };
        Self { store, scan, format, begun: false, ended: false }
    }

    /// The next piece, of whole lines; `None` at the end. Pieces are not empty.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut text = String::new();
        if !self.begun && self.format == ExportFormat::Csv {
            write_csv_header(&mut text);
        }
        self.begun = true;
        while !self.ended {
            let page = self.store.request_logs(&self.scan).await.map_err(store_error)?;
            for record in &page.records {
                match self.format {
                    ExportFormat::Csv => write_csv(&mut text, record),
                    ExportFormat::JsonLines => write_json(&mut text, record),
                }
            }
            self.ended = page.next.is_none();
            self.scan.before = page.next;
            if !page.records.is_empty() {
                break;
            }
        }
        Ok((!text.is_empty()).then(|| Bytes::from(text)))
    }
}

impl fmt::Debug for LogExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogExport").field("scan", &self.scan).finish_non_exhaustive()
    }
}

/// Every column with its value, named as in Admin's answers. Times are in milliseconds, as there.
fn fields(record: &RequestRecord) -> [(&'static str, Value); 41] {
    let ms = |us: u64| json!(us as f64 / 1000.0);
    let usage = &record.usage;
    let source = match usage.source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
    };
    [
        ("id", json!(record.id)),
        ("request_id", json!(record.request_id)),
        ("trace_id", json!(record.trace_id)),
        ("session_id", json!(record.session_id)),
        ("api_key_id", json!(record.api_key_id)),
        ("api_key_name", json!(record.api_key_name)),
        ("team", json!(record.team)),
        ("started_at", json!(record.started_at.to_string())),
        ("origin", json!(record.origin.name())),
        ("dialect", json!(record.dialect)),
        ("operation", json!(record.operation)),
        ("stream", json!(record.stream)),
        ("model", json!(record.model)),
        ("answered_model", json!(record.answered_model)),
        ("provider_id", json!(record.provider_id)),
        ("provider", json!(record.provider)),
        ("provider_key", json!(record.provider_key)),
        ("upstream_model", json!(record.upstream_model)),
        ("attempts", json!(record.attempts)),
        ("status", json!(record.status)),
        ("outcome", json!(record.outcome)),
        ("error_kind", json!(record.error_kind)),
        ("error", json!(record.error)),
        ("finish_reason", json!(record.finish_reason)),
        ("latency_ms", ms(record.latency_us)),
        ("ttft_ms", record.ttft_us.map_or(Value::Null, ms)),
        ("overhead_ms", ms(record.overhead_us)),
        ("prompt_tokens", json!(usage.prompt)),
        ("completion_tokens", json!(usage.completion)),
        ("cached_read_tokens", json!(usage.cached_read)),
        ("cache_write_tokens", json!(usage.cache_write)),
        ("reasoning_tokens", json!(usage.reasoning)),
        ("total_tokens", json!(usage.prompt.saturating_add(usage.completion))),
        ("usage_source", json!(source)),
        ("cost_nanos", json!(record.cost_nanos)),
        ("cost_usd", record.cost_nanos.map_or(Value::Null, |nanos| json!(nanos as f64 / 1e9))),
        ("price_version", json!(record.price_version)),
        ("client_address", json!(record.client_address)),
        ("user_agent", json!(record.user_agent)),
        ("end_user", json!(record.end_user)),
        ("tags", json!(record.tags)),
    ]
}

/// In the columns' order, which a JSON map would forget.
fn write_json(text: &mut String, record: &RequestRecord) {
    let mut separator = '{';
    for (name, value) in fields(record) {
        let _ = write!(text, "{separator}\"{name}\":{value}");
        separator = ',';
    }
    text.push_str("}\n");
}

fn write_csv_header(text: &mut String) {
    let names = fields(&RequestRecord::default()).map(|(name, _)| name);
    text.push_str(&names.join(","));
    text.push_str("\r\n");
}

fn write_csv(text: &mut String, record: &RequestRecord) {
    for (place, (_, value)) in fields(record).iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        match value {
            Value::Null => {}
            Value::String(cell) => write_cell(text, cell),
            // Tags as JSON, and none as nothing.
            Value::Object(tags) if tags.is_empty() => {}
            other => write_cell(text, &other.to_string()),
        }
    }
    text.push_str("\r\n");
}

/// A cell as text that no spreadsheet computes.
fn write_cell(text: &mut String, cell: &str) {
    let computes = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if computes { "'" } else { "" };
    if cell.contains(['"', ',', '\n', '\r']) {
        let _ = write!(text, "\"{guard}{}\"", cell.replace('"', "\"\""));
    } else {
        text.push_str(guard);
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_computed() {
        let cases = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("@cmd", "'@cmd"),
            ("-2,3", "\"'-2,3\""),
            ("+1", "'+1"),
            ("模型", "模型"),
        ];
        for (cell, expected) in cases {
            let mut text = String::new();
            write_cell(&mut text, cell);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_line_has_a_value_for_every_column_of_the_header() {
        let record = RequestRecord {
            id: "x".into(),
            tags: [("a".into(), "b".into())].into(),
            cost_nanos: Some(1_500_000_000),
            ..RequestRecord::default()
        };
        let (mut header, mut line, mut json) = (String::new(), String::new(), String::new());
        write_csv_header(&mut header);
        write_csv(&mut line, &record);
        write_json(&mut json, &record);
        let cells = |line: &str| line.trim_end().split(',').map(str::to_owned).collect::<Vec<_>>();
        let cells = (cells(&header), cells(&line));
        assert_eq!(cells.0.len(), cells.1.len(), "{line}");
        let cell = |name: &str| &cells.1[cells.0.iter().position(|column| column == name).unwrap()];
        assert_eq!((cell("cost_usd").as_str(), cell("ttft_ms").as_str()), ("1.5", ""));
        assert_eq!(cell("tags"), "\"{\"\"a\"\":\"\"b\"\"}\"");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["cost_usd"], &json["tags"], &json["ttft_ms"]),
            (&json!(1.5), &json!({"a": "b"}), &Value::Null)
        );
    }
}

//! What callers saw, what the providers counted, what the account says: side by side. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{self, Write as _},
};

use serde_json::Value;

use crate::{answer, caller::Ended, outcome::Outcome, report::Ask};

/// What is read of a table, in words that every database understands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    /// Name and expression of each column.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// What stands behind FROM.
    pub(crate) from: &'static str,
}

/// The account of callers, request by request.
pub(crate) const ROWS: Query = Query {
    columns: &[
        ("request_id", "request_id"),
        ("outcome", "outcome"),
        ("usage_source", "usage_source"),
        ("prompt_tokens", "prompt_tokens"),
        ("completion_tokens", "completion_tokens"),
    ],
    from: "request_logs WHERE origin = 'caller'",
};

const SUCCESSES: (&str, &str) = ("successes", "SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END)");
const SUM_OF_SUCCESSES: (&str, &str) = ("successes", "SUM(successes)");
const PROMPT: (&str, &str) = ("prompt", "SUM(prompt_tokens)");
const COMPLETION: (&str, &str) = ("completion", "SUM(completion_tokens)");
const ATTEMPTS: (&str, &str) = ("attempts", "SUM(attempts)");
const LATENCY: (&str, &str) = ("latency", "SUM(latency_us)");

/// The same sums from each table that has them.
pub(crate) const SUMS: [(&str, Query); 4] = [
    (
        "logs",
        Query {
            columns: &[("requests", "COUNT(*)"), SUCCESSES, PROMPT, COMPLETION, ATTEMPTS, LATENCY],
            from: "request_logs WHERE origin = 'caller'",
        },
    ),
    (
        "usage_hourly",
        Query {
            columns: &[
                ("requests", "SUM(requests)"),
                SUM_OF_SUCCESSES,
                PROMPT,
                COMPLETION,
                ATTEMPTS,
                LATENCY,
            ],
            from: "usage_hourly",
        },
    ),
    (
        "attempts",
        Query { columns: &[("attempts", "COUNT(*)"), SUCCESSES, LATENCY], from: "request_attempts" },
    ),
    ("provider_stats", Query { columns: &[ATTEMPTS, SUM_OF_SUCCESSES, LATENCY], from: "provider_stats" }),
];

/// How many of what is wrong are spelled out.
const SHOWN: usize = 20;

/// What is compared.
#[derive(Debug)]
pub(crate) struct Books {
    /// What callers got.
    pub(crate) ended: Vec<Ended>,
    /// What the providers were asked.
    pub(crate) asks: Vec<Ask>,
    /// [`ROWS`].
    pub(crate) rows: Vec<Value>,
    /// [`SUMS`].
    pub(crate) sums: BTreeMap<&'static str, Value>,
    /// What SQLite says of its file; the servers are not asked.
    pub(crate) integrity: Option<String>,
}

/// What the comparison shows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) complete: usize,
    pub(crate) cut: usize,
    pub(crate) failed: usize,
    /// Rows of requests whose callers saw no answer: the core died between the record and the last byte, or before the first.
    unseen: usize,
    rows: usize,
    /// Tokens that providers have counted, in the account and at the providers.
    tokens: (u64, u64),
    sums: String,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

/// Compares the books.
pub(crate) fn compare(books: &Books) -> Findings {
    let mut findings = Findings { rows: books.rows.len(), ..Findings::default() };
    let mut rows: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in &books.rows {
        rows.entry(row["request_id"].as_str().unwrap_or_default()).or_default().push(row);
    }
    let mut asks: HashMap<&str, Vec<&Ask>> = HashMap::new();
    for ask in &books.asks {
        asks.entry(&ask.request_id).or_default().push(ask);
    }
    for ended in &books.ended {
        let id = ended.call.request_id();
        let rows = rows.remove(id.as_str()).unwrap_or_default();
        let asks = asks.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        if let Some(wrong) = judge(ended, &rows, asks, &mut findings) {
            findings.wrong.push(format!("{id}: {wrong}; rows {rows:?}"));
        }
    }
    findings.wrong.extend(rows.keys().map(|id| format!("{id}: nobody asked for that")));
    if findings.tokens.0 != findings.tokens.1 {
        findings
            .wrong
            .push(format!("tokens {}, the providers count {}", findings.tokens.0, findings.tokens.1));
    }
    compare_sums(books, &mut findings);
    if let Some(integrity) = books.integrity.as_deref().filter(|said| *said != "ok") {
        findings.wrong.push(format!("the database's integrity: {integrity}"));
    }
    findings.wrong.truncate(SHOWN);
    findings
}

fn judge(ended: &Ended, rows: &[&Value], asks: &[&Ask], findings: &mut Findings) -> Option<String> {
    if rows.len() > 1 {
        return Some("recorded more than once".to_owned());
    }
    let row = rows.first().copied();
    if let Some(row) = row.filter(|row| row["usage_source"] == "provider") {
        let number = |column: &str| row[column].as_u64().unwrap_or_default();
        let told = (number("prompt_tokens"), number("completion_tokens"));
        let Some(ask) = asks.iter().find(|ask| (ask.prompt, ask.completion) == told) else {
            return Some("tokens that no provider has counted".to_owned());
        };
        findings.tokens.0 += told.0 + told.1;
        findings.tokens.1 += ask.prompt + ask.completion;
    }
    let outcome = row.map(|row| row["outcome"].as_str().unwrap_or_default());
    match &ended.outcome {
        Outcome::Complete(text) => {
            findings.complete += 1;
            let heard =
                answer::number_in(text).and_then(|number| asks.iter().find(|ask| ask.answer == number));
            let known = heard.is_some_and(|ask| *text == answer::text(ask.answer));
            match outcome {
                Some("ok") if known => None,
                Some("ok") => Some("an answer that no provider gave".to_owned()),
                Some(_) => Some("answered, and recorded as something else".to_owned()),
                None => Some("answered, and not recorded".to_owned()),
            }
        }
        Outcome::Dishonest(what) => Some(format!("a stream without an honest end: {what}")),
        Outcome::Cut(_) | Outcome::Unended(_) => {
            findings.cut += 1;
            match outcome {
                None => Some("answered in part, and not recorded".to_owned()),
                // Its last bytes were lost after the record was written.
                Some(_) => None,
            }
        }
        Outcome::Failed(_) => {
            findings.failed += 1;
            findings.unseen += usize::from(row.is_some());
            None
        }
    }
}

fn compare_sums(books: &Books, findings: &mut Findings) {
    for (one, other) in [("logs", "usage_hourly"), ("attempts", "provider_stats")] {
        let (Some(one_sums), Some(other_sums)) = (books.sums.get(one), books.sums.get(other)) else {
            continue;
        };
        let _ = writeln!(findings.sums, "{one} = {one_sums}\n{other} = {other_sums}");
        if one_sums != other_sums {
            findings.wrong.push(format!("{one} and {other} differ: {one_sums}, {other_sums}"));
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { complete, cut, failed, unseen, rows, tokens, sums, .. } = self;
        writeln!(
            f,
            "callers saw {complete} whole answers, {cut} that were cut and said so, {failed} failures"
        )?;
        writeln!(
            f,
            "the account has {rows} rows, {unseen} of them of answers that nobody saw; tokens {} = {}",
            tokens.0, tokens.1
        )?;
        f.write_str(sums)
    }
}

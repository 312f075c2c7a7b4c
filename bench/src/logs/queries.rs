//! What is asked of a database full of request logs: what operators look for, and the sums that they see.

use orchestrator_base::clock::UnixMicros;
use orchestrator_core::store::reads::{Dimension, LogFilter, LogScan, Step, UsageQuery};

const HOUR: i64 = 3_600_000_000;

/// What operators look for: a name, the query, and the statuses that its class has in the samples.
pub(super) fn scans(now: UnixMicros) -> Vec<(&'static str, LogScan, Vec<u16>)> {
    let scan = |filter| LogScan { filter, before: None, limit: 100, examine: 5_000 };
    let none = LogFilter::default;
    let some = |value: &str| Some(value.to_owned());
    let back = |hours: i64| Some(UnixMicros(now.0 - hours * HOUR));
    vec![
        ("newest", scan(none()), vec![]),
        ("an hour ten days ago", scan(LogFilter { from: back(241), to: back(240), ..none() }), vec![]),
        ("model", scan(LogFilter { model: some("model-3"), ..none() }), vec![]),
        ("provider", scan(LogFilter { provider: some("provider-2"), ..none() }), vec![]),
        ("key", scan(LogFilter { api_key_id: some("key-id-12"), ..none() }), vec![]),
        ("session", scan(LogFilter { session_id: some("session-100"), ..none() }), vec![]),
        ("request", scan(LogFilter { request_id: some("request-1000"), ..none() }), vec![]),
        ("status 429", scan(LogFilter { status: Some((429, 429)), ..none() }), vec![429]),
        ("status 5xx", scan(LogFilter { status: Some((500, 599)), ..none() }), vec![503, 504]),
        ("error kind", scan(LogFilter { error_kind: some("timeout"), ..none() }), vec![]),
        (
            "rare: key, model, 5xx",
            scan(LogFilter {
                api_key_id: some("key-id-12"),
                model: some("model-13"),
                status: Some((500, 599)),
                ..none()
            }),
            vec![503, 504],
        ),
        ("never: trace", scan(LogFilter { trace_id: some("none"), ..none() }), vec![]),
    ]
}

/// What they have summed up.
pub(super) fn usages(now: UnixMicros) -> Vec<(&'static str, UsageQuery)> {
    let query = |hours: i64, step, by| UsageQuery {
        from: UnixMicros((now.0 - hours * HOUR) / HOUR * HOUR),
        to: UnixMicros(now.0 + HOUR),
        step,
        by,
        limit: 100_001,
    };
    let all = || vec![Dimension::Provider, Dimension::Model, Dimension::Key];
    vec![
        ("statistics, 24 hours", query(24, Step::Whole, all())),
        ("statistics, 30 days", query(720, Step::Whole, all())),
        ("usage by hour and key, a day", query(24, Step::Hour, vec![Dimension::Key])),
        ("usage by hour, 7 days", query(168, Step::Hour, vec![])),
        ("usage by day and model, 30 days", query(720, Step::Day, vec![Dimension::Model])),
        ("usage by day and team, 30 days", query(720, Step::Day, vec![Dimension::Team])),
    ]
}

/// The same by a tag's values.
pub(super) fn by_tag(now: UnixMicros) -> UsageQuery {
    UsageQuery {
        from: UnixMicros((now.0 - 720 * HOUR) / HOUR * HOUR),
        to: UnixMicros(now.0 + HOUR),
        step: Step::Day,
        by: Vec::new(),
        limit: 10_001,
    }
}

//! What a million request logs cost: the lists and statistics that operators ask for, through the store's own code, how the database
//! plans them, and how fast the ledger's writer adds to them.

use std::{fmt::Write as _, future::Future, time::Duration};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::Config,
    process,
    random::Random,
};
use orchestrator_core::{
    ledger::RequestRecord,
    store::{
        Database, JournalOffset, LogReader as _, LogStore as _, StatsReader as _, StoreError,
        reads::{Dimension, LogFilter, LogScan, Step, UsageQuery},
    },
};
use tokio::time::Instant;

use crate::serve::AnyError;

/// Rows of a batch of the ledger's writer, and how many batches are timed.
const BATCH: usize = 500;
const BATCHES: usize = 40;
const HOUR: i64 = 3_600_000_000;

/// Fills the database at `url` and prints what it costs.
pub(crate) fn run(url: &str, rows: u64, runs: usize) -> Result<(), AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(url, rows, runs.max(1)))
}

async fn measure(url: &str, rows: u64, runs: usize) -> Result<(), AnyError> {
    let mut config = Config::default();
    config.database.url = Some(url.into());
    let database = Database::connect(&config.database_target()?).await?;
    database.migrate().await?;
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let now = clock.now();

    let begun = Instant::now();
    database.fill_with_samples(rows, now, &random).await?;
    let filled = begun.elapsed();
    database.sum_samples().await?;
    database.analyze().await?;
    process::print(format!("{rows} rows in {:.1} s", filled.as_secs_f64()));

    let mut report = String::from("| query | p50, ms | p95, ms | rows |\n|---|---|---|---|\n");
    let mut plans = String::new();
    for (name, scan, statuses) in scans(now) {
        let times = timed(runs, async || Ok(database.request_logs(&scan).await?.records.len())).await?;
        row(&mut report, name, &times)?;
        plan(&mut plans, name, &database.plan_of_logs(&scan, &statuses).await?)?;
    }
    for (name, query) in usages(now) {
        let times = timed(runs, async || Ok(database.usage(&query).await?.len())).await?;
        row(&mut report, name, &times)?;
        plan(&mut plans, name, &database.plan_of_usage(&query).await?)?;
    }
    let bar = async || Ok(database.last_attempts("provider-id-1", "upstream-1", 100).await?.len());
    row(&mut report, "status bar", &timed(runs, bar).await?)?;
    plan(&mut plans, "status bar", &database.plan_of_attempts("provider-id-1", "upstream-1").await?)?;
    process::print(report);
    process::print(plans);

    let rate = insertion_rate(&database, &clock, &random).await?;
    process::print(format!("the ledger's writer: {rate:.0} rows/s in batches of {BATCH}"));
    database.close().await;
    Ok(())
}

/// What operators look for.
fn scans(now: UnixMicros) -> Vec<(&'static str, LogScan, Vec<u16>)> {
    let scan = |filter| LogScan { filter, before: None, limit: 100, examine: 10_000 };
    let none = LogFilter::default;
    let some = |value: &str| Some(value.to_owned());
    let back = |hours: i64| Some(UnixMicros(now.0 - hours * HOUR));
    vec![
        ("newest", scan(none()), vec![]),
        ("an hour ten days ago", scan(LogFilter { from: back(241), to: back(240), ..none() }), vec![]),
        ("model", scan(LogFilter { model: some("model-3"), ..none() }), vec![]),
        ("provider", scan(LogFilter { provider: some("provider-2"), ..none() }), vec![]),
        ("key", scan(LogFilter { api_key_id: some("key-id-30"), ..none() }), vec![]),
        ("session", scan(LogFilter { session_id: some("session-100"), ..none() }), vec![]),
        ("request", scan(LogFilter { request_id: some("request-1000"), ..none() }), vec![]),
        ("status 429", scan(LogFilter { status: Some((429, 429)), ..none() }), vec![429]),
        ("status 5xx", scan(LogFilter { status: Some((500, 599)), ..none() }), vec![503, 504]),
        ("error kind", scan(LogFilter { error_kind: some("timeout"), ..none() }), vec![]),
        (
            "rare: key, model, 5xx",
            scan(LogFilter {
                api_key_id: some("key-id-30"),
                model: some("model-11"),
                status: Some((500, 599)),
                ..none()
            }),
            vec![503, 504],
        ),
        ("never: trace", scan(LogFilter { trace_id: some("none"), ..none() }), vec![]),
    ]
}

fn usages(now: UnixMicros) -> Vec<(&'static str, UsageQuery)> {
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
        ("usage by day and model, 30 days", query(720, Step::Day, vec![Dimension::Model])),
    ]
}

/// How long each run took, sorted, and how many rows the last one gave.
struct Times {
    sorted: Vec<Duration>,
    rows: usize,
}

async fn timed<F: Future<Output = Result<usize, StoreError>>>(
    runs: usize,
    query: impl Fn() -> F,
) -> Result<Times, StoreError> {
    let mut times = Times { sorted: Vec::with_capacity(runs), rows: 0 };
    for _ in 0..runs {
        let begun = Instant::now();
        times.rows = query().await?;
        times.sorted.push(begun.elapsed());
    }
    times.sorted.sort_unstable();
    Ok(times)
}

fn row(report: &mut String, name: &str, times: &Times) -> std::fmt::Result {
    let at = |percent: usize| {
        let rank = (times.sorted.len() * percent).div_ceil(100).max(1);
        times.sorted.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    writeln!(report, "| {name} | {:.2} | {:.2} | {} |", at(50), at(95), times.rows)
}

fn plan(plans: &mut String, name: &str, lines: &[String]) -> std::fmt::Result {
    writeln!(plans, "{name}:")?;
    lines.iter().try_for_each(|line| writeln!(plans, "    {line}"))
}

/// Rows a second, as the ledger's writer stores them.
async fn insertion_rate(database: &Database, clock: &Clock, random: &Random) -> Result<f64, StoreError> {
    let mut taken = Duration::ZERO;
    let journal = random.uuid(clock.now()).to_string();
    for batch in 0..BATCHES {
        let records: Vec<RequestRecord> = (0..BATCH)
            .map(|_| RequestRecord {
                id: random.uuid(clock.now()).to_string(),
                started_at: clock.now(),
                model: "model-1".into(),
                provider: "provider-1".into(),
                status: 200,
                outcome: "ok".into(),
                ..RequestRecord::default()
            })
            .collect();
        let upto = JournalOffset { segment: 1, position: batch as u64 + 1 };
        let begun = Instant::now();
        database.append(&journal, &records, upto).await?;
        taken += begun.elapsed();
    }
    Ok((BATCH * BATCHES) as f64 / taken.as_secs_f64())
}

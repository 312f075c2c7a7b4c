//! What a million request logs cost: the lists and statistics that operators ask for, through the store's own code, how the database
//! plans them, and how fast the ledger's writer adds to them. On SQLite and on servers that are begun for it.

mod plans;
mod queries;

use std::{fmt::Write as _, fs, future::Future, path::PathBuf, str::FromStr, time::Duration};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::Config,
    process,
    random::Random,
};
use orchestrator_core::{
    ledger::{
        RequestRecord,
        record::{AttemptRecord, UsageRecord},
    },
    store::{Database, JournalOffset, LogReader as _, LogStore as _, StatsReader as _, StoreError},
};
use orchestrator_testkit::databases::{Kind, Server};
use tokio::time::Instant;

use crate::serve::AnyError;

/// Rows of a batch of the ledger's writer, and how many batches are timed.
const BATCH: u64 = 500;
const BATCHES: u64 = 40;
/// What a query may take, at the 95th of a hundred.
const LIMIT: Duration = Duration::from_millis(200);

/// Where it is measured.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A file in a temporary folder.
    Sqlite,
    /// A server of its own.
    Server(Kind),
    /// What lies at a URL, and is added to.
    Url(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "mariadb" => Ok(Self::Server(Kind::MariaDb)),
            "postgres" => Ok(Self::Server(Kind::Postgres)),
            url if url.contains(':') => Ok(Self::Url(url.to_owned())),
            _ => Err("wanted: sqlite, mariadb, postgres or a URL".to_owned()),
        }
    }
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Sqlite => "SQLite",
            Self::Server(Kind::MariaDb) => "MariaDB",
            Self::Server(Kind::Postgres) => "PostgreSQL",
            // It may hold a password.
            Self::Url(_) => "the URL's",
        }
        .to_owned()
    }
}

/// What is measured.
#[derive(Debug)]
pub(crate) struct Options {
    /// The databases, in this order.
    pub(crate) places: Vec<Place>,
    /// How many rows are filled in.
    pub(crate) rows: u64,
    /// How often each query is run.
    pub(crate) runs: usize,
    /// Where the plans are written.
    pub(crate) plans: Option<PathBuf>,
}

/// A database's results.
#[derive(Debug)]
struct Measured {
    name: String,
    queries: Vec<Query>,
    /// What the ledger's writer stores, in rows a second.
    rate: f64,
}

/// A query's results.
#[derive(Debug)]
struct Query {
    name: &'static str,
    /// Sorted.
    times: Vec<Duration>,
    /// What it found the last time.
    rows: usize,
    plan: Vec<String>,
}

impl Query {
    fn at(&self, percent: usize) -> Duration {
        let rank = (self.times.len() * percent).div_ceil(100).max(1);
        self.times.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Fills the databases, prints what each query costs, and fails where one takes too long or reads a whole log.
pub(crate) fn run(options: &Options) -> Result<(), AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut databases = Vec::new();
    for place in &options.places {
        databases.push(runtime.block_on(measure_at(place, options))?);
    }
    process::print(table(&databases)?);
    if let Some(path) = &options.plans {
        fs::write(path, plans::render(&databases)?)?;
    }
    let faults = faults(&databases);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

async fn measure_at(place: &Place, options: &Options) -> Result<Measured, AnyError> {
    match place {
        Place::Sqlite => {
            let folder = tempfile::tempdir()?;
            let url = format!("sqlite://{}", folder.path().join("logs.db").display());
            measure(place.name(), &url, options).await
        }
        Place::Server(kind) => {
            let server = Server::start_in_earnest(*kind)?;
            measure(place.name(), &server.database().await, options).await
        }
        Place::Url(url) => measure(place.name(), url, options).await,
    }
}

async fn measure(name: String, url: &str, options: &Options) -> Result<Measured, AnyError> {
    let mut config = Config::default();
    config.database.url = Some(url.into());
    let database = Database::connect(&config.database_target()?).await?;
    database.migrate().await?;
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let now = clock.now();

    let begun = Instant::now();
    database.fill_with_samples(options.rows, now, &random).await?;
    database.sum_samples(now).await?;
    database.analyze().await?;
    process::print(format!("{name}: {} rows in {:.0} s\n", options.rows, begun.elapsed().as_secs_f64()));

    let mut queries = lists(&database, now, options.runs).await?;
    queries.extend(statistics(&database, now, options.runs).await?);
    let rate = insertion_rate(&database, &clock, &random).await?;
    database.close().await;
    Ok(Measured { name, queries, rate })
}

async fn lists(database: &Database, now: UnixMicros, runs: usize) -> Result<Vec<Query>, StoreError> {
    let mut queries = Vec::new();
    for (name, scan, statuses) in queries::scans(now) {
        let query = async || Ok(database.request_logs(&scan).await?.records.len());
        let plan = database.plan_of_logs(&scan, &statuses).await?;
        queries.push(timed(name, runs, plan, query).await?);
    }
    Ok(queries)
}

async fn statistics(database: &Database, now: UnixMicros, runs: usize) -> Result<Vec<Query>, StoreError> {
    let mut queries = Vec::new();
    for (name, query) in queries::usages(now) {
        let plan = database.plan_of_usage(&query).await?;
        let query = async || Ok(database.usage(&query).await?.len());
        queries.push(timed(name, runs, plan, query).await?);
    }
    let by_tag = queries::by_tag(now);
    let plan = database.plan_of_tag(&by_tag, "app").await?;
    let query = async || Ok(database.usage_by_tag(&by_tag, "app").await?.len());
    queries.push(timed("usage by day and tag, 30 days", runs, plan, query).await?);

    let stretch = (by_tag.from, by_tag.to);
    let plan = database.plan_of_provider_days(stretch, by_tag.limit).await?;
    let query = async || Ok(database.provider_days(stretch, None, by_tag.limit).await?.len());
    queries.push(timed("providers' days, 30 days", runs, plan, query).await?);

    let plan = database.plan_of_attempts("provider-id-1", "upstream-1").await?;
    let query = async || Ok(database.last_attempts("provider-id-1", "upstream-1", 100).await?.len());
    queries.push(timed("status bar", runs, plan, query).await?);
    Ok(queries)
}

async fn timed<F: Future<Output = Result<usize, StoreError>>>(
    name: &'static str,
    runs: usize,
    plan: Vec<String>,
    query: impl Fn() -> F,
) -> Result<Query, StoreError> {
    let (mut times, mut rows) = (Vec::with_capacity(runs), 0);
    for _ in 0..runs {
        let begun = Instant::now();
        rows = query().await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(Query { name, times, rows, plan })
}

/// A row for each query, a column for each database.
fn table(databases: &[Measured]) -> Result<String, std::fmt::Error> {
    let mut text = String::from("| p50 / p95 in ms | rows |");
    databases.iter().try_for_each(|database| write!(text, " {} |", database.name))?;
    writeln!(text, "\n|---|---|{}", "---|".repeat(databases.len()))?;
    let names = databases.first().map(|database| database.queries.as_slice()).unwrap_or_default();
    for (number, query) in names.iter().enumerate() {
        write!(text, "| {} | {} |", query.name, query.rows)?;
        for database in databases {
            let Some(query) = database.queries.get(number) else { continue };
            let [half, most] = [query.at(50), query.at(95)].map(|time| time.as_secs_f64() * 1000.0);
            write!(text, " {half:.1} / {most:.1} |")?;
        }
        text.push('\n');
    }
    write!(text, "| the ledger's writer, requests a second | |")?;
    databases.iter().try_for_each(|database| write!(text, " {:.0} |", database.rate))?;
    text.push('\n');
    Ok(text)
}

fn faults(databases: &[Measured]) -> Vec<String> {
    let mut faults = Vec::new();
    for database in databases {
        for query in &database.queries {
            if let Some(line) = plans::whole_log(&query.plan) {
                faults.push(format!("{}, {}: reads a whole log: {}", database.name, query.name, line.trim()));
            }
            if query.at(95) > LIMIT {
                faults.push(format!("{}, {}: p95 is {:?}", database.name, query.name, query.at(95)));
            }
        }
    }
    faults
}

/// Requests a second, as the ledger's writer stores them: with attempts, tags and sums.
async fn insertion_rate(database: &Database, clock: &Clock, random: &Random) -> Result<f64, StoreError> {
    let mut taken = Duration::ZERO;
    let journal = random.uuid(clock.now()).to_string();
    for batch in 1..=BATCHES {
        let records: Vec<RequestRecord> = (0..BATCH).map(|_| record(clock.now(), random)).collect();
        let begun = Instant::now();
        database.append(&journal, &records, JournalOffset { segment: 1, position: batch }).await?;
        taken += begun.elapsed();
    }
    Ok((BATCH * BATCHES) as f64 / taken.as_secs_f64())
}

/// One of twenty keys' requests, for one of three models; one of five was tried twice.
fn record(now: UnixMicros, random: &Random) -> RequestRecord {
    let key = random.bits() % 20;
    let model = (key + random.bits() % 3) % 15;
    let attempts = 1 + u32::from(random.bits().is_multiple_of(5));
    let provider = (model + u64::from(attempts)) % 6;
    let attempt = |number: u32| AttemptRecord {
        started_at: now,
        provider_id: format!("provider-id-{provider}"),
        provider: format!("provider-{provider}"),
        provider_key: "main".into(),
        upstream_model: format!("upstream-{model}"),
        status: if number == attempts { 200 } else { 503 },
        outcome: if number == attempts { "ok" } else { "unavailable" }.into(),
        latency_us: random.bits() % 2_000_000,
        ..AttemptRecord::default()
    };
    RequestRecord {
        id: random.uuid(now).to_string(),
        request_id: random.uuid(now).to_string(),
        session_id: format!("session-{}", random.bits() % 1000),
        api_key_id: format!("key-id-{key}"),
        api_key_name: format!("key-{key}"),
        team: format!("team-{}", key % 4),
        started_at: now,
        model: format!("model-{model}"),
        provider: format!("provider-{provider}"),
        attempts,
        tried: (1..=attempts).map(attempt).collect(),
        status: 200,
        outcome: "ok".into(),
        latency_us: random.bits() % 4_000_000,
        usage: UsageRecord { prompt: 500, completion: 100, ..UsageRecord::default() },
        tags: [("app".to_owned(), format!("key-{key}"))].into(),
        ..RequestRecord::default()
    }
}

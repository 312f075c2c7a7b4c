//! The database is away for a while, under load: callers must not notice, nothing may be missing from the account afterwards, and the
//! core must wait in bounds (memory, lines of log) and say so to whoever administers it.
//!
//! SQLite is away while another connection holds its file locked for writing, a server while its process is stopped.

mod watch;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use http::Method;
use orchestrator_base::{process, task};
use orchestrator_testkit::databases::Kind;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::watch::{Watch, mib};
use crate::{
    AnyError,
    books::{self, Books, Findings, Query},
    caller::{self, Ended},
    database::{Choice, Database},
    gateway::{CLIENT_KEY, Gateway, Setup},
    outcome::Outcome,
    run::{Providers, put_on, until_stopped},
};

/// What is taken away, and for how long.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// Which database.
    #[arg(long, value_enum)]
    database: Choice,
    /// Away for so many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Requests in a second, half of them streams.
    #[arg(long, default_value_t = 150)]
    rate: u64,
}

/// The load goes on for so long before the outage, and after it.
const AROUND: Duration = Duration::from_secs(5);
/// A change must be refused, and after the outage taken, by then.
const ADMIN_WITHIN: Duration = Duration::from_secs(10);
/// Health says by then that records are not stored: a statement waits for a lock for five seconds, and health is looked at each second.
const DEGRADED_WITHIN: Duration = Duration::from_secs(10);
/// All that waited must be stored so long after the database is back.
const STORED_WITHIN: Duration = Duration::from_secs(30);
/// So many bytes more than before the outage the core may take.
const MAY_GROW: u64 = 64 << 20;
/// So many lines the core may log while the database is away, besides those of requests: an outage is said once by each who notices,
/// and each refused change once.
const MAY_LOG: usize = 40;
/// What the line of a request has in it.
const REQUEST: &str = r#""target":"orchestrator::request""#;
/// A client's read is answered from memory.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at a database that is back.
const LOOK: Duration = Duration::from_millis(200);
/// How many failures are spelled out.
const SHOWN: usize = 20;
/// How much is stored.
const COUNT: Query =
    Query { columns: &[("stored", "COUNT(*)")], from: "request_logs WHERE origin = 'caller'" };
/// Between two changes that are asked for.
const BETWEEN_CHANGES: Duration = Duration::from_secs(5);

/// What was seen from outside.
#[derive(Debug, Default)]
struct Seen {
    /// Changes that were refused, and how long the slowest took.
    refused: usize,
    slowest_refusal: Duration,
    /// The latest refusal's words.
    refusal: String,
    /// Reads that were served.
    reads: usize,
    /// Requests made before the database was back.
    waiting: u64,
    /// What else became of changes and reads.
    wrong: Vec<String>,
    /// Until health said degraded.
    degraded_after: Option<Duration>,
    /// Until a change was taken again.
    change_after: Option<Duration>,
    /// Until all that waited was stored.
    stored_after: Option<Duration>,
    /// Lines of the core's log while the database was away.
    lines: usize,
}

/// Runs, prints, and says whether all was as it should be.
pub(crate) fn run(outage: Outage) -> Result<bool, AnyError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(until_stopped(run_here(outage)))
}

async fn run_here(outage: Outage) -> Result<bool, AnyError> {
    let server = match outage.database {
        Choice::Sqlite => None,
        Choice::Mariadb => Some(Database::on_server(Kind::MariaDb).await?),
        Choice::Postgres => Some(Database::on_server(Kind::Postgres).await?),
    };
    let mut providers = Providers::start(None)?;
    let mut gateway = Gateway::start(&providers.addresses, setup(server.as_ref())).await?;
    let database = server.unwrap_or_else(|| Database::Sqlite(gateway.database()));
    providers.begin()?;

    let load = Load::start(outage.rate, gateway.rest);
    let mut watch = Watch::default();
    let seen = take_away_and_give_back(outage, &gateway, &database, &load, &mut watch).await?;
    watch.look_for(AROUND, &gateway).await?;
    let ended = load.stop().await?;
    gateway.all_run()?;
    gateway.stop().await?;
    let books = database.books(ended, providers.end()?).await?;
    Ok(judge(outage, &books, &watch, seen, gateway))
}

fn setup(server: Option<&Database>) -> Setup {
    let mut setup = Setup::default();
    if let Some(Database::Server(_, _, url)) = server {
        setup.variables.push(("DATABASE_URL", url.clone()));
    }
    setup
}

/// Callers at a fixed rate, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    task: JoinHandle<Option<Vec<Ended>>>,
}

impl Load {
    fn start(rate: u64, gateway: SocketAddr) -> Self {
        let (stop, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&begun));
        let goes_on = move |number| {
            counted.store(number, Ordering::Relaxed);
            !stopped.load(Ordering::Relaxed)
        };
        Self { stop, begun, task: task::spawn("load", put_on(rate, gateway, goes_on)) }
    }

    /// How many requests have been made.
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    async fn stop(self) -> Result<Vec<Ended>, AnyError> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?.ok_or_else(|| "the load has ended".into())
    }
}

async fn take_away_and_give_back(
    outage: Outage,
    gateway: &Gateway,
    database: &Database,
    load: &Load,
    watch: &mut Watch,
) -> Result<Seen, AnyError> {
    let mut seen = Seen::default();
    watch.look_for(AROUND, gateway).await?;
    watch.remember_calm(gateway)?;
    let until = Instant::now() + Duration::from_secs(outage.seconds);
    let away = database.take_away().await?;
    let (gone, lines) = (Instant::now(), log_lines(gateway)?);
    ask_in_vain(gateway, &mut seen).await;
    await_degraded(gateway, gone, &mut seen).await;
    // The last change is asked for early enough to be refused before the database is back.
    while Instant::now() + BETWEEN_CHANGES + ADMIN_WITHIN < until {
        watch.look_for(BETWEEN_CHANGES, gateway).await?;
        ask_in_vain(gateway, &mut seen).await;
    }
    watch.look_for(until.saturating_duration_since(Instant::now()), gateway).await?;
    seen.lines = log_lines(gateway)? - lines;
    seen.waiting = load.begun();
    let back = Instant::now();
    database.give_back(away).await?;
    await_all(gateway, database, back, watch, &mut seen).await?;
    Ok(seen)
}

/// A client's request that only reads, which must be served; and a change, which must be refused in time.
async fn ask_in_vain(gateway: &Gateway, seen: &mut Seen) {
    let bearer = format!("Bearer {CLIENT_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let models = caller::call(gateway.rest, Method::GET, "/v1/models", &headers, String::new());
    match timeout(READ_WITHIN, models).await {
        Ok(Ok(got)) if got.status == 200 => seen.reads += 1,
        other => seen.wrong.push(format!("GET /v1/models while the database is away: {other:?}")),
    }
    ask_to_change(gateway, seen).await;
}

/// Health must tell of it soon, and says after how long.
async fn await_degraded(gateway: &Gateway, since: Instant, seen: &mut Seen) {
    while since.elapsed() < DEGRADED_WITHIN {
        if let Ok((200, said)) = gateway.admin(Method::GET, "/health/ready", None).await
            && said["degraded"].is_string()
        {
            seen.degraded_after = Some(since.elapsed());
            return;
        }
        sleep(LOOK).await;
    }
    seen.wrong.push(format!("health does not say degraded within {DEGRADED_WITHIN:?}"));
}

async fn ask_to_change(gateway: &Gateway, seen: &mut Seen) {
    let begun = Instant::now();
    let number = seen.refused;
    let change = json!({"name": format!("while-away-{number}")});
    let answer = timeout(ADMIN_WITHIN, gateway.admin(Method::POST, "/admin/models", Some(&change))).await;
    match answer {
        Ok(Ok((503, said)))
            if said["error"]["message"].as_str().is_some_and(|why| why.contains("database")) =>
        {
            seen.refused += 1;
            seen.refusal = said.to_string();
            seen.slowest_refusal = seen.slowest_refusal.max(begun.elapsed());
        }
        other => {
            seen.wrong.push(format!("a change while the database is away, {:?}: {other:?}", begun.elapsed()));
        }
    }
}

/// Waits until a change is taken and all that waited is stored.
async fn await_all(
    gateway: &Gateway,
    database: &Database,
    back: Instant,
    watch: &mut Watch,
    seen: &mut Seen,
) -> Result<(), AnyError> {
    let change = json!({"name": "after-the-outage"});
    while (seen.change_after.is_none() || seen.stored_after.is_none()) && back.elapsed() < STORED_WITHIN {
        if seen.change_after.is_none()
            && matches!(gateway.admin(Method::POST, "/admin/models", Some(&change)).await, Ok((201, _)))
        {
            seen.change_after = Some(back.elapsed());
        }
        let rows = &database.rows(COUNT).await?[0];
        if seen.stored_after.is_none() && rows["stored"].as_u64().unwrap_or_default() >= seen.waiting {
            seen.stored_after = Some(back.elapsed());
        }
        watch.look_for(LOOK, gateway).await?;
    }
    Ok(())
}

/// What must not be.
fn violations(books: &Books, findings: &Findings, watch: &Watch, seen: Seen) -> Vec<String> {
    let mut wrong = [findings.wrong.clone(), seen.wrong].concat();
    let failures = books.ended.iter().filter(|ended| !matches!(ended.outcome, Outcome::Complete(_)));
    wrong.extend(
        failures
            .take(SHOWN)
            .map(|ended| format!("{} at {} ms: {:?}", ended.call.request_id(), ended.at_ms, ended.outcome)),
    );
    let logs = &books.sums["logs"];
    let counted = [
        ("requests", books.ended.len() as u64),
        ("attempts", books.asks.len() as u64),
        ("prompt", books.asks.iter().map(|ask| ask.prompt).sum()),
        ("completion", books.asks.iter().map(|ask| ask.completion).sum()),
    ];
    for (what, count) in counted {
        if logs[what].as_u64() != Some(count) {
            wrong
                .push(format!("{what}: the account has {}, callers and providers count {count}", logs[what]));
        }
    }
    if watch.growth() > MAY_GROW {
        wrong.push(format!("the core grew by {}", mib(watch.growth())));
    }
    if seen.lines > MAY_LOG {
        wrong.push(format!("the core logged {} lines while the database was away", seen.lines));
    }
    if seen.change_after.is_none_or(|after| after > ADMIN_WITHIN) {
        wrong.push(format!("after the outage a change was taken after {:?}", seen.change_after));
    }
    if seen.stored_after.is_none() {
        wrong.push(format!("what waited was not stored within {STORED_WITHIN:?}"));
    }
    wrong
}

fn judge(outage: Outage, books: &Books, watch: &Watch, seen: Seen, gateway: Gateway) -> bool {
    let findings = books::compare(books);
    let shown = |after: Option<Duration>| after.map_or("never".to_owned(), |after| format!("{after:.1?}"));
    process::print(format!(
        "{:?} away for {} s, {} requests ({} a second)\n{findings}{watch}\
         a change while it is away: {} refused, the slowest after {:.1?}: {}\n\
         the list of models while it is away: served {} times\n\
         health says degraded after {}\n\
         once it is back: a change is taken after {}, all that waited is stored after {}\n\
         lines in the core's log while it is away, besides requests: {}\n\
         this machine's load at the end: {}",
        outage.database,
        outage.seconds,
        books.ended.len(),
        outage.rate,
        seen.refused,
        seen.slowest_refusal,
        seen.refusal,
        seen.reads,
        shown(seen.degraded_after),
        shown(seen.change_after),
        shown(seen.stored_after),
        seen.lines,
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default(),
    ));
    let wrong = violations(books, &findings, watch, seen);
    if wrong.is_empty() {
        return true;
    }
    process::complain(&wrong.join("\n"));
    process::complain(&format!("logs and database: {}", gateway.keep().display()));
    false
}

fn log_lines(gateway: &Gateway) -> Result<usize, AnyError> {
    let log = std::fs::read_to_string(gateway.core()?.log())?;
    Ok(log.lines().filter(|line| !line.contains(REQUEST)).count())
}

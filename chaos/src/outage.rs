//! The database is away for a while, under load: callers must not notice, nothing may be missing from the account afterwards, and the
//! core must wait in bounds (memory, lines of log) and say so to whoever administers it.
//!
//! SQLite is away while another connection holds its file locked for writing, a server while its process is stopped.

mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use http::Method;
use orchestrator_base::process;
use orchestrator_testkit::databases::Kind;
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::watch::{Watch, mib};
use crate::{
    AnyError,
    books::{self, Books, Query},
    caller,
    database::{Choice, Database},
    gateway::{CLIENT_KEY, Gateway, Setup},
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
/// All that waited must be stored so long after the database is back.
const STORED_WITHIN: Duration = Duration::from_secs(30);
/// So many bytes more than before the outage the core may take.
const MAY_GROW: u64 = 64 << 20;
/// So many lines the core may log while the database is away: an outage is said once by each who notices, and each refused change once.
const MAY_LOG: usize = 40;
/// Between two changes that are asked for.
const BETWEEN_CHANGES: Duration = Duration::from_secs(5);

/// What was seen from outside.
#[derive(Debug, Default)]
struct Seen {
    /// Changes that were refused, and how long the slowest took.
    refused: usize,
    slowest_refusal: Duration,
    /// What else became of changes and reads.
    wrong: Vec<String>,
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

    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (gateway.rest, Arc::clone(&stop));
    let goes_on = move |_| !stopped.load(Ordering::Relaxed);
    let load = orchestrator_base::task::spawn("load", async move {
        put_on(outage.rate, address, goes_on).await
    });
    let mut watch = Watch::new(&gateway);
    let mut seen = Seen::default();
    take_away_and_give_back(outage, &gateway, &database, &mut watch, &mut seen).await?;
    watch.look_for(AROUND).await?;
    stop.store(true, Ordering::Relaxed);
    let ended = load.await?.ok_or("the load has ended")?;
    gateway.all_run()?;
    gateway.stop().await?;
    let books = database.books(ended, providers.end()?).await?;
    judge(outage, &books, &watch, seen, gateway)
}

/// The core's own log, without a line for each request.
fn setup(server: Option<&Database>) -> Setup {
    let mut setup = Setup::default();
    if let Some(Database::Server(_, _, url)) = server {
        setup.variables.push(("DATABASE_URL", url.clone()));
    }
    setup
}

async fn take_away_and_give_back(
    outage: Outage,
    gateway: &Gateway,
    database: &Database,
    watch: &mut Watch<'_>,
    seen: &mut Seen,
) -> Result<(), AnyError> {
    watch.look_for(AROUND).await?;
    let away = database.take_away().await?;
    watch.outage_begins()?;
    let until = Instant::now() + Duration::from_secs(outage.seconds);
    // The last change is asked for early enough to be refused before the database is back; the first in any case.
    while seen.refused == 0 || Instant::now() + ADMIN_WITHIN < until {
        ask_in_vain(gateway, seen).await?;
        watch.look_for(BETWEEN_CHANGES).await?;
        if !seen.wrong.is_empty() {
            break;
        }
    }
    watch.look_for(until.saturating_duration_since(Instant::now())).await?;
    seen.lines = watch.lines_since_outage()?;
    let asked = requests_asked(gateway, outage, watch);
    database.give_back(away).await?;
    let back = Instant::now();
    await_all(gateway, database, asked, back, watch, seen).await
}

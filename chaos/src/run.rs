//! One run: providers, gateway, load, and the books at the end. All processes end with it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use orchestrator_base::{process, signals::Shutdown};
use orchestrator_testkit::sqlite;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    AnyError, Load,
    accounts::{self, Books},
    caller::{Call, Ended},
    gateway::{Gateway, Setup},
    report::Ask,
    schedule, table,
};

/// How many failures are spelled out.
const SHOWN: usize = 20;

/// The providers' process. Dropping it ends it.
pub(crate) struct Providers {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Providers {
    /// Starts them; `faults` are drawn for that load, or else there are none.
    pub(crate) fn start(faults: Option<Load>) -> Result<Self, AnyError> {
        let mut command = Command::new(std::env::current_exe()?);
        match faults {
            Some(load) => command.args([
                "providers",
                "--seed",
                &load.seed.to_string(),
                "--seconds",
                &load.seconds.to_string(),
            ]),
            None => command.args(["providers", "--seconds", "0"]),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("the providers have no output")?;
        let mut providers = Self { child, out: BufReader::new(out), addresses: Vec::new() };
        let mut line = String::new();
        providers.out.read_line(&mut line)?;
        for address in line.split_whitespace() {
            providers.addresses.push(address.parse()?);
        }
        Ok(providers)
    }

    /// The schedule begins now.
    pub(crate) fn begin(&mut self) -> Result<(), AnyError> {
        let stdin = self.child.stdin.as_mut().ok_or("the providers have no input")?;
        Ok(stdin.write_all(b"begin\n")?)
    }

    /// Ends them, and gives what they were asked.
    pub(crate) fn end(mut self) -> Result<Vec<Ask>, AnyError> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.out.read_to_string(&mut said)?;
        if !self.child.wait()?.success() {
            return Err("the providers did not end well".into());
        }
        said.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs, prints, and says whether all was as it should be.
pub(crate) fn run(load: Load) -> Result<bool, AnyError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(until_stopped(run_here(load)))
}

/// A signal ends the run, and with it the processes that it started.
pub(crate) async fn until_stopped(
    run: impl Future<Output = Result<bool, AnyError>>,
) -> Result<bool, AnyError> {
    let shutdown = Shutdown::new();
    shutdown.watch_signals()?;
    tokio::select! {
        done = Box::pin(run) => done,
        () = shutdown.drain().cancelled() => Err("stopped before the end".into()),
    }
}

async fn run_here(load: Load) -> Result<bool, AnyError> {
    let mut providers = Providers::start(Some(load))?;
    let mut gateway = Gateway::start(&providers.addresses, Setup::hasty()).await?;
    providers.begin()?;
    let ended = put_on(load.rate, gateway.rest, |number| number < load.rate * load.seconds).await;
    gateway.all_run()?;
    gateway.stop().await?;
    let rows = sqlite::rows(&gateway.database(), "SELECT * FROM request_logs").await;
    let books = Books { ended, asks: providers.end()?, rows };
    let findings = accounts::compare(&books);
    process::print(table::render(load, &schedule::draw(load.seed, load.millis()), &books, &findings));
    for failure in findings.failures.iter().take(SHOWN) {
        process::complain(&format!("failed: {failure}"));
    }
    if findings.violations.is_empty() {
        return Ok(true);
    }
    process::complain(&findings.violations.lines().join("\n"));
    process::complain(&format!("logs and database: {}", gateway.keep().display()));
    Ok(false)
}

/// Asks at a fixed rate (a second), whatever becomes of the answers, for as long as `goes_on` says of the next call's number, and waits
/// for the last.
pub(crate) async fn put_on(rate: u64, gateway: SocketAddr, goes_on: impl Fn(u64) -> bool) -> Vec<Ended> {
    let start = Instant::now();
    let interval = Duration::from_secs(1) / rate.clamp(1, 100_000) as u32;
    let mut under_way = JoinSet::new();
    let mut ended = Vec::new();
    for number in (0..).take_while(|number| goes_on(*number)) {
        let due = start + interval * number as u32;
        while let Some(Ok(done)) = under_way.try_join_next() {
            ended.push(done);
        }
        sleep_until(due).await;
        under_way.spawn(Call { number }.make(gateway, start));
    }
    while let Some(done) = under_way.join_next().await {
        ended.extend(done);
    }
    ended
}

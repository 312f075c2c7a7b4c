//! The kill loop: the core is killed (SIGKILL) again and again under load, started again each time, and in the end every answer that a
//! caller has seen must be in the account exactly once.
//!
//! When it is killed is drawn from a seed: at any moment, or as soon as its log says that it does something that must not be torn
//! in two ([`phase::Phase`]). Migrations are killed in databases of their own, since each is made once.

mod load;
mod migrating;
mod phase;
mod stored;

use std::{fs, path::Path, time::Duration};

use clap::Args;
use orchestrator_base::{process, random::Random};
use tokio::time::sleep;

use self::{
    load::Callers,
    phase::{Hits, Moment, Phase},
};
use crate::{
    AnyError,
    books::{self, Books},
    database::Database,
    gateway::{Gateway, Setup},
    run::{Providers, until_stopped},
};

/// What is drawn and done.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Kills {
    /// Draws the moments.
    #[arg(long, default_value_t = 8)]
    seed: u64,
    /// How often the core is killed.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// What the journal has not stored yet is thrown away after each kill, as a core without a replay would: the books must not agree.
    #[arg(long)]
    skip_replay: bool,
}

/// Under load for so long at least before a kill, and up to this much longer.
const LIVES: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(900));
/// Small, so that one is full several times a second.
const SEGMENT_BYTES: u64 = 32 * 1024;
/// So many requests are under way at least when the core is killed.
const IN_FLIGHT: usize = 64;

/// Runs, prints, and says whether all was as it should be.
pub(crate) fn run(kills: &Kills) -> Result<bool, AnyError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(until_stopped(run_here(*kills)))
}

/// With a log that says what is begun and what is done.
fn setup() -> Setup {
    Setup {
        variables: vec![("LOG_LEVEL", "debug".to_owned()), ("LOG_FORMAT", "json".to_owned())],
        settings: vec![("journal.segment_bytes", SEGMENT_BYTES)],
    }
}

async fn run_here(kills: Kills) -> Result<bool, AnyError> {
    let dice = Random::seeded(kills.seed);
    let mut providers = Providers::start(None)?;
    let mut gateway = Gateway::start(&providers.addresses, setup()).await?;
    providers.begin()?;
    let callers = Callers::start(gateway.rest);
    let (mut hits, mut fewest) = (Hits::default(), usize::MAX);
    for round in 0..kills.rounds {
        let phase = phase::draw(&dice, round);
        if phase == Phase::Migration {
            hits.count(phase, migrating::kill_and_recover(&dice).await?);
            continue;
        }
        sleep(LIVES.0 + LIVES.1.mul_f64(dice.unit())).await;
        callers.await_in_flight(IN_FLIGHT).await?;
        // A replay is what a start begins with: for that the core dies first at any moment, and then again.
        let first = if phase == Phase::Replay { Phase::AnyMoment } else { phase };
        fewest = fewest.min(callers.in_flight());
        hits.count(first, end_core(&mut gateway, first, &dice).await?);
        if kills.skip_replay {
            forget_journal(gateway.folder())?;
        }
        gateway.start_core()?;
        if phase == Phase::Replay {
            hits.count(phase, end_core(&mut gateway, phase, &dice).await?);
            gateway.start_core()?;
        }
        gateway.await_core().await?;
        gateway.all_run()?;
    }
    let ended = callers.stop().await;
    // A core that is told to stop stores for some seconds, and leaves the rest to its next start.
    stored::await_all(&mut gateway).await?;
    gateway.stop().await?;
    let books = Database::Sqlite(gateway.database()).books(ended, providers.end()?).await?;
    judge(kills, &books, &hits, fewest, gateway)
}

/// Kills the core at that moment; says whether it was in the middle of that phase.
async fn end_core(gateway: &mut Gateway, phase: Phase, dice: &Random) -> Result<bool, AnyError> {
    let (program, moment) = (gateway.take_core()?, Moment::of(phase, dice));
    // Waiting for a line of the log is done by a thread that does nothing else: a batch is stored in a few milliseconds.
    tokio::task::spawn_blocking(move || moment.kill(program)).await?
}

/// Throws away what stands in the journal.
fn forget_journal(folder: &Path) -> Result<(), AnyError> {
    for core in fs::read_dir(folder.join("data/journal"))? {
        for file in fs::read_dir(core?.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

fn judge(
    kills: Kills,
    books: &Books,
    hits: &Hits,
    fewest: usize,
    gateway: Gateway,
) -> Result<bool, AnyError> {
    let findings = books::compare(books);
    process::print(format!(
        "seed {}, {} kills, at least {fewest} requests under way at each\n{hits}\n{findings}",
        kills.seed, kills.rounds
    ));
    let mut wrong = findings.wrong;
    if kills.rounds >= phase::ENOUGH {
        wrong.extend(hits.missed().map(|phase| format!("no kill hit: {phase:?}")));
    }
    match (wrong.is_empty(), kills.skip_replay) {
        (true, false) => Ok(true),
        (false, true) => {
            process::print(format!(
                "without a replay {} things are wrong, as they must be; the first: {}\n",
                wrong.len(),
                wrong[0]
            ));
            Ok(true)
        }
        (true, true) => Err("without a replay nothing was lost: this test proves nothing".into()),
        (false, false) => {
            process::complain(&wrong.join("\n"));
            process::complain(&format!("logs and database: {}", gateway.keep().display()));
            Ok(false)
        }
    }
}

//! The fleet: two cores, one database, one Redis, one edge before both. What no core can keep alone is played in scenes: limits,
//! budgets, idempotency, a Redis that fails, keys that are taken away, a core that is killed. CONTRIBUTING.md says what each must show.

mod cores;
mod upstream;

mod ask;
mod load;
mod money;
mod scene;

mod away;
mod budget;
mod forgotten;
mod idempotency;
mod killed;
mod limit;
mod revoked;
pub(crate) mod rolling;

use std::time::Duration;

use clap::{Args, ValueEnum};
use orchestrator_base::process;
use tokio::time::Instant;

use self::{cores::Fleet, scene::Scene};
use crate::{AnyError, database::Choice, run::until_stopped};

/// What is played, and on what.
#[derive(Args, Clone, Debug)]
pub(crate) struct Play {
    /// On which database.
    #[arg(long, value_enum, default_value = "postgres")]
    database: Choice,
    /// Shorter, and each scene once.
    #[arg(long)]
    quick: bool,
    /// Only these scenes.
    #[arg(long, value_enum, value_delimiter = ',')]
    scenes: Vec<Name>,
}

/// A scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// A crowd on one key's limits.
    Limit,
    /// Budgets spent to the end.
    Budget,
    /// Many twins of one request.
    Idempotency,
    /// Keys taken away.
    Revoked,
    /// A core is killed.
    Killed,
    /// Redis fails, in each way.
    Redis,
    /// Redis forgets what was spent.
    Forgotten,
}

impl Name {
    /// What the cores are told. Where nothing befalls Redis, a machine that is busy with other things must not look like one that is
    /// away, for which a core by itself has 20 ms.
    fn settings(self, quick: bool) -> Vec<(&'static str, u64)> {
        let expiry = ("redis.core_expiry_ms", core_expiry(quick).as_millis() as u64);
        let patience = PATIENCE.as_millis() as u64;
        match self {
            Self::Redis | Self::Forgotten => vec![expiry],
            _ => vec![expiry, ("redis.checkout_ms", patience), ("redis.command_ms", patience)],
        }
    }
}

/// A core that has not said for so long that it lives is held for dead: shorter than by default, since it is waited for.
fn core_expiry(quick: bool) -> Duration {
    Duration::from_secs(if quick { 2 } else { 4 })
}

/// How long the cores wait for Redis where nothing befalls it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Plays, prints, and says whether all was as it should be.
pub(crate) fn run(play: Play) -> Result<bool, AnyError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(until_stopped(run_here(play)))
}

async fn run_here(play: Play) -> Result<bool, AnyError> {
    let begun = Instant::now();
    let scenes = Name::value_variants().iter();
    let scenes: Vec<Name> =
        scenes.copied().filter(|name| play.scenes.is_empty() || play.scenes.contains(name)).collect();
    let first = scenes.first().map(|name| name.settings(play.quick)).unwrap_or_default();
    let mut fleet = Fleet::start(play.database, first).await?;
    process::print(format!("two cores on {:?} and Redis, after {:.1?}\n", play.database, begun.elapsed()));
    let mut right = true;
    for name in scenes {
        fleet.reconfigure(name.settings(play.quick)).await?;
        let since = Instant::now();
        let scene = scene(name, &mut fleet, play.quick).await;
        let scene = scene.map_err(|why| format!("{name:?} did not come to its end: {why}"))?;
        fleet.all_run()?;
        right &= scene.is_right();
        process::print(scene.render(&format!("{name:?}").to_lowercase(), since.elapsed()));
    }
    let complaints = fleet.upstream.complaints();
    if !complaints.is_empty() {
        return Err(format!("the provider complains: {}", complaints.join("; ")).into());
    }
    fleet.stop().await?;
    process::print(format!(
        "{} after {:.0?}; this machine's load at the end: {}",
        if right { "all holds," } else { "it FAILS," },
        begun.elapsed(),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default(),
    ));
    if !right {
        process::complain(&format!("logs: {}", fleet.keep().display()));
    }
    Ok(right)
}

async fn scene(name: Name, fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    match name {
        Name::Limit => limit::play(fleet, quick).await,
        Name::Budget => budget::play(fleet, quick).await,
        Name::Idempotency => idempotency::play(fleet, quick).await,
        Name::Redis => away::play(fleet, quick).await,
        Name::Forgotten => forgotten::play(fleet, quick).await,
        Name::Revoked => revoked::play(fleet).await,
        Name::Killed => killed::play(fleet, core_expiry(quick)).await,
    }
}

//! Cores that are told to stop (SIGTERM) under load, one after the other, while an edge stands before both: nobody may lose a whole
//! request, no stream may end falsely, and every answer is in the account once. Then a core that has less time than its streams take,
//! and one that is told twice.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use orchestrator_base::{house::HURRIED, process, task};
use tokio::time::{Instant, sleep};

use super::{
    ask::{Answered, Ask, at_once},
    budget,
    cores::{Fleet, Key},
    load::Load,
    money::{self, Account},
    scene::Scene,
    upstream::{LONG, QUICK, SLOW},
};
use crate::{AnyError, database::Choice, outcome::Outcome, run::until_stopped};

/// How often, and on what.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Rolling {
    /// On which database.
    #[arg(long, value_enum, default_value = "postgres")]
    database: Choice,
    /// How often each core is started anew under load.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Requests in a second.
const RATE: u32 = 90;
/// Longer than any answer of the load takes.
const PLENTY_MS: u64 = 15_000;
/// Shorter than a long answer takes, and longer than until its beginning.
const SHORT_MS: u64 = 700;
/// A core that has nothing to wait for any more has ended by then: the last word, the account, the database.
const ENDS_WITHIN: Duration = Duration::from_secs(4);
/// The load goes on for so long around each restart.
const AROUND: Duration = Duration::from_millis(1_500);
/// Long streams have begun by then.
const BEGUN: Duration = Duration::from_millis(1_200);
/// So many of them, and as many whole answers, when a core has too little time.
const LONG_ONES: usize = 12;
/// More than anybody here spends, in nano-dollars.
const MONEY: u64 = 1_000_000_000_000;

/// Runs, prints, and says whether all was as it should be.
pub(crate) fn run(rolling: Rolling) -> Result<bool, AnyError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(until_stopped(run_here(rolling)))
}

async fn run_here(rolling: Rolling) -> Result<bool, AnyError> {
    let mut fleet = Fleet::start(rolling.database, settings(PLENTY_MS)).await?;
    let mut right = true;
    let mut tell = |name: &str, scene: &Scene, since: Instant| {
        right &= scene.is_right();
        process::print(scene.render(name, since.elapsed()));
    };
    let since = Instant::now();
    let scene = roll(&mut fleet, rolling.rounds).await?;
    tell("rolling restart", &scene, since);
    for (name, twice, drain) in [("too little time", false, SHORT_MS), ("told twice", true, PLENTY_MS)] {
        fleet.reconfigure(settings(drain)).await?;
        let since = Instant::now();
        let scene = cut_short(&mut fleet, twice).await?;
        tell(name, &scene, since);
    }
    let complaints = fleet.upstream.complaints();
    if !complaints.is_empty() {
        return Err(format!("the provider complains: {}", complaints.join("; ")).into());
    }
    fleet.stop().await?;
    if !right {
        process::complain(&format!("logs: {}", fleet.keep().display()));
    }
    Ok(right)
}

fn settings(drain_ms: u64) -> Vec<(&'static str, u64)> {
    vec![("shutdown.drain_ms", drain_ms), ("redis.checkout_ms", 2_000), ("redis.command_ms", 2_000)]
}

/// Both cores, in turn, so many times.
async fn roll(fleet: &mut Fleet, rounds: u32) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let key = fleet.key("rolling", budget::total(MONEY)).await?;
    fleet.await_known().await?;
    let load = mixed(fleet.edge, &key);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        for side in 0..fleet.sides.len() {
            sleep(AROUND).await;
            let mut core = fleet.take_core(side)?;
            let asked = Instant::now();
            core.terminate()?;
            let status = core.ended(Duration::from_millis(PLENTY_MS) + ENDS_WITHIN).await?;
            slowest = slowest.max(asked.elapsed());
            scene.check(status == Some(0), || format!("a core ended with {status:?}, not 0"));
            fleet.start_core(side)?;
            fleet.await_ready(fleet.sides[side].edge).await?;
        }
    }
    sleep(AROUND).await;
    let answers = load.stop().await?;
    let streams = answers.iter().filter(|answer| answer.stream).count();
    scene.say(format!(
        "{} restarts, {} whole requests and {streams} streams; a core ended after {slowest:.1?} at most",
        rounds * 2,
        answers.len() - streams,
    ));
    for answer in answers.iter().filter(|answer| !answer.is_complete()) {
        scene.check(false, || format!("not whole: {}", answer.shown()));
    }
    agree(fleet, &key, &answers, "rolling-", &mut scene).await?;
    Ok(scene)
}

/// A core is told to stop with answers under way that take longer than it has; or told again at once.
async fn cut_short(fleet: &mut Fleet, twice: bool) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let prefix = if twice { "twice-" } else { "short-" };
    let key = fleet.key(prefix, budget::total(MONEY)).await?;
    fleet.await_known().await?;
    let edge = fleet.sides[0].edge;
    let long = |number: usize| {
        let mut ask = Ask::new(format!("{prefix}{number}"), &key, LONG).stream(number.is_multiple_of(2));
        ask.wish.model = LONG;
        (edge, ask)
    };
    let asks: Vec<_> = (0..2 * LONG_ONES).map(long).collect();
    let asking = task::spawn("long answers", at_once(asks));
    sleep(BEGUN).await;
    let mut core = fleet.take_core(0)?;
    let asked = Instant::now();
    core.terminate()?;
    if twice {
        sleep(Duration::from_millis(200)).await;
        core.terminate()?;
    }
    let (expected, drain) =
        if twice { (HURRIED, Duration::ZERO) } else { (0, Duration::from_millis(SHORT_MS)) };
    let status = core.ended(drain + ENDS_WITHIN).await?;
    scene.say(format!("it ended with {status:?} after {:.1?}", asked.elapsed()));
    scene.check(status == Some(i32::from(expected)), || format!("it ended with {status:?}, not {expected}"));
    fleet.start_core(0)?;
    fleet.await_ready(edge).await?;
    let answers = asking.await?.ok_or("the callers have ended")?;
    for answer in &answers {
        let honest = match (&answer.outcome, answer.stream) {
            (Outcome::Cut(_), true) => String::from_utf8_lossy(&answer.body).contains("stopping"),
            (Outcome::Failed(_), false) => answer.status == 503 && answer.code() == "stopping",
            _ => false,
        };
        scene.check(honest, || format!("no honest end: {}", answer.shown()));
    }
    scene.say(format!("{LONG_ONES} streams and {LONG_ONES} whole answers were told why they end"));
    agree(fleet, &key, &answers, prefix, &mut scene).await?;
    Ok(scene)
}

/// Each request is in the account once, as its caller saw it, and the sums are one.
async fn agree(
    fleet: &Fleet,
    key: &Key,
    answers: &[Answered],
    prefix: &str,
    scene: &mut Scene,
) -> Result<(), AnyError> {
    let ids: Vec<_> = answers.iter().map(|answer| (key, answer.id.as_str())).collect();
    let account = Account::with(&fleet.database, &ids).await?;
    let mut cost = 0;
    let asked = fleet.upstream.asked(prefix);
    for answer in answers {
        let expected = match &answer.outcome {
            Outcome::Complete(_) => "ok",
            Outcome::Failed(_) => "unavailable",
            Outcome::Cut(_) | Outcome::Unended(_) | Outcome::Dishonest(_) => "truncated",
        };
        let its: Vec<_> = asked.iter().filter(|asked| asked.request_id == answer.id).cloned().collect();
        scene.check(its.len() == 1, || format!("{}: the provider was asked {} times", answer.id, its.len()));
        let row = account.row(&key.id, &answer.id);
        scene.check(row.is_ok_and(|(outcome, _)| outcome == expected), || {
            format!("{}: {expected}, and in the account {row:?}", answer.id)
        });
        if expected == "ok" {
            let right = money::cost(&its);
            scene.check(row.is_ok_and(|(_, charged)| *charged == right), || {
                format!("{}: costs {right}, and in the account {row:?}", answer.id)
            });
            cost += right;
        }
    }
    let sums = (account.charged(&key.id), account.charged_for_cut(&key.id));
    let spent = account.spent(&format!("key:{}", key.id));
    money::compare(prefix.trim_end_matches('-'), sums, spent, cost, scene);
    scene.check(!answers.is_empty(), || "nobody asked".to_owned());
    Ok(())
}

/// Callers for whole answers and streams, quick and slow ones.
fn mixed(edge: SocketAddr, key: &Key) -> Load {
    let key = key.clone();
    // As many as there are: how long the slow ones take must not hold others up.
    Load::of(edge, RATE, usize::MAX, move |number| {
        let model = match number % 10 {
            0..=5 => QUICK,
            6..=8 => SLOW,
            _ => LONG,
        };
        Ask::new(format!("rolling-{number}"), &key, model).stream((number / 10).is_multiple_of(2))
    })
}

//! Redis fails under load, in each way that it can: nobody's request fails for it, or takes notably longer, limits hold within what the
//! cores can know without it, budgets hold whatever it forgets, and the cores find it again by themselves.
//!
//! How much longer: beside the key with limits another asks that has none, and so never waits for Redis. What the limited key's 99th
//! percentile is above both its own of before and the other's of the same time is added by the fault: a machine that is busy with
//! other things makes both slow.

pub(crate) mod fault;
mod probe;

use std::time::Duration;

use serde_json::json;
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

use self::{fault::Fault, probe::Probes};
use super::{
    ask::{at_once, span},
    cores::{Fleet, Key},
    limit::{crowd, refilled},
    load::{Load, quantile},
    scene::{Scene, shown},
};
use crate::AnyError;

/// Requests in a second of the key with limits, and as many of the one without.
const RATE: u32 = 50;
/// One of so many is for a stream; how long the others take is looked at.
const STREAM_EACH: u32 = 4;
/// A fault may add so much to the 99th percentile: this, and a tenth of what those without limits take at the same time, since nothing
/// finer can be told on a machine that is busy.
const MAY_ADD: Duration = Duration::from_millis(5);
const RECOVERS_WITHIN: Duration = Duration::from_secs(2);
/// A key's limit a minute that a crowd runs into while Redis is away.
const REQUESTS_A_MINUTE: u64 = 60;
const CALLERS: u64 = 100;
/// More than anybody here uses.
const PLENTY: u64 = 1_000_000;

/// How long the load is looked at before each fault and in it.
#[derive(Clone, Copy, Debug)]
struct Windows {
    before: Duration,
    during: Duration,
}

const WINDOWS: Windows = Windows { before: Duration::from_secs(5), during: Duration::from_secs(5) };
const QUICK_WINDOWS: Windows =
    Windows { before: Duration::from_millis(1_200), during: Duration::from_millis(2_500) };

/// A row of the table.
struct Row {
    fault: Fault,
    before: [Vec<Duration>; 2],
    during: [Vec<Duration>; 2],
    admitted: u64,
    recovery: Option<Duration>,
}

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    let (faults, windows) =
        if quick { (Fault::FEW, QUICK_WINDOWS) } else { (Fault::ALL.as_slice(), WINDOWS) };
    let mut scene = Scene::default();
    let plenty = json!({
        "requests_per_minute": PLENTY, "tokens_per_minute": PLENTY * 1_000, "max_concurrency": PLENTY,
        "budget_usd": PLENTY, "budget_period": "month",
    });
    let limited = fleet.key("away-limited", plenty).await?;
    let free = fleet.key("away-free", json!({})).await?;
    let mut crowds = Vec::new();
    for fault in faults {
        crowds.push(fleet.key(fault.prefix(), json!({"requests_per_minute": REQUESTS_A_MINUTE})).await?);
    }
    let mut probes = Probes::make(fleet).await?;
    fleet.await_known().await?;

    let loads = [
        Load::start(fleet.edge, &limited, "away-limited-", RATE, STREAM_EACH),
        Load::start(fleet.edge, &free, "away-free-", RATE, STREAM_EACH),
    ];
    let mut rows = Vec::new();
    for (fault, key) in faults.iter().zip(&crowds) {
        rows.push(suffer(fleet, *fault, key, &loads, &mut probes, windows, &mut scene).await?);
    }
    let (mut requests, mut failed) = (0, Vec::new());
    for load in loads {
        let answers = load.stop().await?;
        requests += answers.len();
        failed.extend(answers.into_iter().filter(|answer| !answer.is_complete()));
    }
    scene.say(format!("{requests} requests under {} faults, {} failed", rows.len(), failed.len()));
    for answer in &failed {
        scene.check(false, || format!("failed: {}", answer.shown()));
    }
    judge(&rows, &mut scene);
    Ok(scene)
}

/// One fault, from the calm before it until the cores have shared state again.
async fn suffer(
    fleet: &mut Fleet,
    fault: Fault,
    key: &Key,
    loads: &[Load; 2],
    probes: &mut Probes,
    windows: Windows,
    scene: &mut Scene,
) -> Result<Row, AnyError> {
    let calm = Instant::now();
    sleep(windows.before).await;
    let begun = Instant::now();
    let mut suffering = fault.begin(&fleet.redis, windows.during)?;
    sleep(windows.during.saturating_sub(begun.elapsed())).await;
    let crowded = Instant::now();
    if fault == Fault::Flushed {
        // How often it forgets is counted from here.
        suffering.cease().await?;
    }
    let admitted = run_into_the_limit(fleet, fault, key, scene).await;
    fault.end(&fleet.redis, suffering).await?;
    let recovery = probes.recover(fleet).await;
    let times = |from, until| [loads[0].times(from, until), loads[1].times(from, until)];
    Ok(Row { fault, before: times(calm, begun), during: times(begun, crowded), admitted, recovery })
}

/// How many of a crowd are admitted on a limit that nobody has used yet.
async fn run_into_the_limit(fleet: &Fleet, fault: Fault, key: &Key, scene: &mut Scene) -> u64 {
    let mut answers = Vec::new();
    for round in 0..fault.crowds() {
        if round > 0 {
            block_in_place(|| fleet.redis.command(&["FLUSHALL"]));
        }
        answers.extend(at_once(crowd(fleet.edge, key, fault.prefix(), CALLERS, |ask| ask)).await);
    }
    let (admitted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_complete());
    for answer in refused {
        scene.check(answer.status == 429, || format!("{}: {}", fault.name(), answer.shown()));
    }
    let admitted = admitted.len() as u64;
    let bound = fault.bound(REQUESTS_A_MINUTE) + refilled(REQUESTS_A_MINUTE, span(&answers));
    scene.check((1..=bound).contains(&admitted), || {
        let limit = format!("a limit of {REQUESTS_A_MINUTE}");
        format!("{}: {admitted} admitted on {limit}, and at most {bound} may be", fault.name())
    });
    admitted
}

/// The table, and what must hold of each row.
fn judge(rows: &[Row], scene: &mut Scene) {
    scene.say(format!(
        "{:<10}{:>22}{:>22}{:>22}{:>22}{:>10}{:>10}{:>12}{:>14}",
        "ms",
        "before: p50, p99",
        "no limits: p50, p99",
        "during: p50, p99",
        "no limits: p50, p99",
        "worst",
        "added p99",
        "let through",
        "found again",
    ));
    for Row { fault, before, during, admitted, recovery } in rows {
        let p99 = |times: &[Duration]| quantile(times, 990);
        let added = p99(&during[0]).saturating_sub(p99(&before[0]).max(p99(&during[1])));
        let worst = during[0].last().copied().unwrap_or_default();
        let pair = |times: &[Duration]| format!("{} {:>8}", millis(quantile(times, 500)), millis(p99(times)));
        scene.say(format!(
            "{:<10}{:>22}{:>22}{:>22}{:>22}{:>10}{:>10}{:>12}{:>14}",
            fault.name(),
            pair(&before[0]),
            pair(&before[1]),
            pair(&during[0]),
            pair(&during[1]),
            millis(worst),
            millis(added),
            format!("{admitted} of {}", CALLERS * fault.crowds()),
            shown(*recovery),
        ));
        let bound = MAY_ADD + p99(&during[1]) / 10;
        scene.check(added < bound, || {
            format!("{}: {added:.1?} were added to p99, and less than {bound:.1?} may be", fault.name())
        });
        scene.check(recovery.is_some_and(|after| after < RECOVERS_WITHIN), || {
            format!("{}: found again after {}", fault.name(), shown(*recovery))
        });
        scene.check(!during[0].is_empty(), || format!("{}: nobody asked meanwhile", fault.name()));
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

//! Redis fails under load, in each way that it can: nobody's request fails for it, or takes notably longer, limits hold within what the
//! cores can know without it, budgets hold whatever it forgets, and the cores find it again by themselves.
//!
//! How much longer: beside the key with limits another asks that has none, and so never waits for Redis. What the limited key's 99th
//! percentile is above both its own of before and the other's of the same time is added by the fault: a machine that is busy with
//! other things makes both slow.

mod fault;
mod probe;

use std::{fmt::Write as _, time::Duration};

use serde_json::json;
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

use self::{
    fault::Fault,
    probe::{Probes, Recovery},
};
use super::{
    ask::{at_once, span},
    budget::{self, Spending},
    cores::{Fleet, Key},
    limit::{crowd, refilled},
    load::{Load, quantile},
    scene::Scene,
};
use crate::AnyError;

/// Requests in a second of the key with limits, and as many of the one without.
const RATE: u32 = 100;
/// A fault may add so much to the 99th percentile.
const MAY_ADD: Duration = Duration::from_millis(5);
const RECOVERS_WITHIN: Duration = Duration::from_secs(2);
/// A key's limit a minute that a crowd runs into while Redis is away.
const REQUESTS_A_MINUTE: u64 = 60;
const CALLERS: u64 = 100;
/// More than anybody here uses.
const PLENTY: u64 = 1_000_000;

/// How long the load is looked at before each fault and in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    before: Duration,
    during: Duration,
}

impl Windows {
    pub(crate) fn new(quick: bool) -> Self {
        let (before, during) = if quick { (1_000, 1_200) } else { (3_000, 3_000) };
        Self { before: Duration::from_millis(before), during: Duration::from_millis(during) }
    }
}

/// A row of the table.
struct Row {
    fault: Fault,
    before: [Vec<Duration>; 2],
    during: [Vec<Duration>; 2],
    admitted: u64,
    recovery: Recovery,
}

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, windows: Windows) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let plenty = json!({
        "requests_per_minute": PLENTY, "tokens_per_minute": PLENTY * 1_000, "max_concurrency": PLENTY,
        "budget_usd": "1000000", "budget_period": "month",
    });
    let limited = fleet.key("away-limited", plenty).await?;
    let free = fleet.key("away-free", json!({})).await?;
    let mut crowds = Vec::new();
    for fault in Fault::ALL {
        crowds.push(fleet.key(fault.prefix(), json!({"requests_per_minute": REQUESTS_A_MINUTE})).await?);
    }
    let mut probes = Probes::make(fleet).await?;
    fleet.await_known().await?;

    let loads = [
        Load::start(fleet.edge, &limited, "away-limited-", RATE, true),
        Load::start(fleet.edge, &free, "away-free-", RATE, true),
    ];
    let mut rows = Vec::new();
    for (fault, key) in Fault::ALL.into_iter().zip(&crowds) {
        rows.push(suffer(fleet, fault, key, &loads, &mut probes, windows, &mut scene).await?);
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
    let suffering = fault.begin(&fleet.redis, windows.during)?;
    sleep(windows.during.saturating_sub(begun.elapsed())).await;
    let crowded = Instant::now();
    let answers = at_once(crowd(fleet.edge, key, fault.prefix(), CALLERS, |ask| ask)).await;
    let admitted = answers.iter().filter(|answer| answer.is_complete()).count() as u64;
    for answer in answers.iter().filter(|answer| !answer.is_complete()) {
        scene.check(answer.status == 429, || format!("{}: {}", fault.name(), answer.shown()));
    }
    let bound = fault.bound(REQUESTS_A_MINUTE) + refilled(REQUESTS_A_MINUTE, span(&answers));
    scene.check((1..=bound).contains(&admitted), || {
        format!(
            "{}: {admitted} admitted on a limit of {REQUESTS_A_MINUTE}, and at most {bound} may be",
            fault.name()
        )
    });
    fault.end(&fleet.redis, suffering).await?;
    let recovery = probes.recover(fleet).await;
    let times = |from, until| [loads[0].times(from, until), loads[1].times(from, until)];
    Ok(Row { fault, before: times(calm, begun), during: times(begun, crowded), admitted, recovery })
}

fn judge(rows: &[Row], scene: &mut Scene) {
    let head = [
        "before: p50",
        "p99",
        "no limits p99",
        "during: p50",
        "p99",
        "no limits p99",
        "worst",
        "added p99",
        "admitted of 60",
    ];
    let mut table = format!("{:<12}", "Redis");
    for name in head.into_iter().chain(["found again"]) {
        let _ = write!(table, " {name:>14}");
    }
    scene.say(table);
    for row in rows {
        let p99 = |times: &[Duration]| quantile(times, 990);
        let added = p99(&row.during[0]).saturating_sub(p99(&row.before[0]).max(p99(&row.during[1])));
        let worst = row.during[0].last().copied().unwrap_or_default();
        let mut line = format!("{:<12}", row.fault.name());
        let times = [
            quantile(&row.before[0], 500),
            p99(&row.before[0]),
            p99(&row.before[1]),
            quantile(&row.during[0], 500),
            p99(&row.during[0]),
            p99(&row.during[1]),
            worst,
            added,
        ];
        for time in times {
            let _ = write!(line, " {:>14}", format!("{:.1} ms", time.as_secs_f64() * 1_000.0));
        }
        let _ = write!(line, " {:>14} {:>14}", row.admitted, row.recovery.shown());
        scene.say(line);
        scene.check(added < MAY_ADD, || format!("{}: {added:.1?} were added to p99", row.fault.name()));
        scene.check(row.recovery.within(RECOVERS_WITHIN), || {
            format!("{}: found again after {}", row.fault.name(), row.recovery.shown())
        });
    }
}

/// A budget of some 150 requests.
const BUDGET: u64 = 10_000_000;
const SPENDERS: usize = 8;
/// Half of it is spent by then.
const HALF: u64 = 75;
/// Between two things that befall Redis while a budget is spent.
const BETWEEN: Duration = Duration::from_millis(150);

/// Plays the scene of budgets whose counters are forgotten while they are spent.
pub(crate) async fn forget(fleet: &mut Fleet) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let flushed = fleet.key("forgotten-flushed", budget::total(BUDGET)).await?;
    let killed = fleet.key("forgotten-killed", budget::total(BUDGET)).await?;
    fleet.await_known().await?;

    let spending = Spending::begin(fleet.edge, "forgotten-flushed-", vec![flushed.clone()], SPENDERS);
    let mut flushes = 0;
    while spending.goes_on() {
        sleep(BETWEEN).await;
        block_in_place(|| fleet.redis.command(&["FLUSHALL"]));
        flushes += 1;
    }
    let spent = spending.until_spent().await;
    let (what, scope) = (format!("flushed {flushes} times meanwhile"), format!("key:{}", flushed.id));
    budget::judge(&what, fleet, &scope, BUDGET, &[flushed], &spent, &mut scene).await?;

    let spending = Spending::begin(fleet.edge, "forgotten-killed-", vec![killed.clone()], SPENDERS);
    while spending.goes_on() && spending.begun() < HALF {
        sleep(Duration::from_millis(5)).await;
    }
    block_in_place(|| fleet.redis.stop());
    let first = spending.all_refused().await;
    scene.say(format!(
        "without Redis {} more answers, until all were refused",
        first.answers.len() as u64 - HALF.min(first.answers.len() as u64)
    ));
    block_in_place(|| fleet.redis.resume());
    let spending = Spending::begin(fleet.edge, "forgotten-killed-again-", vec![killed.clone()], SPENDERS);
    let spent = first.and(spending.until_spent().await);
    let scope = format!("key:{}", killed.id);
    budget::judge(
        "killed in the middle, and begun again",
        fleet,
        &scope,
        BUDGET,
        &[killed],
        &spent,
        &mut scene,
    )
    .await?;
    Ok(scene)
}

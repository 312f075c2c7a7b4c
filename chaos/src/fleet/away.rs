//! Redis fails under load, in each way that it can: nobody's request fails for it, or takes notably longer, limits hold within what the
//! cores can know without it, budgets hold whatever it forgets, and the cores find it again by themselves.
//!
//! How much longer: beside the key with limits another asks that has none, and so never waits for Redis. What the limited key's median
//! and 99th percentile are above both its own of before and the other's of the same time is added by the fault: a machine that is busy
//! with other things makes both slow.

pub(crate) mod fault;
mod probe;

use std::time::Duration;

use http::Method;
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
    load::{Load, confidence, quantile},
    scene::{Scene, shown},
};
use crate::{AnyError, gateway};

/// Requests in a second of the key with limits, and as many of the one without.
const RATE: u32 = 50;
/// One of so many is for a stream; how long the others take is looked at.
const STREAM_EACH: u32 = 4;
/// A fault may add so much to the median, and for certain to the 99th percentile ([`Row::surely_added`]).
const MAY_ADD: Duration = Duration::from_millis(5);
const MEDIAN: usize = 500;
const LOOK: Duration = Duration::from_millis(100);
const WARM: Duration = Duration::from_secs(1);
const RECOVERS_WITHIN: Duration = Duration::from_secs(2);
/// A key's limit a minute that a crowd runs into while Redis is away.
const REQUESTS_A_MINUTE: u64 = 60;
const CALLERS: u64 = 200;
/// More than anybody here uses.
const PLENTY: u64 = 1_000_000;

/// How long the load is looked at before each fault and in it, and what of its times.
///
/// A core waits 20 ms until it knows that Redis is away, and so do the requests that come meanwhile: one or two for each core. They must
/// be fewer than those above the quantile that is looked at.
#[derive(Clone, Copy, Debug)]
struct Windows {
    before: Duration,
    during: Duration,
    /// Of a thousand.
    high: usize,
}

const WINDOWS: Windows =
    Windows { before: Duration::from_secs(6), during: Duration::from_secs(12), high: 990 };
const QUICK_WINDOWS: Windows =
    Windows { before: Duration::from_secs(1), during: Duration::from_millis(2_500), high: 950 };

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
    // The first requests find no connections, and nothing in memory.
    sleep(WARM).await;
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
    judge(&rows, windows.high, &mut scene);
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
    let told = is_degraded(fleet).await;
    scene.check(told == [true, true] || !fault.takes_it_away(), || {
        format!("{}: health of the two cores says degraded: {told:?}", fault.name())
    });
    let admitted = run_into_the_limit(fleet, fault, key, scene).await;
    fault.end(&fleet.redis, suffering).await?;
    let recovery = probes.recover(fleet).await;
    let well_by = Instant::now() + RECOVERS_WITHIN;
    while is_degraded(fleet).await.contains(&true) {
        if Instant::now() > well_by {
            scene.check(false, || format!("{}: health goes on saying degraded", fault.name()));
            break;
        }
        sleep(LOOK).await;
    }
    let times = |from, until| [loads[0].times(from, until), loads[1].times(from, until)];
    Ok(Row { fault, before: times(calm, begun), during: times(begun, crowded), admitted, recovery })
}

/// Whether each core's health says that it is on its own.
async fn is_degraded(fleet: &Fleet) -> Vec<bool> {
    let mut told = Vec::new();
    for side in &fleet.sides {
        let said = gateway::admin(side.edge, Method::GET, "/health/ready", None).await;
        told.push(
            said.is_ok_and(|(_, said)| said["degraded"].as_str().is_some_and(|why| why.contains("Redis"))),
        );
    }
    told
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
fn judge(rows: &[Row], high: usize, scene: &mut Scene) {
    let cells = |cells: [String; 9]| {
        let [name, one, other, then, beside, worst, added, through, again] = cells;
        format!(
            "{name:<10}{one:>24}{other:>27}{then:>24}{beside:>27}{worst:>10}{added:>24}{through:>14}{again:>14}"
        )
    };
    let pair = |p50: &str, p99: &str| format!("{p50} {p99:>8}");
    let named = |what: &str| pair(what, &format!("p{}", high / 10));
    scene.say(cells([
        "ms".to_owned(),
        named("before: p50"),
        named("no limits: p50"),
        named("during: p50"),
        named("no limits: p50"),
        "worst".to_owned(),
        named("added: p50"),
        "let through".to_owned(),
        "found again".to_owned(),
    ]));
    for row in rows {
        let of = |times: &[Duration]| pair(&millis(quantile(times, MEDIAN)), &millis(quantile(times, high)));
        let added = [MEDIAN, high].map(|quantile| row.added(quantile));
        scene.say(cells([
            row.fault.name().to_owned(),
            of(&row.before[0]),
            of(&row.before[1]),
            of(&row.during[0]),
            of(&row.during[1]),
            millis(row.during[0].last().copied().unwrap_or_default()),
            pair(&millis(added[0]), &millis(added[1])),
            format!("{} of {}", row.admitted, CALLERS * row.fault.crowds()),
            shown(row.recovery),
        ]));
        let name = row.fault.name();
        scene.check(!row.during[0].is_empty(), || format!("{name}: nobody asked meanwhile"));
        scene.check(added[0] < MAY_ADD, || format!("{name}: {:.1?} were added to the median", added[0]));
        let surely = row.surely_added(high);
        scene.check(surely < MAY_ADD, || {
            format!("{name}: {:.1?} were added to p{}, {surely:.1?} for certain", added[1], high / 10)
        });
        scene.check(row.recovery.is_some_and(|after| after < RECOVERS_WITHIN), || {
            format!("{name}: found again after {}", shown(row.recovery))
        });
    }
}

impl Row {
    /// How much more the key with limits took than before, and than the one without at the same time.
    fn added(&self, of_thousand: usize) -> Duration {
        let at = |times: &[Duration]| quantile(times, of_thousand);
        at(&self.during[0]).saturating_sub(at(&self.before[0]).max(at(&self.during[1])))
    }

    /// The same as far as so few requests tell: what is above the others' quantile for certain.
    fn surely_added(&self, of_thousand: usize) -> Duration {
        let bounds = |times: &[Duration]| confidence(times, of_thousand);
        let (least, _) = bounds(&self.during[0]);
        least.saturating_sub(bounds(&self.before[0]).1.max(bounds(&self.during[1]).1))
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

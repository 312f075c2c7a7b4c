//! A core is killed (SIGKILL) in the middle of streams: what it had reserved returns by expiry, what it had answered is replayed from its
//! journal, and ledger and budget agree to the nano-dollar.

use std::{collections::HashMap, time::Duration};

use orchestrator_base::task;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    ask::{Answered, Ask, at_once},
    budget::{self, Spending},
    cores::{Fleet, Key, PRICES},
    limit::crowd,
    load::Load,
    money::{self, Account, dollars},
    scene::{Scene, shown},
    upstream::{LONG, QUICK},
};
use crate::AnyError;

/// What each long stream may write.
const LONGEST: u64 = 400;
/// So many of them run on the core that dies.
const STREAMS: u64 = 10;
/// All of them fit, with so little left that not one more does.
const BUDGET: u64 = (STREAMS * LONGEST + LONGEST / 2) * PRICES.1;
/// More than anybody here spends.
const PLENTY: u64 = 1_000_000_000_000;
/// The first content of each is there by then, and not the last.
const BEGUN: Duration = Duration::from_millis(1_500);
/// After a core's expiry its reservations are gone by then.
const SLACK: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
/// Other requests in a second, whose answers must be in the account to the last.
const RATE: u32 = 80;
/// Callers who spend what is left in the end.
const SPENDERS: usize = 16;

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, expiry: Duration) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let money = fleet.key("killed-money", budget::total(BUDGET)).await?;
    let places = fleet.key("killed-places", json!({"max_concurrency": STREAMS})).await?;
    let busy = fleet.key("killed-busy", budget::total(PLENTY)).await?;
    fleet.await_known().await?;
    let held = [("budget", "killed-money-", &money), ("concurrency", "killed-places-", &places)];

    let load = Load::start(fleet.edge, &busy, "killed-busy-", RATE, 2);
    let streams = hold(fleet, &[&money, &places]);
    sleep(BEGUN).await;
    for (what, prefix, key) in held {
        let (status, shown) = one_more(fleet, prefix, key).await;
        scene.check(status == 429, || {
            format!("{what}: {STREAMS} streams hold all, and one more is admitted: {shown}")
        });
    }
    fleet.kill_core(0)?;
    let killed = Instant::now();
    fleet.start_core(0)?;
    for (what, prefix, key) in held {
        let (status, shown) = one_more(fleet, prefix, key).await;
        scene.check(status == 429, || format!("{what}: given back as soon as the core was dead: {shown}"));
    }
    for (what, prefix, key) in held {
        let after = returned_after(fleet, (prefix, key), killed, expiry + SLACK).await;
        let again = shown(after.as_ref().ok().copied());
        scene.say(format!("{what} that {STREAMS} streams of the dead core held: there again after {again}"));
        if let Err(last) = after {
            scene.check(false, || format!("{what}: not there again within {:?}: {last}", expiry + SLACK));
        }
    }
    fleet.await_ready(fleet.sides[0].edge).await?;
    let survived = streams.await?.unwrap_or_default();
    scene.check(survived == 0, || format!("{survived} streams survived their core"));
    agree(fleet, &busy, load.stop().await?, &mut scene).await?;

    let spent =
        Spending::begin(fleet.edge, "killed-money-", vec![money.clone()], SPENDERS).until_spent().await;
    let scope = format!("key:{}", money.id);
    budget::judge(
        "the budget, spent to its end after that",
        fleet,
        &scope,
        BUDGET,
        &[money],
        &spent,
        &mut scene,
    )
    .await?;
    Ok(scene)
}

/// Long streams of these keys on the core that will die; gives how many of them came to their end.
fn hold(fleet: &Fleet, keys: &[&Key]) -> JoinHandle<Option<usize>> {
    let edge = fleet.sides[0].edge;
    let long = |ask: Ask| {
        let mut ask = ask.stream(true).at_most(LONGEST);
        ask.wish.model = LONG;
        ask
    };
    let asks: Vec<_> = keys.iter().flat_map(|key| crowd(edge, key, "killed-held-", STREAMS, long)).collect();
    task::spawn("held streams", async move {
        at_once(asks).await.iter().filter(|answer| answer.is_complete()).count()
    })
}

/// A request for as much, at the core that stays.
async fn one_more(fleet: &Fleet, prefix: &str, key: &Key) -> (u16, String) {
    let ask = Ask::new(format!("{prefix}one-more"), key, QUICK).at_most(LONGEST);
    let answer = ask.make(fleet.sides[1].edge).await;
    (answer.status, answer.shown())
}

/// Errors: what the last one was told.
async fn returned_after(
    fleet: &Fleet,
    (prefix, key): (&str, &Key),
    killed: Instant,
    within: Duration,
) -> Result<Duration, String> {
    loop {
        let (status, shown) = one_more(fleet, prefix, key).await;
        if status == 200 {
            return Ok(killed.elapsed());
        }
        if killed.elapsed() > within {
            return Err(shown);
        }
        sleep(LOOK).await;
    }
}

/// Every answer that was seen is in the account once, for what its provider's tokens cost, and the budget's sum is that of the rows.
async fn agree(fleet: &Fleet, key: &Key, answers: Vec<Answered>, scene: &mut Scene) -> Result<(), AnyError> {
    let (seen, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Answered::is_complete);
    let answered: Vec<_> = seen.iter().map(|answer| (key, answer.id.as_str())).collect();
    let account = Account::with(&fleet.database, &answered).await?;
    let asked = fleet.upstream.asked("killed-busy-");
    let mut costs: HashMap<&str, Vec<u64>> = HashMap::new();
    for asked in &asked {
        let cost = money::cost(std::slice::from_ref(asked));
        costs.entry(&asked.request_id).or_default().push(cost);
    }
    for answer in &seen {
        let costs = costs.get(answer.id.as_str()).map_or(&[][..], Vec::as_slice);
        match account.row(&key.id, &answer.id) {
            Ok((outcome, charged)) => scene.check(outcome == "ok" && costs.contains(charged), || {
                format!(
                    "{}: answered, and recorded as {outcome} for {charged}; its tokens cost {costs:?}",
                    answer.id
                )
            }),
            Err(rows) => {
                scene.check(false, || format!("{}: answered, and {rows} rows in the account", answer.id));
            }
        }
    }
    let (charged, spent) = (account.charged(&key.id), account.spent(&format!("key:{}", key.id)));
    scene.say(format!(
        "other callers meanwhile: {} answers, each in the account once; {} failed with the core; {} rows in all",
        seen.len(),
        failed.len(),
        account.answered(&key.id),
    ));
    scene.say(format!("request_logs {} = budget_spend {}", dollars(charged), dollars(spent)));
    scene.check(charged == spent, || format!("request_logs {charged} and budget_spend {spent} differ"));
    scene.check(!seen.is_empty(), || "nobody was answered".to_owned());
    Ok(())
}

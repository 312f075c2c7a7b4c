//! Redis forgets what was spent, while it is spent: budgets never start from zero, and hold to the nano-dollar whatever it forgets.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    away::fault::Fault,
    budget::{self, Spending},
    cores::{Fleet, Key},
    scene::Scene,
};
use crate::AnyError;

/// A budget of some 100 requests.
const BUDGET: u64 = 7_000_000;
const SPENDERS: usize = 8;
/// So many of them are made before Redis is killed.
const SOME: u64 = 40;
/// The cores have found it again by then.
const RECOVERED: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let flushed = fleet.key("forgotten-flushed", budget::total(BUDGET)).await?;
    let evicting = fleet.key("forgotten-evicting", budget::total(BUDGET)).await?;
    let killed = fleet.key("forgotten-killed", budget::total(BUDGET)).await?;
    fleet.await_known().await?;
    spent_under(fleet, Fault::FlushedOften, "forgotten-flushed-", flushed, &mut scene).await?;
    if !quick {
        spent_under(fleet, Fault::EvictingAtRandom, "forgotten-evicting-", evicting, &mut scene).await?;
    }
    spent_around_a_kill(fleet, killed, &mut scene).await?;
    Ok(scene)
}

/// Again and again until the budget is spent.
async fn spent_under(
    fleet: &Fleet,
    fault: Fault,
    prefix: &'static str,
    key: Key,
    scene: &mut Scene,
) -> Result<(), AnyError> {
    let suffering = fault.begin(&fleet.redis, Duration::ZERO)?;
    let spending = Spending::begin(fleet.edge, prefix, vec![key.clone()], SPENDERS);
    while spending.goes_on() {
        sleep(LOOK).await;
    }
    fault.end(&fleet.redis, suffering).await?;
    let spent = spending.until_spent().await;
    let (what, scope) = (fault.name(), format!("key:{}", key.id));
    budget::judge(what, fleet, &scope, BUDGET, &[key], &spent, scene).await
}

/// In the middle, until what the cores allow without Redis is spent too; and the rest once it is there again.
async fn spent_around_a_kill(fleet: &Fleet, key: Key, scene: &mut Scene) -> Result<(), AnyError> {
    let spending = Spending::begin(fleet.edge, "forgotten-killed-", vec![key.clone()], SPENDERS);
    while spending.goes_on() && spending.begun() < SOME {
        sleep(LOOK).await;
    }
    let suffering = Fault::Killed.begin(&fleet.redis, Duration::ZERO)?;
    let first = spending.all_refused().await;
    scene.say(format!("killed in the middle: {} answers until all were refused", first.answers.len()));
    Fault::Killed.end(&fleet.redis, suffering).await?;
    sleep(RECOVERED).await;
    let again = Spending::begin(fleet.edge, "forgotten-killed-again-", vec![key.clone()], SPENDERS);
    let spent = first.and(again.until_spent().await);
    let scope = format!("key:{}", key.id);
    budget::judge("and begun again", fleet, &scope, BUDGET, &[key], &spent, scene).await
}

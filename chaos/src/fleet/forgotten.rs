//! Redis forgets what was spent, while it is spent: budgets never start from zero, and hold to the nano-dollar whatever it forgets.

use std::time::Duration;

use tokio::{task::block_in_place, time::sleep};

use super::{
    budget::{self, Spending},
    cores::Fleet,
    scene::Scene,
};
use crate::AnyError;

/// A budget of some 150 requests.
const BUDGET: u64 = 10_000_000;
const SPENDERS: usize = 8;
/// Half of it is spent by then.
const HALF: u64 = 75;
/// Between two things that befall Redis while a budget is spent.
const BETWEEN: Duration = Duration::from_millis(150);

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet) -> Result<Scene, AnyError> {
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

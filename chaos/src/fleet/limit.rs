//! Limits are those of all cores together: what a crowd on one key is let through is the limit, not the limit times the cores.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    ask::{Answered, Ask, at_once, span},
    cores::{Fleet, Key},
    scene::Scene,
    upstream::{Asked, QUICK, SLOW, SLOW_TAKES},
};
use crate::AnyError;

const CALLERS: u64 = 200;
const REQUESTS_A_MINUTE: u64 = 100;

/// So many requests of [`LONGEST`] tokens fit into this many, and not one more: of what they are estimated at, their prompts are
/// at most 200 tokens each.
const TOKENS_A_MINUTE: u64 = 20 * LONGEST + 4_000;
const LONGEST: u64 = 10_000;
const FIT: u64 = TOKENS_A_MINUTE / LONGEST;

const AT_ONCE: u64 = 20;
/// Enough for every answer's settlement, which is not waited for.
const SETTLED: Duration = Duration::from_millis(400);

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let requests = fleet.key("limit-requests", json!({"requests_per_minute": REQUESTS_A_MINUTE})).await?;
    let tokens = fleet.key("limit-tokens", json!({"tokens_per_minute": TOKENS_A_MINUTE})).await?;
    let concurrency = fleet.key("limit-concurrency", json!({"max_concurrency": AT_ONCE})).await?;
    fleet.await_known().await?;
    requests_a_minute(fleet, &requests, &mut scene).await;
    tokens_a_minute(fleet, &tokens, &mut scene).await;
    let rounds: &[&str] = if quick { &["first"] } else { &["first", "again"] };
    for round in rounds {
        requests_at_once(fleet, &concurrency, round, &mut scene).await;
    }
    Ok(scene)
}

async fn requests_a_minute(fleet: &Fleet, key: &Key, scene: &mut Scene) {
    let prefix = "limit-requests-";
    let answers = at_once(crowd(fleet.edge, key, prefix, CALLERS, |ask| ask)).await;
    let admitted = admitted(&answers, prefix, fleet, scene);
    let more = refilled(REQUESTS_A_MINUTE, span(&answers));
    let what = format!(
        "requests: {CALLERS} callers at once on a key with {REQUESTS_A_MINUTE} a minute: {admitted} admitted, {} refused, \
         within {:.0?}",
        answers.len() as u64 - admitted,
        span(&answers)
    );
    scene.check(within(admitted, REQUESTS_A_MINUTE, REQUESTS_A_MINUTE + more), || {
        format!("{what}; the time that passed gives {more} more")
    });
    scene.say(what);
}

/// Slow answers: none is settled before the last is asked.
async fn tokens_a_minute(fleet: &Fleet, key: &Key, scene: &mut Scene) {
    let (prefix, begun) = ("limit-tokens-", Instant::now());
    let longest = |mut ask: Ask| {
        ask.wish.model = SLOW;
        ask.at_most(LONGEST)
    };
    let answers = at_once(crowd(fleet.edge, key, prefix, 3 * FIT, longest)).await;
    let admitted = admitted(&answers, prefix, fleet, scene);
    let took = span(&answers);
    let more = refilled(TOKENS_A_MINUTE, took).div_ceil(LONGEST);
    scene.say(format!(
        "tokens: {} callers at once, each for up to {LONGEST} tokens, on a key with {TOKENS_A_MINUTE} a minute: {admitted} \
         admitted, within {took:.0?}",
        answers.len()
    ));
    scene.check(within(admitted, FIT, FIT + more), || {
        format!(
            "tokens: {admitted} were admitted; {FIT} fit, and the time that passed gives at most {more} more"
        )
    });

    sleep(SETTLED).await;
    let used: u64 = fleet.upstream.asked(prefix).iter().map(|asked| asked.prompt + asked.completion).sum();
    let last = longest(Ask::new(format!("{prefix}last"), key, QUICK));
    let bytes = last.bytes();
    let last = last.make(fleet.edge).await;
    let left = last.header("x-ratelimit-remaining-tokens").and_then(|left| left.parse::<u64>().ok());
    scene.say(format!(
        "tokens: settled by what was used, {used}: one more request, for up to {LONGEST}, leaves {left:?}"
    ));
    let least = TOKENS_A_MINUTE.saturating_sub(used + LONGEST + bytes);
    let most = TOKENS_A_MINUTE
        .min((TOKENS_A_MINUTE + refilled(TOKENS_A_MINUTE, begun.elapsed())).saturating_sub(used));
    scene.check(left.is_some_and(|left| within(left, least, most)), || {
        format!("tokens: {left:?} are left, which should be from {least} to {most}: {}", last.shown())
    });
}

async fn requests_at_once(fleet: &Fleet, key: &Key, round: &str, scene: &mut Scene) {
    let prefix = format!("limit-concurrency-{round}-");
    let slow = |mut ask: Ask| {
        ask.wish.model = SLOW;
        ask
    };
    let answers = at_once(crowd(fleet.edge, key, &prefix, 3 * AT_ONCE, slow)).await;
    let admitted = admitted(&answers, &prefix, fleet, scene);
    let highest = highest_at_once(&fleet.upstream.asked(&prefix));
    scene.say(format!(
        "at once, {round}: {} callers on a key with {AT_ONCE}: {admitted} admitted, the provider saw up to {highest} at once",
        answers.len()
    ));
    scene.check(highest == AT_ONCE && admitted >= AT_ONCE, || {
        format!("at once, {round}: the provider saw {highest} at once and {admitted} in all, allowed are {AT_ONCE}")
    });
    sleep(SETTLED).await;
}

/// How many answers were being made at the provider at the same time at most: a lower bound of how many the gateway had admitted.
fn highest_at_once(asked: &[Asked]) -> u64 {
    let at_once = |moment: Instant| {
        let running = asked.iter().filter(|asked| asked.at <= moment && moment < asked.at + SLOW_TAKES);
        running.count() as u64
    };
    asked.iter().map(|asked| at_once(asked.at)).max().unwrap_or_default()
}

/// So many requests of a key.
pub(crate) fn crowd(
    edge: SocketAddr,
    key: &Key,
    prefix: &str,
    callers: u64,
    bend: impl Fn(Ask) -> Ask,
) -> Vec<(SocketAddr, Ask)> {
    (0..callers).map(|caller| (edge, bend(Ask::new(format!("{prefix}{caller}"), key, QUICK)))).collect()
}

/// How many were admitted; what is neither admitted nor refused as it should be is wrong, and so is a request that the provider saw
/// more or less than once.
pub(crate) fn admitted(answers: &[Answered], prefix: &str, fleet: &Fleet, scene: &mut Scene) -> u64 {
    let mut admitted = 0;
    for answer in answers {
        if answer.is_complete() {
            admitted += 1;
            continue;
        }
        let waits = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        let well =
            answer.status == 429 && waits.is_some_and(|seconds| seconds > 0) && !answer.code().is_empty();
        scene.check(well, || {
            format!("neither admitted nor refused with a 429 and retry-after: {}", answer.shown())
        });
    }
    let asked = fleet.upstream.asked(prefix).len() as u64;
    scene.check(asked == admitted, || {
        format!("{prefix}: {admitted} admitted, and {asked} reached the provider")
    });
    admitted
}

/// What a limit a minute gives in that time, rounded up.
pub(crate) fn refilled(a_minute: u64, time: Duration) -> u64 {
    (a_minute as f64 * time.as_secs_f64() / 60.0).ceil() as u64
}

fn within(value: u64, least: u64, most: u64) -> bool {
    (least..=most).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_at_once_is_counted_where_most_overlaps() {
        let start = Instant::now();
        let at = |millis: u64| Asked {
            request_id: String::new(),
            at: start + Duration::from_millis(millis),
            prompt: 0,
            completion: 0,
        };
        let takes = SLOW_TAKES.as_millis() as u64;
        assert_eq!(highest_at_once(&[at(0), at(1), at(takes), at(takes + 1)]), 2);
        assert_eq!(highest_at_once(&[at(0), at(1), at(takes - 1)]), 3);
        assert_eq!(highest_at_once(&[]), 0);
    }

    #[test]
    fn time_gives_its_part_of_a_minutes_limit_and_rounds_it_up() {
        assert_eq!(refilled(100, Duration::ZERO), 0);
        assert_eq!(refilled(100, Duration::from_millis(1)), 1);
        assert_eq!(refilled(100, Duration::from_secs(30)), 50);
    }
}

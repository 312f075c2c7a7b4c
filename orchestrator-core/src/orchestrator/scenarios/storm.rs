//! Repetitions stay within their budget, whatever goes wrong and however many ask at once.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Duration, sleep};

use super::{
    script::{Act, breaks, refuses, says, status},
    world::{World, provider, whole},
};

/// What goes wrong, by a number, and how long that takes.
fn act(kind: u8, ms: u64) -> Act {
    match kind % 8 {
        0 | 1 => says("hello"),
        2 => status(500),
        3 => status(503).header("retry-after", "0"),
        4 => status(429).header("retry-after-ms", "150"),
        5 => status(429).header("retry-after", "-1"),
        6 => breaks(),
        _ => refuses(),
    }
    .after(ms)
}

/// A request that arrives at this moment: in milliseconds.
type Arrivals = Vec<u64>;
/// What each provider does, one after the other.
type Scripts = Vec<Vec<(u8, u64)>>;

/// Plays it and returns, of each provider, how often it was asked first and again, and the most that were asked again at once.
fn play(scripts: &Scripts, arrivals: &Arrivals) -> HashMap<String, (usize, usize)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let actors = scripts.iter().enumerate().map(|(place, script)| {
            provider(&format!("p{place}"), script.iter().map(|(kind, ms)| act(*kind, *ms)))
        });
        let world = World::of(actors);
        let all = arrivals.iter().enumerate().map(|(number, at)| {
            let world = &world;
            async move {
                sleep(Duration::from_millis(*at)).await;
                world.ask(whole().called(format!("r{number}"))).await;
            }
        });
        join_all(all).await;
        assert_eq!(world.records().len(), arrivals.len(), "each request has its record");
        let mut seen = HashSet::new();
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        for asking in world.askings() {
            let count = counts.entry(asking.provider.clone()).or_default();
            if seen.insert((asking.provider, asking.request_id)) { count.0 += 1 } else { count.1 += 1 }
        }
        counts
    })
}

#[test]
fn a_thousand_at_once_do_not_become_three_thousand() {
    let down = vec![(2, 1000)];
    let counts = play(&vec![down], &(0..1000).map(|number| number % 50).collect());
    let (first, again) = counts["p0"];
    assert_eq!(first, 1000);
    // A fifth of those under way, which are fewer and fewer as they give up.
    assert!((150..=250).contains(&again), "{again}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn repetitions_stay_within_the_budget(
        scripts in prop::collection::vec(prop::collection::vec((any::<u8>(), 1_u64..800), 1..30), 1..4),
        arrivals in prop::collection::vec(0_u64..2000, 1..120),
    ) {
        let most = arrivals.len();
        for (provider, (first, again)) in play(&scripts, &arrivals) {
            prop_assert!(first <= most, "{provider}");
            // Three at once always may; beyond that a fifth of those under way.
            prop_assert!(again <= first * 2, "{provider}: {first} first, {again} again");
        }
    }
}

//! Repetitions stay within their budget, whatever goes wrong and however many ask at once.

use std::collections::HashMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Duration, sleep};

use super::{
    script::{Act, Asking, breaks, refuses, says, status},
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

/// Plays it. The answer: each time that a provider was asked.
fn play(scripts: &Scripts, arrivals: &Arrivals) -> Vec<Asking> {
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
        world.askings()
    })
}

/// What the budget says to one that asks again: three at once always may, else a fifth of those under way.
fn is_within_budget(asking: &Asking) -> bool {
    !asking.again || asking.repeating <= 3.max(asking.under_way / 5)
}

#[test]
fn a_thousand_at_once_do_not_become_three_thousand() {
    let down = vec![(2, 1000)];
    let askings = play(&vec![down], &(0..1000).map(|number| number % 50).collect());
    // Each asks once. Of those under way, which are fewer and fewer as they give up, a fifth asks again.
    assert!((1010..=1200).contains(&askings.len()), "{}", askings.len());
    assert!(askings.iter().all(is_within_budget));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn repetitions_stay_within_the_budget(
        scripts in prop::collection::vec(prop::collection::vec((any::<u8>(), 1_u64..800), 1..30), 1..4),
        arrivals in prop::collection::vec(0_u64..2000, 1..120),
    ) {
        let mut attempts: HashMap<String, u32> = HashMap::new();
        for asking in play(&scripts, &arrivals) {
            prop_assert!(is_within_budget(&asking), "{asking:?}");
            let attempts = attempts.entry(asking.request_id).or_default();
            *attempts += 1;
            prop_assert!(*attempts <= 3);
        }
    }
}

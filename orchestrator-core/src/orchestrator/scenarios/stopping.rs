//! What callers are told and what is written down when the process ends before an answer does.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    script::{Step, is_silent, plays, says},
    wires::{FOUR, Word, claims_success, errors_told},
    world::{Seen, World, at, provider, stream, whole},
};
use crate::dialect::Dialect;

/// What a caller sees of a gateway that ends two seconds after it asked.
async fn ended(world: &World, asking: impl Future<Output = Seen>) -> Seen {
    let end = async {
        sleep(Duration::from_secs(2)).await;
        world.end();
    };
    tokio::join!(asking, end).0
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_one_error_in_its_callers_dialect_and_is_accounted_for() {
    for caller in FOUR {
        for upstream in FOUR {
            let pair = format!("{} of {}", caller.name(), upstream.name());
            let endless =
                [Word::Head, Word::Text("content")].map(Step::Say).into_iter().chain([Step::Pause(9_000)]);
            let late = [Word::Text("late"), Word::Stop, Word::Done].map(Step::Say);
            let world = World::of([provider("a", [plays(endless.chain(late))]).speaking(upstream)]);
            let seen = ended(&world, world.ask(stream().speaking(caller))).await;
            assert_eq!((seen.status, seen.end_at), (200, 2_000), "{pair}");
            assert!(seen.text().contains("content") && !seen.text().contains("late"), "{pair}");
            assert_eq!(errors_told(&seen.text()), 1, "{pair}: {}", seen.text());
            assert!(seen.said_last && !claims_success(caller, &seen.text()), "{pair}: {}", seen.text());
            let record = world.records().pop().unwrap();
            assert_eq!((&*record.outcome, &*record.error_kind), ("truncated", "unavailable"), "{pair}");
            assert!(record.usage.prompt > 0 && record.usage.completion > 0, "{pair}: it is estimated");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_pauses_ends_too() {
    let endless = std::iter::repeat_n([Step::Say(Word::Text("x")), Step::Pause(1)], 9_000).flatten();
    let world = World::of([provider("a", [plays([Step::Say(Word::Head)].into_iter().chain(endless))])]);
    let seen = ended(&world, world.ask(stream())).await;
    assert_eq!((seen.end_at, errors_told(&seen.text())), (2_000, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_not_begun_is_a_503_that_says_when_to_come_back() {
    for question in [whole(), stream(), whole().keyed("k"), stream().keyed("k")] {
        let world = World::of([provider("a", [is_silent()]), provider("b", [says("from b")])]);
        let seen = ended(&world, world.ask(question)).await;
        assert_eq!((seen.status, seen.end_at, seen.header("retry-after")), (503, 2_000, "1"));
        assert!(seen.text().contains(r#""code":"stopping""#), "{}", seen.text());
        assert_eq!(world.asked(), at(&[("a", 0)]), "nobody else is asked any more");
        assert_eq!(world.account(), ("unavailable".into(), 1));
    }
    let world = World::of([provider("a", [says("x")])]);
    world.end();
    assert_eq!(world.ask(whole()).await.status, 200, "what is ready at once is handed out");
}

#[tokio::test(start_paused = true)]
async fn an_answer_behind_an_early_head_ends_with_an_error_event() {
    let world = World::of([provider("a", [is_silent()])]);
    let end = async {
        sleep(Duration::from_secs(12)).await;
        world.end();
    };
    let (seen, ()) = tokio::join!(world.ask(stream().speaking(Dialect::Anthropic)), end);
    assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 10_000, 12_000));
    assert_eq!(errors_told(&seen.text()), 1, "{}", seen.text());
}

#[tokio::test(start_paused = true)]
async fn the_provider_is_not_to_blame() {
    let endless = plays([Step::Say(Word::Head), Step::Say(Word::Text("x")), Step::Pause(9_000)]);
    let world = World::of([provider("a", [endless])]);
    ended(&world, world.ask(stream())).await;
    assert_eq!(world.faults_of("a"), 0);
}

//! The commit point and the ends of streams, for every pair of a caller's and a provider's dialect.

use super::{
    script::{Act, Step, plays, says},
    wires::{FOUR, Word, claims_success, errors_told},
    world::{Seen, World, at, provider, stream},
};
use crate::dialect::Dialect;

/// Each pair: the caller's dialect, the provider's, and how the sentence names it.
fn pairs() -> impl Iterator<Item = (Dialect, Dialect, String)> {
    FOUR.into_iter().flat_map(|caller| {
        FOUR.into_iter()
            .map(move |upstream| (caller, upstream, format!("{} of {}", caller.name(), upstream.name())))
    })
}

/// What a caller gets of a provider that plays this, with a good one behind it.
async fn played(caller: Dialect, upstream: Dialect, first: Act) -> (World, Seen) {
    let b = provider("b", [says("from b")]).speaking(upstream);
    let world = World::of([provider("a", [first]).speaking(upstream), b]);
    let seen = world.ask(stream().speaking(caller)).await;
    (world, seen)
}

fn steps(words: &[Word]) -> Vec<Step> {
    words.iter().copied().map(Step::Say).collect()
}

#[tokio::test(start_paused = true)]
async fn role_metadata_and_empty_deltas_are_held_until_content() {
    for (caller, upstream, pair) in pairs() {
        let mut slow = steps(&[Word::Head, Word::Empty, Word::Empty]);
        slow.push(Step::Pause(3000));
        slow.extend(steps(&[Word::Text("content"), Word::Stop, Word::Done]));
        let (world, seen) = played(caller, upstream, plays(slow)).await;
        assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 3000, 3000), "{pair}");
        assert_eq!(seen.times_of("content").first(), Some(&3000), "{pair}");
        assert!(
            claims_success(caller, &seen.text()) && errors_told(&seen.text()) == 0,
            "{pair}: {}",
            seen.text()
        );
        assert_eq!((world.asked(), world.account()), (at(&[("a", 0)]), ("ok".into(), 1)), "{pair}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_200_that_turns_into_an_error_before_content_is_a_failure_like_any_other() {
    let before: [&[Word]; 3] = [
        &[Word::Failure],
        &[Word::Head, Word::Failure],
        &[Word::Head, Word::Empty, Word::Failure, Word::Done],
    ];
    for (caller, upstream, pair) in pairs() {
        for words in before {
            let (world, seen) = played(caller, upstream, plays(words.iter().copied())).await;
            assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])), "{pair} {words:?}");
            assert!(
                seen.text().contains("from b") && claims_success(caller, &seen.text()),
                "{pair} {words:?}"
            );
            assert_eq!(errors_told(&seen.text()), 0, "{pair} {words:?}");
            assert_eq!(seen.header("x-orchestrator-provider"), "b");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_or_a_reset_before_content_is_a_failure_like_any_other() {
    for (caller, upstream, pair) in pairs() {
        let mut reset = steps(&[Word::Head, Word::Empty]);
        reset.push(Step::Reset);
        for act in [plays(reset), plays([Word::Head, Word::Empty])] {
            let (world, seen) = played(caller, upstream, act).await;
            assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])), "{pair}");
            assert!(seen.text().contains("from b") && claims_success(caller, &seen.text()), "{pair}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn behind_content_every_break_is_told_once_in_the_callers_dialect_and_success_is_never_claimed() {
    let breaks = [
        ("an error", Some(Step::Say(Word::Failure))),
        ("a reset", Some(Step::Reset)),
        ("an end without a reason", None),
    ];
    for (caller, upstream, pair) in pairs() {
        for (what, last) in &breaks {
            let mut broken = steps(&[Word::Head, Word::Text("content")]);
            broken.push(Step::Pause(1500));
            broken.extend(last.clone());
            let (world, seen) = played(caller, upstream, plays(broken)).await;
            assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 0, 1500), "{pair} {what}");
            assert!(seen.text().contains("content"), "{pair} {what}");
            assert_eq!(errors_told(&seen.text()), 1, "{pair} {what}: {}", seen.text());
            assert!(!claims_success(caller, &seen.text()), "{pair} {what}: {}", seen.text());
            assert_eq!(world.asked(), at(&[("a", 0)]), "{pair} {what}");
            assert_eq!(world.account(), ("truncated".into(), 1), "{pair} {what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_part_that_ends_an_answer_says_so_and_nothing_follows_it() {
    for (caller, upstream, pair) in pairs() {
        let whole = [Word::Head, Word::Text("content"), Word::Stop, Word::Done];
        let (_, seen) = played(caller, upstream, plays(whole)).await;
        // Gemini's own last event is known for the last only once the connection ends.
        let has_last_word = (caller, upstream) != (Dialect::Gemini, Dialect::Gemini);
        assert!(claims_success(caller, &seen.text()), "{pair}");
        assert_eq!(seen.said_last, has_last_word, "{pair}: {:?}", seen.pieces);

        let mut cut = steps(&[Word::Head, Word::Text("content")]);
        cut.push(Step::Reset);
        let (_, seen) = played(caller, upstream, plays(cut)).await;
        assert!(seen.said_last && errors_told(&seen.text()) == 1, "{pair}: {:?}", seen.pieces);

        let world = World::of([provider("a", [says("content")]).speaking(upstream)]);
        let seen = world.ask(stream().speaking(Dialect::Gemini).in_array()).await;
        assert!(seen.said_last && seen.text().ends_with(']'), "{pair}: {:?}", seen.pieces);
    }
}

#[tokio::test(start_paused = true)]
async fn content_and_error_in_one_read_are_what_they_are_in_two() {
    for (caller, upstream, pair) in pairs() {
        let words = [Word::Head, Word::Text("content"), Word::Failure];
        let one_read: String = words.iter().map(|word| super::wires::events(upstream, *word)).collect();
        let (world, seen) = played(caller, upstream, plays([Step::Raw(one_read.into())])).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0)])), "{pair}");
        assert!(seen.text().contains("content") && !claims_success(caller, &seen.text()), "{pair}");
        assert_eq!(errors_told(&seen.text()), 1, "{pair}: {}", seen.text());
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_gets_as_far_as_content_the_caller_has_a_status_instead_of_a_stream() {
    for (caller, upstream, pair) in pairs() {
        let fails = |name| {
            let actor = provider(name, [plays([Word::Head, Word::Failure])]).speaking(upstream);
            actor.with(|row| row.max_retries = 0)
        };
        let world = World::of([fails("a"), fails("b")]);
        let seen = world.ask(stream().speaking(caller)).await;
        assert_eq!((seen.status, world.asked()), (502, at(&[("a", 0), ("b", 0)])), "{pair}: {}", seen.text());
        assert!(seen.text().contains("overloaded"), "{pair}: {}", seen.text());
        assert_eq!(seen.header("content-type"), "application/json", "{pair}");
    }
}

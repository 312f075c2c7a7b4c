//! Providers that want to be left alone: `Retry-After` in all its spellings, and what becomes of requests meanwhile.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    script::{Act, says, status, status_with},
    wires::FOUR,
    world::{Actor, World, at, provider, stream, whole},
};
use crate::dialect::Dialect;

/// A 429 that says when to come back.
fn limited(after: &str) -> Act {
    status(429).header("retry-after", after)
}

/// One that is never asked again for the same request.
fn once(name: &str, acts: impl IntoIterator<Item = Act>) -> Actor {
    provider(name, acts).with(|row| row.max_retries = 0)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn the_only_provider_is_asked_again_when_it_says() {
    let cases: [(&str, Act, u64); 11] = [
        ("nothing", status(429), 1000),
        ("seconds", limited("2"), 2000),
        ("half seconds", limited("0.5"), 500),
        ("the longest that is waited for", limited("10"), 10_000),
        ("milliseconds", limited("7").header("retry-after-ms", "250"), 250),
        ("no milliseconds", limited("3").header("retry-after-ms", "0"), 3000),
        ("a date", limited("Sun, 13 Sep 2020 12:26:44 GMT"), 4000),
        ("a date as before 1994", limited("Sunday, 13-Sep-20 12:26:44 GMT"), 4000),
        ("a date as C writes it", limited("Sun Sep 13 12:26:44 2020"), 4000),
        ("a date that has passed", limited("Sun, 13 Sep 2020 12:00:00 GMT"), 100),
        ("less than nothing", limited("-5"), 1000),
    ];
    for (what, act, when) in cases {
        let world = World::of([provider("a", [act, says("hello")])]);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("a", when)])), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_dialect_says_it_and_gemini_in_its_body_too() {
    for dialect in FOUR {
        let limited = status(429).header("retry-after-ms", "700");
        let world = World::of([provider("a", [limited, says("hello")]).speaking(dialect)]);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("a", 700)])), "{}", dialect.name());
    }
    let body = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2.5s"}]}}"#;
    let world = World::of([provider("a", [status_with(429, body), says("hello")]).speaking(Dialect::Gemini)]);
    assert_eq!((world.ask(whole()).await.status, world.asked()), (200, at(&[("a", 0), ("a", 2500)])));
}

#[tokio::test(start_paused = true)]
async fn what_is_longer_than_ten_seconds_is_told_to_the_caller_instead() {
    for (after, told) in [("11", "11"), ("1e9", "86400"), ("Sun, 13 Sep 2020 13:26:40 GMT", "3600")] {
        let world = World::of([provider("a", [limited(after)])]);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, seen.end_at, seen.header("retry-after")), (429, 0, told));
        assert_eq!(world.asked(), at(&[("a", 0)]), "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_provider_is_left_alone_until_it_wants_to_be_asked() {
    let world = World::of([provider("a", [limited("30"), says("hello")]), provider("b", [says("other")])]);
    for _ in 0..3 {
        world.ask(stream()).await;
        sleep(seconds(14)).await;
    }
    // The third of them, at 28 s, comes too early by two.
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("b", 14_000), ("b", 28_000)]));
    world.ask(stream()).await;
    assert_eq!(world.asked().last(), at(&[("a", 42_000)]).first());
}

#[tokio::test(start_paused = true)]
async fn an_absurd_wait_is_clamped_to_five_minutes() {
    let world = World::of([provider("a", [limited("1e9"), says("hello")]), provider("b", [says("other")])]);
    world.ask(whole()).await;
    sleep(seconds(299)).await;
    world.ask(whole()).await;
    sleep(seconds(1)).await;
    world.ask(whole()).await;
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("b", 299_000), ("a", 300_000)]));
}

#[tokio::test(start_paused = true)]
async fn of_limits_that_overlap_the_longer_one_holds_and_older_successes_do_not_end_it() {
    // Three at once: one is limited for 20 s, one without a time, and one is answered, all of them later than that.
    let acts = [limited("20").after(10), status(429).after(20), says("slow").after(5000), says("back")];
    let world = World::of([once("a", acts), provider("b", [says("other")])]);
    tokio::join!(world.ask(whole()), world.ask(whole()), world.ask(whole()));
    for wait in [10, 5, 1] {
        sleep(seconds(wait)).await;
        world.ask(whole()).await;
    }
    assert_eq!(world.asked()[5..], at(&[("b", 15_000), ("b", 20_000), ("a", 21_000)]));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_providers_all_rest_waits_for_the_first_that_comes_back() {
    let world =
        World::of([once("a", [limited("8"), says("from a")]), once("b", [limited("5"), says("from b")])]);
    let refused = world.ask(whole()).await;
    // The caller is told when the first of them is back.
    assert_eq!((refused.status, refused.end_at, refused.header("retry-after")), (429, 0, "5"));
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, seen.end_at), (200, 5000));
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("b", 5000)]));
    assert_eq!(world.account(), ("ok".into(), 1), "waiting is no attempt");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_its_own_limit_allows_and_no_longer() {
    let world = || World::of([once("a", [limited("60"), says("hello")])]);
    let patient = world();
    patient.ask(whole()).await;
    let seen = patient.ask(whole().within(61_000)).await;
    assert_eq!((seen.status, patient.asked()), (200, at(&[("a", 0), ("a", 60_000)])));

    // Who cannot wait asks now: the least bad is still better than nobody.
    for question in [whole(), whole().within(60_000)] {
        let hasty = world();
        hasty.ask(whole()).await;
        hasty.ask(question).await;
        assert_eq!(hasty.asked(), at(&[("a", 0), ("a", 0)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resting_provider_is_not_hammered() {
    let world = World::of([once("a", [limited("60"), limited("60").after(500)])]);
    world.ask(whole()).await;
    let all = futures_util::future::join_all((0..100).map(|_| world.ask(whole()))).await;
    assert_eq!(world.asked().len(), 1 + 3, "three of a hundred look whether it has changed its mind");
    let untold: Vec<_> =
        all.iter().filter(|seen| seen.header("x-orchestrator-attempts").is_empty()).collect();
    assert_eq!(untold.len(), 97);
    assert!(untold.iter().all(|seen| (seen.status, seen.header("retry-after")) == (429, "60")));
}

#[tokio::test(start_paused = true)]
async fn a_limited_key_hands_over_to_another_provider_before_another_key() {
    let world = World::of([
        provider("a", [limited("60"), says("hello")]).keys(2),
        provider("b", [status(500)]).keys(1),
    ]);
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, seen.end_at), (200, 0));
    assert_eq!(world.keys_used(), ["a-0", "b-0", "a-1"]);

    let lone = World::of([provider("a", [limited("60"), says("hello")]).keys(2)]);
    assert_eq!((lone.ask(whole()).await.status, lone.ask(whole()).await.status), (200, 200));
    assert_eq!(lone.keys_used(), ["a-0", "a-1", "a-1"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_a_resting_provider_is_waited_for_when_nobody_else_is_left() {
    let world =
        World::of([once("a", [limited("4"), says("hello")]), once("b", [says("first"), status(500)])]);
    world.ask(whole()).await;
    let seen = world.ask(whole()).await;
    assert_eq!(seen.status, 200);
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("b", 0), ("a", 4000)]));
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_limit_is_spent_is_passed_over_or_waited_for_and_never_asked_beyond_it() {
    let limited = || provider("a", [says("hello")]).with(|row| row.rate_limit = Some(6));
    let world = World::of([limited(), provider("b", [says("other")])]);
    for _ in 0..3 {
        assert_eq!(world.ask(whole()).await.status, 200);
    }
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("b", 0)]));

    let alone = World::of([limited()]);
    alone.ask(whole()).await;
    assert_eq!(alone.ask(whole().within(15_000)).await.status, 200);
    let seen = alone.ask(whole().within(1_000)).await;
    assert_eq!((seen.status, seen.header("retry-after")), (429, "10"));
    assert_eq!(alone.asked(), at(&[("a", 0), ("a", 10_000)]));
}

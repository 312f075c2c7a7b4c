//! Breakers as requests meet them: who keeps failing is left alone, looked at with one request, and taken back.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    script::{Act, says, status},
    world::{Actor, World, at, provider, whole},
};

/// One that is never asked again for the same request.
fn once(name: &str, acts: impl IntoIterator<Item = Act>) -> Actor {
    provider(name, acts).with(|row| row.max_retries = 0)
}

/// How often a provider was asked.
fn times(world: &World, name: &str) -> usize {
    world.asked().iter().filter(|(asked, _)| asked == name).count()
}

#[tokio::test(start_paused = true)]
async fn five_faults_in_a_row_and_the_provider_is_left_alone_for_about_a_minute() {
    let world = World::of([once("a", [status(500)]), once("b", [says("hello")])]);
    let mut asked_at = Vec::new();
    for second in 0..76 {
        let before = times(&world, "a");
        assert_eq!(world.ask(whole()).await.status, 200);
        if times(&world, "a") > before {
            asked_at.push(second);
        }
        sleep(Duration::from_secs(1)).await;
    }
    // Sixty seconds more or less a fifth, as these dice say.
    assert_eq!(asked_at, [0, 1, 2, 3, 4, 69]);
}

#[tokio::test(start_paused = true)]
async fn one_request_looks_whether_it_is_back_and_two_successes_bring_it_back() {
    let acts = std::iter::repeat_n(status(500), 5).chain([says("hello").after(100)]);
    let world = World::of([once("a", acts), once("b", [says("other").after(100)])]);
    for _ in 0..5 {
        world.ask(whole()).await;
    }
    sleep(Duration::from_secs(80)).await;
    for (probe, expected) in [("the first", 1), ("the second", 1), ("then all", 20)] {
        let before = times(&world, "a");
        join_all((0..20).map(|_| world.ask(whole()))).await;
        assert_eq!(times(&world, "a") - before, expected, "{probe}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_every_breaker_is_open_the_one_that_closes_first_is_asked() {
    let world = World::of([once("a", [status(500)]), once("b", [status(500)])]);
    for _ in 0..5 {
        world.ask(whole()).await;
    }
    let before = world.asked().len();
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, seen.end_at), (500, 0), "nobody is refused, and the provider speaks for itself");
    assert!(world.asked().len() > before);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_once_is_asked_again_after_one_whose_breaker_is_open_turned_out_to_be_down() {
    let acts = std::iter::repeat_n(says("hello"), 5).chain([status(500), says("hello")]);
    let world = World::of([once("a", [status(500)]), provider("b", acts)]);
    for _ in 0..5 {
        world.ask(whole()).await;
    }
    let before = world.asked().len();
    let seen = world.ask(whole()).await;
    let asked: Vec<String> = world.asked()[before..].iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((seen.status, asked), (200, ["b", "a", "b"].map(str::to_owned).to_vec()));
}

#[tokio::test(start_paused = true)]
async fn limits_and_refused_requests_open_no_breaker() {
    let acts = std::iter::repeat_n(status(429).header("retry-after-ms", "100"), 30).chain([says("hello")]);
    let world = World::of([once("a", acts), once("b", [says("other")])]);
    for _ in 0..31 {
        world.ask(whole()).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(times(&world, "a"), 31);
    assert_eq!(world.asked().last(), at(&[("a", 3000)]).first());
}

#[tokio::test(start_paused = true)]
async fn whom_a_request_has_not_asked_comes_before_who_just_failed_it_though_the_breaker_is_open() {
    let recovers = std::iter::repeat_n(status(500), 5).chain([says("back")]);
    let breaks_down = std::iter::repeat_n(says("other"), 5).chain([status(500)]);
    let world = World::of([provider("a", recovers), provider("b", breaks_down)]);
    for _ in 0..5 {
        assert!(world.ask(whole()).await.text().contains("other"));
    }
    let before = world.asked().len();
    assert!(world.ask(whole()).await.text().contains("back"));
    let asked: Vec<String> = world.asked()[before..].iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(asked, ["b", "a"]);
}

//! How long is waited for what, what comes after, and what the caller sees meanwhile.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{
    script::{Act, Step, is_silent, never_connects, plays, says, status},
    wires::{FOUR, Word, claims_success, errors_told},
    world::{World, at, provider, stream, whole},
};
use crate::{catalog::Timeouts, dialect::Dialect};

const CHAT: Dialect = Dialect::OpenAiChat;

fn two(first: Act) -> World {
    World::of([provider("a", [first]), provider("b", [says("hello")])])
}

/// Two providers, and the first has time-outs of its own.
fn two_with(first: Act, timeouts: Timeouts) -> World {
    let a = provider("a", [first]).with(|row| row.timeouts = timeouts);
    World::of([a, provider("b", [says("hello")])])
}

/// One byte each five seconds, in comments, for more than ten minutes.
fn drip() -> Vec<Step> {
    let bytes = |_| [Step::Pause(5000), Step::Raw(Bytes::from_static(b":"))];
    (0..130).flat_map(bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn on_defaults_a_whole_answer_may_take_150_seconds() {
    let world = two(says("worth it").after(150_000));
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, seen.end_at, world.asked()), (200, 150_000, at(&[("a", 0)])));
    assert!(seen.text().contains("worth it"));
}

#[tokio::test(start_paused = true)]
async fn on_defaults_a_first_token_may_take_80_seconds_and_idle_bytes_go_out_meanwhile() {
    let world = two(says("worth it").after(80_000));
    let seen = world.ask(stream()).await;
    assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 10_000, 80_000));
    assert_eq!(seen.times_of(": idle\n\n"), [25_000, 40_000, 55_000, 70_000]);
    assert_eq!(seen.times_of("worth it"), [80_000]);
    assert_eq!((world.asked(), claims_success(CHAT, &seen.text())), (at(&[("a", 0)]), true));
    // The head left before anybody had answered: it cannot say who does.
    assert_eq!(
        (seen.header("content-type"), seen.header("x-orchestrator-provider")),
        ("text/event-stream", "")
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_token_that_does_not_come_in_120_seconds_is_left_to_the_next() {
    let role_only = plays([Step::Say(Word::Head), Step::Pause(300_000), Step::Say(Word::Text("late"))]);
    for (what, act) in [("silence", is_silent()), ("a role", role_only), ("a byte each 5 s", plays(drip()))] {
        let world = two(act);
        let seen = world.ask(stream()).await;
        assert_eq!((seen.status, seen.head_at), (200, 10_000), "{what}");
        assert_eq!(world.asked(), at(&[("a", 0), ("b", 120_000)]), "{what}");
        assert_eq!((seen.times_of("hello"), errors_told(&seen.text())), (vec![120_000], 0), "{what}");
        assert_eq!(world.account(), ("ok".into(), 2), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_slow_beats_none() {
    let slow = || says("worth it").after(400_000);
    // Nobody else at all.
    let lone = World::of([provider("a", [slow()])]);
    assert_eq!(lone.ask(stream()).await.times_of("worth it"), [400_000]);
    // The last attempt.
    let last =
        World::with([provider("a", [slow()]), provider("b", [says("x")])], |model| model.max_retry = 0);
    assert_eq!(last.ask(stream()).await.times_of("worth it"), [400_000]);
    // The other one has been failing.
    let failing = provider("b", [status(500)]).with(|row| row.max_retries = 0);
    let acts = std::iter::repeat_n(status(500), 5).chain([slow()]);
    let sick = World::of([provider("a", acts).with(|row| row.max_retries = 0), failing]);
    for _ in 0..5 {
        sick.ask(stream()).await;
    }
    let before = sick.asked().len();
    // Both breakers are open; who is asked first is not left for the other.
    let seen = sick.ask(stream()).await;
    assert_eq!(sick.asked()[before..], at(&[("a", 0)]));
    assert_eq!(seen.times_of("worth it"), [400_000]);
}

#[tokio::test(start_paused = true)]
async fn a_silence_of_60_seconds_behind_content_ends_the_stream_honestly() {
    let world = two(plays([
        Step::Say(Word::Text("hel")),
        Step::Pause(59_000),
        Step::Say(Word::Text("lo")),
        Step::Pause(61_000),
        Step::Say(Word::Stop),
        Step::Say(Word::Done),
    ]));
    let seen = world.ask(stream()).await;
    assert_eq!((seen.times_of("hel"), seen.times_of("\"lo\"")), (vec![0], vec![59_000]));
    assert_eq!(
        (seen.end_at, errors_told(&seen.text()), claims_success(CHAT, &seen.text())),
        (119_000, 1, false)
    );
    assert_eq!(seen.times_of(": idle"), [15_000, 30_000, 45_000, 74_000, 89_000, 104_000]);
    assert_eq!((world.asked(), world.account()), (at(&[("a", 0)]), ("truncated".into(), 1)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_drips_ends_honestly_after_ten_minutes() {
    let mut steps = vec![Step::Say(Word::Text("hel"))];
    steps.extend(drip());
    let world = two(plays(steps));
    let seen = world.ask(stream()).await;
    assert_eq!(
        (seen.end_at, errors_told(&seen.text()), claims_success(CHAT, &seen.text())),
        (600_000, 1, false)
    );
    assert_eq!(world.account(), ("truncated".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_does_not_come_in_ten_minutes_is_left_to_the_next() {
    let stalls_inside = plays([Step::Raw(Bytes::from_static(b"{\"id\":")), Step::Pause(9_000_000)]);
    for act in [is_silent(), stalls_inside, plays(drip())] {
        let world = two(act);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, seen.end_at), (200, 600_000));
        assert_eq!(world.asked(), at(&[("a", 0), ("b", 600_000)]));
    }
}

#[tokio::test(start_paused = true)]
async fn each_time_out_can_be_overridden() {
    let none = Timeouts::default();
    let connect = two_with(never_connects(), Timeouts { connect_ms: Some(700), ..none });
    assert_eq!((connect.ask(whole()).await.status, connect.asked()), (200, at(&[("a", 0), ("b", 700)])));

    let first = two_with(is_silent(), Timeouts { first_token_ms: Some(2000), ..none });
    let seen = first.ask(stream()).await;
    // Early enough for a head that says who answered.
    assert_eq!((seen.head_at, seen.header("x-orchestrator-provider")), (2000, "b"));
    assert_eq!(first.asked(), at(&[("a", 0), ("b", 2000)]));

    let halting = plays([Step::Say(Word::Text("hel")), Step::Pause(9_000_000)]);
    let idle = two_with(halting.clone(), Timeouts { idle_ms: Some(4000), ..none });
    assert_eq!((idle.ask(stream()).await.end_at, idle.account()), (4000, ("truncated".into(), 1)));

    let total = two_with(halting, Timeouts { total_ms: Some(5000), ..none });
    assert_eq!((total.ask(stream()).await.end_at, total.account()), (5000, ("truncated".into(), 1)));
    let total = two_with(is_silent(), Timeouts { total_ms: Some(5000), ..none });
    assert_eq!((total.ask(whole()).await.status, total.asked()), (200, at(&[("a", 0), ("b", 5000)])));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_an_hour_changes_no_time_out() {
    let world = two(is_silent());
    let jump = async {
        sleep(Duration::from_mins(1)).await;
        world.jump(Duration::from_hours(1));
    };
    let (seen, ()) = tokio::join!(world.ask(stream()), jump);
    assert_eq!((seen.head_at, world.asked()), (10_000, at(&[("a", 0), ("b", 120_000)])));
}

#[tokio::test(start_paused = true)]
async fn attempts_stay_inside_the_callers_own_limit_which_is_not_the_providers_fault() {
    for question in [whole(), stream()] {
        let world = two(is_silent());
        for _ in 0..6 {
            let began = world.now();
            let seen = world.ask(question.clone().within(5000)).await;
            assert_eq!((seen.status, seen.end_at - began), (504, 5000));
        }
        let of_a = world.asked().iter().filter(|(name, _)| name == "a").count();
        assert_eq!(
            of_a,
            world.asked().len(),
            "the breaker of a provider that nobody waited for stays closed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_caller_would_not_live_to_see_is_not_begun() {
    let limited = || status(429).header("retry-after", "5");
    let world = World::of([provider("a", [limited(), says("hello")])]);
    let seen = world.ask(whole().within(5000)).await;
    assert_eq!((seen.status, seen.end_at, world.asked()), (429, 0, at(&[("a", 0)])));
    // A caller with more time than the ten seconds that others wait gets its answer.
    let world = World::of([provider("a", [status(429).header("retry-after", "20"), says("hello")])]);
    let seen = world.ask(whole().within(30_000)).await;
    assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("a", 20_000)])));
}

#[tokio::test(start_paused = true)]
async fn a_callers_limit_behind_content_ends_the_stream_honestly() {
    let world = two(plays([Step::Say(Word::Text("hel")), Step::Pause(50_000), Step::Say(Word::Stop)]));
    let seen = world.ask(stream().within(20_000)).await;
    assert_eq!((seen.status, seen.end_at, errors_told(&seen.text())), (200, 20_000, 1));
    assert!(!claims_success(CHAT, &seen.text()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_the_early_head_is_an_event_of_the_dialect() {
    for dialect in FOUR {
        let fails_late = || status(503).after(12_000);
        let actors = [provider("a", [fails_late()]), provider("b", [fails_late()])];
        let actors = actors.map(|actor| actor.with(|row| row.max_retries = 0));
        let world = World::of(actors);
        let seen = world.ask(stream().speaking(dialect)).await;
        let name = dialect.name();
        assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 10_000, 24_000), "{name}");
        assert_eq!(world.asked(), at(&[("a", 0), ("b", 12_000)]), "{name}: fail-over goes on behind it");
        assert_eq!((errors_told(&seen.text()), claims_success(dialect, &seen.text())), (1, false), "{name}");
        assert_eq!(world.account(), ("provider_failed".into(), 2), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_early_head_has_a_status_of_its_own() {
    for dialect in FOUR {
        let world = World::of([provider("a", [status(503).after(9999)]).with(|row| row.max_retries = 0)]);
        let seen = world.ask(stream().speaking(dialect)).await;
        assert_eq!((seen.status, seen.head_at), (503, 9999), "{}", dialect.name());
        assert_eq!(seen.header("content-type"), "application/json");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_bytes_are_what_each_dialects_clients_bear() {
    let cases = [
        (CHAT, ": idle\n\n"),
        (Dialect::OpenAiResponses, ": idle\n\n"),
        (Dialect::Anthropic, "event: ping\ndata: {\"type\": \"ping\"}\n\n"),
    ];
    for (dialect, bytes) in cases {
        let world = two(says("hello").after(30_000));
        let seen = world.ask(stream().speaking(dialect)).await;
        assert_eq!(seen.pieces[0], (25_000, bytes.to_owned()), "{}", dialect.name());
        assert!(claims_success(dialect, &seen.text()));
    }
    // Gemini's clients break on comments; in an array white space means nothing.
    let world = two(says("hello").after(30_000));
    let seen = world.ask(stream().speaking(Dialect::Gemini)).await;
    assert_eq!((seen.head_at, seen.pieces[0].0), (10_000, 30_000));
    let world = two(says("hello").after(30_000));
    let seen = world.ask(stream().speaking(Dialect::Gemini).in_array()).await;
    assert_eq!(seen.pieces[0], (25_000, "\n".to_owned()));
    assert!(serde_json::from_str::<serde_json::Value>(&seen.text()).unwrap().is_array());
}

//! What is written down of each time that a provider was asked.

use super::{
    script::{Step, is_silent, plays, refuses, says, status},
    wires::Word,
    world::{World, provider, stream, whole},
};
use crate::{
    catalog::{ApiKey, samples},
    dialect::Dialect,
    ledger::{Origin, RequestRecord, rollup::Rollups},
};

/// Of each attempt: the provider, its status, the outcome, and whether there is an error, in order.
fn tried(record: &RequestRecord) -> Vec<(&str, u16, &str, bool)> {
    let attempts = record.tried.iter();
    attempts.map(|one| (&*one.provider, one.status, &*one.outcome, !one.error.is_empty())).collect()
}

fn last(world: &World) -> RequestRecord {
    world.records().pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_written_down_with_the_providers_own_status_and_its_times() {
    for question in [whole(), stream()] {
        let slow = says("hello").after(250);
        let world = World::of([
            provider("a", [status(529).after(100)]),
            provider("b", [refuses()]),
            provider("c", [slow]),
        ]);
        world.ask(question).await;
        let record = last(&world);
        let expected =
            [("a", 529, "provider_failed", true), ("b", 0, "provider_failed", true), ("c", 200, "ok", false)];
        assert_eq!(tried(&record), expected);
        assert_eq!((record.attempts, &*record.outcome, &*record.error_kind), (3, "ok", ""));
        assert_eq!((&*record.api_key_name, &*record.provider), ("caller", "c"));
        let [first, _, third] = &record.tried[..] else { panic!() };
        assert_eq!((first.latency_us, first.ttft_us), (100_000, None));
        assert_eq!((third.latency_us, third.ttft_us), (250_000, record.stream.then_some(250_000)));
        assert_eq!(first.started_at, record.started_at);
        assert!(third.started_at.0 >= first.started_at.0 + 100_000);
        assert_eq!(
            (&*third.upstream_model, &*third.provider_key),
            (&*record.upstream_model, &*record.provider_key)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_leaves_a_truncated_attempt_and_the_errors_kind() {
    let broken =
        plays([Step::Say(Word::Head), Step::Say(Word::Text("content")), Step::Pause(700), Step::Reset]);
    let world = World::of([provider("a", [broken])]);
    world.ask(stream()).await;
    let record = last(&world);
    assert_eq!(tried(&record), [("a", 200, "truncated", true)]);
    assert_eq!((&*record.outcome, &*record.error_kind), ("truncated", "provider_failed"));
    assert_eq!((record.tried[0].latency_us, record.tried[0].ttft_us), (700_000, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_or_runs_out_of_time_leaves_an_attempt_that_says_so() {
    let world = World::of([provider("a", [is_silent()])]);
    let asking = world.ask(whole());
    assert!(tokio::time::timeout(std::time::Duration::from_secs(2), asking).await.is_err());
    let record = last(&world);
    assert_eq!(tried(&record), [("a", 0, "cancelled", true)]);
    assert_eq!(
        (record.status, &*record.error_kind, record.tried[0].latency_us),
        (499, "cancelled", 2_000_000)
    );

    let world = World::of([provider("a", [is_silent()])]);
    world.ask(whole().within(300)).await;
    let record = last(&world);
    assert_eq!(tried(&record), [("a", 0, "timeout", true)]);
    assert_eq!((&*record.error_kind, record.tried[0].latency_us), ("timeout", 300_000));
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_a_record_of_the_attempt_too() {
    let world = World::of([provider("a", [says("x")])]);
    let asking = std::panic::AssertUnwindSafe(async {
        let seen = world.ask(stream()).await;
        assert_eq!(seen.status, 0, "this is the panic");
    });
    let outcome = futures_util::FutureExt::catch_unwind(asking).await;
    assert!(outcome.is_err());
    assert_eq!(tried(&last(&world)), [("a", 200, "ok", false)]);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_kept_as_they_came_and_went_where_the_key_wants_it_and_nowhere_else() {
    for (act, status) in [(says("héllo"), 200), (super::script::status(400), 400)] {
        for question in [whole(), stream()] {
            let caller = ApiKey { log_bodies: true, ..samples::api_key("caller", "caller", "secret") };
            for dialect in [Dialect::OpenAiChat, Dialect::Anthropic] {
                let actor = provider("a", [act.clone()]).speaking(dialect);
                let world = World::with_caller([actor], |_| {}, caller.clone());
                let seen = world.ask(question.clone()).await;
                assert_eq!(seen.status, status);
                let bodies = last(&world).bodies.unwrap();
                assert!(bodies.request.text.contains("\"content\":\"hi\""), "{bodies:?}");
                assert_eq!((bodies.response.text, bodies.response.base64), (seen.text(), false));
                assert_eq!(bodies.response.bytes, seen.text().len() as u64);
            }
        }
    }
    let world = World::of([provider("a", [says("hello")])]);
    world.ask(whole()).await;
    assert_eq!(last(&world).bodies, None);
}

#[tokio::test(start_paused = true)]
async fn of_a_stream_that_is_cut_the_body_is_what_the_caller_got() {
    let broken = plays([Step::Say(Word::Head), Step::Say(Word::Text("content")), Step::Reset]);
    let caller = ApiKey { log_bodies: true, ..samples::api_key("caller", "caller", "secret") };
    let world = World::with_caller([provider("a", [broken])], |_| {}, caller);
    let seen = world.ask(stream()).await;
    assert_eq!(last(&world).bodies.unwrap().response.text, seen.text());
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_written_down_and_counts_in_no_sum() {
    let world = World::of([provider("a", [says("x").after(30), status(500)])]);
    for (outcome, http, latency_us) in [("ok", 200, 30_000), ("provider_failed", 500, 0)] {
        world.probe("a").await;
        let record = last(&world);
        assert_eq!(
            (record.origin, &*record.outcome, record.api_key_id.as_str()),
            (Origin::Probe, outcome, "")
        );
        assert_eq!((record.tried[0].status, record.tried[0].latency_us), (http, latency_us));
    }
    assert!(world.records()[0].usage.completion > 0);
    assert_eq!(Rollups::of(&world.records()), Rollups::default());
}

//! Limits and budgets at work in a request's life: what is admitted, what is given back, and what is charged.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use http::HeaderMap;
use tokio::time::{advance, timeout};

use super::{
    script::{Act, Step, is_silent, plays, refuses, says, status},
    wires::Word,
    world::{Actor, Seen, World, provider, stream, whole},
};
use crate::{
    catalog::{
        ApiKey, OnDisconnect, OwnPrice,
        limits::{Budget, Limits, Period},
        samples,
    },
    dialect::Dialect,
    ledger::RequestRecord,
    orchestrator::NativeBody,
    policy::price::Rates,
    shared_state::local::Outstanding,
};

const DOLLAR: u64 = 1_000_000_000;

fn budget(nanos: u64) -> Limits {
    Limits { budget: Some(Budget { nanos, period: Period::Day }), ..Limits::default() }
}

/// A caller with these limits; the model costs a thousand dollars a million tokens at every provider: a million nano-dollars each.
fn world(actors: impl IntoIterator<Item = Actor>, limits: Limits) -> World {
    world_of(actors, ApiKey { limits, ..caller() }, Limits::default())
}

fn caller() -> ApiKey {
    samples::api_key("caller", "caller", "secret")
}

fn world_of(actors: impl IntoIterator<Item = Actor>, key: ApiKey, of_team: Limits) -> World {
    let rate = Some(1000 * DOLLAR);
    let price = OwnPrice {
        version: 1,
        kind: "openai_compatible".into(),
        upstream_model: "m".into(),
        rates: Rates { input: rate, output: rate, ..Rates::default() },
        ..OwnPrice::default()
    };
    World::with_rows(
        actors,
        |_| (),
        key,
        |rows| {
            rows.prices.push(price);
            let mut team = samples::team("t", "crew");
            team.limits = of_team;
            rows.teams.push(team);
        },
    )
}

fn code(seen: &Seen) -> String {
    let json: serde_json::Value = serde_json::from_str(&seen.text()).unwrap();
    json["error"]["code"].as_str().unwrap_or_default().to_owned()
}

fn last(world: &World) -> RequestRecord {
    world.records().pop().unwrap()
}

fn limit_headers(headers: &HeaderMap) -> Vec<String> {
    let ours = headers.iter().filter(|(name, _)| name.as_str().contains("ratelimit"));
    let mut lines: Vec<String> =
        ours.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn a_minute_has_its_requests_and_no_more_and_every_answer_says_what_is_left() {
    let limits = Limits { requests_per_minute: Some(3), ..Limits::default() };
    let theirs =
        says("x").header("x-ratelimit-limit-requests", "9999").header("x-ratelimit-limit-other", "1");
    let world = world([provider("a", [theirs])], limits);
    for question in [whole(), stream(), whole()] {
        assert_eq!(world.ask(question).await.status, 200);
    }
    let refused = world.ask(whole()).await;
    assert_eq!((refused.status, code(&refused)), (429, "rate_limit_exceeded".into()));
    assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), ("20", ""));
    assert_eq!(refused.requests(), Some((3, 0, 60_000)));
    let record = last(&world);
    assert_eq!((&*record.outcome, record.attempts, record.charged_nanos), ("rate_limited", 0, None));
    advance(Duration::from_secs(20)).await;
    let admitted = world.ask(stream()).await;
    assert_eq!(admitted.status, 200);
    assert_eq!(admitted.requests(), Some((3, 0, 60_000)));
    assert!(limit_headers(&admitted.headers).is_empty(), "the provider's are not the caller's");
    assert_eq!(world.ask(whole()).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn each_dialect_is_refused_in_its_own_words() {
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let mut said = Vec::new();
    for dialect in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini] {
        let world = world([provider("a", [says("x")])], limits);
        world.ask(whole().speaking(dialect)).await;
        let refused = world.ask(whole().speaking(dialect)).await;
        said.push(format!(
            "{} {} {:?}\n{}",
            dialect.name(),
            refused.status,
            refused.requests(),
            refused.text(),
        ));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_limits_sees_the_providers() {
    let theirs = says("x").header("x-ratelimit-limit-requests", "9999");
    let world = world([provider("a", [theirs])], Limits::default());
    let seen = world.ask(whole()).await;
    assert_eq!(limit_headers(&seen.headers), ["x-ratelimit-limit-requests: 9999"]);
}

/// What a request came to is charged to the nano-dollar, whatever became of it, and nothing is held when it is over.
#[tokio::test(start_paused = true)]
async fn what_the_record_says_is_what_is_charged_however_a_request_ends() {
    let cut = || plays([Step::Say(Word::Head), Step::Say(Word::Text("content")), Step::Reset]);
    let endings: [(&str, Vec<Act>); 6] = [
        ("answered", vec![says("hello there")]),
        ("failed over", vec![status(500), says("hello there")]),
        ("cut", vec![cut()]),
        ("refused by the provider", vec![status(400)]),
        ("nobody there", vec![refuses()]),
        ("all fail", vec![status(503)]),
    ];
    for (what, acts) in endings {
        for question in [whole(), stream()] {
            let world = world([provider("a", acts.clone())], budget(DOLLAR * 100));
            world.ask(question).await;
            let record = last(&world);
            let tokens = record.usage.prompt + record.usage.completion;
            assert_eq!(record.charged_nanos, Some(tokens * 1_000_000), "{what}");
            let held = i128::from(tokens * 1_000_000);
            assert_eq!(world.outstanding("key:caller"), Outstanding { nanos: held, running: 0 }, "{what}");
            assert_eq!(
                tokens > 0,
                ["answered", "failed over", "cut"].contains(&what) && record.status == 200,
                "{what}"
            );
            assert!(record.held.key && !record.held.team);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_charged_what_its_record_says_and_gives_the_rest_back() {
    let slow = || plays([Step::Say(Word::Head), Step::Say(Word::Text("content")), Step::Pause(90_000)]);
    for on_disconnect in [OnDisconnect::Cancel, OnDisconnect::Drain] {
        let limits = Limits { max_concurrency: Some(1), ..budget(DOLLAR * 100) };
        let key = ApiKey { on_disconnect, limits, ..caller() };
        let world = world_of([provider("a", [slow(), is_silent()])], key, Limits::default());
        let NativeBody::Stream(mut answer) = world.begin(stream()).await.body else { panic!() };
        assert!(answer.next().await.is_some());
        let busy = world.ask(whole()).await;
        assert_eq!(
            (busy.status, code(&busy), busy.header("retry-after")),
            (429, "concurrency_limit".into(), "1")
        );
        drop(answer);
        tokio::time::sleep(Duration::from_secs(61)).await;
        let record = world.records().into_iter().find(|record| record.attempts > 0).unwrap();
        assert_eq!(record.status, 499);
        let charged = record.charged_nanos.unwrap();
        assert!(charged > 0);
        assert_eq!(world.outstanding("key:caller"), Outstanding { nanos: charged.into(), running: 0 });

        let waiting = timeout(Duration::from_secs(5), world.ask(whole())).await;
        assert!(waiting.is_err(), "it has left before there was an answer");
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.outstanding("key:caller"), Outstanding { nanos: charged.into(), running: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_back_what_was_taken() {
    let limits = Limits { max_concurrency: Some(1), ..budget(DOLLAR * 100) };
    let world = world([provider("a", [says("x")])], limits);
    let asking = std::panic::AssertUnwindSafe(async {
        let NativeBody::Stream(answer) = world.begin(stream()).await.body else { return };
        assert!(format!("{answer:?}").is_empty(), "this is the panic");
    });
    assert!(asking.catch_unwind().await.is_err());
    let charged = last(&world).charged_nanos.unwrap();
    assert_eq!(world.outstanding("key:caller"), Outstanding { nanos: charged.into(), running: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_budget_admits_while_the_longest_answer_has_room_and_says_when_to_come_back() {
    // The prompt's tokens, the nine that the caller asks for, and a million nano-dollars each.
    let question = || whole().speaking(Dialect::Anthropic);
    let probe = world([provider("a", [says("x")])], budget(DOLLAR * 100));
    probe.ask(question()).await;
    let record = last(&probe);
    let spent = record.charged_nanos.unwrap();
    let longest = 1_000_000 * (9 + crate::ledger::usage::estimate(question().bytes()));

    let world = world([provider("a", [says("x")])], budget(spent * 3 + longest));
    for _ in 0..4 {
        assert_eq!(world.ask(question()).await.status, 200);
    }
    let refused = world.ask(question()).await;
    assert_eq!(refused.status, 429);
    // Half an hour past noon: the day's budget is renewed at midnight.
    assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), ("41600", "false"));
    assert!(refused.text().contains("it is renewed at midnight UTC"), "{}", refused.text());
    assert_eq!(world.outstanding("key:caller").nanos, i128::from(spent) * 4);
    world.jump(Duration::from_secs(41_600));
    assert_eq!(world.ask(question()).await.status, 200, "a new day");
}

#[tokio::test(start_paused = true)]
async fn a_price_that_nobody_knows_is_charged_at_the_ceiling() {
    let world = World::with_caller(
        [provider("a", [says("hello there")])],
        |_| (),
        ApiKey { limits: budget(DOLLAR), ..caller() },
    );
    world.ask(whole()).await;
    let record = last(&world);
    assert_eq!(record.cost_nanos, None);
    let ceiling = record.usage.prompt * 15_000 + record.usage.completion * 75_000;
    assert_eq!(record.charged_nanos, Some(ceiling));
    assert_eq!(world.outstanding("key:caller").nanos, i128::from(ceiling));
}

#[tokio::test(start_paused = true)]
async fn the_dearest_provider_of_the_plan_is_reserved_for() {
    let other = provider("b", [says("x")]).with(|row| row.kind = "openai".into());
    // Whoever has no known price costs the ceiling, which is less than the first one's price: the answer may come from either.
    let world = world([provider("a", [is_silent()]), other], budget(DOLLAR * 5));
    let waiting = timeout(Duration::from_secs(1), world.ask(whole()));
    let (waiting, held) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.outstanding("key:caller").nanos
    });
    assert!(waiting.is_err());
    let prompt = crate::ledger::usage::estimate(whole().bytes());
    assert_eq!(held, i128::from((prompt + 4096) * 1_000_000));
}

#[tokio::test(start_paused = true)]
async fn key_and_team_are_charged_both_and_the_tighter_one_refuses() {
    let key = ApiKey { team: "crew".into(), limits: budget(DOLLAR * 100), ..caller() };
    let of_team = Limits { requests_per_minute: Some(1), ..budget(DOLLAR * 100) };
    let world = world_of([provider("a", [says("x")])], key, of_team);
    assert_eq!(world.ask(whole()).await.status, 200);
    let record = last(&world);
    assert_eq!((&*record.team_id, record.held.team), ("t", true));
    let held = Outstanding { nanos: record.charged_nanos.unwrap().into(), running: 0 };
    assert_eq!([world.outstanding("key:caller"), world.outstanding("team:t")], [held, held]);
    let refused = world.ask(whole()).await;
    assert!(
        refused.text().contains("this API key's team is limited to 1 request a minute"),
        "{}",
        refused.text()
    );
    assert_eq!(world.outstanding("key:caller"), held, "the key has paid nothing for it");
}

#[tokio::test(start_paused = true)]
async fn a_model_has_limits_for_all_who_ask_for_it() {
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let world = World::with([provider("a", [says("x")])], |model| model.limits = limits);
    assert_eq!(world.ask(whole()).await.status, 200);
    let refused = world.ask(whole()).await;
    assert_eq!((refused.status, code(&refused)), (429, "rate_limit_exceeded".into()));
    assert!(refused.text().contains("the model `m` is limited to 1 request a minute"), "{}", refused.text());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_for_the_longest_answer_and_settled_by_usage() {
    let limits = Limits { tokens_per_minute: Some(100), ..Limits::default() };
    let world = world([provider("a", [says("x")])], limits);
    let left = |seen: &Seen| seen.limits.unwrap().tokens.unwrap().remaining;
    // It says no maximum: all that is left is reserved, and given back but for what was used.
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, left(&seen)), (200, 0));
    let record = last(&world);
    let used = record.usage.prompt + record.usage.completion;
    let seen = world.ask(whole().speaking(Dialect::Anthropic)).await;
    let asked = 9 + crate::ledger::usage::estimate(whole().speaking(Dialect::Anthropic).bytes());
    assert_eq!((seen.status, left(&seen)), (200, 100 - used - asked));
    assert_eq!(
        record.charged_nanos,
        Some(used * 1_000_000),
        "what has no budget is written down all the same"
    );
}

//! The same request many times under one idempotency key: at once, later, with another body, and when things go wrong.

use std::time::Duration;

use futures_util::future::join_all;
use orchestrator_base::config::Idempotency;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    script::{Act, Step, plays, says, status},
    wires::{FOUR, Word, claims_success, errors_told},
    world::{Actor, Question, Seen, World, provider, stream, whole},
};
use crate::{
    catalog::{ApiKey, limits::Limits, samples},
    dialect::Dialect,
    ledger::RequestRecord,
};

const HOW: &str = "x-orchestrator-idempotency";
const ORIGINAL: &str = "x-orchestrator-original-request-id";

/// Two pieces of text, half a second apart.
fn slowly() -> Act {
    let mut steps = vec![Step::Say(Word::Head), Step::Say(Word::Text("one"))];
    steps.push(Step::Pause(500));
    steps.extend([Word::Text(" two"), Word::Stop, Word::Done].map(Step::Say));
    plays(steps)
}

fn alone(name: &str, acts: impl IntoIterator<Item = Act>) -> Actor {
    provider(name, acts).with(|row| row.max_retries = 0)
}

/// The question so many times at once, as `request-0`, `request-1`….
async fn at_once(world: &World, question: &Question, times: usize) -> Vec<Seen> {
    let asking = (0..times).map(|number| world.ask(question.clone().called(format!("request-{number}"))));
    join_all(asking).await
}

/// How the record says that it got its answer.
fn how(record: &RequestRecord) -> &str {
    record.tags.get("idempotency").map(String::as_str).unwrap_or_default()
}

/// What only a request says of itself that was not made.
fn cost_nothing(record: &RequestRecord) -> bool {
    let usage = record.usage;
    (record.attempts, usage.prompt, usage.completion, record.cost_nanos) == (0, 0, 0, None)
        && record.tried.is_empty()
        && record.provider.is_empty()
}

#[tokio::test(start_paused = true)]
async fn fifty_at_once_are_one_request_for_the_provider_and_fifty_equal_answers() {
    for caller in FOUR {
        for upstream in FOUR {
            for question in [whole(), stream(), stream().in_array()] {
                let act = if question.streams() { slowly() } else { says("hello").after(200) };
                let world = World::of([provider("a", [act]).speaking(upstream)]);
                let question = question.speaking(caller).keyed("k");
                let seen = at_once(&world, &question, 50).await;
                let pair = format!("{} of {}", caller.name(), upstream.name());
                assert_eq!(world.asked().len(), 1, "{pair}");
                let (first, others) = seen.split_first().unwrap();
                assert_eq!(
                    (first.status, first.header(HOW), first.header(ORIGINAL)),
                    (200, "", ""),
                    "{pair}"
                );
                assert_eq!(errors_told(&first.text()), 0, "{pair}: {}", first.text());
                for (number, other) in others.iter().enumerate() {
                    assert_eq!((other.status, other.text()), (200, first.text()), "{pair}");
                    assert_eq!((other.header(HOW), other.header(ORIGINAL)), ("joined", "request-0"));
                    assert_eq!(other.header("x-request-id"), format!("request-{}", number + 1));
                    for name in ["content-type", "x-orchestrator-provider", "x-orchestrator-attempts"] {
                        assert_eq!(other.header(name), first.header(name), "{pair} {name}");
                    }
                    if question.streams() {
                        let (pieces, same) = (|seen: &Seen| seen.times_of("two"), first.times_of("two"));
                        assert_eq!(pieces(other), same, "{pair}: at the same time as the first");
                    }
                }
                let records = world.records();
                let (own, joined): (Vec<_>, Vec<_>) =
                    records.iter().partition(|record| how(record).is_empty());
                assert_eq!((own.len(), joined.len()), (1, 49), "{pair}");
                assert_eq!((own[0].attempts, &*own[0].outcome, &*own[0].request_id), (1, "ok", "request-0"));
                for record in joined {
                    assert!(cost_nothing(record) && how(record) == "joined", "{pair}: {record:?}");
                    assert_eq!((record.status, &*record.outcome), (200, "ok"), "{pair}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_later_gets_what_the_first_one_got() {
    for dialect in FOUR {
        for question in [whole(), stream()] {
            let world = World::of([provider("a", [slowly_or_whole(&question), says("another")])]);
            let question = question.speaking(dialect).keyed("k");
            let first = world.ask(question.clone().called("first".into())).await;
            sleep(Duration::from_hours(23)).await;
            let began = world.now();
            let later = world.ask(question.clone().called("later".into())).await;
            assert_eq!((later.status, later.text(), later.end_at), (200, first.text(), began));
            assert_eq!((later.header(HOW), later.header(ORIGINAL)), ("replayed", "first"));
            assert_eq!(later.header("x-request-id"), "later");
            let record = world.records().pop().unwrap();
            assert!(cost_nothing(&record) && how(&record) == "replayed", "{record:?}");
            assert_eq!(world.asked().len(), 1);

            // A day after it was made it is forgotten.
            sleep(Duration::from_hours(1)).await;
            let anew = world.ask(question).await;
            assert_eq!((anew.header(HOW), world.asked().len()), ("", 2));
        }
    }
}

fn slowly_or_whole(question: &Question) -> Act {
    if question.streams() { slowly() } else { says("hello") }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_another_body_is_refused_in_the_callers_dialect() {
    for dialect in FOUR {
        let world = World::of([provider("a", [says("hello")])]);
        assert_eq!(world.ask(whole().speaking(dialect).keyed("k")).await.status, 200);
        let refused = world.ask(stream().speaking(dialect).keyed("k")).await;
        assert_eq!((refused.status, refused.header("x-should-retry")), (409, "false"), "{}", refused.text());
        let body: Value = serde_json::from_str(&refused.text()).unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("idempotency key was used before"), "{message}");
        if dialect == Dialect::OpenAiChat {
            assert_eq!(body["error"]["code"], "idempotency_key_reused");
        }
        assert_eq!((world.account(), world.asked().len()), (("conflict".into(), 0), 1));
        assert_eq!(world.ask(stream().speaking(dialect).keyed("other")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_is_a_400() {
    let world = World::of([provider("a", [says("hello")])]);
    for key in ["", "two words", "naïve", &"x".repeat(256)] {
        let refused = world.ask(whole().keyed(key)).await;
        assert_eq!(refused.status, 400, "{key}");
        assert!(refused.text().contains(r#""param":"idempotency_key""#), "{}", refused.text());
    }
    assert_eq!(world.ask(whole().keyed(&"x".repeat(255))).await.status, 200);
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_those_who_joined_and_frees_the_key() {
    for dialect in FOUR {
        for question in [whole(), stream()] {
            let question = question.speaking(dialect).keyed("k");
            let world = World::of([alone("a", [status(500).after(100), says("hello")])]);
            let seen = at_once(&world, &question, 3).await;
            assert_eq!(world.asked().len(), 1);
            for (number, seen) in seen.iter().enumerate() {
                assert_eq!(
                    (seen.status, seen.header("x-orchestrator-attempts")),
                    (500, "1"),
                    "{}",
                    seen.text()
                );
                assert_eq!(seen.header("x-request-id"), format!("request-{number}"));
                assert_eq!(seen.header(HOW), if number == 0 { "" } else { "joined" });
            }
            let outcomes: Vec<_> = world.records().iter().map(|record| record.outcome.clone()).collect();
            assert_eq!(outcomes, ["provider_failed"; 3]);
            world.jump(Duration::from_mins(1));
            let anew = world.ask(question).await;
            assert_eq!((anew.status, anew.header(HOW), world.asked().len()), (200, "", 2), "{}", anew.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_an_early_head_is_an_event_for_everybody() {
    let world = World::of([alone("a", [status(500).after(15_000), says("hello")])]);
    let question = stream().keyed("k");
    for seen in at_once(&world, &question, 3).await {
        assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 10_000, 15_000));
        assert_eq!(errors_told(&seen.text()), 1, "{}", seen.text());
    }
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_behind_content_breaks_for_all_and_frees_the_key() {
    for caller in FOUR {
        for upstream in FOUR {
            let mut broken: Vec<Step> = [Word::Head, Word::Text("content")].map(Step::Say).into();
            broken.extend([Step::Pause(700), Step::Reset]);
            let world = World::of([alone("a", [plays(broken), says("anew")]).speaking(upstream)]);
            let question = stream().speaking(caller).keyed("k");
            let seen = at_once(&world, &question, 3).await;
            for one in &seen {
                assert_eq!((one.status, one.text()), (200, seen[0].text()));
                assert_eq!(errors_told(&one.text()), 1);
                assert!(!claims_success(caller, &one.text()));
            }
            let outcomes: Vec<_> = world.records().iter().map(|record| record.outcome.clone()).collect();
            assert_eq!((outcomes, world.asked().len()), (vec!["truncated".to_owned(); 3], 1));
            world.jump(Duration::from_mins(1));
            let anew = world.ask(question).await;
            assert!(anew.text().contains("anew") && anew.header(HOW).is_empty(), "{}", anew.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_made_though_its_caller_leaves() {
    for question in [whole(), stream()] {
        let act = if question.streams() { slowly() } else { says("hello").after(500) };
        let world = World::of([provider("a", [act])]);
        let question = question.keyed("k");
        let left = timeout(Duration::from_millis(100), world.ask(question.clone())).await;
        assert!(left.is_err(), "the caller has left");
        let second = world.ask(question.clone()).await;
        assert_eq!((second.header(HOW), second.end_at), ("joined", 500));
        let left = timeout(Duration::ZERO, world.ask(question.clone())).await;
        drop(left);
        assert_eq!(world.ask(question).await.header(HOW), "replayed");
        assert_eq!(world.asked().len(), 1);
        assert!(world.records().iter().all(|record| record.outcome == "ok" || how(record) == "replayed"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_given_up_after_a_minute() {
    let mut endless = vec![Step::Say(Word::Head)];
    for _ in 0..100 {
        endless.extend([Step::Say(Word::Text("more")), Step::Pause(5000)]);
    }
    let world = World::of([provider("a", [plays(endless), says("anew")])]);
    let question = stream().keyed("k");
    assert!(timeout(Duration::from_secs(7), world.ask(question.clone())).await.is_err());
    sleep(Duration::from_secs(50)).await;
    let joins = timeout(Duration::from_secs(10), world.ask(question.clone())).await;
    assert!(joins.is_err(), "it was still made, and is read on from here");
    sleep(Duration::from_secs(59)).await;
    assert_eq!(world.records().len(), 1, "only the second caller's is over");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.account(), ("cancelled".into(), 1));
    let anew = world.ask(question).await;
    assert!(anew.text().contains("anew") && anew.header(HOW).is_empty(), "{}", anew.text());
}

#[tokio::test(start_paused = true)]
async fn a_twin_waits_for_no_longer_than_its_own_deadline() {
    let slow = World::of([provider("a", [says("hello").after(3000)])]);
    let (first, twin) = tokio::join!(slow.ask(whole().keyed("k")), slow.ask(whole().keyed("k").within(1000)));
    assert_eq!((first.status, twin.status, twin.end_at), (200, 504, 1000), "{}", twin.text());
    let half = World::of([provider("a", [slowly()])]);
    let (first, twin) =
        tokio::join!(half.ask(stream().keyed("k")), half.ask(stream().keyed("k").within(300)));
    assert_eq!((first.end_at, twin.status, twin.end_at), (500, 200, 300));
    assert_eq!((errors_told(&twin.text()), errors_told(&first.text())), (1, 0), "{}", twin.text());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_goes_to_its_first_caller_alone() {
    let settings = Idempotency { max_bytes: 200, ..Idempotency::default() };
    for question in [whole(), stream()] {
        let act = if question.streams() { slowly() } else { says(LONG).after(500) };
        let world = World::keeping([provider("a", [act])], &settings);
        let question = question.keyed("k");
        let later = async {
            sleep(Duration::from_millis(250)).await;
            world.ask(question.clone()).await
        };
        let (first, twin) = tokio::join!(world.ask(question.clone()), later);
        assert_eq!((first.status, first.end_at), (200, 500));
        assert!(question.streams() || first.text().contains(LONG));
        assert!(!question.streams() || claims_success(Dialect::OpenAiChat, &first.text()));
        assert_eq!(twin.status, 409, "{}", twin.text());
        assert!(twin.text().contains("idempotency_answer_too_large"), "{}", twin.text());
        let anew = world.ask(question).await;
        assert_eq!((anew.status, anew.header(HOW), world.asked().len()), (200, "", 2));
    }
}

#[tokio::test(start_paused = true)]
async fn who_joined_before_an_answer_grew_too_large_is_told_so_where_it_stands() {
    let settings = Idempotency { max_bytes: 400, ..Idempotency::default() };
    let world = World::keeping([provider("a", [slowly()])], &settings);
    let seen = at_once(&world, &stream().keyed("k"), 2).await;
    assert!(claims_success(Dialect::OpenAiChat, &seen[0].text()), "{}", seen[0].text());
    assert_eq!((seen[1].status, errors_told(&seen[1].text())), (200, 1), "{}", seen[1].text());
    let outcomes: Vec<_> = world.records().iter().map(|record| record.outcome.clone()).collect();
    assert!(outcomes.contains(&"ok".into()) && outcomes.contains(&"truncated".into()), "{outcomes:?}");
}

const LONG: &str = "as long as it takes: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 \
                    0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789";

#[tokio::test(start_paused = true)]
async fn of_many_answers_the_oldest_are_forgotten() {
    let one = World::of([provider("a", [says("hello")])]).ask(whole()).await.text().len();
    let by_count = Idempotency { max_entries: 2, ..Idempotency::default() };
    let by_size = Idempotency { total_bytes: 2 * one + 1, ..Idempotency::default() };
    for settings in [by_count, by_size] {
        let world = World::keeping([provider("a", [says("hello")])], &settings);
        for key in ["one", "two", "three", "four"] {
            assert_eq!(world.ask(whole().keyed(key)).await.header(HOW), "");
        }
        let asked = world.asked().len();
        assert_eq!(world.ask(whole().keyed("four")).await.header(HOW), "replayed");
        assert_eq!(world.ask(whole().keyed("one")).await.header(HOW), "", "{settings:?}");
        assert_eq!((asked, world.asked().len()), (4, 5));
    }
    let none = Idempotency { retention_seconds: 0, ..Idempotency::default() };
    let world = World::keeping([provider("a", [says("hello").after(10)])], &none);
    let seen = at_once(&world, &whole().keyed("k"), 2).await;
    assert_eq!([seen[0].header(HOW), seen[1].header(HOW)], ["", "joined"]);
    assert_eq!(world.ask(whole().keyed("k")).await.header(HOW), "");
}

#[tokio::test(start_paused = true)]
async fn twins_count_as_requests_of_their_key_and_use_nothing_else() {
    let of = |limits: Limits| {
        let caller = ApiKey { limits, ..samples::api_key("caller", "caller", "secret") };
        World::with_caller([provider("a", [says("hello").after(200)])], |_| (), caller)
    };
    let world = of(Limits { requests_per_minute: Some(3), ..Limits::default() });
    let seen = at_once(&world, &whole().keyed("k"), 5).await;
    let told: Vec<_> = seen.iter().map(|seen| (seen.status, seen.requests().unwrap().1)).collect();
    assert_eq!(told, [(200, 2), (200, 1), (200, 0), (429, 0), (429, 0)]);
    assert_eq!(world.asked().len(), 1);

    let world = of(Limits { tokens_per_minute: Some(40), ..Limits::default() });
    let (first, twin, other) =
        tokio::join!(world.ask(whole().keyed("k")), world.ask(whole().keyed("k")), world.ask(whole()));
    assert_eq!((first.status, twin.status, twin.header(HOW), other.status), (200, 200, "joined", 429));
    let record = world.records().into_iter().find(|record| how(record) == "joined").unwrap();
    assert!(cost_nothing(&record) && record.charged_nanos.is_none(), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_without_room_in_its_limits_frees_the_key() {
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let caller = ApiKey { limits, ..samples::api_key("caller", "caller", "secret") };
    let world = World::with_caller([provider("a", [says("hello")])], |_| (), caller);
    assert_eq!(world.ask(whole()).await.status, 200);
    let refused = world.ask(whole().keyed("k")).await;
    assert_eq!((refused.status, refused.requests()), (429, Some((1, 0, 60_000))));
    sleep(Duration::from_mins(1)).await;
    let anew = world.ask(whole().keyed("k")).await;
    assert_eq!((anew.status, anew.header(HOW), world.asked().len()), (200, "", 2));
}

//! Whose turn it is: blame decides whether anybody else is asked, and the key decides how.

use super::{
    script::{says, status, status_with},
    wires::FOUR,
    world::{World, at, provider, stream, whole},
};
use crate::dialect::Dialect;

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_request_is_told_at_once_and_no_second_provider_is_asked() {
    for dialect in FOUR {
        for code in [400, 413, 422] {
            let actors = [provider("a", [status(code)]), provider("b", [says("hello")])];
            let world = World::of(actors.map(|actor| actor.speaking(dialect)));
            let seen = world.ask(whole().speaking(dialect)).await;
            assert_eq!((seen.status, world.asked()), (code, at(&[("a", 0)])), "{} {code}", dialect.name());
            assert!(seen.text().contains(&format!("scripted {code}")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_faults_never_count_against_the_provider() {
    for code in [400, 413, 422, 404] {
        let world = World::of([provider("a", [status(code)]), provider("b", [says("hello")])]);
        for _ in 0..25 {
            world.ask(whole()).await;
        }
        let of_a = world.asked().iter().filter(|(name, _)| name == "a").count();
        assert_eq!(of_a, 25, "{code}: the breaker stays closed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_and_what_one_provider_lacks_another_has() {
    for dialect in FOUR {
        for code in [404, 408, 409, 410, 425, 500] {
            let actors = [provider("a", [status(code)]), provider("b", [says("hello")])];
            let world = World::of(actors.map(|actor| actor.speaking(dialect)));
            let seen = world.ask(whole().speaking(dialect)).await;
            assert_eq!(
                (seen.status, world.asked()),
                (200, at(&[("a", 0), ("b", 0)])),
                "{} {code}",
                dialect.name()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_nobody_has_is_a_404_after_everybody_was_asked() {
    let world = World::of([provider("a", [status(404)]), provider("b", [status(404)])]);
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, world.asked()), (404, at(&[("a", 0), ("b", 0)])));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_hands_over_to_the_next_key_at_once_and_is_not_used_again() {
    for code in [401, 402, 403] {
        let world =
            World::of([provider("a", [status(code), says("hello")]).keys(2), provider("b", [says("other")])]);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("a", 0)])), "{code}");
        world.ask(whole()).await;
        assert_eq!(world.keys_used(), ["a-0", "a-1", "a-1"], "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_gemini_calls_invalid_under_a_400_is_a_refused_key() {
    let body = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[
        {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;
    let world =
        World::of([provider("a", [status_with(400, body), says("hello")]).speaking(Dialect::Gemini).keys(2)]);
    for _ in 0..2 {
        assert_eq!(world.ask(whole()).await.status, 200);
    }
    assert_eq!(world.asked().len(), 3, "the second request knows which key is good");
}

#[tokio::test(start_paused = true)]
async fn an_account_without_money_hands_over_like_a_refused_key_and_is_never_waited_for() {
    let broke = || {
        let body =
            r#"{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        status_with(429, body).header("retry-after", "2")
    };
    let world = World::of([provider("a", [broke(), says("hello")]).keys(2)]);
    assert_eq!((world.ask(whole()).await.status, world.ask(whole()).await.end_at), (200, 0));
    assert_eq!(world.keys_used(), ["a-0", "a-1", "a-1"]);

    let lone = World::of([provider("a", [broke()]).keys(1)]);
    let seen = lone.ask(whole()).await;
    assert_eq!((seen.status, lone.asked()), (429, at(&[("a", 0)])));
}

#[tokio::test(start_paused = true)]
async fn when_every_key_is_refused_the_next_provider_answers_and_the_keys_rest() {
    let world = World::of([provider("a", [status(401)]).keys(2), provider("b", [says("hello")]).keys(1)]);
    let seen = world.ask(stream()).await;
    assert_eq!((seen.status, seen.header("x-orchestrator-attempts")), (200, "3"));
    world.ask(stream()).await;
    assert_eq!(world.keys_used(), ["a-0", "a-1", "b-0", "b-0"]);
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_one_refused_key_all_find_the_next_one() {
    let refused = status(401).after(100);
    let acts = std::iter::repeat_n(refused, 30).chain([says("hello").after(100)]);
    let world = World::of([provider("a", acts).keys(2)]);
    let questions = (0..30).map(|_| world.ask(whole()));
    let all = futures_util::future::join_all(questions).await;
    let good = all.iter().filter(|seen| seen.status == 200).count();
    assert_eq!(good, 30, "turning to another key is no repetition that the budget bounds");
}

#[tokio::test(start_paused = true)]
async fn a_lone_key_that_is_refused_is_asked_once_and_the_provider_is_quoted() {
    let world = World::of([provider("a", [status(401)]).keys(1)]);
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, world.asked()), (401, at(&[("a", 0)])));
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_again_no_more_often_than_it_may_be() {
    let lone = |retries| provider("a", [status(500)]).with(|row| row.max_retries = retries);
    for (retries, max_retry, asked) in [(0, 2, 1), (1, 2, 2), (9, 2, 3), (9, 0, 1), (9, 4, 5)] {
        let world = World::with([lone(retries)], |model| model.max_retry = max_retry);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, world.asked().len()), (500, asked), "{retries} {max_retry}");
    }
}

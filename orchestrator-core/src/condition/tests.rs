//! What is known of providers, as sentences.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::time::{advance, sleep};

use super::*;
use crate::{
    catalog::route::TargetTimeouts,
    error::{Error, ErrorKind, Upstream},
    metrics::Name,
    policy::glob,
};

fn conditions() -> Conditions {
    Conditions::new(ConditionRules::default(), Clock::system(), Random::seeded(1))
}

fn target(keys: &[&str]) -> Target {
    let long = Duration::from_mins(10);
    let key = |id: &&str| TargetKey { id: (*id).into(), label: (*id).into(), weight: 1, secret: "s".into() };
    Target {
        provider_id: "p".into(),
        provider_name: "p".into(),
        label: Name::OTHER,
        kind: "openai".into(),
        base_url: "".into(),
        dialects: None,
        upstream_model: "m".into(),
        priority: 1,
        weight: 1,
        tool_call: true,
        structured_output: true,
        image: true,
        timeouts: TargetTimeouts {
            connect: long,
            first_token: long,
            idle: long,
            total_stream: long,
            total_whole: long,
        },
        max_retries: 0,
        rate_limit: None,
        headers: Arc::new(HeaderMap::new()),
        overrides: [].into(),
        include_usage: None,
        preset: None,
        api_version: None,
        probe: None,
        keys: keys.iter().map(key).collect(),
        price: None,
    }
}

/// Asks with the first key, and says how it went.
fn ask(conditions: &Conditions, target: &Target, verdict: &Verdict) {
    conditions.lease(target, target.keys.first(), false, true).unwrap().saw(verdict);
}

fn level(conditions: &Conditions, target: &Target) -> Level {
    conditions.outlook(target).level
}

#[tokio::test(start_paused = true)]
async fn five_faults_take_a_key_and_model_out_and_another_model_stays() {
    let (conditions, target) = (conditions(), target(&["k"]));
    let other = Target { upstream_model: "other".into(), ..target.clone() };
    (0..5).for_each(|_| ask(&conditions, &target, &Verdict::Fault));
    assert_eq!((level(&conditions, &target), level(&conditions, &other)), (Level::Out, Level::Healthy));
    assert_eq!(conditions.breakers()[0].state, "open");
    advance(Duration::from_secs(73)).await;
    assert_eq!(level(&conditions, &target), Level::Healthy, "half open: somebody may find out");
    let probe = conditions.lease(&target, target.keys.first(), false, false).unwrap();
    assert_eq!(level(&conditions, &target), Level::Out, "one at a time");
    drop(probe);
    assert_eq!(level(&conditions, &target), Level::Healthy, "a caller that left has found nothing out");
}

#[tokio::test(start_paused = true)]
async fn a_limit_cools_the_key_down_for_as_long_as_the_provider_says_within_reason() {
    for (said, rests) in [(None, 1_000), (Some(3), 3_000), (Some(1_000_000_000), 300_000), (Some(0), 100)] {
        let (conditions, target) = (conditions(), target(&["k"]));
        ask(&conditions, &target, &Verdict::Throttled(said.map(Duration::from_secs)));
        let refused = conditions.lease(&target, target.keys.first(), false, false).unwrap_err();
        assert_eq!(refused.barrier, Barrier::CoolingDown);
        assert_eq!(refused.until - Instant::now(), Duration::from_millis(rests), "{said:?}");
        assert_eq!(conditions.breakers(), []);
        advance(Duration::from_millis(rests)).await;
        assert_eq!(level(&conditions, &target), Level::Healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_rests_while_the_other_works_and_one_good_answer_brings_it_back() {
    let (conditions, target) = (conditions(), target(&["bad", "good"]));
    ask(&conditions, &target, &Verdict::KeyRefused);
    let outlook = conditions.outlook(&target);
    assert_eq!(outlook.level, Level::Healthy);
    assert!(outlook.barred[0].is_some() && outlook.barred[1].is_none());
    ask(&conditions, &target, &Verdict::Good(Duration::ZERO));
    assert_eq!(conditions.outlook(&target).barred, [None, None]);
}

#[tokio::test(start_paused = true)]
async fn latency_and_presence_are_told_and_end_with_the_lease() {
    let (conditions, target) = (conditions(), target(&["k"]));
    let mut lease = conditions.lease(&target, target.keys.first(), false, false).unwrap();
    sleep(Duration::from_millis(250)).await;
    lease.saw(&Verdict::Good(lease.began().elapsed()));
    let outlook = conditions.outlook(&target);
    assert_eq!((outlook.in_flight, outlook.latency), (1, Some(Duration::from_millis(250))));
    drop(lease);
    assert_eq!(conditions.outlook(&target).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_repeat_at_once() {
    let (conditions, target) = (conditions(), target(&["k"]));
    let ask_again = || conditions.lease(&target, target.keys.first(), true, true);
    let repeating: Vec<Lease> = (0..3).map(|_| ask_again().unwrap()).collect();
    assert_eq!(ask_again().unwrap_err().barrier, Barrier::RetryBudget);
    drop(repeating);
    assert!(ask_again().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_operators_limit_on_a_provider_is_never_passed_not_even_for_want_of_others() {
    let (conditions, target) = (conditions(), target(&["k"]));
    let limited = Target { rate_limit: Some(6), ..target };
    let ask = |forced| conditions.lease(&limited, limited.keys.first(), false, forced);
    ask(false).unwrap();
    assert_eq!(level(&conditions, &limited), Level::Out);
    let refused = ask(true).unwrap_err();
    assert_eq!(refused.barrier, Barrier::RateLimit);
    assert_eq!(refused.until - Instant::now(), Duration::from_secs(10));
    advance(Duration::from_secs(10)).await;
    assert!(ask(false).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_reset_or_no_longer_there_is_forgotten() {
    let (conditions, target) = (conditions(), target(&["k"]));
    (0..5).for_each(|_| ask(&conditions, &target, &Verdict::Fault));
    conditions.reset(Some("other"));
    assert_eq!(level(&conditions, &target), Level::Out);
    conditions.reset(Some("p"));
    assert_eq!(level(&conditions, &target), Level::Healthy);
    (0..5).for_each(|_| ask(&conditions, &target, &Verdict::Fault));
    conditions.keep_only(|id| glob::matches("q*", id));
    assert_eq!((conditions.breakers().len(), level(&conditions, &target)), (0, Level::Healthy));
}

#[test]
fn only_what_a_provider_does_wrong_counts_against_it() {
    let said = |kind, status| {
        let upstream = Upstream { status, ..Upstream::default() };
        Verdict::of(&Error::new(kind, "").with_upstream(upstream))
    };
    assert_eq!(said(ErrorKind::ProviderFailed, 500), Verdict::Fault);
    assert_eq!(said(ErrorKind::Timeout, 0), Verdict::Fault);
    assert_eq!(said(ErrorKind::RateLimited, 429), Verdict::Throttled(None));
    assert_eq!(said(ErrorKind::ProviderFailed, 402), Verdict::KeyRefused);
    assert_eq!(said(ErrorKind::NotFound, 404), Verdict::Nothing);
    assert_eq!(said(ErrorKind::InvalidRequest, 400), Verdict::Nothing);
    assert_eq!(Verdict::of(&Error::new(ErrorKind::Timeout, "the caller's own")), Verdict::Nothing);
}

#[tokio::test(start_paused = true)]
async fn model_names_that_callers_make_up_take_no_more_memory_than_the_bound() {
    let (conditions, target) = (conditions(), target(&["k"]));
    for name in 0..3_000 {
        let made_up = Target { upstream_model: name.to_string(), ..target.clone() };
        ask(&conditions, &made_up, &Verdict::Good(Duration::ZERO));
    }
    let state = conditions.0.providers.get_or_new(&"p".into());
    assert!(state.lock().spots() <= 1_000);
}

#[tokio::test(start_paused = true)]
async fn who_is_under_way_keeps_its_place_while_others_are_forgotten() {
    let (conditions, target) = (conditions(), target(&["k"]));
    let mut under_way = conditions.lease(&target, target.keys.first(), false, false).unwrap();
    for name in 0..3_000 {
        let made_up = Target { upstream_model: name.to_string(), ..target.clone() };
        ask(&conditions, &made_up, &Verdict::Good(Duration::ZERO));
    }
    assert_eq!(conditions.outlook(&target).in_flight, 1);
    under_way.saw(&Verdict::Fault);
    drop(under_way);
    let seen: Vec<_> =
        conditions.breakers().into_iter().map(|view| (view.upstream_model, view.faults)).collect();
    assert_eq!((seen, conditions.outlook(&target).in_flight), (vec![("m".to_owned(), 1)], 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_refused_is_back_when_a_probe_finds_it_taken() {
    let (conditions, target) = (conditions(), target(&["a", "b"]));
    conditions.key_checked(&target, target.keys.first(), false);
    let barred: Vec<bool> = conditions.outlook(&target).barred.iter().map(Option::is_some).collect();
    assert_eq!(barred, [true, false]);
    conditions.key_checked(&target, target.keys.first(), true);
    assert_eq!(conditions.outlook(&target).barred, [None, None]);
}

#[tokio::test(start_paused = true)]
async fn health_is_a_level_of_its_own_and_a_reset_forgives_it() {
    let (conditions, target) = (conditions(), target(&[]));
    let fault = crate::health::Seen::silence("no answer", Duration::ZERO);
    let mut levels = Vec::new();
    for _ in 0..5 {
        conditions.health().saw(&target.provider_id, &fault);
        levels.push(level(&conditions, &target));
    }
    assert_eq!(levels[3..], [Level::Healthy, Level::Unhealthy], "the fifth is one too many");
    conditions.reset(Some("p"));
    assert_eq!(level(&conditions, &target), Level::Healthy);
}

/// Two cores; what the first finds out the second hears.
fn two_cores() -> (Conditions, Conditions) {
    let (here, there) = (conditions(), conditions());
    let hearing = there.clone();
    here.tell(move |found| {
        let text = serde_json::to_string(&found).unwrap();
        hearing.hear(&serde_json::from_str(&text).unwrap());
    });
    (here, there)
}

#[tokio::test(start_paused = true)]
async fn what_one_core_finds_out_another_knows() {
    let (here, there) = two_cores();
    let (refused, cooling, open) = (target(&["refused"]), target(&["cooling"]), target(&["open"]));
    ask(&here, &refused, &Verdict::KeyRefused);
    ask(&here, &cooling, &Verdict::Throttled(Some(Duration::from_secs(3))));
    (0..4).for_each(|_| ask(&here, &open, &Verdict::Fault));
    assert_eq!(level(&there, &open), Level::Healthy, "a fault alone is no news");
    ask(&here, &open, &Verdict::Fault);
    for target in [&refused, &cooling, &open] {
        assert_eq!(level(&there, target), Level::Out);
    }
    here.key_checked(&refused, refused.keys.first(), true);
    assert_eq!(level(&there, &refused), Level::Healthy);
    advance(Duration::from_secs(3)).await;
    assert_eq!(level(&there, &cooling), Level::Healthy);
    advance(Duration::from_secs(70)).await;
    // Each core finds out for itself whether it is well again.
    for core in [&here, &there] {
        let probe = core.lease(&open, open.keys.first(), false, false).unwrap();
        assert_eq!(level(core, &open), Level::Out, "one at a time");
        drop(probe);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_all_cores_have_asked_enough_is_left_alone_for_that_long() {
    let conditions = conditions();
    let limited = Target { rate_limit: Some(60), ..target(&["k"]) };
    conditions.paced(&limited.provider_id, Duration::from_secs(2));
    let refused = conditions.lease(&limited, limited.keys.first(), false, true).unwrap_err();
    assert_eq!(refused.barrier, Barrier::RateLimit);
    advance(Duration::from_secs(2)).await;
    assert!(conditions.lease(&limited, limited.keys.first(), false, false).is_ok());
}

//! Plans as sentences.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use orchestrator_base::random::Random;

use super::*;
use crate::catalog::route::TargetTimeouts;

fn target(name: &str, priority: u32, weight: u64) -> Target {
    let long = Duration::from_mins(10);
    Target {
        provider_id: name.into(),
        provider_name: name.into(),
        kind: "openai".into(),
        base_url: "http://127.0.0.1:1".into(),
        dialects: Some([Dialect::OpenAiChat, Dialect::OpenAiCompletions].into()),
        upstream_model: "m".into(),
        priority,
        weight,
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
        headers: Arc::new(HeaderMap::new()),
        overrides: [].into(),
        include_usage: None,
        preset: None,
        api_version: None,
        keys: [].into(),
    }
}

fn route(targets: Vec<Target>) -> Arc<Route> {
    Arc::new(Route { model: "m".into(), targets, max_attempts: 3, fallbacks: vec![] })
}

fn order(routes: &[Arc<Route>], facts: &Facts, seed: u64) -> Result<Vec<String>> {
    let random = Random::seeded(seed);
    let plan = plan(routes, facts, Operation::Chat, || random.unit())?;
    Ok(plan.candidates.iter().map(|candidate| candidate.target().provider_name.to_string()).collect())
}

#[test]
fn a_higher_priority_always_comes_first() {
    let routes = [route(vec![target("low", 50, 10_000), target("high", 200, 1), target("middle", 100, 1)])];
    for seed in 0..50 {
        assert_eq!(order(&routes, &Facts::default(), seed).unwrap(), ["high", "middle", "low"]);
    }
}

#[test]
fn inside_a_tier_the_weights_decide_how_often_one_comes_first() {
    let routes = [route(vec![target("one", 100, 1), target("nine", 100, 9)])];
    let first =
        (0..2_000).filter(|&seed| order(&routes, &Facts::default(), seed).unwrap()[0] == "nine").count();
    assert!((1_700..1_900).contains(&first), "{first} of 2000");
}

#[test]
fn a_fallback_model_comes_behind_every_provider_of_the_model_itself() {
    let routes = [route(vec![target("own", 1, 1)]), route(vec![target("fallback", 1000, 1)])];
    assert_eq!(order(&routes, &Facts::default(), 1).unwrap(), ["own", "fallback"]);
}

#[test]
fn who_cannot_do_what_the_request_needs_is_not_asked() {
    let blind = Target { image: false, ..target("blind", 500, 1) };
    let routes = [route(vec![blind, target("seeing", 1, 1)])];
    let pictures = Facts { images: true, ..Facts::default() };
    assert_eq!(order(&routes, &pictures, 1).unwrap(), ["seeing"]);
}

#[test]
fn when_nobody_can_the_error_names_what_is_missing() {
    let no_tools = Target { tool_call: false, ..target("plain", 1, 1) };
    let facts = Facts { tools: true, model: "m".into(), ..Facts::default() };
    let error = order(&[route(vec![no_tools])], &facts, 1).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("tools"));

    let random = Random::seeded(1);
    let routes = [route(vec![target("chat only", 1, 1)])];
    let error = plan(&routes, &facts, Operation::Embeddings, || random.unit()).unwrap_err();
    assert!(error.message.contains("embeddings"), "{error}");
}

#[test]
fn a_provider_that_speaks_the_callers_dialect_is_asked_in_it() {
    let chat_only = Target { dialects: Some([Dialect::OpenAiChat].into()), ..target("chat only", 1, 1) };
    let both = target("both", 1, 1);
    let completions = Some(Dialect::OpenAiCompletions);
    assert_eq!(dialect_for(&both, Operation::Completions, completions), completions);
    assert_eq!(dialect_for(&chat_only, Operation::Completions, completions), Some(Dialect::OpenAiChat));
    assert_eq!(dialect_for(&both, Operation::Embeddings, None), None);
}

#[test]
fn a_count_goes_to_those_who_count_and_to_nobody_is_no_error() {
    let named = |kind: &str, dialects: &[Dialect]| Target {
        kind: kind.into(),
        dialects: Some(dialects.into()),
        ..target(kind, 1, 1)
    };
    let asked_in = |target: &Target, own| dialect_for(target, Operation::CountTokens, own);
    // Who is said to speak a chat goes on counting for it, if its kind counts at all.
    let own = named("openai", &[Dialect::OpenAiChat, Dialect::OpenAiResponses]);
    assert_eq!(asked_in(&own, Some(Dialect::AnthropicCount)), Some(Dialect::OpenAiResponsesCount));
    assert_eq!(asked_in(&named("openai", &[Dialect::OpenAiChat]), None), None);
    let other = named("openai_compatible", &[Dialect::Anthropic]);
    assert_eq!(asked_in(&other, Some(Dialect::AnthropicCount)), None);
    let other = named("openai_compatible", &[Dialect::Anthropic, Dialect::AnthropicCount]);
    assert_eq!(asked_in(&other, None), Some(Dialect::AnthropicCount));

    let plan_of = |targets: Vec<Target>| {
        let facts = Facts { tools: true, images: true, ..Facts::default() };
        plan(&[route(targets)], &facts, Operation::CountTokens, || 0.5).unwrap().candidates.len()
    };
    let blind = Target { tool_call: false, image: false, ..target("blind", 1, 1) };
    let blind = Target { dialects: None, ..blind };
    assert_eq!(plan_of(vec![target("cannot", 1, 1), blind]), 1, "to count is not to do");
    assert_eq!(plan_of(vec![target("cannot", 1, 1)]), 0);
}

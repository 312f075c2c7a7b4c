//! Plans as sentences.

use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

use http::HeaderMap;
use orchestrator_base::random::Random;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::catalog::{route::TargetTimeouts, strategy::Strategy};

/// The world around a plan, as a test wants it.
struct World {
    random: Random,
    outlooks: HashMap<String, Outlook>,
    turns: Cell<u64>,
    session: String,
}

impl World {
    fn seeded(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed),
            outlooks: HashMap::new(),
            turns: Cell::new(0),
            session: "one session".into(),
        }
    }

    fn looks(mut self, name: &str, change: impl FnOnce(&mut Outlook)) -> Self {
        change(self.outlooks.entry(name.into()).or_insert_with(Outlook::unseen));
        self
    }

    fn level(self, name: &str, level: Level) -> Self {
        self.looks(name, |outlook| outlook.level = level)
    }

    /// Out for so many seconds.
    fn out(self, name: &str, seconds: u64) -> Self {
        self.looks(name, |outlook| {
            outlook.level = Level::Out;
            outlook.until = Some(Instant::now() + Duration::from_secs(seconds));
        })
    }
}

impl Surroundings for World {
    fn outlook(&self, target: &Target) -> Outlook {
        let known = self.outlooks.get(&*target.provider_name).cloned();
        known.unwrap_or_else(Outlook::unseen)
    }

    fn turn(&self, _model: &str) -> u64 {
        self.turns.replace(self.turns.get() + 1)
    }

    fn kinship(&self) -> u64 {
        affinity::kinship(self.session.as_bytes())
    }

    fn unit(&self) -> f64 {
        self.random.unit()
    }
}

fn target(name: &str, priority: u32, weight: u64) -> Target {
    let long = Duration::from_mins(10);
    Target {
        provider_id: name.into(),
        provider_name: name.into(),
        label: Name::OTHER,
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
        rate_limit: None,
        headers: Arc::new(HeaderMap::new()),
        overrides: [].into(),
        include_usage: None,
        preset: None,
        api_version: None,
        probe: None,
        keys: [].into(),
        price: None,
    }
}

fn route(targets: Vec<Target>) -> Arc<Route> {
    route_by(Strategy::Priority, targets)
}

fn route_by(strategy: Strategy, targets: Vec<Target>) -> Arc<Route> {
    Arc::new(Route {
        model: "m".into(),
        label: Name::OTHER,
        targets,
        strategy,
        max_attempts: 3,
        fallbacks: vec![],
        limits: None,
    })
}

fn order(routes: &[Arc<Route>], facts: &Facts, seed: u64) -> Result<Vec<String>> {
    order_in(&World::seeded(seed), routes, facts)
}

fn order_in(world: &World, routes: &[Arc<Route>], facts: &Facts) -> Result<Vec<String>> {
    let plan = plan(routes, facts, Operation::Chat, world)?;
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

    let routes = [route(vec![target("chat only", 1, 1)])];
    let error = plan(&routes, &facts, Operation::Embeddings, &World::seeded(1)).unwrap_err();
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
        plan(&[route(targets)], &facts, Operation::CountTokens, &World::seeded(1)).unwrap().candidates.len()
    };
    let blind = Target { tool_call: false, image: false, ..target("blind", 1, 1) };
    let blind = Target { dialects: None, ..blind };
    assert_eq!(plan_of(vec![target("cannot", 1, 1), blind]), 1, "to count is not to do");
    assert_eq!(plan_of(vec![target("cannot", 1, 1)]), 0);
}

fn equals(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| target(name, 100, 100)).collect()
}

#[test]
fn the_healthy_come_before_the_degraded_before_the_unhealthy_whatever_their_priority() {
    let routes = [route(vec![
        target("sick", 900, 1),
        target("weak", 500, 1),
        target("well", 1, 1),
        target("out", 1000, 1),
    ])];
    let world = World::seeded(1).level("sick", Level::Unhealthy).level("weak", Level::Degraded).out("out", 1);
    assert_eq!(order_in(&world, &routes, &Facts::default()).unwrap(), ["well", "weak", "sick", "out"]);
}

#[test]
fn when_all_are_out_the_one_that_comes_back_first_is_asked_and_a_fallback_that_is_there_before_them() {
    let routes = [route(equals(&["late", "soon"])), route(equals(&["fallback"]))];
    let world = World::seeded(1).out("late", 60).out("soon", 5);
    let facts = Facts::default();
    assert_eq!(order_in(&world, &routes, &facts).unwrap(), ["fallback", "soon", "late"]);
    assert_eq!(order_in(&world, &routes[..1], &facts).unwrap(), ["soon", "late"]);
}

#[test]
fn round_robin_takes_turns_by_weight_and_passes_over_who_is_out() {
    let first_of = |world: &World, targets: Vec<Target>| {
        let routes = [route_by(Strategy::RoundRobin, targets)];
        (0..6).map(|_| order_in(world, &routes, &Facts::default()).unwrap()[0].clone()).collect::<String>()
    };
    assert_eq!(first_of(&World::seeded(1), equals(&["c", "a", "b"])), "abcabc");
    assert_eq!(first_of(&World::seeded(1).out("b", 1), equals(&["a", "b", "c"])), "acacac");
    let weighted = vec![target("a", 100, 200), target("b", 100, 100)];
    assert_eq!(first_of(&World::seeded(1), weighted).matches('a').count(), 4);
    let tiers = vec![target("a", 100, 1), target("z", 200, 1)];
    assert_eq!(first_of(&World::seeded(1), tiers), "zzzzzz", "a higher priority has all turns");
}

#[test]
fn least_latency_asks_the_better_of_two_by_time_and_by_how_many_wait() {
    let slow_or_crowded = |outlook: &mut Outlook, millis: u64, in_flight: u32| {
        outlook.latency = Some(Duration::from_millis(millis));
        outlook.in_flight = in_flight;
    };
    let world = World::seeded(1)
        .looks("quick", |outlook| slow_or_crowded(outlook, 100, 9))
        .looks("idle", |outlook| slow_or_crowded(outlook, 500, 0));
    let routes = [route_by(Strategy::LeastLatency, equals(&["quick", "idle"]))];
    for _ in 0..20 {
        assert_eq!(order_in(&world, &routes, &Facts::default()).unwrap(), ["idle", "quick"]);
    }
    let mut firsts = HashMap::new();
    let world = world.looks("third", |outlook| slow_or_crowded(outlook, 900, 0));
    let routes = [route_by(Strategy::LeastLatency, equals(&["quick", "idle", "third"]))];
    for _ in 0..900 {
        *firsts.entry(order_in(&world, &routes, &Facts::default()).unwrap()[0].clone()).or_insert(0) += 1;
    }
    // Two of three pairs hold the best one, and the third pair chooses the better one of it: a third of the plans.
    assert!((540..660).contains(&firsts["idle"]) && firsts["third"] + firsts["idle"] == 900, "{firsts:?}");
}

#[test]
fn who_was_never_asked_is_tried_before_who_is_known_to_be_slow() {
    let world = World::seeded(1).looks("known", |outlook| outlook.latency = Some(Duration::from_millis(1)));
    let routes = [route_by(Strategy::LeastLatency, equals(&["known", "new"]))];
    assert_eq!(order_in(&world, &routes, &Facts::default()).unwrap()[0], "new");
}

#[test]
fn affinity_keeps_a_session_where_it_was_leaves_a_sick_provider_and_comes_back() {
    let routes = [route_by(Strategy::Affinity, equals(&["a", "b", "c"]))];
    let home = order(&routes, &Facts::default(), 1).unwrap();
    assert_eq!(order(&routes, &Facts::default(), 2).unwrap(), home, "chance plays no part");
    let sick = World::seeded(3).level(&home[0], Level::Unhealthy);
    assert_eq!(order_in(&sick, &routes, &Facts::default()).unwrap()[0], home[1]);
    assert_eq!(order(&routes, &Facts::default(), 4).unwrap(), home);
}

#[test]
fn affinity_moves_only_what_the_lost_provider_served_and_shares_by_weight() {
    let all =
        [route_by(Strategy::Affinity, vec![target("a", 1, 100), target("b", 1, 100), target("c", 1, 200)])];
    let without_b = [route_by(Strategy::Affinity, vec![target("a", 1, 100), target("c", 1, 200)])];
    let mut served = HashMap::new();
    for session in 0..2_000 {
        let world = World { session: format!("session {session}"), ..World::seeded(1) };
        let before = order_in(&world, &all, &Facts::default()).unwrap()[0].clone();
        let after = order_in(&world, &without_b, &Facts::default()).unwrap()[0].clone();
        assert!(before == "b" || before == after, "{session} moved from {before} to {after}");
        *served.entry(before).or_insert(0_u32) += 1;
    }
    assert!(served["a"].abs_diff(500) < 90 && served["c"].abs_diff(1_000) < 100, "{served:?}");
}

fn levels() -> impl proptest::strategy::Strategy<Value = Level> {
    prop_oneof![Just(Level::Healthy), Just(Level::Degraded), Just(Level::Unhealthy), Just(Level::Out)]
}

proptest! {
    #[test]
    fn no_plan_is_empty_and_each_candidate_stands_in_it_once(
        seen in prop::collection::vec((levels(), 0_u32..4, 1_u64..9), 1..8),
        which in 0_usize..4,
        seed: u64,
    ) {
        let names: Vec<String> = (0..seen.len()).map(|at| format!("p{at}")).collect();
        let mut world = World::seeded(seed);
        let mut targets = Vec::new();
        for (name, (level, priority, weight)) in names.iter().zip(&seen) {
            targets.push(target(name, *priority, *weight));
            world = match level {
                Level::Out => world.out(name, *weight),
                level => world.level(name, *level),
            };
        }
        let routes = [route_by(Strategy::ALL[which], targets)];
        let planned = order_in(&world, &routes, &Facts::default()).unwrap();
        let mut sorted = planned.clone();
        sorted.sort();
        prop_assert_eq!(sorted, names);
        let level = |name: &String| world.outlooks[name].level;
        prop_assert!(planned.is_sorted_by_key(level));
    }
}

//! What names mean, and what targets are made of.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::{
    catalog::{
        ApiKey, OwnPrice, Provider, ProviderKey, ProviderOptions, Timeouts, listed::ModelList,
        route::TargetTimeouts, samples,
    },
    dialect::Dialect,
    error::{Error, Result},
    policy::price::Rates,
};

#[expect(clippy::unnecessary_wraps, reason = "the shape that the builder asks for")]
fn unseal(key: &ProviderKey) -> Result<SecretString> {
    Ok(key.sealed.clone().into())
}

fn build(rows: &CatalogRows) -> Catalog {
    Catalog::build(rows, &unseal, &config::Timeouts::default())
}

fn serves(id: &str, model: &str, provider: &str, provider_model: &str) -> ModelProvider {
    ModelProvider { provider_model: provider_model.into(), ..samples::model_provider(id, model, provider) }
}

/// Providers alpha and beta; gpt, claude-*, claude-opus-*, the catch-all of beta alone, and a name with a slash.
fn rows() -> CatalogRows {
    CatalogRows {
        sealed_with: None,
        log_level: None,
        revision: 7,
        providers: vec![samples::provider("p1", "alpha"), samples::provider("p2", "beta")],
        provider_keys: vec![samples::provider_key("k1", "p1", "secret-1")],
        models: vec![
            samples::model("m1", "gpt"),
            samples::model("m2", "claude-*"),
            samples::model("m3", "claude-opus-*"),
            samples::model("m4", "alpha/slashed"),
            samples::model("m5", "lonely"),
        ],
        model_providers: vec![
            serves("a1", "m1", "p1", "gpt-upstream"),
            serves("a2", "m1", "p2", "*"),
            serves("a3", "m2", "p2", "*"),
            serves("a4", "m3", "p1", "opus-fixed"),
            serves("a5", "m4", "p2", "*"),
        ],
        ..CatalogRows::default()
    }
}

/// `provider>upstream` for each target, or `unknown`.
fn resolved(catalog: &Catalog, name: &str) -> String {
    match catalog.resolve(name) {
        Resolution::Found(route) => {
            assert_eq!(route.model, name);
            let targets = route.targets.iter();
            targets.map(|t| format!("{}>{}", t.provider_name, t.upstream_model)).collect::<Vec<_>>().join(" ")
        }
        Resolution::Unknown => "unknown".into(),
    }
}

#[test]
fn names_mean_a_model_then_the_most_specific_pattern_then_a_provider() {
    let catalog = build(&rows());
    let table = [
        ("gpt", "alpha>gpt-upstream beta>gpt"),
        ("claude-haiku", "beta>claude-haiku"),
        ("claude-opus-4", "alpha>opus-fixed"),
        ("alpha/slashed", "beta>alpha/slashed"),
        ("alpha/meta/llama", "alpha>meta/llama"),
        ("beta/x", "beta>x"),
        ("lonely", ""),
        ("alpha/", "unknown"),
        ("gamma/x", "unknown"),
        ("gp", "unknown"),
        ("", "unknown"),
    ];
    for (name, expected) in table {
        assert_eq!(resolved(&catalog, name), expected, "{name:?}");
    }
}

#[test]
fn what_is_disabled_is_as_if_it_were_not_there() {
    let mut rows = rows();
    rows.providers[0].enabled = false;
    rows.models[1].enabled = false;
    let catalog = build(&rows);
    assert_eq!(resolved(&catalog, "gpt"), "beta>gpt");
    assert_eq!(resolved(&catalog, "claude-haiku"), "unknown");
    assert_eq!(resolved(&catalog, "alpha/x"), "unknown");
    rows.model_providers[1].enabled = false;
    assert_eq!(resolved(&build(&rows), "gpt"), "");
}

#[test]
fn targets_stand_by_priority_then_weight_and_the_association_decides() {
    let mut rows = rows();
    rows.providers[1].weight = 300;
    assert_eq!(resolved(&build(&rows), "gpt"), "beta>gpt alpha>gpt-upstream");
    rows.model_providers[0].priority = Some(101);
    let catalog = build(&rows);
    assert_eq!(resolved(&catalog, "gpt"), "alpha>gpt-upstream beta>gpt");
    let Resolution::Found(route) = catalog.resolve("gpt") else { panic!("gpt is known") };
    let weights: Vec<_> = route.targets.iter().map(|t| (t.priority, t.weight)).collect();
    assert_eq!(weights, [(101, 10_000), (100, 30_000)]);
    assert_eq!(route.max_attempts, 3);
}

fn target(rows: &CatalogRows, name: &str) -> Target {
    let Resolution::Found(route) = build(rows).resolve(name) else { panic!("{name} is known") };
    route.targets[0].clone()
}

#[test]
fn the_narrowest_place_that_speaks_of_a_timeout_decides() {
    let ms = Duration::from_millis;
    let mut rows = rows();
    let defaults = TargetTimeouts {
        connect: ms(3_000),
        first_token: ms(120_000),
        idle: ms(60_000),
        total_whole: ms(600_000),
        total_stream: ms(600_000),
    };
    assert_eq!(target(&rows, "gpt").timeouts, defaults);
    // The old timeout stands for the first token of streams and the total of whole answers.
    rows.providers[0].timeout = Some(20);
    let old = TargetTimeouts { first_token: ms(20_000), total_whole: ms(20_000), ..defaults };
    assert_eq!(target(&rows, "gpt").timeouts, old);
    assert_eq!(target(&rows, "alpha/x").timeouts, old);
    // A time-out of the same place says more than the old one, a model's more than a provider's …
    rows.providers[0].timeouts =
        Timeouts { first_token_ms: Some(7), idle_ms: Some(8), ..Timeouts::default() };
    rows.models[0].timeouts = Timeouts { total_ms: Some(9), idle_ms: Some(10), ..Timeouts::default() };
    let model = TargetTimeouts {
        first_token: ms(7),
        idle: ms(10),
        total_whole: ms(9),
        total_stream: ms(9),
        ..defaults
    };
    assert_eq!(target(&rows, "gpt").timeouts, model);
    // … and the association's most of all.
    rows.model_providers[0].timeouts =
        Timeouts { idle_ms: Some(11), connect_ms: Some(1), ..Timeouts::default() };
    assert_eq!(target(&rows, "gpt").timeouts, TargetTimeouts { idle: ms(11), connect: ms(1), ..model });
}

#[test]
fn a_target_carries_what_its_provider_says() {
    let mut rows = rows();
    rows.providers[0] = Provider {
        headers: [("X-Team".into(), "blue".into())].into(),
        options: ProviderOptions {
            body_overrides: [("seed".into(), "7".into())].into(),
            include_usage: Some(false),
            ..ProviderOptions::default()
        },
        ..samples::provider("p1", "alpha")
    };
    rows.provider_keys.push(ProviderKey { enabled: false, ..samples::provider_key("k2", "p1", "secret-2") });
    let target = target(&rows, "gpt");
    assert_eq!(target.headers.get("x-team").unwrap(), "blue");
    assert_eq!(&*target.overrides, [("seed".to_owned(), "7".to_owned())]);
    assert_eq!(target.include_usage, Some(false));
    let keys: Vec<_> = target.keys.iter().map(|key| (&*key.id, key.secret.expose_secret())).collect();
    assert_eq!(keys, [("k1", "secret-1")]);
    assert!(!format!("{target:?}").contains("secret-1"));
}

#[test]
fn a_provider_speaks_what_its_options_name_or_else_what_its_kind_does() {
    use Dialect::{OpenAiChat as Chat, OpenAiCompletions as Completions, OpenAiEmbeddings as Embeddings};

    let named = |named: &[&str]| {
        let mut rows = rows();
        rows.providers[0].options.dialects = named.iter().map(ToString::to_string).collect();
        target(&rows, "alpha/x").dialects.map(|dialects| dialects.to_vec())
    };
    assert_eq!(named(&[]), None);
    assert_eq!(named(&["openai_embeddings"]), Some(vec![Embeddings]));
    assert_eq!(named(&["openai_chat", "openai_chat"]), Some(vec![Chat, Completions]));
    assert_eq!(named(&["openai_responses"]), Some(vec![Dialect::OpenAiResponses]));
    assert_eq!(named(&["tomorrow"]), Some(vec![]), "known to the interface, spoken by a later version");
}

#[test]
fn a_key_that_cannot_be_opened_is_left_out_alone() {
    let failing = |key: &ProviderKey| match key.id.as_str() {
        "k1" => Err(Error::internal("damaged")),
        _ => unseal(key),
    };
    let mut rows = rows();
    rows.provider_keys.push(samples::provider_key("k2", "p1", "secret-2"));
    let catalog = Catalog::build(&rows, &failing, &config::Timeouts::default());
    let Resolution::Found(route) = catalog.resolve("alpha/x") else { panic!("alpha is known") };
    assert_eq!(route.targets[0].keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k2"]);
}

#[test]
fn the_list_has_the_served_names_that_a_key_may_use() {
    let catalog = build(&rows());
    let ids = |allowed: &[String]| {
        catalog.models_for(allowed).into_iter().map(|model| model.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["alpha/slashed", "gpt"]);
    assert_eq!(ids(&["g*".into()]), ["gpt"]);
    let model = &catalog.models_for(&["gpt".into()])[0];
    assert_eq!((model.created, model.providers.join(" ")), (1, "alpha beta".into()));
}

#[test]
fn near_names_are_told_unless_the_key_may_not_use_them() {
    let mut rows = rows();
    for (number, name) in ["gpt-4o-mini", "gpt-4o", "gpt-4.1"].into_iter().enumerate() {
        let id = format!("n{number}");
        rows.models.push(samples::model(&id, name));
        rows.model_providers.push(samples::model_provider(&id, &id, "p1"));
    }
    let catalog = build(&rows);
    assert_eq!(catalog.near("gpt4o", &[]), ["gpt-4o", "gpt"]);
    assert_eq!(catalog.near("GPT-4O-mini", &[]), ["gpt-4o-mini"]);
    assert_eq!(catalog.near("gpt4o", &["*mini".into()]), [""; 0]);
    assert_eq!(catalog.near("lonel", &[]), [""; 0], "nobody serves it");
    assert_eq!(catalog.near(&"g".repeat(10_000), &[]), [""; 0]);
}

#[test]
fn a_snapshot_is_ready_once_it_was_loaded_and_running_requests_keep_theirs() {
    let shared = SharedCatalog::default();
    assert!(!shared.ready());
    let before = shared.load();
    let mut rows = rows();
    rows.api_keys.push(ApiKey { enabled: false, ..samples::api_key("c1", "caller", "secret") });
    shared.swap(Snapshot::build(rows, &unseal, &config::Timeouts::default()));
    assert!(shared.ready());
    assert_eq!((before.revision, shared.load().revision), (0, 7));
    assert!(before.keys.is_empty() && shared.peek().keys.find("secret").is_some());
}

#[test]
fn a_provider_whose_keys_are_all_off_is_not_asked_without_one() {
    let mut rows = rows();
    rows.provider_keys[0].enabled = false;
    let catalog = build(&rows);
    assert_eq!(resolved(&catalog, "gpt"), "beta>gpt", "beta never had a key and needs none");
    assert_eq!(resolved(&catalog, "alpha/anything"), "unknown");

    let unreadable = |_: &ProviderKey| Err(Error::internal("damaged"));
    rows.provider_keys[0].enabled = true;
    let catalog = Catalog::build(&rows, &unreadable, &config::Timeouts::default());
    assert_eq!(resolved(&catalog, "gpt"), "beta>gpt");

    rows.provider_keys.push(ProviderKey { enabled: false, ..samples::provider_key("k2", "p1", "secret-2") });
    assert_eq!(resolved(&build(&rows), "gpt"), "alpha>gpt-upstream beta>gpt", "one key that works is enough");
}

#[test]
fn every_way_to_a_target_knows_what_its_model_costs() {
    let own = |version: i64, model: &str| OwnPrice {
        version,
        kind: "openai_compatible".into(),
        upstream_model: model.into(),
        rates: Rates { input: Some(1), ..Rates::default() },
        ..OwnPrice::default()
    };
    let prices = vec![own(1, "gpt-upstream"), own(2, "claude-*"), own(3, "claude-haiku"), own(4, "far*")];
    let mut catalog = build(&CatalogRows { prices, ..rows() });
    let mut lists = ModelLists::default();
    lists.set("p1", ModelList::new(["far-listed".to_owned()]));
    catalog.list(&lists);
    let versions = |name: &str| match catalog.resolve(name) {
        Resolution::Found(route) => {
            let price = |target: &Target| target.price.as_ref().map(|price| price.version.to_string());
            route.targets.iter().map(|target| price(target).unwrap_or_else(|| "unknown".into())).collect()
        }
        Resolution::Unknown => Vec::new(),
    };
    let table: [(&str, &[&str]); 7] = [
        ("gpt", &["own-1", "unknown"]),
        ("claude-haiku", &["own-3"]),
        ("claude-haiku-2", &["own-2"]),
        ("claude-opus-4", &["unknown"]),
        ("beta/gpt-upstream", &["own-1"]),
        ("beta/nobody-knows", &["unknown"]),
        ("far-listed", &["own-4"]),
    ];
    for (name, expected) in table {
        assert_eq!(versions(name), expected, "{name}");
    }
}

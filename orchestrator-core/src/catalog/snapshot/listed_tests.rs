//! What names mean that only providers know.

use std::sync::Arc;

use secrecy::SecretString;

use super::*;
use crate::{
    catalog::{ProviderKey, listed::ModelList, samples},
    error::Result,
};

#[expect(clippy::unnecessary_wraps, reason = "the shape that the builder asks for")]
fn unseal(key: &ProviderKey) -> Result<SecretString> {
    Ok(key.sealed.clone().into())
}

/// Providers alpha and beta; the models `kept`, served by alpha, and `b-*`, served by beta.
fn rows() -> CatalogRows {
    CatalogRows {
        revision: 1,
        providers: vec![samples::provider("p1", "alpha"), samples::provider("p2", "beta")],
        models: vec![samples::model("m1", "kept"), samples::model("m2", "b-*")],
        model_providers: vec![
            samples::model_provider("a1", "m1", "p1"),
            samples::model_provider("a2", "m2", "p2"),
        ],
        ..CatalogRows::default()
    }
}

fn swap(shared: &SharedCatalog, rows: CatalogRows) {
    shared.swap(Snapshot::build(rows, &unseal, &config::Timeouts::default()));
}

fn list(shared: &SharedCatalog, provider: &str, names: &[&str]) {
    let list = ModelList::new(names.iter().map(ToString::to_string));
    shared.change_lists(|lists| lists.set(provider, list));
}

/// The two providers, each with a list.
fn listing(rows: CatalogRows) -> SharedCatalog {
    let shared = SharedCatalog::default();
    swap(&shared, rows);
    list(&shared, "p1", &["kept", "both", "b-1", "only-alpha", "beta/x"]);
    list(&shared, "p2", &["kept", "both"]);
    list(&shared, "gone", &["only-gone"]);
    shared
}

/// `provider>upstream` for each target, or `unknown`.
fn resolved(shared: &SharedCatalog, name: &str) -> String {
    match shared.load().catalog.resolve(name) {
        Resolution::Found(route) => {
            assert_eq!(route.model, name);
            let targets = route.targets.iter();
            targets.map(|t| format!("{}>{}", t.provider_name, t.upstream_model)).collect::<Vec<_>>().join(" ")
        }
        Resolution::Unknown => "unknown".into(),
    }
}

/// `name:providers` for each model.
fn models(shared: &SharedCatalog, allowed: &[&str]) -> String {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let models = shared.load().catalog.models_for(&allowed);
    models.iter().map(|m| format!("{}:{}", m.id, m.providers.join("+"))).collect::<Vec<_>>().join(" ")
}

#[test]
fn lists_are_asked_last_and_serve_by_priority() {
    let mut rows = rows();
    rows.providers[1].priority = 200;
    let shared = listing(rows);
    let table = [
        ("kept", "alpha>kept"),
        ("b-1", "beta>b-1"),
        ("beta/x", "beta>x"),
        ("both", "beta>both alpha>both"),
        ("only-alpha", "alpha>only-alpha"),
        ("only-gone", "unknown"),
        ("onl", "unknown"),
    ];
    for (name, expected) in table {
        assert_eq!(resolved(&shared, name), expected, "{name}");
    }
    let Resolution::Found(route) = shared.load().catalog.resolve("both") else { panic!("both is listed") };
    assert_eq!((route.max_attempts, route.fallbacks.len()), (DIRECT_ATTEMPTS, 0));
}

#[test]
fn the_list_of_models_names_the_catalogs_own_first_and_those_who_would_serve() {
    let shared = listing(rows());
    assert_eq!(models(&shared, &[]), "kept:alpha b-1:beta beta/x:beta both:alpha+beta only-alpha:alpha");
    assert_eq!(models(&shared, &["both", "k*"]), "kept:alpha both:alpha+beta");
}

#[test]
fn what_an_operator_has_disabled_no_list_brings_back() {
    let mut rows = rows();
    for model in &mut rows.models {
        model.enabled = false;
    }
    rows.providers[1].enabled = false;
    let shared = listing(rows);
    assert_eq!([resolved(&shared, "kept"), resolved(&shared, "b-1")], ["unknown", "unknown"]);
    assert_eq!(resolved(&shared, "both"), "alpha>both", "beta is disabled");
    // `beta/x` is now a name like any other: beta is nobody to go to.
    assert_eq!(models(&shared, &[]), "beta/x:alpha both:alpha only-alpha:alpha");
}

#[test]
fn a_model_that_a_provider_loses_is_gone_and_a_new_catalog_keeps_the_lists() {
    let shared = listing(rows());
    let before = shared.load();
    list(&shared, "p1", &["only-alpha"]);
    assert_eq!(resolved(&shared, "both"), "beta>both");
    shared.change_lists(|lists| lists.remove("p2"));
    assert_eq!(resolved(&shared, "both"), "unknown");
    assert!(
        matches!(before.catalog.resolve("both"), Resolution::Found(_)),
        "a running request keeps its own"
    );
    swap(&shared, CatalogRows { revision: 2, ..rows() });
    assert_eq!(resolved(&shared, "only-alpha"), "alpha>only-alpha");
    let state = shared.load();
    list(&shared, "p1", &["only-alpha"]);
    assert!(Arc::ptr_eq(&state, &shared.load()), "the same list makes no new state");
}

#[test]
fn listed_names_that_come_near_are_told_within_bounds() {
    let shared = listing(rows());
    let near = |name: &str, allowed: &[String]| shared.load().catalog.near(name, allowed);
    assert_eq!(near("only-alfa", &[]), ["only-alpha"]);
    assert_eq!(near("only-alfa", &["kept".into()]), [""; 0]);
    let many: Vec<String> = (0..2 * NEAR_LISTED).map(|number| format!("x-{number:06}")).collect();
    list(&shared, "p1", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(near("y-000000", &[]), ["x-000000", "x-000001", "x-000002"]);
    assert_eq!(near("y-000999", &[])[0], "x-000099", "the last names are not compared");
}

#[test]
fn only_a_new_catalog_is_told_to_those_who_wait() {
    let shared = listing(rows());
    let mut changes = shared.changes();
    changes.mark_unchanged();
    list(&shared, "p1", &["new"]);
    assert!(!changes.has_changed().unwrap());
    swap(&shared, rows());
    assert!(changes.has_changed().unwrap());
}

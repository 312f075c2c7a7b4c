//! What Admin refuses, and what is true when its calls return.

mod keys;
mod log_level;
mod operators;
mod prices;

use std::{collections::BTreeMap, time::Duration};

use orchestrator_base::config;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::{
    audit::Stamp,
    catalog::{
        ManagedBy, Provider, ProviderOptions, Timeouts,
        route::{Resolution, Route},
        samples,
        snapshot::SharedCatalog,
    },
    store::{CatalogReader as _, CatalogWriter as _, Database},
};

pub(super) struct House {
    pub(super) admin: Admin,
    shared: Arc<SharedCatalog>,
    pub(super) database: Database,
    pub(super) clock: Clock,
    _folder: tempfile::TempDir,
}

pub(super) async fn house() -> House {
    house_with(ProviderRules::default()).await
}

async fn house_with(rules: ProviderRules) -> House {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db")).await.unwrap();
    let (store, shared) = (Arc::new(database.clone()), Arc::new(SharedCatalog::default()));
    let vault = Arc::new(Vault::new(&"master".into()));
    let reloader =
        Arc::new(Reloader::new(store.clone(), vault.clone(), shared.clone(), config::Timeouts::default()));
    let clock = Clock::manual(UnixMicros(1_000_000));
    let admin = Admin::new(store, vault, reloader, clock.clone(), Random::seeded(1), rules);
    House { admin, shared, database, clock, _folder: folder }
}

impl House {
    fn route(&self, name: &str) -> Option<Arc<Route>> {
        match self.shared.load().catalog.resolve(name) {
            Resolution::Found(route) => Some(route),
            Resolution::Unknown => None,
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a change's field is optional")]
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn named(name: &str) -> ProviderChange {
    ProviderChange { name: text(name), kind: text("openai"), ..ProviderChange::default() }
}

fn model(name: &str) -> ModelChange {
    ModelChange { name: text(name), ..ModelChange::default() }
}

fn key(name: &str) -> ApiKeyChange {
    ApiKeyChange { name: text(name), ..ApiKeyChange::default() }
}

#[tokio::test]
async fn each_change_is_live_when_the_call_returns() {
    let house = house().await;
    let admin = &house.admin;
    let provider = admin.create_provider(named("openai"), Some("sk-first".into())).await.unwrap();
    assert_eq!(provider.base_url, "https://api.openai.com/v1");
    let route = house.route("openai/gpt").unwrap();
    assert_eq!(route.targets[0].keys[0].secret.expose_secret(), "sk-first");

    let row = admin.create_model(model("gpt")).await.unwrap();
    assert!(house.route("gpt").unwrap().targets.is_empty());
    let association = ModelProviderChange {
        model_id: Some(row.id.clone()),
        provider_id: Some(provider.id.clone()),
        ..ModelProviderChange::default()
    };
    let association = admin.create_model_provider(association).await.unwrap();
    assert_eq!(house.route("gpt").unwrap().targets[0].upstream_model, "gpt");
    let renamed = ModelProviderChange { provider_model: text("gpt-9"), ..ModelProviderChange::default() };
    admin.update_model_provider(&association.id, renamed).await.unwrap();
    assert_eq!(house.route("gpt").unwrap().targets[0].upstream_model, "gpt-9");

    let created = admin.create_api_key(key("team")).await.unwrap();
    let secret = created.secret.expose_secret();
    assert_eq!(house.shared.load().keys.find(secret).unwrap().key.name, "team");
    assert!(secret.starts_with(&created.key.prefix));
    let off = ApiKeyChange { enabled: Some(false), ..ApiKeyChange::default() };
    admin.update_api_key(&created.key.id, off).await.unwrap();
    assert!(!house.shared.load().keys.find(secret).unwrap().key.enabled);
    admin.delete_api_key(&created.key.id).await.unwrap();
    assert!(house.shared.load().keys.find(secret).is_none());

    admin.delete_model(&row.id).await.unwrap();
    assert!(house.route("gpt").is_none());
    admin.delete_provider(&provider.id).await.unwrap();
    assert!(house.route("openai/gpt").is_none());
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let house = house().await;
    let before = house.admin.create_provider(named("openai"), None).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    let change = ProviderChange { priority: Some(7), timeout: Some(Some(9)), ..ProviderChange::default() };
    let after = house.admin.update_provider(&before.id, change).await.unwrap();
    let expected = Provider { priority: 7, timeout: Some(9), updated_at: UnixMicros(2_000_000), ..before };
    assert_eq!(after, expected);
    assert_eq!(house.admin.provider("openai").await.unwrap(), expected);
}

#[tokio::test]
async fn a_providers_secret_is_replaced_and_never_shown() {
    let house = house().await;
    let provider = house.admin.create_provider(named("openai"), None).await.unwrap();
    let with =
        |secret: &str| ProviderKeyChange { secret: Some(secret.into()), ..ProviderKeyChange::default() };
    let old = "sk-old-canary-0123456789-0123456789";
    let row = house.admin.create_provider_key(&provider.id, with(old)).await.unwrap();
    assert_eq!(row.masked, "sk-o…6789");
    let row = house.admin.update_provider_key(&row.id, with("sk-new")).await.unwrap();
    let target = house.route("openai/x").unwrap().targets[0].clone();
    assert_eq!(target.keys[0].secret.expose_secret(), "sk-new");
    let rows = house.database.load().await.unwrap();
    let seen = format!("{row:?} {rows:?} {target:?} {:?}", with(old));
    assert!(!seen.contains("canary") && !seen.contains("sk-new"), "{seen}");

    house.admin.delete_provider_key(&row.id).await.unwrap();
    assert!(house.route("openai/x").unwrap().targets[0].keys.is_empty());
}

#[tokio::test]
async fn what_a_file_owns_is_changed_there() {
    let house = house().await;
    let owned = Provider { managed_by: ManagedBy::File, ..samples::provider("p1", "declared") };
    let with_key =
        CatalogChange::InsertProvider(Box::new(owned), Some(Box::new(samples::provider_key("k1", "p1", ""))));
    house.database.apply(vec![with_key], &Stamp::for_tests()).await.unwrap();
    let admin = &house.admin;
    let secret = || ProviderKeyChange { secret: Some("s".into()), ..ProviderKeyChange::default() };
    let refusals = [
        admin.update_provider("p1", named("mine")).await.map(|_| ()),
        admin.delete_provider("p1").await,
        admin.create_provider_key("p1", secret()).await.map(|_| ()),
        admin.update_provider_key("k1", secret()).await.map(|_| ()),
        admin.delete_provider_key("k1").await,
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind, ErrorKind::Conflict);
    }
    assert_eq!(house.database.revision().await.unwrap(), 1, "nothing was changed");
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_and_a_missing_row_a_404() {
    let house = house().await;
    let admin = &house.admin;
    admin.create_provider(named("one"), None).await.unwrap();
    let taken = admin.create_provider(named("one"), None).await.unwrap_err();
    assert_eq!((taken.kind, taken.param.as_deref()), (ErrorKind::Conflict, Some("name")));
    assert_eq!(taken.message, "provider one exists already");
    // A name finds a row, but only an id changes it.
    assert!(admin.provider("one").await.is_ok());
    let missing = [
        admin.update_provider("one", named("two")).await.map(|_| ()),
        admin.delete_provider("one").await,
        admin.provider("two").await.map(|_| ()),
        admin.delete_model("none").await,
        admin.delete_api_key("none").await,
        admin.delete_model_provider("none").await,
        admin.delete_provider_key("none").await,
    ];
    for refusal in missing {
        assert_eq!(refusal.unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_then_end() {
    let house = house().await;
    for name in ["a", "b", "c"] {
        house.clock.advance(Duration::from_millis(1));
        house.admin.create_model(model(name)).await.unwrap();
    }
    let mut page = Page { size: 2, token: String::new() };
    let names = |listed: &Listed<crate::catalog::Model>| {
        listed.items.iter().map(|row| row.name.clone()).collect::<String>()
    };
    let first = house.admin.list_models(&page).await.unwrap();
    assert_eq!(names(&first), "ab");
    page.token = first.next.unwrap();
    let last = house.admin.list_models(&page).await.unwrap();
    assert_eq!((names(&last).as_str(), last.next), ("c", None));
    let all = house.admin.list_models(&Page { size: 5000, ..Page::default() }).await.unwrap();
    assert_eq!((all.items.len(), all.next), (3, None));
    let bad = Page { token: "' OR 1=1".into(), ..Page::default() };
    assert_eq!(house.admin.list_models(&bad).await.unwrap_err().param.as_deref(), Some("page_token"));
}

#[tokio::test]
async fn a_fallback_must_be_known_even_if_another_core_made_it_a_moment_ago() {
    let house = house().await;
    let with_fallback = |name: &str| ModelChange { fallbacks: Some(vec![name.to_owned()]), ..model("a") };
    let refused = house.admin.create_model(with_fallback("b")).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("fallbacks[0]"));
    let elsewhere = CatalogChange::InsertModel(Box::new(samples::model("m1", "b")));
    house.database.apply(vec![elsewhere], &Stamp::for_tests()).await.unwrap();
    house.admin.create_model(with_fallback("b")).await.unwrap();
}

#[tokio::test]
async fn an_association_joins_what_exists_once() {
    let house = house().await;
    let provider = house.admin.create_provider(named("one"), None).await.unwrap();
    let model = house.admin.create_model(model("gpt")).await.unwrap();
    let joins = |model_id: &str, provider_id: &str| ModelProviderChange {
        model_id: text(model_id),
        provider_id: text(provider_id),
        ..ModelProviderChange::default()
    };
    house.admin.create_model_provider(joins(&model.id, &provider.id)).await.unwrap();
    let twice = house.admin.create_model_provider(joins(&model.id, &provider.id)).await.unwrap_err();
    assert_eq!((twice.kind, twice.param.as_deref()), (ErrorKind::Conflict, Some("provider_model")));
    // Names are no ids here.
    for (model_id, provider_id, param) in
        [("gpt", &*provider.id, "model_id"), (&*model.id, "one", "provider_id"), ("", "", "model_id")]
    {
        let refused = house.admin.create_model_provider(joins(model_id, provider_id)).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
}

#[tokio::test]
async fn a_first_start_is_seeded_once() {
    let house = house().await;
    let admin = &house.admin;
    assert!(seed::seed_development(admin).await.unwrap());
    assert!(!seed::seed_development(admin).await.unwrap());
    let route = house.route("echo").unwrap();
    assert_eq!((&*route.targets[0].kind, &*route.targets[0].upstream_model), ("echo", "echo"));

    let secret = SecretString::from("sk-vendor");
    assert!(seed::ensure_vendor(admin, "openai", "openai", None, &secret).await.unwrap());
    assert!(!seed::ensure_vendor(admin, "openai", "openai", None, &secret).await.unwrap());
    assert_eq!(house.route("openai/x").unwrap().targets[0].keys.len(), 1);

    let client = SecretString::from("any text at all");
    assert!(seed::ensure_client_key(admin, &client).await.unwrap());
    assert!(!seed::ensure_client_key(admin, &"another".into()).await.unwrap());
    assert!(house.shared.load().keys.find("any text at all").is_some());
    assert!(seed::ensure_client_key(admin, &"".into()).await.is_err());
}

/// The parameter of the refusal, for each change of a valid provider.
#[tokio::test]
async fn a_providers_fields_are_checked_by_name() {
    let house = house().await;
    let compatible = |base_url: &str| ProviderChange {
        kind: text("openai_compatible"),
        base_url: text(base_url),
        ..ProviderChange::default()
    };
    let headers = |name: &str, value: &str| ProviderChange {
        headers: Some(BTreeMap::from([(name.to_owned(), value.to_owned())])),
        ..ProviderChange::default()
    };
    let overrides = |name: &str, json: &str| ProviderChange {
        options: Some(ProviderOptions {
            body_overrides: BTreeMap::from([(name.to_owned(), json.to_owned())]),
            ..ProviderOptions::default()
        }),
        ..ProviderChange::default()
    };
    let dialect = |name: &str| ProviderChange {
        options: Some(ProviderOptions { dialects: vec![name.to_owned()], ..ProviderOptions::default() }),
        ..ProviderChange::default()
    };
    let probe = ProviderOptions { probe: text("ping"), ..ProviderOptions::default() };
    let probe = ProviderChange { options: Some(probe), ..ProviderChange::default() };
    let none = ProviderChange::default;
    let timeouts = |timeouts| ProviderChange { timeouts: Some(timeouts), ..none() };
    let table = [
        (ProviderChange { name: text(""), ..none() }, "name"),
        (ProviderChange { name: text("a/b"), ..none() }, "name"),
        (ProviderChange { name: text(&"a".repeat(65)), ..none() }, "name"),
        (ProviderChange { kind: text("nonsense"), ..none() }, "kind"),
        (probe, "options.probe"),
        (ProviderChange { kind: text("echo"), base_url: text("http://x"), ..none() }, "base_url"),
        (compatible(""), "base_url"),
        (compatible("not a url"), "base_url"),
        (compatible("ftp://host/v1"), "base_url"),
        (compatible("https://user:canary@host/v1"), "base_url"),
        (compatible("https://host/v1?key=canary"), "base_url"),
        (compatible("http://169.254.169.254/latest"), "base_url"),
        (compatible("http://2852039166/"), "base_url"),
        (compatible("http://0xa9.0xfe.0xa9.0xfe/"), "base_url"),
        (compatible("http://[::ffff:169.254.169.254]/"), "base_url"),
        (compatible("http://[fd00:ec2::254]/"), "base_url"),
        (compatible("http://[fe80::1]/"), "base_url"),
        (compatible("http://metadata.google.internal/"), "base_url"),
        (ProviderChange { priority: Some(1001), ..none() }, "priority"),
        (ProviderChange { weight: Some(0), ..none() }, "weight"),
        (ProviderChange { max_retries: Some(11), ..none() }, "max_retries"),
        (ProviderChange { timeout: Some(Some(0)), ..none() }, "timeout"),
        (ProviderChange { rate_limit: Some(Some(0)), ..none() }, "rate_limit"),
        (timeouts(Timeouts { idle_ms: Some(0), ..Timeouts::default() }), "timeouts.idle_ms"),
        (timeouts(Timeouts { total_ms: Some(u64::MAX), ..Timeouts::default() }), "timeouts.total_ms"),
        (headers("Host", "x"), "headers"),
        (headers("Transfer-Encoding", "chunked"), "headers"),
        (headers("Authorization", "canary"), "headers"),
        (headers("x y", "z"), "headers"),
        (headers("x-a", "canary\r\nx-b: c"), "headers"),
        (dialect("klingon"), "options.dialects"),
        (overrides("model", "\"x\""), "options.body_overrides_json"),
        (overrides("seed", "canary"), "options.body_overrides_json"),
    ];
    let row = house.admin.create_provider(named("one"), None).await.unwrap();
    for (change, param) in table {
        let said = format!("{change:?}");
        let refused = house.admin.update_provider(&row.id, change).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest, "{said}");
        assert_eq!(refused.param.as_deref(), Some(param), "{said}");
        assert!(!refused.message.contains("canary"), "{refused}");
    }
    assert_eq!(house.admin.provider(&row.id).await.unwrap(), row);
    let bad_secret = house.admin.create_provider(named("two"), Some("a\nb".into())).await.unwrap_err();
    assert_eq!(bad_secret.param.as_deref(), Some("api_key"));
    let local = house.admin.update_provider(&row.id, compatible("http://10.0.0.5:8080/v1/")).await.unwrap();
    assert_eq!(local.base_url, "http://10.0.0.5:8080/v1");
}

#[tokio::test]
async fn a_strict_site_refuses_private_addresses_too() {
    let house = house_with(ProviderRules { deny_private_networks: true }).await;
    for address in ["http://10.0.0.5/v1", "http://localhost:11434/v1", "http://[::1]/"] {
        let change =
            ProviderChange { kind: text("openai_compatible"), base_url: text(address), ..named("one") };
        let refused = house.admin.create_provider(change, None).await.unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("base_url"));
        assert!(refused.message.contains("providers.deny_private_networks"), "{refused}");
    }
}

#[tokio::test]
async fn the_other_nouns_fields_are_checked_by_name() {
    let house = house().await;
    let admin = &house.admin;
    let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let models = [
        (model(""), "name"),
        (model("a b"), "name"),
        (ModelChange { strategy: text("random"), ..model("a") }, "strategy"),
        (ModelChange { max_retry: Some(11), ..model("a") }, "max_retry"),
        (ModelChange { fallbacks: list(&["a"]), ..model("a") }, "fallbacks[0]"),
        (ModelChange { fallbacks: list(&["b*"]), ..model("a") }, "fallbacks[0]"),
        (ModelChange { remark: text(&"r".repeat(1025)), ..model("a") }, "remark"),
        (ModelChange { timeout: Some(Some(90_000)), ..model("a") }, "timeout"),
    ];
    for (change, param) in models {
        let refused = admin.create_model(change).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    let tags = BTreeMap::from([(String::new(), "x".to_owned())]);
    let keys = [
        (key(""), "name"),
        (ApiKeyChange { operations: list(&["chat", "paint"]), ..key("a") }, "operations[1]"),
        (ApiKeyChange { models: list(&["gpt-*", ""]), ..key("a") }, "models[1]"),
        (ApiKeyChange { tags: Some(tags), ..key("a") }, "tags"),
        (ApiKeyChange { owner: text("a\u{7}b"), ..key("a") }, "owner"),
    ];
    for (change, param) in keys {
        let refused = admin.create_api_key(change).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    let none = ModelProviderChange::default;
    let associations = [
        (ModelProviderChange { provider_model: text("gpt-*"), ..none() }, "provider_model"),
        (ModelProviderChange { weight: Some(10_001), ..none() }, "weight"),
        (ModelProviderChange { priority: Some(Some(1001)), ..none() }, "priority"),
    ];
    for (change, param) in associations {
        let refused = admin.create_model_provider(change).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    let provider = admin.create_provider(named("one"), None).await.unwrap();
    let keyless = admin.create_provider_key(&provider.id, ProviderKeyChange::default()).await.unwrap_err();
    assert_eq!(keyless.param.as_deref(), Some("secret"));
}

//! Exports come in again as they went out; whatever is wrong with a file is told at once and changes nothing.

mod declared;

use std::sync::Arc;

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::{self, ProviderRules},
    random::Random,
};

use super::*;
use crate::{
    admin::{
        ApiKeyChange, ModelChange, ModelProviderChange, ProviderChange,
        declared::{ApplyOptions, refuse_references},
        secrets::Vault,
    },
    audit::Stamp,
    catalog::{ManagedBy, snapshot::SharedCatalog},
    health::Settings,
    refresher::Reloader,
    store::{CatalogReader as _, CatalogWriter as _, Database},
};

const PASSPHRASE: &str = "correct horse battery";

/// An installation with a master key of its own.
struct House {
    admin: Admin,
    shared: Arc<SharedCatalog>,
    database: Database,
    _folder: tempfile::TempDir,
}

async fn house(master: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db")).await.unwrap();
    house_on(master, database, folder)
}

fn house_on(master: &str, database: Database, folder: tempfile::TempDir) -> House {
    let (store, shared) = (Arc::new(database.clone()), Arc::new(SharedCatalog::default()));
    let vault = Arc::new(Vault::new(&master.into()));
    let reloader =
        Arc::new(Reloader::new(store.clone(), vault.clone(), shared.clone(), config::Timeouts::default()));
    let clock = Clock::manual(UnixMicros(1_000_000));
    let admin = Admin::new(store, vault, reloader, clock, Random::system(), ProviderRules::default());
    House { admin, shared, database, _folder: folder }
}

/// With a provider, its key, a model, an association and a caller's key; gives the caller's secret.
async fn furnished(house: &House) -> SecretString {
    let admin = &house.admin;
    let provider = ProviderChange {
        name: Some("openai".into()),
        kind: Some("openai".into()),
        headers: Some([("x-team".to_owned(), "blue".to_owned())].into()),
        ..ProviderChange::default()
    };
    let provider =
        admin.create_provider(provider, Some("sk-provider-canary-0123456789".into())).await.unwrap();
    let model = ModelChange { name: Some("gpt".into()), max_retry: Some(4), ..ModelChange::default() };
    let model = admin.create_model(model).await.unwrap();
    let association = ModelProviderChange {
        model_id: Some(model.id),
        provider_id: Some(provider.id),
        provider_model: Some("gpt-4o".into()),
        ..ModelProviderChange::default()
    };
    admin.create_model_provider(association).await.unwrap();
    let key = ApiKeyChange {
        name: Some("team".into()),
        expires_at: Some(Some(UnixMicros(4_000_000_000_000_000))),
        ..ApiKeyChange::default()
    };
    let secret = admin.create_api_key(key).await.unwrap().secret;
    let settings = Settings { interval_minutes: 9, ..Settings::default() };
    let settings = CatalogChange::SetHealthChecks(settings, UnixMicros(1));
    house.database.apply(vec![settings], &Stamp::for_tests()).await.unwrap();
    secret
}

fn with(on_conflict: OnConflict) -> ImportOptions {
    ImportOptions { on_conflict, passphrase: Some(PASSPHRASE.into()), ..ImportOptions::default() }
}

fn declared(json: &Json) -> SecretString {
    json.to_string().into()
}

const APPLY: ApplyOptions = ApplyOptions { dry_run: false, prune: false, adopt: false };

#[tokio::test]
async fn an_export_with_secrets_makes_the_same_installation_elsewhere() {
    let (here, there) = (house("one master").await, house("another master").await);
    let secret = furnished(&here).await;
    let text = here.admin.export_config(Some(PASSPHRASE.into())).await.unwrap();
    assert!(!text.contains("canary") && !text.contains(secret.expose_secret()));
    assert!(!text.contains(&hex::encode(here.database.load().await.unwrap().api_keys[0].digest)));

    let report = there.admin.import_config(&text, with(OnConflict::Skip)).await.unwrap();
    assert_eq!(report.summary(), "6 created, 0 replaced, 0 deleted, 0 unchanged, 0 skipped, 0 left out");
    let shared = there.shared.load();
    assert_eq!(shared.keys.find(secret.expose_secret()).unwrap().key.name, "team");
    let crate::catalog::route::Resolution::Found(route) = shared.catalog.resolve("gpt") else { panic!() };
    assert_eq!(route.targets[0].keys[0].secret.expose_secret(), "sk-provider-canary-0123456789");
    let (mine, theirs) =
        (here.admin.export_config(None).await.unwrap(), there.admin.export_config(None).await.unwrap());
    assert_eq!(mine, theirs);
    assert_eq!(here.admin.export_config(None).await.unwrap(), mine, "the same bytes each time");

    let again = there.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!(again.summary(), "0 created, 0 replaced, 0 deleted, 6 unchanged, 0 skipped, 0 left out");
    let again = there.admin.import_config(&text, with(OnConflict::Skip)).await.unwrap();
    // A provider that is skipped is skipped with its keys.
    assert_eq!(again.summary(), "0 created, 0 replaced, 0 deleted, 1 unchanged, 4 skipped, 0 left out");
}

#[tokio::test]
async fn without_secrets_everything_else_comes_and_what_is_left_out_is_told() {
    let (here, there) = (house("one master").await, house("another master").await);
    furnished(&here).await;
    let text = here.admin.export_config(None).await.unwrap();
    let prefix = here.database.load().await.unwrap().api_keys[0].prefix.clone();
    insta::assert_snapshot!(text.replace(&prefix, "llmo_PREFIX"));
    let report = there.admin.import_config(&text, ImportOptions::default()).await.unwrap();
    assert_eq!(report.summary(), "4 created, 0 replaced, 0 deleted, 0 unchanged, 0 skipped, 2 left out");
    assert_eq!(
        report.notes,
        [
            "provider key openai/default is left out: the file does not have its secret",
            "API key team is left out: the file does not have its secret",
        ]
    );
    // Where the keys are there, they stay what they are and work on.
    let report = here.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!(report.unchanged, 6);
}

#[tokio::test]
async fn a_passphrase_is_needed_and_another_one_is_told() {
    let here = house("master").await;
    furnished(&here).await;
    let text = here.admin.export_config(Some(PASSPHRASE.into())).await.unwrap();
    let missing = here.admin.import_config(&text, ImportOptions::default()).await.unwrap_err();
    assert_eq!(missing.message, "passphrase is required: the file's secrets are sealed");
    let wrong =
        ImportOptions { passphrase: Some("another horse entirely".into()), ..ImportOptions::default() };
    let wrong = here.admin.import_config(&text, wrong).await.unwrap_err();
    assert!(wrong.message.contains("is not the one"), "{wrong}");
    // A secret that was moved to another row opens nowhere.
    let mut moved: Json = serde_json::from_str(&text).unwrap();
    moved["providers"][0]["name"] = "mine".into();
    moved["model_providers"] = Json::Array(Vec::new());
    let moved = here.admin.import_config(&moved.to_string(), with(OnConflict::Skip)).await.unwrap_err();
    assert_eq!(moved.message, "providers[0].keys[0].secret: is damaged, or was sealed for another place");
}

#[tokio::test]
async fn every_problem_of_a_file_is_told_at_once_and_nothing_is_changed() {
    let house = house("master").await;
    let file = serde_json::json!({
        "format": "llm-orchestrator/config",
        "version": 2,
        "provders": [],
        "providers": [
            {"name": "a", "kind": "openai", "priority": 5000, "weight": 0, "base_url": "ftp://x"},
            {"name": "a b", "kind": "nonsense", "max_retries": "three", "timeouts": {"idle": 1}},
            {"name": "good", "kind": "openai"},
            {"name": "good", "kind": "openai", "options": {"preset": "vllm"}},
            {"name": "twice", "kind": "openai"},
            {"name": "twice", "kind": "openai"},
        ],
        "models": [{"name": "m", "strategy": "luck", "fallbacks": ["m"]}, 7],
        "model_providers": [{"model": "m", "provider": "nobody", "priority": -1}, {}],
        "api_keys": [{"name": "k", "operations": ["fly"], "expires_at": "soon", "on_disconnect": "wait"}],
        "health_check": {"interval_minutes": 0},
    });
    let refused = house.admin.import_config(&file.to_string(), ImportOptions::default()).await.unwrap_err();
    insta::assert_snapshot!(refused.message);
    assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    let rows = house.database.load().await.unwrap();
    assert_eq!(rows.revision, 0, "all or nothing");
    for (text, why) in
        [("{", "is not JSON"), ("[]", "must be an object"), ("{}", "no export of the configuration")]
    {
        let refused = house.admin.import_config(text, ImportOptions::default()).await.unwrap_err();
        assert!(refused.message.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn replacing_changes_what_differs_and_a_dry_run_only_says_so() {
    let house = house("master").await;
    furnished(&house).await;
    let mut file: Json = serde_json::from_str(&house.admin.export_config(None).await.unwrap()).unwrap();
    file["providers"][0]["priority"] = 7.into();
    file["providers"][0]["keys"][0]["enabled"] = false.into();
    file["models"][0]["timeouts"]["idle_ms"] = 5.into();
    let text = file.to_string();
    let dry = ImportOptions { dry_run: true, ..with(OnConflict::Replace) };
    let said = house.admin.import_config(&text, dry).await.unwrap();
    let lines: String = said.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        "~ provider openai\n    priority: 100 -> 7\n~ provider key openai/default\n    enabled: true -> false\n\
         ~ model gpt\n    timeouts.idle_ms: null -> 5\n"
    );
    assert_eq!(house.admin.provider("openai").await.unwrap().priority, 100);
    let done = house.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!((done.differences, done.dry_run), (said.differences, false));
    assert_eq!(house.admin.provider("openai").await.unwrap().priority, 7);
}

/// What a price says for input and output, in dollars.
fn price(kind: &str, model: &str, input: &str, output: Option<&str>) -> Json {
    serde_json::json!({"kind": kind, "upstream_model": model, "input": input, "output": output})
}

#[tokio::test]
async fn prices_of_ones_own_go_out_and_come_in() {
    let (here, there) = (house("one master").await, house("another master").await);
    assert!(!here.admin.export_config(None).await.unwrap().contains("prices"), "there are none");
    let change = |input: u64| crate::admin::PriceChange { input: Some(Some(input)), ..Default::default() };
    here.admin.create_price("openai", "gpt-4o", change(2_500_000_000)).await.unwrap();
    here.admin.create_price("groq", "llama-*", change(75_000_000)).await.unwrap();
    here.admin.create_price("openai", "gone", change(1)).await.unwrap();
    here.admin.delete_price("openai", "gone").await.unwrap();

    let text = here.admin.export_config(None).await.unwrap();
    let report = there.admin.import_config(&text, with(OnConflict::Skip)).await.unwrap();
    assert_eq!(report.count(Action::Create), 2, "{report:?}");
    let rates = there.admin.price("groq", "llama-*").await.unwrap().price.rates;
    assert_eq!((rates.input, rates.output), (Some(75_000_000), None));
    assert_eq!(there.admin.export_config(None).await.unwrap(), text);
    let again = there.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!((again.unchanged, again.differences.len()), (2, 0));

    there.admin.update_price("openai", "gpt-4o", change(9_000_000_000)).await.unwrap();
    let skipped = there.admin.import_config(&text, with(OnConflict::Skip)).await.unwrap();
    assert_eq!((skipped.skipped, skipped.unchanged), (1, 1));
    let replaced = there.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!(
        replaced.differences.iter().map(ToString::to_string).collect::<String>(),
        "~ price openai gpt-4o\n    input: \"9\" -> \"2.5\"\n"
    );

    let mut wrong: Json = serde_json::from_str(&text).unwrap();
    wrong["prices"] = serde_json::json!([
        price("nobody", "m", "1", None),
        price("openai", "m", "1e3", Some("2")),
        price("openai", "gpt-4o", "1", None),
        price("openai", "gpt-4o", "2", None),
    ]);
    let refused = there.admin.import_config(&wrong.to_string(), with(OnConflict::Replace)).await.unwrap_err();
    let places: Vec<_> =
        refused.message.lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["prices[1].input", "prices[0].kind", "prices[3].upstream_model"]);
    assert!(there.admin.apply_declared(&declared(&serde_json::json!({"prices": []})), APPLY).await.is_err());
}

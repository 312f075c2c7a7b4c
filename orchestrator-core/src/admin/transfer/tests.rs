//! Exports come in again as they went out; whatever is wrong with a file is told at once and changes nothing.

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

fn catalog() -> Json {
    serde_json::json!({
        "providers": [
            {"name": "openai", "kind": "openai", "api_key": "sk-declared-0123456789abcdef"},
            {"name": "local", "kind": "openai_compatible", "base_url": "http://llm:8000/v1"},
        ],
        "models": [{"name": "gpt", "fallbacks": ["local/x"]}],
        "model_providers": [
            {"model": "gpt", "provider": "openai", "provider_model": "gpt-4o"},
            {"model": "gpt", "provider": "local"},
        ],
        "api_keys": [{"name": "team", "secret": "team-secret-0123456789"}],
    })
}

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let house = house("master").await;
    let first = house.admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap();
    assert_eq!((first.count(Action::Create), first.notes.len()), (7, 0));
    assert!(house.shared.load().keys.find("team-secret-0123456789").is_some());
    let lines: String = first.differences.iter().map(ToString::to_string).collect();
    assert!(!lines.contains("declared-0123456789") && !lines.contains("team-secret"), "{lines}");
    let rows = house.database.load().await.unwrap();
    assert!(rows.providers.iter().all(|row| row.managed_by == ManagedBy::File));
    assert!(rows.api_keys.iter().all(|row| row.managed_by == ManagedBy::File));
    let second = house.admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap();
    assert_eq!((second.differences.len(), second.unchanged), (0, 7));
    assert_eq!(house.database.load().await.unwrap(), rows);
}

#[tokio::test]
async fn what_a_file_owns_is_read_only_in_admin() {
    let house = house("master").await;
    let admin = &house.admin;
    admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap();
    let rows = house.database.load().await.unwrap();
    let (provider, model) = (&rows.providers[0].id, &rows.models[0].id);
    let (association, key) = (&rows.model_providers[0].id, &rows.api_keys[0].id);
    let refusals = [
        admin.update_provider(provider, ProviderChange::default()).await.unwrap_err(),
        admin.delete_provider(provider).await.unwrap_err(),
        admin.delete_provider_key(&rows.provider_keys[0].id).await.unwrap_err(),
        admin.update_model(model, ModelChange::default()).await.unwrap_err(),
        admin.delete_model(model).await.unwrap_err(),
        admin.update_model_provider(association, ModelProviderChange::default()).await.unwrap_err(),
        admin.delete_model_provider(association).await.unwrap_err(),
        admin.update_api_key(key, ApiKeyChange::default()).await.unwrap_err(),
        admin.delete_api_key(key).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
        assert!(refused.message.contains("is managed by a file"), "{refused}");
    }
    assert_eq!(house.database.load().await.unwrap(), rows);
    // An import may not change it either, but may find it as it is.
    let text = admin.export_config(None).await.unwrap();
    let same = admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
    assert_eq!(same.unchanged, 7);
    let changed = text.replace("\"priority\": 100", "\"priority\": 50");
    let refused = admin.import_config(&changed, with(OnConflict::Replace)).await.unwrap_err();
    assert!(refused.message.contains("providers[0]: provider local is managed by a file"), "{refused}");
}

#[tokio::test]
async fn pruning_takes_away_what_the_file_no_longer_has_and_nothing_else() {
    let house = house("master").await;
    let admin = &house.admin;
    admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap();
    let own =
        admin.create_model(ModelChange { name: Some("own".into()), ..ModelChange::default() }).await.unwrap();
    let local = admin.provider("local").await.unwrap();
    let hanging = ModelProviderChange {
        model_id: Some(own.id),
        provider_id: Some(local.id),
        ..ModelProviderChange::default()
    };
    admin.create_model_provider(hanging).await.unwrap();

    let mut less = catalog();
    less["providers"].as_array_mut().unwrap().pop();
    less["models"][0]["fallbacks"] = Json::Array(Vec::new());
    less["model_providers"].as_array_mut().unwrap().pop();
    // The secret goes to a key of another name: the old one must be gone before.
    less["api_keys"][0]["name"] = "renamed".into();
    let kept = admin.apply_declared(&declared(&less), APPLY).await.unwrap_err();
    assert_eq!(kept.message, "api_keys[0]: has the same secret as API key team");
    let prune = ApplyOptions { prune: true, ..APPLY };
    let dry = ApplyOptions { dry_run: true, ..prune };
    let said = admin.apply_declared(&declared(&less), dry).await.unwrap();
    let lines: String = said.differences.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines, @r#"
    - model-provider gpt -> local/*
    - model-provider own -> local/*
    - API key team
    - provider local
    ~ model gpt
        fallbacks: ["local/x"] -> []
    + API key renamed
        enabled: true
        log_bodies: false
        name: "renamed"
        on_disconnect: "cancel"
        prefix: "team-se"
    "#);
    let done = admin.apply_declared(&declared(&less), prune).await.unwrap();
    assert_eq!(done.count(Action::Delete), 4);
    let rows = house.database.load().await.unwrap();
    let mut names: Vec<&str> = rows.models.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((names, rows.providers.len(), rows.model_providers.len()), (vec!["gpt", "own"], 1, 1));
    // A key that a provider no longer has goes too.
    less["providers"][0].as_object_mut().unwrap().remove("api_key");
    admin.apply_declared(&declared(&less), prune).await.unwrap();
    assert!(house.database.load().await.unwrap().provider_keys.is_empty());
}

#[tokio::test]
async fn a_row_of_admins_is_taken_over_only_when_told() {
    let house = house("master").await;
    furnished(&house).await;
    let before = house.database.load().await.unwrap();
    let refused = house.admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("providers[0]"));
    assert!(refused.message.contains("provider openai exists and is managed by admin"), "{refused}");
    assert!(refused.message.contains("apply FILE --adopt"), "{refused}");
    assert_eq!(house.database.load().await.unwrap(), before);
    let adopt = ApplyOptions { adopt: true, ..APPLY };
    let report = house.admin.apply_declared(&declared(&catalog()), adopt).await.unwrap();
    let lines: String = report.differences.iter().map(ToString::to_string).collect();
    assert!(lines.contains("managed_by: \"admin\" -> \"file\""), "{lines}");
    assert!(lines.contains("masked: \"sk-p…6789\" -> \"sk-d…cdef\""), "{lines}");
    let after = house.database.load().await.unwrap();
    let kept = after.providers.iter().any(|row| row.id == before.providers[0].id && row.name == "openai");
    assert!(kept, "its logs and health stay its own");
    assert_eq!(house.admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap().differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cores_that_apply_at_the_same_moment_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut cores = tokio::task::JoinSet::new();
    Database::open(&path).await.unwrap();
    for _ in 0..4 {
        let database = Database::open(&path).await.unwrap();
        let house = house_on("master", database, tempfile::tempdir().unwrap());
        cores.spawn(async move { house.admin.apply_declared(&declared(&catalog()), APPLY).await.unwrap() });
    }
    let reports = cores.join_all().await;
    let created: u64 = reports.iter().map(|report| report.count(Action::Create)).sum();
    assert_eq!(created, 7, "one of them made the rows");
    let rows = Database::open(&path).await.unwrap().load().await.unwrap();
    assert_eq!((rows.providers.len(), rows.provider_keys.len(), rows.api_keys.len()), (2, 1, 1));
}

#[tokio::test]
async fn what_a_declaration_lacks_is_told_by_its_own_fields() {
    let house = house("master").await;
    let wrong = serde_json::json!({
        "providers": [{"name": "a", "kind": "openai", "api_key": "with space", "keys": [{"label": "default"}]}],
        "api_keys": [{"name": "k"}],
    });
    let refused = house.admin.apply_declared(&declared(&wrong), APPLY).await.unwrap_err();
    insta::assert_snapshot!(refused.message, @"
    3 problems:
    providers[0].api_key: must be 1 to 4096 visible ASCII characters
    providers[0].keys[0].label: default stands in providers[0].api_key already
    api_keys[0].secret: is required
    ");
}

#[tokio::test]
async fn teams_and_limits_are_declared_moved_and_go_last() {
    let (house, there) = (house("master").await, house("another master").await);
    let file = serde_json::json!({
        "teams": [{"name": "blue", "max_concurrency": 3, "budget_usd": 12.345_678_901, "budget_period": "month"}],
        "models": [{"name": "gpt", "tokens_per_minute": 5000}],
        "api_keys": [
            {"name": "ci", "secret": "ci-secret-0123456789", "team": "blue", "requests_per_minute": 60, "budget_usd": 1, "budget_period": "day"},
        ],
    });
    let first = house.admin.apply_declared(&declared(&file), APPLY).await.unwrap();
    assert_eq!((first.count(Action::Create), first.notes.len()), (3, 0));
    assert_eq!(house.admin.apply_declared(&declared(&file), APPLY).await.unwrap().unchanged, 3);
    let rows = house.database.load().await.unwrap();
    assert_eq!(rows.teams[0].limits.budget.unwrap().nanos, 12_345_678_901);
    assert_eq!(
        (rows.teams[0].managed_by, rows.models[0].limits.tokens_per_minute),
        (ManagedBy::File, Some(5000))
    );
    let renamed = crate::admin::TeamChange { name: Some("navy".into()), ..Default::default() };
    let refused = house.admin.update_team(&rows.teams[0].id, renamed).await.unwrap_err();
    assert!(refused.message.contains("is managed by a file"), "{refused}");

    let text = house.admin.export_config(Some(PASSPHRASE.into())).await.unwrap();
    there.admin.import_config(&text, with(OnConflict::Skip)).await.unwrap();
    let (mine, theirs) =
        (house.admin.export_config(None).await.unwrap(), there.admin.export_config(None).await.unwrap());
    assert_eq!(mine, theirs);

    // The key gets another team in the same breath in which its old one goes.
    let mut other = file.clone();
    other["teams"][0]["name"] = "green".into();
    other["api_keys"][0]["team"] = "green".into();
    let prune = ApplyOptions { prune: true, ..APPLY };
    let done = house.admin.apply_declared(&declared(&other), prune).await.unwrap();
    assert_eq!(done.differences.last().map(ToString::to_string).as_deref(), Some("- team blue\n"));
    let own =
        ApiKeyChange { name: Some("own".into()), team: Some("green".into()), ..ApiKeyChange::default() };
    house.admin.create_api_key(own).await.unwrap();
    other["teams"] = Json::Array(Vec::new());
    other["api_keys"][0]["team"] = Json::Null;
    let refused = house.admin.apply_declared(&declared(&other), prune).await.unwrap_err();
    assert_eq!(refused.message, "teams: team green is not in the file, and API key own still names it");
}

#[tokio::test]
async fn a_document_names_teams_that_are_there_and_limits_that_can_be() {
    let house = house("master").await;
    let wrong = serde_json::json!({
        "teams": [
            {"name": "a", "budget_usd": 0.000_000_000_1, "requests_per_minute": -1},
            {"name": "b", "budget_usd": 5},
            {"name": "c", "tokens_per_minute": 0, "budget_period": "day"},
        ],
        "api_keys": [
            {"name": "k", "secret": "s-0123456789", "max_concurrency": 0},
            {"name": "l", "secret": "t-0123456789", "team": "nobody"},
        ],
    });
    let refused = house.admin.apply_declared(&declared(&wrong), APPLY).await.unwrap_err();
    insta::assert_snapshot!(refused.message, @"
    7 problems:
    teams[0].budget_usd: must be dollars, 0 to 9000000000, with at most 9 digits behind the point, or 2 from 1000000 on
    teams[0].requests_per_minute: invalid value: integer `-1`, expected u32
    teams[1].budget_period: is required with budget_usd: day, month or total
    teams[2].budget_period: says for how long budget_usd is, which is not set
    teams[2].tokens_per_minute: must be 1 to 1000000000000, or unset
    api_keys[0].max_concurrency: must be 1 to 1000000, or unset
    api_keys[1].team: names no team: nobody
    ");

    // A label from before there were teams stays in a file that has it already.
    let labelled = crate::catalog::ApiKey {
        team: "old".into(),
        managed_by: ManagedBy::File,
        ..crate::catalog::samples::api_key("c1", "ci", "ci-secret-0123456789")
    };
    let insert = vec![CatalogChange::InsertApiKey(Box::new(labelled))];
    house.database.apply(insert, &Stamp::for_tests()).await.unwrap();
    let file =
        serde_json::json!({"api_keys": [{"name": "ci", "secret": "ci-secret-0123456789", "team": "old"}]});
    let report = house.admin.apply_declared(&declared(&file), APPLY).await.unwrap();
    assert_eq!(report.notes, ["api_keys[0].team: names no team, and is a label alone: old"]);
    let text = house.admin.export_config(Some(PASSPHRASE.into())).await.unwrap();
    house.admin.import_config(&text, with(OnConflict::Replace)).await.unwrap();
}

#[tokio::test]
async fn secrets_that_are_only_named_are_refused_where_nobody_looks_them_up() {
    let named = serde_json::json!({
        "providers": [
            {"name": "a", "api_key": "env:CANARY"},
            {"name": "b", "keys": [{"secret": "sk-in-the-clear"}, {"label": "x", "secret": "file:/canary"}]},
        ],
        "api_keys": [{"name": "k", "secret": "env:CANARY"}],
    });
    let refused = refuse_references(&declared(&named)).unwrap_err();
    let places: Vec<_> =
        refused.message.lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["providers[0].api_key", "providers[1].keys[1].secret", "api_keys[0].secret"]);
    assert!(refused.message.contains("send the secret itself"), "{refused}");
    assert!(!refused.message.to_lowercase().contains("canary"), "{refused}");
    refuse_references(&declared(&catalog())).unwrap();
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

//! What a file declares is so after it was applied, is the file's own from then on, and is told by its own fields where it is wrong.

use super::*;

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

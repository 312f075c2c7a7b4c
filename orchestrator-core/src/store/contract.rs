//! What every database must do alike: one suite, run on each.

mod audit;
mod crowd;
mod encrypted;
mod fragments;
mod health;
mod ledger;
mod money;
mod outage;
mod prices;
mod reads;
mod teams;
mod text;

use orchestrator_base::{clock::UnixMicros, config::DatabaseTarget};
use orchestrator_testkit::databases::{self, Kind};

use super::{
    CatalogChange, CatalogLists as _, CatalogReader as _, CatalogWriter as _, Database, JournalOffset,
    LogStore as _, SettingStore as _, Slice, StoreError,
};
use crate::{
    audit::Stamp,
    call::UsageSource,
    catalog::{
        ApiKey, ManagedBy, Model, ModelProvider, OnDisconnect, PreviousSecret, Provider, ProviderKey,
        ProviderOptions, Timeouts,
        limits::{Budget, Limits, Period},
        samples,
    },
    ledger::{RequestRecord, record::UsageRecord},
};

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&Database::open(&folder.path().join("x.db")).await.unwrap()).await;
}

#[tokio::test]
async fn sqlite_keeps_sums_that_can_be_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("x.db")).await.unwrap();
    ledger::sums_that_are_made_anew_are_those_that_were_kept(&db).await;
}

#[tokio::test]
async fn sqlite_keeps_what_was_spent_when_sums_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("x.db")).await.unwrap();
    money::what_is_charged_adds_up_by_day_month_and_in_all(&db).await;
    money::a_rebuild_of_statistics_leaves_what_was_spent_alone(&db).await;
}

#[tokio::test]
async fn mariadb_keeps_the_contract() {
    contract(&fresh(Kind::MariaDb).await).await;
}

#[tokio::test]
async fn postgresql_keeps_the_contract() {
    contract(&fresh(Kind::Postgres).await).await;
}

/// The database at this URL, migrated.
async fn migrated(url: &str) -> Database {
    let database = Database::connect(&DatabaseTarget::parse(url).unwrap()).await.unwrap();
    database.migrate().await.unwrap();
    database
}

/// An empty database of the shared server, migrated.
async fn fresh(kind: Kind) -> Database {
    migrated(&databases::shared(kind).database().await).await
}

async fn contract(db: &Database) {
    every_column_survives(db).await;
    a_change_is_all_or_nothing(db).await;
    what_a_row_needs_must_be_there(db).await;
    lists_come_in_slices_oldest_first(db).await;
    an_updated_row_is_what_was_given(db).await;
    a_deleted_provider_takes_its_own_with_it(db).await;
    the_first_value_of_a_setting_stands(db).await;
    records_are_stored_once(db).await;
    a_large_batch_is_stored_whole(db).await;
    ledger::rows_attempts_bodies_and_sums_are_stored_together(db).await;
    ledger::a_record_that_is_there_already_is_not_counted_again(db).await;
    ledger::what_is_within_bounds_is_stored_whatever_it_holds(db).await;
    ledger::what_can_never_be_stored_is_refused_and_nothing_of_its_batch_stays(db).await;
    money::what_is_charged_adds_up_by_day_month_and_in_all(db).await;
    money::an_alert_is_raised_once_and_known_from_then_on(db).await;
    prices::the_latest_row_is_in_force_and_none_is_lost(db).await;
    prices::a_cost_and_its_absence_survive(db).await;
    health::settings_and_the_lease(db).await;
    health::what_cores_tell_each_other(db).await;
    reads::each_filter_finds_its_own(db).await;
    reads::pages_follow_each_other(db).await;
    reads::a_rare_combination_is_found_in_bounded_steps(db).await;
    reads::a_request_has_its_attempts_and_bodies(db).await;
    reads::outcomes_come_newest_first(db).await;
    reads::usage_is_summed_by_time_and_group(db).await;
    reads::what_is_old_is_forgotten_in_batches(db).await;
    reads::the_first_retention_stands_until_it_is_changed(db).await;
    fragments::an_upsert_sets_adds_and_keeps_the_larger(db).await;
    fragments::sums_are_whole_numbers(db).await;
    fragments::a_read_sees_one_state(db).await;
    text::names_compare_byte_for_byte(db).await;
    text::any_text_is_stored(db).await;
    crowd::two_cores_change_the_catalog_at_once(db).await;
    crowd::two_cores_store_their_records_at_once(db).await;
    fragments::the_views_of_llmio(db).await;
    teams::a_teams_name_is_one_with_that_in_its_keys(db).await;
    teams::the_latest_use_of_a_key_is_known_and_no_change_of_the_catalog(db).await;
    audit::operators_keys_survive(db).await;
    audit::every_change_is_on_record_and_a_refused_one_is_not(db).await;
    audit::the_log_is_read_by_what_is_asked_for_and_in_pages(db).await;
}

fn provider() -> Provider {
    Provider {
        timeout: Some(20),
        timeouts: Timeouts { idle_ms: Some(5), ..Timeouts::default() },
        headers: [("x-team".into(), "blue".into())].into(),
        options: ProviderOptions {
            dialects: vec!["openai_chat".into()],
            body_overrides: [("seed".into(), "7".into())].into(),
            include_usage: Some(false),
            preset: Some("vllm".into()),
            api_version: Some("2024-10-21".into()),
            probe: Some("models".into()),
        },
        enabled: false,
        managed_by: ManagedBy::File,
        ..samples::provider("p1", "one")
    }
}

fn provider_key() -> ProviderKey {
    samples::provider_key("k1", "p1", "v1:abc")
}

fn model() -> Model {
    Model {
        remark: "naïve — 模型".into(),
        fallbacks: vec!["b".into(), "c".into()],
        timeout: Some(9),
        managed_by: ManagedBy::File,
        ..samples::model("m1", "a")
    }
}

fn association() -> ModelProvider {
    let managed_by = ManagedBy::File;
    ModelProvider {
        priority: Some(0),
        tool_call: false,
        managed_by,
        ..samples::model_provider("a1", "m1", "p1")
    }
}

fn api_key() -> ApiKey {
    ApiKey {
        tags: [("cost".into(), "42".into())].into(),
        models: vec!["gpt-*".into()],
        operations: vec!["chat".into()],
        on_disconnect: OnDisconnect::Drain,
        log_bodies: true,
        limits: Limits {
            requests_per_minute: Some(60),
            tokens_per_minute: Some(1 << 40),
            max_concurrency: Some(3),
            budget: Some(Budget { nanos: 5_000_000_001, period: Period::Month }),
        },
        previous: Some(PreviousSecret { digest: [7; 32], until: UnixMicros(11) }),
        expires_at: Some(UnixMicros(9)),
        managed_by: ManagedBy::File,
        ..samples::api_key("c1", "caller", "secret")
    }
}

async fn every_column_survives(db: &Database) {
    let changes = vec![
        CatalogChange::InsertProvider(Box::new(provider()), Some(Box::new(provider_key()))),
        CatalogChange::InsertModel(Box::new(model())),
        CatalogChange::InsertModelProvider(Box::new(association())),
        CatalogChange::InsertApiKey(Box::new(api_key())),
    ];
    assert_eq!(db.revision().await.unwrap(), 0);
    db.apply(changes, &Stamp::for_tests()).await.unwrap();
    let rows = db.load().await.unwrap();
    assert_eq!(rows.revision, 1, "one transaction is one revision");
    assert_eq!(db.revision().await.unwrap(), 1);
    assert_eq!(rows.providers, [provider()]);
    assert_eq!(rows.provider_keys, [provider_key()]);
    assert_eq!(rows.models, [model()]);
    assert_eq!(rows.model_providers, [association()]);
    assert_eq!(rows.api_keys, [api_key()]);
    assert_eq!(db.provider("p1").await.unwrap(), db.provider("one").await.unwrap());
    assert_eq!(db.model("a").await.unwrap(), Some(model()));
    assert_eq!(db.api_key("caller").await.unwrap(), Some(api_key()));
    assert_eq!(db.provider_key("k1").await.unwrap(), Some(provider_key()));
    assert_eq!(db.model_provider("a1").await.unwrap(), Some(association()));
    assert_eq!(db.model("zzz").await.unwrap(), None);
}

async fn a_change_is_all_or_nothing(db: &Database) {
    let before = db.load().await.unwrap();
    let changes = vec![
        CatalogChange::InsertModel(Box::new(samples::model("m2", "b"))),
        CatalogChange::InsertModel(Box::new(samples::model("m3", "a"))),
    ];
    let refused = db.apply(changes, &Stamp::for_tests()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Exists { noun: "model", name } if name == "a"), "{refused}");
    assert_eq!(db.load().await.unwrap(), before);
}

async fn what_a_row_needs_must_be_there(db: &Database) {
    let orphan = samples::provider_key("k9", "nobody", "v1:abc");
    let refused = db
        .apply(vec![CatalogChange::InsertProviderKey(Box::new(orphan))], &Stamp::for_tests())
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    let twin = ModelProvider { id: "a2".into(), ..association() };
    let refused = db
        .apply(vec![CatalogChange::InsertModelProvider(Box::new(twin))], &Stamp::for_tests())
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Exists { noun: "model-provider", .. }), "{refused}");
    let missing = vec![
        (CatalogChange::UpdateModel(Box::new(samples::model("m9", "z"))), "model"),
        (CatalogChange::DeleteApiKey("c9".into()), "API key"),
    ];
    for (change, noun) in missing {
        let refused = db.apply(vec![change], &Stamp::for_tests()).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound(what) if what == noun), "{refused}");
    }
}

async fn lists_come_in_slices_oldest_first(db: &Database) {
    let more = ["m4", "m2", "m3"].map(|id| CatalogChange::InsertModel(Box::new(samples::model(id, id))));
    db.apply(more.to_vec(), &Stamp::for_tests()).await.unwrap();
    let ids = |models: Vec<Model>| models.into_iter().map(|model| model.id).collect::<Vec<_>>();
    let first = db.models(&Slice { after: None, limit: 3 }).await.unwrap();
    assert_eq!(ids(first), ["m1", "m2", "m3"]);
    let rest = db.models(&Slice { after: Some("m3".into()), limit: 3 }).await.unwrap();
    assert_eq!(ids(rest), ["m4"]);
    let all = Slice { after: None, limit: 10 };
    assert_eq!(db.provider_keys(Some("p1"), &all).await.unwrap().len(), 1);
    assert_eq!(db.provider_keys(Some("p2"), &all).await.unwrap().len(), 0);
    assert_eq!(db.model_providers(Some("m1"), Some("p1"), &all).await.unwrap().len(), 1);
    assert_eq!(db.model_providers(Some("m1"), Some("p2"), &all).await.unwrap().len(), 0);
}

async fn an_updated_row_is_what_was_given(db: &Database) {
    let changed = Provider {
        name: "uno".into(),
        timeout: None,
        enabled: true,
        updated_at: UnixMicros(77),
        ..provider()
    };
    let change = vec![CatalogChange::UpdateProvider(Box::new(changed.clone()))];
    db.apply(change.clone(), &Stamp::for_tests()).await.unwrap();
    // A row that is as it should be already is there all the same.
    db.apply(change, &Stamp::for_tests()).await.unwrap();
    assert_eq!(db.provider("uno").await.unwrap(), Some(changed));
    let key = ApiKey { expires_at: None, ..api_key() };
    db.apply(vec![CatalogChange::UpdateApiKey(Box::new(key.clone()))], &Stamp::for_tests()).await.unwrap();
    assert_eq!(db.api_key("c1").await.unwrap(), Some(key));
}

async fn a_deleted_provider_takes_its_own_with_it(db: &Database) {
    db.apply(vec![CatalogChange::DeleteProvider("p1".into())], &Stamp::for_tests()).await.unwrap();
    let rows = db.load().await.unwrap();
    assert_eq!((rows.provider_keys.len(), rows.model_providers.len()), (0, 0));
    assert_eq!(rows.models.len(), 4);
}

async fn the_first_value_of_a_setting_stands(db: &Database) {
    assert_eq!(db.setting("colour").await.unwrap(), None);
    assert_eq!(db.setting_or_insert("colour", "green").await.unwrap(), "green");
    assert_eq!(db.setting_or_insert("colour", "red").await.unwrap(), "green");
    assert_eq!(db.setting("colour").await.unwrap().as_deref(), Some("green"));
}

fn record(id: &str) -> RequestRecord {
    RequestRecord {
        id: id.into(),
        status: 200,
        ttft_us: Some(3),
        usage: UsageRecord { prompt: 5, source: UsageSource::Provider, ..UsageRecord::default() },
        tags: [("team".into(), "blue".into())].into(),
        ..RequestRecord::default()
    }
}

async fn stored(db: &Database, condition: &str) -> i64 {
    let mut tx = db.db.read().await.unwrap();
    let sql = format!("SELECT count(*) AS n FROM request_logs WHERE {condition}");
    tx.rows(sql, Vec::new()).await.unwrap()[0].int("n").unwrap()
}

async fn records_are_stored_once(db: &Database) {
    let at = |segment, position| JournalOffset { segment, position };
    assert_eq!(db.offset("core-1").await.unwrap(), at(0, 0));
    db.append("core-1", &[record("r1"), record("r2")], at(1, 100)).await.unwrap();
    assert_eq!(db.offset("core-1").await.unwrap(), at(1, 100));
    // The same batch again, after a crash before its offset was known here; and an older one.
    db.append("core-1", &[record("r1"), record("r2")], at(1, 100)).await.unwrap();
    db.append("core-1", &[record("r0")], at(1, 50)).await.unwrap();
    assert_eq!(stored(db, "1 = 1").await, 2);
    // A later segment begins at a smaller position. A record that is there already is left as it is.
    db.append("core-1", &[record("r2"), record("r3")], at(2, 10)).await.unwrap();
    assert_eq!(db.offset("core-1").await.unwrap(), at(2, 10));
    assert_eq!(db.offset("core-2").await.unwrap(), at(0, 0));
    assert_eq!(stored(db, "1 = 1").await, 3);
    let whole = "id = 'r3' AND status = 200 AND ttft_us = 3 AND prompt_tokens = 5 AND usage_source = 'provider' AND \
                 tags = '{\"team\":\"blue\"}'";
    assert_eq!(stored(db, whole).await, 1);
}

async fn a_large_batch_is_stored_whole(db: &Database) {
    let records: Vec<_> = (0..1234).map(|number| record(&format!("large-{number}"))).collect();
    db.append("core-2", &records, JournalOffset { segment: 1, position: 1 }).await.unwrap();
    assert_eq!(stored(db, "id LIKE 'large-%'").await, 1234);
}

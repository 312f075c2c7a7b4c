//! What is told of, how often, and to whom.

use std::sync::Mutex;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use orchestrator_base::config;

use super::*;
use crate::{
    audit::AuditEntry,
    catalog::{
        CatalogRows,
        limits::{Budget, Limits},
        samples,
        snapshot::Snapshot,
    },
    condition::{ConditionRules, Verdict},
    error::Result,
    provider::http::{Answer, AnswerBody, Ask, Sending, Transport},
    registry::lock,
    store::{Slice, StoreError},
};

const NOON: i64 = 20_000 * budget::DAY + budget::DAY / 2;

/// A database, and somebody who listens.
#[derive(Debug, Default)]
struct World {
    rows: Mutex<Vec<Alert>>,
    spent: Mutex<[u64; 3]>,
    away: Mutex<bool>,
    /// Bodies that came, and how often more the listener says no.
    posted: Mutex<Vec<String>>,
    deaf: Mutex<u32>,
}

#[async_trait]
impl AlertStore for World {
    async fn raise(&self, alert: &Alert) -> Result<bool, StoreError> {
        if *lock(&self.away) {
            return Err(StoreError::Unavailable("away".into()));
        }
        let mut rows = lock(&self.rows);
        let known =
            |row: &Alert| (&row.kind, &row.subject, &row.mark) == (&alert.kind, &alert.subject, &alert.mark);
        let new = !rows.iter().any(known);
        rows.extend(new.then(|| alert.clone()));
        Ok(new)
    }

    async fn alerts(&self, _: bool, _: &Slice) -> Result<Vec<Alert>, StoreError> {
        Ok(lock(&self.rows).clone())
    }

    async fn acknowledge(
        &self,
        _: &str,
        _: UnixMicros,
        _: &[AuditEntry],
    ) -> Result<Option<Alert>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl StoredSpend for World {
    async fn spent(&self, scopes: &[Scope], _: UnixMicros) -> Result<Vec<[u64; 3]>> {
        Ok(scopes.iter().map(|_| *lock(&self.spent)).collect())
    }
}

impl Transport for World {
    fn send(&self, ask: Ask) -> Sending<'_> {
        lock(&self.posted).push(String::from_utf8(ask.body.to_vec()).unwrap());
        let mut deaf = lock(&self.deaf);
        let status = if *deaf > 0 { StatusCode::BAD_GATEWAY } else { StatusCode::NO_CONTENT };
        *deaf = deaf.saturating_sub(1);
        let answer = Answer { status, headers: HeaderMap::new(), body: AnswerBody::Local([].into()) };
        Box::pin(async { Ok(answer) })
    }
}

struct Scene {
    world: Arc<World>,
    touched: Touched,
    conditions: Conditions,
    catalog: Arc<SharedCatalog>,
    clock: Clock,
    stop: CancellationToken,
}

impl Scene {
    /// A watch over a key `k` with a budget of 100 a day.
    fn begin() -> Self {
        let (clock, random) = (Clock::manual(UnixMicros(NOON)), Random::seeded(3));
        let world = Arc::new(World::default());
        let mut key = samples::api_key("k", "kim", "secret");
        key.limits = Limits { budget: Some(Budget { nanos: 100, period: Period::Day }), ..Limits::default() };
        let rows = CatalogRows {
            api_keys: vec![key],
            providers: vec![samples::provider("p", "acme")],
            provider_keys: vec![samples::provider_key("pk", "p", "x")],
            ..CatalogRows::default()
        };
        let catalog = Arc::new(SharedCatalog::default());
        catalog.swap(Snapshot::build(
            rows,
            &|key| Ok(key.sealed.clone().into()),
            &config::Timeouts::default(),
        ));
        let conditions = Conditions::new(ConditionRules::default(), clock.clone(), random.clone());
        let (touched, stop) = (Touched::default(), CancellationToken::new());
        let watch = Watch {
            metrics: Arc::default(),
            catalog: catalog.clone(),
            store: world.clone(),
            spend: world.clone(),
            touched: touched.clone(),
            conditions: conditions.clone(),
            percents: vec![80, 100].into(),
            webhook: Webhook::new("http://listener.test/hook?token=s3cret", world.clone()),
            clock: clock.clone(),
            random,
        };
        drop(task::spawn("alerts", watch.run(stop.clone())));
        Self { world, touched, conditions, catalog, clock, stop }
    }

    async fn spends(&self, sum: u64) {
        *lock(&self.world.spent) = [sum, sum, sum];
        self.touched.add(["key:k".into(), "key:without a budget".into()]);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    fn told(&self) -> Vec<String> {
        lock(&self.world.rows)
            .iter()
            .map(|row| format!("{} {} [{}]", row.kind, row.message, row.mark))
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_threshold_is_told_once_a_period_in_the_table_and_to_the_webhook() {
    let scene = Scene::begin();
    for sum in [10, 79, 80, 85, 99, 120, 130] {
        scene.spends(sum).await;
    }
    scene.clock.advance(Duration::from_hours(24));
    scene.spends(5).await;
    scene.spends(81).await;
    insta::assert_snapshot!(scene.told().join("\n"), @r"
    budget_threshold the API key kim has spent 0.00000008 of its 0.0000001 dollars of a day: 80 % is reached [day 2024-10-04 80]
    budget_exhausted the API key kim has spent 0.00000012 of its 0.0000001 dollars of a day: 100 % is reached [day 2024-10-04 100]
    budget_threshold the API key kim has spent 0.000000081 of its 0.0000001 dollars of a day: 80 % is reached [day 2024-10-05 80]
    ");
    let posted = lock(&scene.world.posted).clone();
    assert_eq!(posted.len(), 3);
    let first: serde_json::Value = serde_json::from_str(&posted[0]).unwrap();
    assert_eq!((&first["kind"], &first["subject"]), (&"budget_threshold".into(), &"key:k".into()));
    assert_eq!(first["id"], lock(&scene.world.rows)[0].id.as_str());
    scene.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_is_tried_a_few_times_and_a_database_that_is_away_loses_nothing() {
    let scene = Scene::begin();
    *lock(&scene.world.deaf) = 2;
    *lock(&scene.world.away) = true;
    scene.spends(100).await;
    assert!(scene.told().is_empty());
    *lock(&scene.world.away) = false;
    scene.spends(100).await;
    assert_eq!(scene.told().len(), 1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(lock(&scene.world.posted).len(), 3, "twice in vain");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_its_provider_refuses_is_told_once_a_day() {
    let scene = Scene::begin();
    for _ in 0..3 {
        let view = scene.catalog.load();
        let target = view.catalog.enabled_providers().next().unwrap();
        let mut lease = scene.conditions.lease(target, target.keys.first(), false, true).unwrap();
        lease.saw(&Verdict::KeyRefused);
        drop(lease);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    insta::assert_snapshot!(scene.told().join("\n"), @"provider_key_refused the provider acme does not take its key main [2024-10-04]");
}

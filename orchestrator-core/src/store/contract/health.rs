//! How health is checked, by whom, and what was found.

use orchestrator_base::clock::UnixMicros;

use super::{CatalogChange, Database, samples};
use crate::{
    audit::Stamp,
    health::{Facts, Hours, Seen, Settings},
    health_board::StoredHealth,
    store::{CatalogWriter as _, HealthCheckStore as _, ProbeLease, ProviderHealthStore as _, StoreError},
};

pub(super) async fn settings_and_the_lease(db: &Database) {
    let first = Settings { max_error_count: 7, ..Settings::default() };
    let refused = db.set_health_settings(&first, &Stamp::for_tests()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound(_)), "{refused}");
    assert_eq!(db.health_checks(&first).await.unwrap().settings, first);
    assert_eq!(db.health_checks(&Settings::default()).await.unwrap().settings, first, "the first stands");
    let chosen = Settings { enabled: false, interval_minutes: 9, max_error_count: 2, retry_after_hours: 3 };
    db.set_health_settings(&chosen, &Stamp::for_tests()).await.unwrap();
    assert_eq!(db.health_checks(&first).await.unwrap().settings, chosen);

    let take = async |holder: &'static str, now: i64| {
        let lease = ProbeLease { holder, now: UnixMicros(now), until: UnixMicros(now + 100) };
        db.take_probe_lease(&lease).await.unwrap()
    };
    assert!(take("a", 1000).await);
    assert!(!take("b", 1050).await, "a has it");
    assert!(take("a", 1050).await, "and prolongs it");
    assert!(!take("b", 1149).await);
    assert!(take("b", 1150).await, "it has run out");
    assert!(!take("a", 1150).await);
    db.leave_probe_lease("a").await.unwrap();
    assert!(!take("a", 1151).await, "only its holder lets go of it");
    db.leave_probe_lease("b").await.unwrap();
    assert!(take("a", 1151).await);
    assert!(take("b", 500).await, "a lease of the far future was taken by a clock that was wrong");
}

pub(super) async fn what_cores_tell_each_other(db: &Database) {
    let provider = CatalogChange::InsertProvider(Box::new(samples::provider("h1", "watched")), None);
    db.apply(vec![provider], &Stamp::for_tests()).await.unwrap();
    let mut hours = Hours::default();
    hours.saw(UnixMicros(5), &Seen { good: true, status: 200, latency_ms: 7, ..Seen::default() });
    let whole = StoredHealth {
        provider_id: "h1".into(),
        facts: Facts {
            consecutive_successes: 1,
            error_count: 2,
            refused: true,
            response_time_ms: Some(7),
            last_status_code: Some(503),
            last_checked: Some(UnixMicros(9)),
            last_success: Some(UnixMicros(8)),
            last_error: Some(UnixMicros(9)),
            error_message: Some("naïve — 模型".into()),
        },
        hours,
        status: "unhealthy".into(),
    };
    let bare = StoredHealth { facts: Facts::default(), hours: Hours::default(), ..whole.clone() };
    let gone = StoredHealth { provider_id: "nobody".into(), ..whole.clone() };
    let write = async |core: &'static str, rows: &[StoredHealth], now: i64, stale: i64| {
        db.write_provider_health(core, rows, UnixMicros(now), UnixMicros(stale)).await.unwrap()
    };
    let before = db.health_checks(&Settings::default()).await.unwrap().revision;
    assert_eq!(write("a", &[bare.clone(), gone], 10, 0).await, before + 1);
    assert_eq!(write("a", std::slice::from_ref(&whole), 11, 0).await, before + 2);
    assert_eq!(db.health_checks(&Settings::default()).await.unwrap().revision, before + 2);
    assert_eq!(db.provider_health_elsewhere("b").await.unwrap(), [whole], "the latest, of known providers");
    assert_eq!(db.provider_health_elsewhere("a").await.unwrap(), []);
    write("b", std::slice::from_ref(&bare), 20, 12).await;
    assert_eq!(db.provider_health_elsewhere("c").await.unwrap(), [bare], "a has not written for too long");
    db.apply(vec![CatalogChange::DeleteProvider("h1".into())], &Stamp::for_tests()).await.unwrap();
    write("b", &[], 21, 12).await;
    assert_eq!(db.provider_health_elsewhere("c").await.unwrap(), []);
}

//! What is charged is stored with the logs, once, and outlives them; an alert is raised once.

use orchestrator_base::clock::UnixMicros;

use super::{Database, Stamp, record};
use crate::{
    audit::{AuditFilter, Event, action},
    ledger::{Origin, RequestRecord},
    policy::budget::DAY,
    shared_state::{Scope, StoredSpend as _},
    store::{Alert, AlertStore as _, AuditStore as _, JournalOffset, LogStore as _, Slice},
};

/// Noon of the 21st of November 2026.
const NOON: i64 = 1_795_262_400_000_000;

fn charged(id: &str, days_ago: i64, nanos: Option<u64>) -> RequestRecord {
    RequestRecord {
        api_key_id: "money-key".into(),
        team_id: "money-team".into(),
        started_at: UnixMicros(NOON - days_ago * DAY),
        charged_nanos: nanos,
        ..record(id)
    }
}

async fn spent(db: &Database, scope: &str) -> [u64; 3] {
    let scopes: Vec<Scope> = vec!["key:nobody".into(), scope.into()];
    let sums = db.spent(&scopes, UnixMicros(NOON)).await.unwrap();
    assert_eq!(sums[0], [0; 3]);
    sums[1]
}

pub(super) async fn what_is_charged_adds_up_by_day_month_and_in_all(db: &Database) {
    let at = |position| JournalOffset { segment: 1, position };
    let records = vec![
        charged("money-1", 0, Some(1)),
        charged("money-2", 0, Some(20)),
        charged("money-3", 5, Some(300)),
        charged("money-4", 40, Some(4000)),
        charged("money-5", 0, None),
        RequestRecord { team_id: String::new(), ..charged("money-6", 0, Some(0)) },
        RequestRecord { api_key_id: String::new(), team_id: String::new(), ..charged("money-7", 0, Some(9)) },
        RequestRecord { origin: Origin::Probe, ..charged("money-8", 0, None) },
    ];
    db.append("core-money", &records, at(1)).await.unwrap();
    for scope in ["key:money-key", "team:money-team"] {
        assert_eq!(spent(db, scope).await, [21, 321, 4321], "{scope}");
    }
    // The same batch again, and one whose first record came by another journal.
    db.append("core-money", &records, at(1)).await.unwrap();
    let more = vec![charged("money-2", 0, Some(20)), charged("money-9", 0, Some(50_000))];
    db.append("core-money", &more, at(2)).await.unwrap();
    assert_eq!(spent(db, "key:money-key").await, [50_021, 50_321, 54_321]);
    let mut tx = db.db.read().await.unwrap();
    let sql = "SELECT requests AS n FROM budget_spend WHERE scope = ? AND day = ?".to_owned();
    let rows = tx.rows(sql, vec!["key:money-key".into(), (NOON - DAY / 2).into()]).await.unwrap();
    assert_eq!(rows[0].int("n").unwrap(), 4);
    drop(tx);
    let mut tx = db.db.read().await.unwrap();
    let sql = "SELECT charged_nanos AS n FROM request_logs WHERE id = 'money-9'".to_owned();
    assert_eq!(tx.rows(sql, Vec::new()).await.unwrap()[0].int("n").unwrap(), 50_000);
}

pub(super) async fn a_rebuild_of_statistics_leaves_what_was_spent_alone(db: &Database) {
    let before = spent(db, "key:money-key").await;
    db.rebuild_stats(UnixMicros(NOON + DAY)).await.unwrap();
    assert_eq!(spent(db, "key:money-key").await, before);
}

pub(super) async fn an_alert_is_raised_once_and_known_from_then_on(db: &Database) {
    let alert = |id: &str, mark: &str| Alert {
        id: id.into(),
        created_at: UnixMicros(NOON),
        kind: "budget_threshold".into(),
        subject: "key:k".into(),
        mark: mark.into(),
        message: "näh".into(),
        acknowledged_at: None,
    };
    let (first, second) = (alert("alert-1", "day 2026-11-21 80"), alert("alert-2", "day 2026-11-22 80"));
    assert!(db.raise(&first).await.unwrap());
    assert!(!db.raise(&alert("alert-x", &first.mark)).await.unwrap(), "another core was first");
    assert!(db.raise(&second).await.unwrap());
    let slice = |after: Option<&str>| Slice { after: after.map(str::to_owned), limit: 10 };
    assert_eq!(db.alerts(false, &slice(None)).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(db.alerts(false, &slice(Some("alert-2"))).await.unwrap(), std::slice::from_ref(&first));

    let entries = || Stamp::for_tests().entries([Event::new(action::UPDATE, "alert").on("alert-1", "")]);
    let known = Alert { acknowledged_at: Some(UnixMicros(7)), ..first };
    for at in [7, 8] {
        let answer = db.acknowledge("alert-1", UnixMicros(at), &entries()).await.unwrap();
        assert_eq!(answer, Some(known.clone()));
    }
    assert_eq!(db.acknowledge("alert-9", UnixMicros(9), &entries()).await.unwrap(), None);
    assert_eq!(db.alerts(true, &slice(None)).await.unwrap(), [second]);
    let filter = AuditFilter { noun: Some("alert".into()), ..AuditFilter::default() };
    assert_eq!(
        db.audit_log(&filter, &slice(None)).await.unwrap().len(),
        1,
        "what changed nothing is not on record"
    );
}

//! The audit log: written with each change, read newest first, and operators' keys that it speaks of.

use orchestrator_base::{clock::UnixMicros, random::Random};
use serde_json::json;

use super::{CatalogChange, Database, samples};
use crate::{
    audit::{Actor, AuditEntry, AuditFilter, Event, Stamp, action},
    catalog::{
        admin_keys::{AdminKey, EndedSession, Role},
        keys::digest,
    },
    store::{AuditStore as _, CatalogLists as _, CatalogReader as _, CatalogWriter as _, Slice, StoreError},
};

const ALL: Slice = Slice { after: None, limit: 100 };

fn stamp(at: i64) -> Stamp {
    let actor = Actor {
        name: "naïve — 模型".into(),
        role: Role::Operator,
        address: "10.0.0.1 via ::1".into(),
        request_id: "r-7".into(),
    };
    Stamp { actor, at: UnixMicros(at), random: Random::system() }
}

fn key(name: &str) -> AdminKey {
    AdminKey {
        id: format!("admin-{name}"),
        name: name.into(),
        role: Role::Operator,
        prefix: "llmo_admin_abcdefg".into(),
        digest: digest(name),
        enabled: true,
        expires_at: Some(UnixMicros(9)),
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}

async fn log(db: &Database, filter: &AuditFilter) -> Vec<AuditEntry> {
    db.audit_log(filter, &ALL).await.unwrap()
}

pub(super) async fn operators_keys_survive(db: &Database) {
    let insert = |name| CatalogChange::InsertAdminKey(Box::new(key(name)));
    db.apply(vec![insert("one"), insert("two")], &stamp(1)).await.unwrap();
    let twin = CatalogChange::InsertAdminKey(Box::new(AdminKey { id: "other".into(), ..key("one") }));
    let refused = db.apply(vec![twin], &stamp(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Exists { noun: "admin key", .. }), "{refused}");
    let rotated = AdminKey { digest: digest("new"), enabled: false, expires_at: None, ..key("one") };
    db.apply(vec![CatalogChange::RotateAdminKey(Box::new(rotated.clone()))], &stamp(2)).await.unwrap();
    assert_eq!(db.admin_key("one").await.unwrap(), Some(rotated.clone()));
    assert_eq!(db.admin_keys(&ALL).await.unwrap(), [rotated.clone(), key("two")]);
    db.apply(vec![CatalogChange::DeleteAdminKey("admin-two".into())], &stamp(3)).await.unwrap();
    assert_eq!(db.load().await.unwrap().admin_keys, [rotated]);
}

pub(super) async fn ended_sessions_survive_until_they_are_over(db: &Database) {
    let session = |id: &str, at| EndedSession { id: id.into(), expires_at: UnixMicros(at) };
    let end = |id, at, now| CatalogChange::EndSession(session(id, at), "ann".into(), UnixMicros(now));
    db.apply(vec![end("s-1", 10, 1), end("s-2", 20, 1), end("s-2", 20, 2)], &stamp(1)).await.unwrap();
    assert_eq!(db.load().await.unwrap().ended_sessions, [session("s-1", 10), session("s-2", 20)]);
    db.apply(vec![end("s-3", 30, 11)], &stamp(2)).await.unwrap();
    assert_eq!(db.load().await.unwrap().ended_sessions, [session("s-2", 20), session("s-3", 30)]);
}

pub(super) async fn every_change_is_on_record_and_a_refused_one_is_not(db: &Database) {
    let at = 5_000_000;
    let model = samples::model("audited", "audited");
    db.apply(vec![CatalogChange::InsertModel(Box::new(model.clone()))], &stamp(at)).await.unwrap();
    let twin = CatalogChange::InsertModel(Box::new(model.clone()));
    let mut changed = model.clone();
    changed.remark = "later".into();
    let both = vec![CatalogChange::UpdateModel(Box::new(changed.clone())), twin];
    db.apply(both, &stamp(at + 1)).await.unwrap_err();
    db.apply(vec![CatalogChange::UpdateModel(Box::new(changed))], &stamp(at + 2)).await.unwrap();
    db.apply(vec![CatalogChange::DeleteModel("audited".into())], &stamp(at + 3)).await.unwrap();

    let of_it = AuditFilter { target: Some("audited".into()), ..AuditFilter::default() };
    let rows = log(db, &of_it).await;
    let what: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.at.0)).collect();
    assert_eq!(what, [("delete", at + 3), ("update", at + 2), ("create", at)]);
    let remark = |state: &str| {
        let state: Option<serde_json::Value> = serde_json::from_str(state).ok();
        state.map(|state| state["remark"].as_str().unwrap().to_owned())
    };
    let states: Vec<_> =
        rows.iter().map(|row| (remark(&row.state_before), remark(&row.state_after))).collect();
    let (empty, later) = (Some(String::new()), Some("later".to_owned()));
    assert_eq!(states, [(later.clone(), None), (empty.clone(), later), (None, empty)]);
    let AuditEntry { actor, address, request_id, noun, target_name, outcome, .. } = &rows[0];
    assert_eq!(
        [actor, address, request_id, noun, target_name, outcome],
        ["naïve — 模型", "10.0.0.1 via ::1", "r-7", "model", "audited", "ok"]
    );
}

pub(super) async fn the_log_is_read_by_what_is_asked_for_and_in_pages(db: &Database) {
    let base = 1_700_000_000_000_000;
    for place in 0..5 {
        let mut stamp = stamp(base + place * 1000);
        stamp.actor.name = if place % 2 == 0 { "even" } else { "odd" }.into();
        let event =
            Event::new(action::RESET, "breaker").on(&place.to_string(), "").after(json!({"n": place}));
        db.record(&stamp.entries([event])).await.unwrap();
    }
    let places = async |filter: AuditFilter| {
        let rows = log(db, &AuditFilter { noun: Some("breaker".into()), ..filter }).await;
        rows.into_iter().map(|row| row.target).collect::<Vec<_>>().concat()
    };
    let any = AuditFilter::default;
    assert_eq!(places(any()).await, "43210");
    assert_eq!(places(AuditFilter { actor: Some("odd".into()), ..any() }).await, "31");
    assert_eq!(places(AuditFilter { action: Some("purge".into()), ..any() }).await, "");
    let (from, to) = (Some(UnixMicros(base + 1000)), Some(UnixMicros(base + 4000)));
    assert_eq!(places(AuditFilter { from, to, ..any() }).await, "321");
    let breakers = AuditFilter { noun: Some("breaker".into()), ..any() };
    let first = db.audit_log(&breakers, &Slice { after: None, limit: 2 }).await.unwrap();
    let after = Some(first[1].id.clone());
    let second = db.audit_log(&breakers, &Slice { after, limit: 2 }).await.unwrap();
    let targets: Vec<_> = first.iter().chain(&second).map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["4", "3", "2", "1"]);
}

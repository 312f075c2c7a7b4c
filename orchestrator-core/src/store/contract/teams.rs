//! Teams and their names in keys; and when keys were last used.

use super::*;
use crate::{catalog::Team, store::KeyUsage as _};

fn team() -> Team {
    Team {
        remark: "naïve — 模型".into(),
        limits: api_key().limits,
        managed_by: ManagedBy::File,
        ..samples::team("t1", "blue")
    }
}

fn of_blue(id: &str) -> ApiKey {
    ApiKey { team: "blue".into(), ..samples::api_key(id, id, id) }
}

async fn apply(db: &Database, changes: impl IntoIterator<Item = CatalogChange>) -> Result<(), StoreError> {
    db.apply(changes.into_iter().collect(), &Stamp::for_tests()).await
}

pub(super) async fn a_teams_name_is_one_with_that_in_its_keys(db: &Database) {
    apply(db, [CatalogChange::InsertTeam(Box::new(team()))]).await.unwrap();
    assert_eq!(db.team("blue").await.unwrap(), Some(team()));
    assert_eq!(db.teams(&Slice { after: None, limit: 9 }).await.unwrap(), [team()]);
    let twin = samples::team("t2", "blue");
    let refused = apply(db, [CatalogChange::InsertTeam(Box::new(twin))]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Exists { noun: "team", .. }), "{refused}");

    let is_there = || CatalogChange::TeamIsThere("blue".into());
    let insert = ["k-blue-1", "k-blue-2"].map(|id| CatalogChange::InsertApiKey(Box::new(of_blue(id))));
    apply(db, [is_there()].into_iter().chain(insert)).await.unwrap();
    let refused = apply(db, [CatalogChange::DeleteTeam("t1".into())]).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(why) if why.contains("k-blue-1, k-blue-2")), "{refused}");

    let renamed = Team { name: "navy".into(), updated_at: UnixMicros(77), ..team() };
    apply(db, [CatalogChange::UpdateTeam(Box::new(renamed.clone()))]).await.unwrap();
    assert_eq!(db.team("t1").await.unwrap(), Some(renamed));
    let key = db.api_key("k-blue-2").await.unwrap().unwrap();
    assert_eq!((key.team.as_str(), key.updated_at), ("navy", UnixMicros(77)));
    let late = apply(db, [is_there(), CatalogChange::InsertApiKey(Box::new(of_blue("k-blue-3")))]).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(db.api_key("k-blue-3").await.unwrap(), None);

    // Whoever read the key before its team got the new name does not bring the old one back.
    let as_of = CatalogChange::ApiKeyIsAsOf(key.id.clone(), of_blue("any").updated_at);
    let stale = apply(db, [as_of, CatalogChange::UpdateApiKey(Box::new(of_blue("k-blue-2")))]).await;
    assert!(matches!(&stale, Err(StoreError::Conflict(why)) if why.contains("meanwhile")), "{stale:?}");
    apply(db, [CatalogChange::ApiKeyIsAsOf(key.id.clone(), key.updated_at)]).await.unwrap();

    let declared = ApiKey { managed_by: ManagedBy::File, ..key };
    apply(db, [CatalogChange::UpdateApiKey(Box::new(declared))]).await.unwrap();
    let refused = apply(db, [CatalogChange::UpdateTeam(Box::new(team()))]).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(why) if why.contains("k-blue-2")), "{refused}");
    let gone = ["k-blue-1", "k-blue-2"].map(|id| CatalogChange::DeleteApiKey(id.into()));
    apply(db, gone.into_iter().chain([CatalogChange::DeleteTeam("t1".into())])).await.unwrap();
    assert_eq!(db.team("navy").await.unwrap(), None);
}

pub(super) async fn the_latest_use_of_a_key_is_known_and_no_change_of_the_catalog(db: &Database) {
    let keys = ["used-1", "used-2", "used-3"].map(|id| samples::api_key(id, id, id));
    apply(db, keys.clone().map(|key| CatalogChange::InsertApiKey(Box::new(key)))).await.unwrap();
    let revision = db.revision().await.unwrap();
    let used = |id: &str, key: &str, at: i64| RequestRecord {
        api_key_id: key.into(),
        started_at: UnixMicros(at),
        ..record(id)
    };
    let at = |position| JournalOffset { segment: 1, position };
    let batch = [
        used("u1", "used-1", 500),
        used("u2", "used-2", 300),
        used("u3", "used-1", 400),
        used("u4", "gone", 9),
    ];
    db.append("usage-1", &batch, at(1)).await.unwrap();
    db.append("usage-2", &[used("u5", "used-1", 450), used("u6", "used-2", 350)], at(1)).await.unwrap();
    let known = async || {
        let mut known: Vec<_> =
            db.last_used(&["used-1", "used-2", "used-3", "gone"]).await.unwrap().into_iter().collect();
        known.sort();
        known
    };
    let expected = [("used-1".to_owned(), UnixMicros(500)), ("used-2".to_owned(), UnixMicros(350))];
    assert_eq!(known().await, expected, "an older journal that comes later takes nothing back");
    assert_eq!(db.last_used(&[]).await.unwrap(), [].into());
    assert_eq!(db.revision().await.unwrap(), revision);
    let [key, ..] = keys;
    apply(db, [CatalogChange::UpdateApiKey(Box::new(ApiKey { owner: "ann".into(), ..key }))]).await.unwrap();
    assert_eq!(known().await, expected, "a change of the key says nothing about its use");
}

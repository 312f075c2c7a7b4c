//! Prices keep their versions, and a cost is what was written down.

use orchestrator_base::clock::UnixMicros;

use super::{CatalogChange, Database, Stamp, record, stored};
use crate::{
    catalog::OwnPrice,
    ledger::RequestRecord,
    policy::price::{HIGHEST, Rates},
    store::{CatalogLists as _, CatalogReader as _, CatalogWriter as _, JournalOffset, LogStore as _},
};

fn price(id: &str, kind: &str, model: &str, input: u64) -> OwnPrice {
    OwnPrice {
        id: id.into(),
        kind: kind.into(),
        upstream_model: model.into(),
        rates: Rates { input: Some(input), cached_read: Some(0), cache_write: None, output: Some(HIGHEST) },
        created_at: UnixMicros(7),
        ..OwnPrice::default()
    }
}

pub(super) async fn the_latest_row_is_in_force_and_none_is_lost(db: &Database) {
    let set = async |price: OwnPrice| {
        db.apply(vec![CatalogChange::SetPrice(Box::new(price))], &Stamp::for_tests()).await.unwrap();
    };
    let before = db.revision().await.unwrap();
    assert_eq!(db.prices().await.unwrap(), []);
    set(price("price-1", "openai", "naïve-模型*", 5)).await;
    set(price("price-2", "openai", "b", 6)).await;
    set(price("price-3", "groq", "b", 8)).await;
    set(price("price-4", "openai", "b", 7)).await;
    assert_eq!(db.revision().await.unwrap(), before + 4, "cores look for a new revision");
    let expected = [
        OwnPrice { version: 3, ..price("price-3", "groq", "b", 8) },
        OwnPrice { version: 4, ..price("price-4", "openai", "b", 7) },
        OwnPrice { version: 1, ..price("price-1", "openai", "naïve-模型*", 5) },
    ];
    assert_eq!(db.prices().await.unwrap(), expected);
    assert_eq!(db.load().await.unwrap().prices, expected);

    set(OwnPrice { deleted: true, ..price("price-5", "openai", "b", 7) }).await;
    assert_eq!(db.prices().await.unwrap(), [expected[0].clone(), expected[2].clone()]);
    let again = vec![
        CatalogChange::SetPrice(Box::new(price("price-6", "openai", "b", 9))),
        CatalogChange::SetPrice(Box::new(price("price-7", "openai", "c", 9))),
    ];
    db.apply(again, &Stamp::for_tests()).await.unwrap();
    let versions: Vec<i64> = db.prices().await.unwrap().iter().map(|price| price.version).collect();
    assert_eq!(versions, [3, 6, 7, 1], "a version is never given twice");

    let mut tx = db.db.read().await.unwrap();
    let rows = tx.rows("SELECT id FROM prices WHERE kind = 'openai'".to_owned(), Vec::new()).await.unwrap();
    assert_eq!(rows.len(), 6, "a change is a new row");
}

pub(super) async fn a_cost_and_its_absence_survive(db: &Database) {
    let known =
        RequestRecord { cost_nanos: Some(u64::MAX), price_version: "own-7".into(), ..record("known-cost") };
    let free = RequestRecord { cost_nanos: Some(0), price_version: "own-8".into(), ..record("no-cost") };
    let records = [known, free, record("unknown-cost")];
    db.append("core-prices", &records, JournalOffset { segment: 1, position: 1 }).await.unwrap();
    let largest = i64::MAX;
    for row in [
        format!("id = 'known-cost' AND cost_nanos = {largest} AND price_version = 'own-7'"),
        "id = 'no-cost' AND cost_nanos = 0 AND price_version = 'own-8'".to_owned(),
        "id = 'unknown-cost' AND cost_nanos IS NULL AND price_version = ''".to_owned(),
    ] {
        assert_eq!(stored(db, &row).await, 1, "{row}");
    }
}

//! What the databases say differently, and must mean alike.

use super::{CatalogChange, Database, Stamp, samples};
use crate::store::{
    CatalogReader as _, CatalogWriter as _,
    db::{Row, Set, Tx, Value},
};

async fn rows(tx: &mut Tx, sql: &str) -> Vec<Row> {
    tx.rows(sql.to_owned(), Vec::new()).await.unwrap()
}

pub(super) async fn an_upsert_sets_adds_and_keeps_the_larger(db: &Database) {
    let keys = ["hour", "tag", "tag_value"];
    let sets = [Set::To("successes"), Set::Add("requests"), Set::Max("cost_nanos")];
    let insert = format!(
        "INSERT INTO usage_tags_hourly (hour, tag, tag_value, requests, successes, prompt_tokens, completion_tokens, \
         cost_nanos, unpriced) VALUES (?, ?, ?, ?, ?, 0, 0, ?, 0){}",
        db.db.upsert("usage_tags_hourly", &keys, &sets)
    );
    for (requests, successes, cost) in [(5_i64, 1_i64, 70_i64), (3, 2, 90), (1, 0, 80)] {
        let mut tx = db.db.write().await.unwrap();
        let values: Vec<Value> =
            vec![7_i64.into(), "team".into(), "blue".into(), requests.into(), successes.into(), cost.into()];
        tx.execute(insert.clone(), values).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = db.db.read().await.unwrap();
    let found = rows(&mut tx, "SELECT * FROM usage_tags_hourly WHERE hour = 7").await;
    let [row] = found.as_slice() else { panic!("{} rows", found.len()) };
    let int = |column| row.int(column).unwrap();
    assert_eq!((int("requests"), int("successes"), int("cost_nanos")), (9, 0, 90));
}

pub(super) async fn sums_are_whole_numbers(db: &Database) {
    let mut tx = db.db.read().await.unwrap();
    let (sum, none) = (db.db.bigint("SUM(requests)"), db.db.bigint("SUM(cost_nanos)"));
    let found = rows(&mut tx, &format!("SELECT {sum} AS sum FROM usage_tags_hourly WHERE hour = 7")).await;
    assert_eq!(found[0].int("sum").unwrap(), 9);
    let sql = format!("SELECT {none} AS sum, COUNT(*) AS n FROM usage_tags_hourly WHERE hour = 8");
    let found = rows(&mut tx, &sql).await;
    assert_eq!((found[0].maybe_int("sum").unwrap(), found[0].int("n").unwrap()), (None, 0));
}

pub(super) async fn a_read_sees_one_state(db: &Database) {
    let mut reading = db.db.read().await.unwrap();
    let before = rows(&mut reading, "SELECT revision FROM catalog_revision").await[0].int("revision");
    db.apply(vec![CatalogChange::InsertModel(Box::new(samples::model("seen", "seen")))], &Stamp::for_tests())
        .await
        .unwrap();
    let after = rows(&mut reading, "SELECT revision FROM catalog_revision").await[0].int("revision");
    assert_eq!(before.unwrap(), after.unwrap());
    let found = rows(&mut reading, "SELECT id FROM models WHERE id = 'seen'").await;
    assert!(found.is_empty(), "it was made after the reading began");
    drop(reading);
    assert!(db.load().await.unwrap().models.iter().any(|model| model.id == "seen"));
}

pub(super) async fn the_views_of_llmio(db: &Database) {
    let mut tx = db.db.write().await.unwrap();
    let day = 20_000_i64 * 86_400_000_000;
    let columns = "day, provider_id, upstream_model, provider, attempts, successes, prompt_tokens, completion_tokens, \
                   cached_read_tokens, cache_write_tokens, reasoning_tokens, cost_nanos, latency_us, ttft_us, ttft_count, \
                   last_used_at";
    for (model, attempts) in [("a", 3), ("b", 1)] {
        let sql = format!(
            "INSERT INTO provider_stats ({columns}) VALUES ({day}, 'v1', '{model}', 'one', {attempts}, 1, 10, 5, 0, 0, 0, \
             7, 8000, 0, 0, {attempts})"
        );
        tx.execute(sql, Vec::new()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = db.db.read().await.unwrap();
    let found = rows(&mut tx, "SELECT * FROM provider_usage_stats WHERE provider_id = 'v1'").await;
    let [row] = found.as_slice() else { panic!("{} rows", found.len()) };
    let int = |column| row.int(column).unwrap();
    assert_eq!((int("total_requests"), int("success_requests"), int("failed_requests")), (4, 2, 2));
    assert_eq!((int("total_tokens"), int("cost_nanos"), int("last_used_at")), (30, 14, 3));
    let derived =
        "SELECT provider_id FROM provider_usage_stats WHERE date = '2024-10-04' AND avg_response_time_ms = 4";
    assert_eq!(rows(&mut tx, derived).await.len(), 1);

    let health = "INSERT INTO provider_health (provider_id, core_id, status, consecutive_successes, error_count, refused, \
                  last_checked, hours, updated_at) VALUES";
    drop(tx);
    let watched = CatalogChange::InsertProvider(Box::new(samples::provider("v1", "viewed")), None);
    db.apply(vec![watched], &Stamp::for_tests()).await.unwrap();
    let mut tx = db.db.write().await.unwrap();
    for (core, status, errors, checked) in [("a", "unhealthy", 9, 500), ("b", "healthy", 0, 400)] {
        let sql = format!("{health} ('v1', '{core}', '{status}', 0, {errors}, 0, {checked}, '{{}}', 1)");
        tx.execute(sql, Vec::new()).await.unwrap();
    }
    let found = rows(&mut tx, "SELECT * FROM provider_validations WHERE provider_id = 'v1'").await;
    let [row] = found.as_slice() else { panic!("{} rows", found.len()) };
    assert_eq!(row.text("provider_name").unwrap(), "viewed");
    assert_eq!(row.int("error_count").unwrap(), 9, "of the core that checked last");
    assert_eq!(row.int("last_validated_at").unwrap(), 500);
    // What was only for looking at is not kept.
    drop(tx);
    let unhealthy =
        "SELECT provider_id FROM provider_validations WHERE provider_id = 'v1' AND is_healthy = 0";
    let mut tx = db.db.read().await.unwrap();
    assert!(rows(&mut tx, unhealthy).await.is_empty(), "a transaction that is dropped leaves nothing");
}

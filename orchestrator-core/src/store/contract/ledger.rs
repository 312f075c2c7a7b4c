//! What the ledger's writer stores: rows, attempts, bodies, sums and offset, together and once.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;

use super::super::{Database, JournalOffset, LogStore as _, StoreError};
use crate::{
    call::UsageSource,
    ledger::{
        RequestRecord, bounds,
        record::{AttemptRecord, BodiesRecord, BodyRecord, Origin, UsageRecord},
    },
};

fn at(segment: u64, position: u64) -> JournalOffset {
    JournalOffset { segment, position }
}

async fn number(db: &Database, sql: &str) -> i64 {
    let mut tx = db.db.read().await.unwrap();
    tx.rows(format!("SELECT {sql}"), Vec::new()).await.unwrap()[0].int("n").unwrap()
}

const HOUR: i64 = 3_600_000_000;

/// An answered request of hour 5000, after one attempt that failed.
fn request(id: &str) -> RequestRecord {
    let started_at = UnixMicros(5000 * HOUR + 7);
    let attempt = AttemptRecord {
        started_at,
        provider_id: "id of one".into(),
        provider: "one".into(),
        provider_key: "first".into(),
        upstream_model: "m-1".into(),
        status: 503,
        outcome: "provider_failed".into(),
        error: "it is full".into(),
        latency_us: 1000,
        ttft_us: None,
    };
    let answered = AttemptRecord {
        provider_id: "id of two".into(),
        provider: "two".into(),
        status: 200,
        outcome: "ok".into(),
        error: String::new(),
        latency_us: 9000,
        ttft_us: Some(400),
        ..attempt.clone()
    };
    RequestRecord {
        id: id.into(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        api_key_id: "k".into(),
        api_key_name: "mail".into(),
        team: "blue".into(),
        model: "sums".into(),
        provider: "two".into(),
        started_at,
        stream: true,
        attempts: 2,
        tried: vec![attempt, answered],
        outcome: "ok".into(),
        latency_us: 12_000,
        ttft_us: Some(3000),
        usage: UsageRecord {
            prompt: 10,
            completion: 4,
            source: UsageSource::Provider,
            ..UsageRecord::default()
        },
        tags: [("app".into(), "mail".into())].into(),
        ..RequestRecord::default()
    }
}

pub(super) async fn rows_attempts_bodies_and_sums_are_stored_together(db: &Database) {
    let body = BodyRecord { text: "{\"model\":\"m\"}".into(), base64: false, bytes: 13 };
    let answer = BodyRecord { text: "/w==".into(), base64: true, bytes: 70_000 };
    let with_bodies =
        RequestRecord { bodies: Some(BodiesRecord { request: body, response: answer }), ..request("sum-1") };
    let failed =
        RequestRecord { outcome: "timeout".into(), error_kind: "timeout".into(), ..request("sum-2") };
    let probe = RequestRecord { origin: Origin::Probe, ..request("sum-3") };
    db.append("sums", &[with_bodies, failed, probe], at(1, 1)).await.unwrap();

    let row = "COUNT(*) AS n FROM request_logs WHERE id = 'sum-2' AND trace_id = '4bf92f3577b34da6a3ce929d0e0e4736' AND \
               api_key_name = 'mail' AND team = 'blue' AND origin = 'caller' AND error_kind = 'timeout'";
    assert_eq!(number(db, row).await, 1);
    assert_eq!(number(db, "COUNT(*) AS n FROM request_logs WHERE origin = 'probe'").await, 1);
    assert_eq!(number(db, "COUNT(*) AS n FROM request_attempts WHERE log_id LIKE 'sum-%'").await, 6);
    let attempt = "COUNT(*) AS n FROM request_attempts WHERE log_id = 'sum-1' AND number = 2 AND provider_id = 'id of two' \
                   AND provider = 'two' AND provider_key = 'first' AND upstream_model = 'm-1' AND status = 200 AND \
                   outcome = 'ok' AND error = '' AND latency_us = 9000 AND ttft_us = 400";
    assert_eq!(number(db, attempt).await, 1);
    let bodies = "COUNT(*) AS n FROM request_bodies WHERE log_id = 'sum-1' AND request = '{\"model\":\"m\"}' AND \
                  request_encoding = 'utf8' AND request_bytes = 13 AND response = '/w==' AND \
                  response_encoding = 'base64' AND response_bytes = 70000";
    assert_eq!(number(db, bodies).await, 1);
    assert_eq!(number(db, "COUNT(*) AS n FROM request_bodies").await, 1);

    // Half a second later the next batch: it is added to what is there.
    db.append("sums", &[request("sum-4")], at(1, 2)).await.unwrap();
    sums_are(db, 3, 2).await;
}

/// Requests in the sums, and how many of them ended well.
async fn sums_are(db: &Database, requests: i64, successes: i64) {
    let usage = |column: &str| {
        let hour = 5000 * HOUR;
        format!(
            "{column} AS n FROM usage_hourly WHERE hour = {hour} AND api_key_id = 'k' AND model = 'sums' AND provider = 'two'"
        )
    };
    for (column, expected) in [
        ("requests", requests),
        ("successes", successes),
        ("streams", requests),
        ("attempts", 2 * requests),
        ("prompt_tokens", 10 * requests),
        ("completion_tokens", 4 * requests),
        ("unpriced", requests),
        ("estimated", 0),
        ("latency_us", 12_000 * requests),
        ("ttft_us", 3000 * requests),
        ("ttft_count", requests),
        // 12 ms: up to 2^(8/2) ms.
        ("latency_08", requests),
        ("latency_07", 0),
    ] {
        assert_eq!(number(db, &usage(column)).await, expected, "{column}");
    }
    let tag = "requests AS n FROM usage_tags_hourly WHERE tag = 'app' AND tag_value = 'mail'";
    assert_eq!(number(db, tag).await, requests);
    let day = 5000 * HOUR / (24 * HOUR) * (24 * HOUR);
    for (provider, column, expected) in [
        ("one", "attempts", requests),
        ("one", "successes", 0),
        ("one", "prompt_tokens", 0),
        ("two", "successes", requests),
        ("two", "prompt_tokens", 10 * requests),
        ("two", "ttft_us", 400 * requests),
        ("two", "last_used_at", 5000 * HOUR + 7),
    ] {
        let sql = format!("{column} AS n FROM provider_stats WHERE day = {day} AND provider = '{provider}'");
        assert_eq!(number(db, &sql).await, expected, "{provider} {column}");
    }
}

pub(super) async fn a_record_that_is_there_already_is_not_counted_again(db: &Database) {
    // Another journal, so that no offset says it: it was adopted.
    let batch = [request("sum-1"), request("sum-5"), request("sum-4"), request("sum-5")];
    db.append("other", &batch, at(1, 1)).await.unwrap();
    sums_are(db, 4, 3).await;
    assert_eq!(number(db, "COUNT(*) AS n FROM request_logs WHERE id = 'sum-5'").await, 1);
}

pub(super) async fn what_is_within_bounds_is_stored_whatever_it_holds(db: &Database) {
    let hostile = "\u{0}' OR 1=1; --\u{202e}😀\u{7f}\\".repeat(300);
    let tags: BTreeMap<_, _> = (0..30).map(|n| (format!("{n}{hostile}"), hostile.clone())).collect();
    let mut record = RequestRecord {
        request_id: hostile.clone(),
        session_id: hostile.clone(),
        api_key_name: hostile.clone(),
        team: hostile.clone(),
        model: hostile.clone(),
        answered_model: hostile.clone(),
        provider: hostile.clone(),
        upstream_model: hostile.clone(),
        finish_reason: hostile.clone(),
        client_address: hostile.clone(),
        user_agent: hostile.clone(),
        end_user: hostile.clone(),
        error: hostile.clone(),
        tags,
        latency_us: u64::MAX >> 1,
        usage: UsageRecord { prompt: u64::MAX, ..UsageRecord::default() },
        ..request("hostile")
    };
    for attempt in &mut record.tried {
        attempt.upstream_model.clone_from(&hostile);
        attempt.error.clone_from(&hostile);
    }
    record.bodies = Some(BodiesRecord {
        request: BodyRecord { text: hostile, ..BodyRecord::default() },
        ..BodiesRecord::default()
    });
    bounds::bound(&mut record);
    db.append("hostile", std::slice::from_ref(&record), at(1, 1)).await.unwrap();
    assert_eq!(number(db, "COUNT(*) AS n FROM request_logs WHERE id = 'hostile'").await, 1);
    assert_eq!(number(db, "COUNT(*) AS n FROM usage_tags_hourly WHERE prompt_tokens = 1000000000").await, 16);
}

/// Attempts of this id are there though its row is not: no program of ours leaves that, and none can mend it by trying again.
pub(super) async fn what_can_never_be_stored_is_refused_and_nothing_of_its_batch_stays(db: &Database) {
    let mut tx = db.db.write().await.unwrap();
    let sql = "DELETE FROM request_logs WHERE id = 'sum-5'".to_owned();
    tx.execute(sql, Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
    let batch = [request("fine"), request("sum-5")];
    let refused = db.append("poison", &batch, at(1, 9)).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(number(db, "COUNT(*) AS n FROM request_logs WHERE id = 'fine'").await, 0);
    assert_eq!(db.offset("poison").await.unwrap(), at(0, 0));
}

/// All rows of a table, as text.
async fn table(db: &Database, name: &str, columns: &[&str], order: &str) -> Vec<Vec<String>> {
    let mut tx = db.db.read().await.unwrap();
    let sql = format!("SELECT {} FROM {name} ORDER BY {order}", columns.join(", "));
    let rows = tx.rows(sql, Vec::new()).await.unwrap();
    let cell = |row: &super::super::db::Row, column: &str| match row.maybe_int(column) {
        Ok(int) => format!("{int:?}"),
        Err(_) => row.text(column).unwrap(),
    };
    rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect()
}

/// Every column but the key's names, which are one of several.
async fn a_day_is_the_sum_of_its_hours(db: &Database) {
    let keys = "api_key_id, model, provider, team";
    let columns = usage_columns();
    let sums: Vec<String> = columns[6..].iter().map(|column| db.db.sum(column, column)).collect();
    let day = "hour - hour % 86400000000";
    let summed = format!(
        "(SELECT {day} AS day, {keys}, {} FROM usage_hourly GROUP BY {day}, {keys}) AS summed",
        sums.join(", ")
    );
    let mut columns: Vec<&str> = columns[6..].iter().map(String::as_str).collect();
    columns.extend(["day", "api_key_id", "model", "provider", "team"]);
    let order = format!("day, {keys}");
    let days = table(db, "usage_daily", &columns, &order).await;
    assert_eq!(days, table(db, &summed, &columns, &order).await);
    assert!(days.len() > 2);
}

fn usage_columns() -> Vec<String> {
    let columns = "hour api_key_id model provider team api_key_name requests successes streams attempts \
                   prompt_tokens completion_tokens cached_read_tokens cache_write_tokens reasoning_tokens estimated \
                   cost_nanos unpriced latency_us ttft_us ttft_count";
    let buckets = (0..40).map(|bucket| format!("latency_{bucket:02}"));
    columns.split_whitespace().map(str::to_owned).chain(buckets).collect()
}

async fn all_sums(db: &Database) -> Vec<Vec<String>> {
    let usage = usage_columns();
    let usage: Vec<&str> = usage.iter().map(String::as_str).collect();
    let tags = [
        "hour",
        "tag",
        "tag_value",
        "requests",
        "successes",
        "prompt_tokens",
        "completion_tokens",
        "cost_nanos",
        "unpriced",
    ];
    let providers = [
        "day",
        "provider_id",
        "upstream_model",
        "provider",
        "attempts",
        "successes",
        "prompt_tokens",
        "completion_tokens",
        "cost_nanos",
        "latency_us",
        "ttft_us",
        "ttft_count",
        "last_used_at",
    ];
    let mut all = table(db, "usage_hourly", &usage, "hour, api_key_id, model, provider, team").await;
    let mut days = vec!["day"];
    days.extend(usage.iter().filter(|column| !["hour", "api_key_name"].contains(column)));
    let days = table(db, "usage_daily", &days, "day, api_key_id, model, provider, team").await;
    all.extend(days);
    all.extend(table(db, "usage_tags_hourly", &tags, "hour, tag, tag_value").await);
    all.extend(table(db, "provider_stats", &providers, "day, provider_id, upstream_model").await);
    all
}

/// On a database of its own: random records, whose sums must be the same when they are added up anew, whatever was done to them;
/// and those of hours whose logs are gone must stay.
pub(super) async fn sums_that_are_made_anew_are_those_that_were_kept(db: &Database) {
    use proptest::{
        strategy::{Strategy as _, ValueTree as _},
        test_runner::TestRunner,
    };

    let mut runner = TestRunner::deterministic();
    let records = proptest::collection::vec(crate::ledger::rollup::tests::record(), 1500..1501);
    let mut records = records.new_tree(&mut runner).unwrap().current();
    let random = orchestrator_base::random::Random::seeded(3);
    for record in &mut records {
        // The price of what was stored is another matter.
        record.cost_nanos = None;
        record.id = random.uuid(record.started_at).to_string();
    }
    for (batch, records) in (1..).zip(records.chunks(400)) {
        db.append("core", records, at(1, batch)).await.unwrap();
    }
    let kept = all_sums(db).await;
    assert!(kept.len() > 300, "{}", kept.len());
    a_day_is_the_sum_of_its_hours(db).await;

    // The logs of the first hours are gone, an hour's sums are damaged, another's were lost.
    let mut tx = db.db.write().await.unwrap();
    let gone = random.uuid(UnixMicros(7 * HOUR + HOUR / 2)).to_string();
    for sql in [
        format!("DELETE FROM request_logs WHERE id < '{gone}'"),
        format!("DELETE FROM request_attempts WHERE log_id < '{gone}'"),
        format!("UPDATE usage_hourly SET requests = 77, latency_03 = 5 WHERE hour = {}", 9 * HOUR),
        format!("DELETE FROM usage_hourly WHERE hour = {}", 10 * HOUR),
        format!("DELETE FROM usage_daily WHERE day = {}", 24 * HOUR),
        format!("DELETE FROM usage_tags_hourly WHERE hour = {}", 10 * HOUR),
        format!("UPDATE provider_stats SET attempts = attempts + 1 WHERE day = {}", 24 * HOUR),
    ] {
        tx.execute(sql, Vec::new()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_ne!(all_sums(db).await, kept);
    let rebuilt = db.rebuild_stats(UnixMicros(3 * 24 * HOUR - 1)).await.unwrap();
    assert_eq!((rebuilt.hours, rebuilt.days), (64, 2));
    assert_eq!(all_sums(db).await, kept);
    a_day_is_the_sum_of_its_hours(db).await;
}

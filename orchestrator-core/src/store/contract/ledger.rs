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

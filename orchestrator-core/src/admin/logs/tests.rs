//! What operators find, and what is forgotten.

use std::{sync::Arc, time::Duration};

use orchestrator_base::random::Random;

use super::{
    super::{
        ApiKeyChange,
        retention::RetentionKeeper,
        tests::{House, house},
    },
    *,
};
use crate::store::{JournalOffset, LogStore as _};

const DAY: Duration = Duration::from_hours(24);

/// A house at a time from which one can look back.
async fn house_in_november() -> House {
    let house = house().await;
    house.clock.advance(DAY * 20_778);
    house
}

/// A request that arrived so long ago and took so long.
fn request(house: &House, ago: Duration, took: Duration) -> RequestRecord {
    let started_at = UnixMicros(house.clock.now().0 - ago.as_micros() as i64);
    RequestRecord {
        id: Random::system().uuid(started_at).to_string(),
        started_at,
        latency_us: took.as_micros() as u64,
        status: 200,
        outcome: "ok".into(),
        ..RequestRecord::default()
    }
}

/// Stores these under a journal of their own.
async fn store(house: &House, journal: &str, records: &[RequestRecord]) {
    let upto = JournalOffset { segment: 1, position: 1 };
    house.database.append(journal, records, upto).await.unwrap();
}

fn ids(records: &[RequestRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused_by_its_field() {
    let house = house_in_november().await;
    let now = Some(house.clock.now());
    let none = LogQuery::default;
    let cases = [
        (LogQuery { status: "6xx".into(), ..none() }, "status"),
        (LogQuery { status: "99".into(), ..none() }, "status"),
        (LogQuery { status: "ok".into(), ..none() }, "status"),
        (LogQuery { model: "m".repeat(257), ..none() }, "model"),
        (LogQuery { session_id: "a\0b".into(), ..none() }, "session_id"),
        (LogQuery { from: now, to: now, ..none() }, "to"),
    ];
    for (query, field) in cases {
        let refused = house.admin.list_request_logs(&query, &Page::default()).await.unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(field), "{query:?}");
    }
    let page = Page { token: "x".into(), size: 0 };
    let refused = house.admin.list_request_logs(&none(), &page).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("page_token"));
    let refused = house.admin.tail_request_logs(&LogQuery { from: now, ..none() }).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("from"));
    assert_eq!(ExportFormat::from_name("xml").unwrap_err().param.as_deref(), Some("format"));
    let kept = Retention { logs_days: 36_501, bodies_days: 0 };
    assert_eq!(house.admin.set_retention(kept).await.unwrap_err().param.as_deref(), Some("logs_days"));
}

#[tokio::test]
async fn a_callers_key_is_found_by_its_id_and_by_its_name() {
    let house = house_in_november().await;
    let change = ApiKeyChange { name: Some("ci".into()), ..ApiKeyChange::default() };
    let key = house.admin.create_api_key(change).await.unwrap().key;
    let with_key = RequestRecord { api_key_id: key.id.clone(), ..request(&house, DAY, Duration::ZERO) };
    let other = request(&house, DAY, Duration::ZERO);
    store(&house, "a", &[with_key.clone(), other]).await;
    for (api_key, expected) in [("ci", 1), (key.id.as_str(), 1), ("", 2), ("nobody", 0)] {
        let query = LogQuery { api_key: api_key.to_owned(), ..LogQuery::default() };
        let found = house.admin.list_request_logs(&query, &Page::default()).await.unwrap();
        assert_eq!(found.items.len(), expected, "{api_key}");
    }
    let shown = house.admin.request_log_with_bodies(&with_key.id).await.unwrap();
    assert_eq!((shown.id, shown.bodies), (with_key.id, None));
    let missing = house.admin.request_log("nothing").await.unwrap_err();
    assert_eq!(missing.kind, crate::error::ErrorKind::NotFound);
}

#[tokio::test]
async fn an_export_is_the_whole_list_in_pieces() {
    let house = house_in_november().await;
    let records: Vec<_> =
        (1..=1203).map(|n| request(&house, Duration::from_secs(n), Duration::ZERO)).collect();
    store(&house, "a", &records).await;
    for (format, header) in [(ExportFormat::Csv, 1), (ExportFormat::JsonLines, 0)] {
        let mut export = house.admin.export_request_logs(&LogQuery::default(), format).await.unwrap();
        let (mut pieces, mut text) = (0, String::new());
        while let Some(piece) = export.next().await.unwrap() {
            pieces += 1;
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert_eq!((pieces, text.lines().count()), (3, 1203 + header));
        let lines: Vec<&str> = text.lines().skip(header).collect();
        for (line, record) in lines.iter().zip(&records) {
            assert!(line.contains(&record.id), "newest first: {line}");
        }
    }
    let nothing = LogQuery { model: "nobody's".into(), ..LogQuery::default() };
    let mut export = house.admin.export_request_logs(&nothing, ExportFormat::Csv).await.unwrap();
    assert_eq!(export.next().await.unwrap().map(|piece| piece.starts_with(b"id,")), Some(true));
    assert_eq!(export.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_tail_shows_each_request_once_however_long_it_took() {
    let house = house_in_november().await;
    let before = request(&house, Duration::from_secs(2), Duration::from_secs(1));
    store(&house, "a", std::slice::from_ref(&before)).await;
    let mut tail = house.admin.tail_request_logs(&LogQuery::default()).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(tail.look().await.unwrap(), [], "what ended before is not shown");

    let quick = request(&house, Duration::from_secs(1), Duration::from_secs(1));
    let earlier = request(&house, Duration::from_secs(3), Duration::from_secs(3));
    let long = request(&house, Duration::from_mins(10), Duration::from_mins(10));
    store(&house, "b", std::slice::from_ref(&quick)).await;
    assert_eq!(ids(&tail.look().await.unwrap()), [quick.id.as_str()]);
    // Another core stores later what arrived earlier.
    store(&house, "c", &[earlier.clone(), long.clone()]).await;
    assert_eq!(ids(&tail.look().await.unwrap()), [earlier.id.as_str()]);
    let mut later = Vec::new();
    for _ in 0..20 {
        later.extend(tail.look().await.unwrap());
    }
    assert_eq!(ids(&later), [long.id.as_str()]);
}

#[tokio::test]
async fn old_requests_are_forgotten_as_time_goes_on_and_when_it_is_asked() {
    let house = house_in_november().await;
    let first = Retention { logs_days: 30, bodies_days: 0 };
    let database = Arc::new(house.database.clone());
    let keeper = RetentionKeeper::start(database, house.clock.clone(), first).await.unwrap();
    let records: Vec<_> = (0..600).map(|n| request(&house, DAY * (n % 3), Duration::ZERO)).collect();
    store(&house, "a", &records).await;
    assert_eq!(keeper.forget().await.unwrap(), (0, 0));
    house.clock.advance(DAY * 28 + Duration::from_hours(23));
    assert_eq!(keeper.forget().await.unwrap(), (200, 0), "those that are two days older");

    assert_eq!(house.admin.retention().await.unwrap(), first);
    house.admin.set_retention(Retention { logs_days: 0, bodies_days: 1 }).await.unwrap();
    house.clock.advance(DAY * 400);
    assert_eq!(keeper.forget().await.unwrap(), (0, 0), "0 days are for ever");

    assert_eq!(house.admin.purge_request_logs(429).await.unwrap(), 200);
    assert_eq!(house.admin.purge_request_logs(0).await.unwrap(), 200);
    let left = house.admin.list_request_logs(&LogQuery::default(), &Page::default()).await.unwrap();
    assert_eq!(left.items, []);
}

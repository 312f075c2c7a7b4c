//! What is read of the account.

use orchestrator_base::clock::UnixMicros;

use super::super::{
    Database,
    db::{Value, unavailable},
    entity::placeholders,
    reads::{
        Dimension, LogFilter, LogKeeper as _, LogReader as _, LogScan, Retention, StatsReader as _, Step,
        UsageQuery, first_id_at,
    },
    rollups,
};
use crate::ledger::rollup::day_of;

/// 2026-11-01T00:00:00Z.
const NOVEMBER: i64 = 1_793_491_200_000_000;
const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;

async fn insert(db: &Database, table: &str, row: Vec<(&str, Value)>) {
    let (columns, values): (Vec<&str>, Vec<Value>) = row.into_iter().unzip();
    let sql = format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), placeholders(columns.len()));
    let mut tx = db.db.write().await.unwrap();
    tx.execute(sql, values).await.map_err(unavailable).unwrap();
    tx.commit().await.unwrap();
}

/// The id of a request that arrived so many seconds after the beginning of November.
fn id(second: i64) -> String {
    first_id_at(UnixMicros(NOVEMBER + second * SECOND))
}

/// A request that arrived then; `more` overrides columns.
async fn request(db: &Database, second: i64, more: &[(&'static str, Value)]) -> String {
    let texts = [
        "request_id",
        "session_id",
        "api_key_id",
        "dialect",
        "operation",
        "model",
        "answered_model",
        "provider_id",
        "provider",
        "provider_key",
        "upstream_model",
        "outcome",
        "error",
        "finish_reason",
        "usage_source",
        "client_address",
        "user_agent",
        "end_user",
    ];
    let numbers = [
        "stream",
        "attempts",
        "status",
        "latency_us",
        "overhead_us",
        "prompt_tokens",
        "completion_tokens",
        "cached_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    ];
    let mut row: Vec<(&str, Value)> = texts.iter().map(|column| (*column, Value::from(""))).collect();
    row.extend(numbers.iter().map(|column| (*column, Value::from(0_i64))));
    let id = id(second);
    row.push(("id", Value::from(&id)));
    row.push(("started_at", Value::from(NOVEMBER + second * SECOND)));
    row.push(("tags", Value::from("{\"team\":\"blue\"}")));
    for (column, value) in more {
        row.retain(|(name, _)| name != column);
        row.push((column, value.clone()));
    }
    insert(db, "request_logs", row).await;
    id
}

/// Other tests' ids are no times at all.
fn november() -> (Option<UnixMicros>, Option<UnixMicros>) {
    (Some(UnixMicros(NOVEMBER)), Some(UnixMicros(NOVEMBER + 30 * 24 * HOUR)))
}

async fn found(db: &Database, filter: LogFilter) -> Vec<String> {
    let (from, to) = november();
    let november = LogFilter { from: filter.from.or(from), to: filter.to.or(to), ..filter };
    let scan = LogScan { filter: november, before: None, limit: 100, examine: 1000 };
    let page = db.request_logs(&scan).await.unwrap();
    assert_eq!(page.next, None);
    page.records.into_iter().map(|record| record.id).collect()
}

pub(super) async fn each_filter_finds_its_own(db: &Database) {
    let text = |value: &str| Value::from(value);
    let ok = [("status", Value::from(200_i64)), ("outcome", text("ok"))];
    let first =
        request(db, 1, &[&ok[..], &[("model", text("m1")), ("session_id", text("s1"))]].concat()).await;
    let second =
        request(db, 2, &[&ok[..], &[("provider", text("p1")), ("provider_id", text("i1"))]].concat()).await;
    let third = request(
        db,
        3,
        &[
            ("status", Value::from(503_i64)),
            ("outcome", text("unavailable")),
            ("error_kind", text("unavailable")),
            ("request_id", text("r3")),
            ("trace_id", text("t3")),
        ],
    )
    .await;
    let fourth = request(
        db,
        4,
        &[
            ("status", Value::from(200_i64)),
            ("outcome", text("truncated")),
            ("error_kind", text("timeout")),
            ("stream", Value::from(true)),
            ("api_key_id", text("k4")),
            ("api_key_name", text("four")),
        ],
    )
    .await;
    let fifth = request(
        db,
        5,
        &[
            ("status", Value::from(504_i64)),
            ("outcome", text("timeout")),
            ("error_kind", text("timeout")),
            ("latency_us", Value::from(10 * SECOND)),
        ],
    )
    .await;
    let some = |value: &str| Some(value.to_owned());
    let at = |second: i64| Some(UnixMicros(NOVEMBER + second * SECOND));
    let none = LogFilter::default;
    let cases = [
        (none(), vec![&fifth, &fourth, &third, &second, &first]),
        (LogFilter { from: at(2), to: at(4), ..none() }, vec![&third, &second]),
        (LogFilter { model: some("m1"), ..none() }, vec![&first]),
        (LogFilter { session_id: some("s1"), model: some("m1"), ..none() }, vec![&first]),
        (LogFilter { session_id: some("s1"), model: some("m2"), ..none() }, vec![]),
        (LogFilter { provider: some("p1"), ..none() }, vec![&second]),
        (LogFilter { provider_id: some("i1"), ..none() }, vec![&second]),
        (LogFilter { status: Some((503, 503)), ..none() }, vec![&third]),
        (LogFilter { status: Some((500, 599)), ..none() }, vec![&fifth, &third]),
        (LogFilter { status: Some((400, 499)), ..none() }, vec![]),
        (LogFilter { status: Some((500, 599)), request_id: some("r3"), ..none() }, vec![&third]),
        (LogFilter { outcome: some("ok"), ..none() }, vec![&second, &first]),
        (LogFilter { error_kind: some("timeout"), ..none() }, vec![&fifth, &fourth]),
        (LogFilter { error_kind: some("timeout"), outcome: some("truncated"), ..none() }, vec![&fourth]),
        (LogFilter { request_id: some("r3"), ..none() }, vec![&third]),
        (LogFilter { trace_id: some("t3"), ..none() }, vec![&third]),
        (LogFilter { api_key_id: some("k4"), stream: Some(true), ..none() }, vec![&fourth]),
        (LogFilter { api_key_id: some("k4"), stream: Some(false), ..none() }, vec![]),
        (LogFilter { api_key_name: some("four"), ..none() }, vec![&fourth]),
        (LogFilter { ended_from: at(5), ..none() }, vec![&fifth]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(db, filter.clone()).await.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

pub(super) async fn pages_follow_each_other(db: &Database) {
    let (from, to) = november();
    let filter = LogFilter { from, to, ..LogFilter::default() };
    let mut scan = LogScan { filter, before: None, limit: 2, examine: 0 };
    let mut sizes = Vec::new();
    loop {
        let page = db.request_logs(&scan).await.unwrap();
        sizes.push(page.records.len());
        scan.before = page.next;
        if scan.before.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
}

pub(super) async fn a_rare_combination_is_found_in_bounded_steps(db: &Database) {
    let begin = 1_000;
    for number in 0..50 {
        let provider = if number == 3 { "rare" } else { "common" };
        let row = [("model", Value::from("m-many")), ("provider", Value::from(provider))];
        request(db, begin + number, &row).await;
    }
    // The model leads, and of its rows no page looks at more than ten.
    let filter =
        LogFilter { model: Some("m-many".into()), provider: Some("rare".into()), ..LogFilter::default() };
    let mut scan = LogScan { filter, before: None, limit: 5, examine: 10 };
    let mut sizes = Vec::new();
    loop {
        let page = db.request_logs(&scan).await.unwrap();
        sizes.push(page.records.len());
        scan.before = page.next;
        if scan.before.is_none() {
            break;
        }
    }
    assert_eq!(
        sizes,
        [0, 0, 0, 0, 1, 0],
        "50 rows in steps of ten; only then it is known that there are no more"
    );
}

pub(super) async fn a_request_has_its_attempts_and_bodies(db: &Database) {
    let more = [
        ("request_id", Value::from("r-whole")),
        ("cost_nanos", Value::from(7_i64)),
        ("origin", Value::from("probe")),
    ];
    let id = request(db, 2_000, &more).await;
    for (number, outcome) in [(2, "ok"), (1, "timeout")] {
        attempt(db, &id, number, outcome).await;
    }
    insert(
        db,
        "request_bodies",
        vec![
            ("log_id", (&id).into()),
            ("request", "{}".into()),
            ("request_encoding", "utf-8".into()),
            ("request_bytes", 2_i64.into()),
            ("response", "AAE=".into()),
            ("response_encoding", "base64".into()),
            ("response_bytes", 900_i64.into()),
        ],
    )
    .await;

    let without = db.request_log("r-whole", false).await.unwrap().unwrap();
    assert_eq!((&without.id, &without.bodies, without.cost_nanos), (&id, &None, Some(7)));
    assert_eq!((without.origin.name(), without.tags["team"].as_str()), ("probe", "blue"));
    let outcomes: Vec<&str> = without.tried.iter().map(|tried| tried.outcome.as_str()).collect();
    assert_eq!(outcomes, ["timeout", "ok"], "in their order");
    let bodies = db.request_log(&id, true).await.unwrap().unwrap().bodies.unwrap();
    assert_eq!((bodies.request.text.as_str(), bodies.request.base64), ("{}", false));
    assert_eq!((bodies.response.base64, bodies.response.bytes), (true, 900));
    assert_eq!(db.request_log("nobody", true).await.unwrap(), None);
}

async fn attempt(db: &Database, log_id: &str, number: i64, outcome: &str) {
    insert(
        db,
        "request_attempts",
        vec![
            ("log_id", log_id.into()),
            ("number", number.into()),
            ("started_at", (NOVEMBER + number).into()),
            ("provider_id", "i-bar".into()),
            ("provider", "bar".into()),
            ("provider_key", "".into()),
            ("upstream_model", "up".into()),
            ("status", 200_i64.into()),
            ("outcome", outcome.into()),
            ("error", "".into()),
            ("latency_us", 5_i64.into()),
            ("ttft_us", Value::Int(None)),
        ],
    )
    .await;
}

pub(super) async fn outcomes_come_newest_first(db: &Database) {
    for (second, outcome) in [(2_001, "ok"), (2_002, "truncated")] {
        let id = request(db, second, &[]).await;
        attempt(db, &id, 1, outcome).await;
    }
    let last = db.last_attempts("i-bar", "up", 2).await.unwrap();
    let outcomes: Vec<_> = last.iter().map(|(id, attempt)| (id.clone(), attempt.outcome.as_str())).collect();
    assert_eq!(outcomes, [(id(2_002), "truncated"), (id(2_001), "ok")]);
    assert_eq!(db.upstream_models("i-bar", 9).await.unwrap(), ["up"]);
    assert_eq!(db.upstream_models("nobody", 9).await.unwrap(), Vec::<String>::new());
}

/// An hour's sums of a key at a provider: so many requests of a second each.
async fn hour(db: &Database, hour: i64, key: &str, provider: &str, requests: i64) {
    let texts =
        [("api_key_id", key), ("model", "m"), ("provider", provider), ("api_key_name", "name"), ("team", "")];
    let mut row: Vec<(String, Value)> =
        texts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    row.push(("hour".to_owned(), (NOVEMBER + hour * HOUR).into()));
    for column in ["requests", "successes", "prompt_tokens", "cost_nanos", "latency_20"] {
        row.push((column.to_owned(), requests.into()));
    }
    let others = [
        "streams",
        "attempts",
        "completion_tokens",
        "cached_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "estimated",
        "unpriced",
        "latency_us",
        "ttft_us",
        "ttft_count",
    ];
    row.extend(others.iter().map(|column| ((*column).to_owned(), 0_i64.into())));
    for bucket in (0..40).filter(|bucket| *bucket != 20) {
        row.push((format!("latency_{bucket:02}"), 0_i64.into()));
    }
    insert(db, "usage_hourly", row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect())
        .await;
    let mut tx = db.db.write().await.unwrap();
    rollups::sum_day(&db.db, &mut tx, day_of(UnixMicros(NOVEMBER + hour * HOUR))).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn usage_is_summed_by_time_and_group(db: &Database) {
    hour(db, 0, "k1", "p1", 1).await;
    hour(db, 5, "k1", "p2", 2).await;
    hour(db, 5, "k2", "p1", 4).await;
    hour(db, 24, "k1", "p1", 8).await;
    hour(db, 49, "k3", "p1", 16).await;
    let query = |step, by, hours| UsageQuery {
        from: UnixMicros(NOVEMBER),
        to: UnixMicros(NOVEMBER + hours * HOUR),
        step,
        by,
        limit: 100,
    };
    let sums = async |query: UsageQuery| {
        let rows = db.usage(&query).await.unwrap().into_iter();
        rows.map(|row| {
            let named = format!("{}{}", row.provider, row.api_key_id);
            ((row.start.0 - NOVEMBER) / HOUR, named, row.sums.requests)
        })
        .collect::<Vec<_>>()
    };
    let none = String::new;
    assert_eq!(sums(query(Step::Hour, vec![], 25)).await, [(0, none(), 1), (5, none(), 6), (24, none(), 8)]);
    assert_eq!(sums(query(Step::Day, vec![], 25)).await, [(0, none(), 7), (24, none(), 8)]);
    assert_eq!(
        sums(query(Step::Whole, vec![], 24)).await,
        [(0, none(), 7)],
        "hour 24 is not counted any more"
    );
    let by_key = sums(query(Step::Whole, vec![Dimension::Key], 25)).await;
    assert_eq!(by_key, [(0, "k1".to_owned(), 11), (0, "k2".to_owned(), 4)]);
    let by_both = sums(query(Step::Day, vec![Dimension::Provider, Dimension::Key], 24)).await;
    let expected = [("p1k1", 1), ("p1k2", 4), ("p2k1", 2)].map(|(name, sum)| (0, name.to_owned(), sum));
    assert_eq!(by_both, expected);
    // From the fifth hour of the first day, over all of the second, to the second of the third.
    let later = |step, by| UsageQuery { from: UnixMicros(NOVEMBER + 5 * HOUR), ..query(step, by, 50) };
    let by_key = [("k1", 10), ("k2", 4), ("k3", 16)].map(|(name, sum)| (5, name.to_owned(), sum));
    assert_eq!(sums(later(Step::Whole, vec![Dimension::Key])).await, by_key);
    let by_provider = [(0, "p1", 4), (0, "p2", 2), (24, "p1", 8), (48, "p1", 16)]
        .map(|(day, name, sum)| (day, name.to_owned(), sum));
    assert_eq!(sums(later(Step::Day, vec![Dimension::Provider])).await, by_provider);
    let first_two = UsageQuery { limit: 2, ..later(Step::Whole, vec![Dimension::Key]) };
    assert_eq!(sums(first_two).await, by_key[..2]);
    assert_eq!(sums(later(Step::Whole, vec![Dimension::Team])).await, [(5, none(), 30)]);
    assert_eq!(sums(later(Step::Whole, vec![])).await, [(5, none(), 30)]);

    // Only whole days are read as days.
    let mut tx = db.db.write().await.unwrap();
    let sql = format!("UPDATE usage_daily SET requests = 100 WHERE api_key_id = 'k1' AND day >= {NOVEMBER}");
    tx.execute(sql, Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(sums(later(Step::Whole, vec![])).await, [(5, none(), 6 + 100 + 16)]);
    for day in 0..3 {
        let mut tx = db.db.write().await.unwrap();
        rollups::sum_day(&db.db, &mut tx, NOVEMBER + day * 24 * HOUR).await.unwrap();
        tx.commit().await.unwrap();
    }

    let whole = db.usage(&query(Step::Whole, vec![Dimension::Key], 25)).await.unwrap();
    assert_eq!((whole[0].sums.cost_nanos, whole[0].sums.latencies.unwrap()[20]), (11, 11));
    assert_eq!(whole[0].api_key_name, "name");
    let nothing = UsageQuery { to: UnixMicros(NOVEMBER), ..query(Step::Whole, vec![], 0) };
    assert_eq!(db.usage(&nothing).await.unwrap()[0].sums.requests, 0);
}

pub(super) async fn what_is_old_is_forgotten_in_batches(db: &Database) {
    let november = UnixMicros(NOVEMBER + 1_500 * SECOND);
    let before = found(db, LogFilter::default()).await.len();
    assert_eq!(before, 58);
    // What other tests have left is older still.
    while db.forget_logs(UnixMicros(NOVEMBER), 1000).await.unwrap() > 0 {}
    assert_eq!(db.forget_logs(november, 30).await.unwrap(), 30);
    assert_eq!(db.forget_logs(november, 30).await.unwrap(), 25);
    assert_eq!(db.forget_logs(november, 30).await.unwrap(), 0);
    assert_eq!(found(db, LogFilter::default()).await, [id(2_002), id(2_001), id(2_000)]);

    let after = UnixMicros(NOVEMBER + 3_000 * SECOND);
    assert_eq!(db.forget_bodies(after, 30).await.unwrap(), 1);
    let kept = db.request_log("r-whole", true).await.unwrap().unwrap();
    assert_eq!((kept.bodies, kept.tried.len()), (None, 2));
    assert_eq!(db.forget_logs(after, 30).await.unwrap(), 3);
    assert_eq!(db.last_attempts("i-bar", "up", 9).await.unwrap(), []);
    let day = UsageQuery {
        from: UnixMicros(NOVEMBER),
        to: UnixMicros(NOVEMBER + HOUR),
        step: Step::Whole,
        by: vec![],
        limit: 1,
    };
    assert_eq!(db.usage(&day).await.unwrap()[0].sums.requests, 1, "statistics stay");
}

pub(super) async fn the_first_retention_stands_until_it_is_changed(db: &Database) {
    let days = |logs_days, bodies_days| Retention { logs_days, bodies_days };
    assert_eq!(db.retention(days(30, 7)).await.unwrap(), days(30, 7));
    assert_eq!(db.retention(days(1, 1)).await.unwrap(), days(30, 7));
    db.set_retention(days(90, 0)).await.unwrap();
    assert_eq!(db.retention(days(1, 1)).await.unwrap(), days(90, 0));
}

//! What operators see of the requests that were made, and how they take it away and forget it.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::Answer as Scripted;
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, Gateway},
    stage::{Stage, whole},
};

async fn get(gateway: &Gateway, path: &str) -> Answer {
    let answer = gateway.admin.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

/// The request ids of a list's rows.
fn statuses(list: &Answer) -> Vec<u64> {
    list.json().as_array().unwrap().iter().map(|row| row["status"].as_u64().unwrap()).collect()
}

/// The field that a refusal names.
async fn blamed(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.admin.get(path).await;
    assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    answer.json()["error"]["field"].as_str().unwrap_or_default().to_owned()
}

/// Two good answers and then one failure, all stored.
async fn three_requests(stage: &Stage) {
    stage.first_answers(whole("fine"));
    for _ in 0..2 {
        assert_eq!(stage.ask(false).await.answer.status, 200);
    }
    stage.first_answers(Scripted::error(503));
    assert_eq!(stage.ask(false).await.answer.status, 503);
    stage.gateway.logs(3).await;
}

#[tokio::test]
async fn requests_are_listed_filtered_and_shown_one_by_one() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        three_requests(&stage).await;
        let gateway = &stage.gateway;
        assert_eq!(statuses(&get(gateway, "/admin/logs").await), [503, 200, 200], "newest first");
        assert_eq!(statuses(&get(gateway, "/admin/logs?status=5xx&model=m").await), [503]);
        assert_eq!(
            statuses(&get(gateway, "/admin/logs?status=200&stream=false&provider=first").await),
            [200, 200]
        );
        assert_eq!(statuses(&get(gateway, "/admin/logs?stream=true").await), Vec::<u64>::new());
        assert_eq!(statuses(&get(gateway, "/admin/logs?from=2100-01-01T00:00:00Z").await), Vec::<u64>::new());

        let first = get(gateway, "/admin/logs?page_size=2").await;
        let token = first.header("next-page-token").to_owned();
        let second = get(gateway, &format!("/admin/logs?page_size=2&page_token={token}")).await;
        assert_eq!((statuses(&first).len(), statuses(&second).len()), (2, 1));
        assert!(!second.headers.contains_key("next-page-token"));

        let row = &first.json()[0];
        for name in ["id", "request_id"] {
            let path = format!("/admin/logs/{}?include_bodies=true", row[name].as_str().unwrap());
            let shown = get(gateway, &path).await.json();
            assert_eq!((&shown["id"], &shown["bodies"]), (&row["id"], &Value::Null), "{shown}");
        }
        let refused = [
            ("status=6xx", "status"),
            ("from=yesterday", "from"),
            ("page_token=x", "page_token"),
            ("colour=red", "colour"),
            ("stream=maybe", "stream"),
        ];
        for (query, field) in refused {
            assert_eq!(blamed(gateway, &format!("/admin/logs?{query}")).await, field);
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn requests_are_exported_as_files() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        three_requests(&stage).await;
        let gateway = &stage.gateway;
        let csv = get(gateway, "/admin/logs/export?format=csv").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"request-logs.csv\"");
        let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("id,request_id,"), "{lines:?}");
        assert_eq!(lines.len(), 4);

        let json = get(gateway, "/api/admin/logs/export?format=jsonl&status=5xx").await;
        let line: Value = serde_json::from_str(json.text().trim_end()).unwrap();
        // A file's line has what a list's row has.
        let row = get(gateway, "/admin/logs?status=5xx").await.json()[0].clone();
        for (name, value) in line.as_object().unwrap() {
            assert_eq!(value, &row[name], "{name}");
        }
        assert_eq!(
            line.as_object().unwrap().len() + 2,
            row.as_object().unwrap().len(),
            "all but tried and bodies"
        );
        assert_eq!(blamed(gateway, "/admin/logs/export?format=xml").await, "format");
        assert_eq!(blamed(gateway, "/admin/logs/export?format=csv&status=x").await, "status");
        assert_eq!(gateway.client.get("/admin/logs/export?format=csv").await.status, 401);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_tail_shows_what_comes_and_ends_with_the_gateway() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
        stage.first_answers(whole("fine"));
        stage.ask(false).await;
        stage.gateway.logs(1).await;
        let path = "/admin/logs/tail?model=m";
        let mut tail = stage.gateway.admin.open(Method::GET, path, &[], Bytes::new()).await;
        assert_eq!((tail.status, tail.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
        assert_eq!(tail.read_until(1).await, ": \n\n", "it has begun");
        stage.first_answers(Scripted::error(503));
        stage.ask(false).await;
        let event = tail.read_until(1).await;
        let row: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap().trim_end()).unwrap();
        assert_eq!(row["status"], 503, "what was there before is not shown: {event}");
        drop(tail);
        assert_eq!(blamed(&stage.gateway, "/admin/logs/tail?from=2026-01-01T00:00:00Z").await, "from");

        let last = stage.gateway.admin.open(Method::GET, path, &[], Bytes::new()).await;
        stage.gateway.stop().await;
        assert_eq!(last.read_all().await.text(), ": \n\n", "not cut off: ended");
    }
}

#[tokio::test]
async fn old_requests_are_forgotten_when_it_is_asked() {
    for channel in CHANNELS {
        let stage =
            Stage::of_one(channel, |config| config.log.retention_days = 7, json!({"max_retries": 0})).await;
        three_requests(&stage).await;
        let gateway = &stage.gateway;
        let kept = get(gateway, "/admin/retention").await.json();
        assert_eq!(kept, json!({"logs_days": 7, "bodies_days": 0}));
        let body = Bytes::from(json!({"logs_days": 8}).to_string());
        let changed = gateway.admin.send(Method::PATCH, "/admin/retention", &[], body).await;
        assert_eq!((changed.status, changed.json()), (200, json!({"logs_days": 8, "bodies_days": 0})));

        let purge = async |query: &str| {
            gateway.admin.send(Method::DELETE, &format!("/admin/logs{query}"), &[], Bytes::new()).await
        };
        let unsaid = purge("").await;
        assert_eq!((unsaid.status, &unsaid.json()["error"]["field"]), (400, &json!("retention_days")));
        assert_eq!(purge("?retention_days=1").await.json(), json!({"deleted": 0}));
        assert_eq!(purge("?retention_days=0").await.json(), json!({"deleted": 3}));
        assert_eq!(get(gateway, "/admin/logs").await.json(), json!([]));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn statistics_are_asked_for_by_stretch_and_group() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let stats = get(&gateway, "/admin/stats?hours=2").await.json();
        assert_eq!((&stats["total"]["requests"], &stats["total"]["success_rate"]), (&json!(0), &Value::Null));
        assert_eq!((&stats["by_key"], &stats["total"]["p95_latency_ms"]), (&json!([]), &Value::Null));
        for query in ["", "?interval=hour&group_by=key,model", "?interval=month&group_by=tag:cost"] {
            assert_eq!(get(&gateway, &format!("/admin/usage{query}")).await.json(), json!([]));
        }
        assert_eq!(get(&gateway, "/admin/provider-stats?provider=echo").await.json(), json!([]));
        let association = &get(&gateway, "/admin/model-providers").await.json()[0]["id"];
        let path = format!("/admin/model-providers/{}/status", association.as_str().unwrap());
        assert_eq!(get(&gateway, &format!("{path}?count=10")).await.json(), json!([]));
        for (path, field) in [
            ("/admin/stats?hours=9000", "hours"),
            ("/admin/usage?interval=week", "interval"),
            ("/admin/usage?group_by=colour", "group_by"),
            (&format!("{path}?count=201"), "count"),
        ] {
            assert_eq!(blamed(&gateway, path).await, field);
        }
        gateway.stop().await;
    }
}

//! What a scrape shows after real requests, and that it is what `docs/METRICS.md` says.

mod page;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::Answer as Scripted;
use serde_json::json;

use self::page::Page;
use crate::{
    client::Answer,
    gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY},
    stage::{Stage, content, finish, role, streamed, whole},
};

const DOCUMENT: &str = include_str!("../../../docs/METRICS.md");

fn scraped(answer: &Answer) -> Page {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    Page::read(&answer.text())
}

/// What the core shows: in one process at the edge, else at its own listener.
async fn core_page(gateway: &Gateway, channel: Channel) -> Page {
    match channel {
        Channel::Embedded => scraped(&gateway.client.with_key(None).get("/metrics").await),
        Channel::Split => scraped(&gateway.core_page.get("/health/metrics").await),
    }
}

async fn edge_page(gateway: &Gateway) -> Page {
    scraped(&gateway.client.with_key(None).get("/api/v1/health/metrics").await)
}

fn failing() -> Scripted {
    Scripted::json(500, &json!({"error": {"message": "broken", "type": "server_error"}}))
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({"max_retries": 0})).await;
        let price =
            json!({"kind": "openai", "upstream_model": "m-upstream", "input": "1000", "output": "1000"});
        stage.gateway.create_price(&price).await;
        stage.first_answers(whole("Hello"));
        stage.second_answers(whole("Hello too"));
        assert_eq!(stage.ask(false).await.answer.status, 200);
        stage.first_answers(streamed(&["a", "b", "c"]));
        assert_eq!(stage.ask(true).await.answer.status, 200);
        stage.first_answers(failing());
        assert_eq!(stage.ask(false).await.answer.status, 200, "the second answers");
        stage.second_answers(failing());
        assert_eq!(stage.ask(false).await.answer.status, 500);
        assert_eq!(stage.ask_for("unheard-of", false, &[]).await.answer.status, 404);
        let stranger = stage.gateway.client.with_key(Some("sk-wrong"));
        let asked = json!({"model": "m", "messages": []});
        assert_eq!(stranger.post("/v1/chat/completions", &asked).await.status, 401);

        let page = core_page(&stage.gateway, channel).await;
        let requests = |provider: &str, outcome: &str| {
            let chat = [("dialect", "openai_chat"), ("operation", "chat")];
            let rest = [("model", "m"), ("provider", provider), ("outcome", outcome)];
            page.count("orchestrator_requests_total", &[chat.as_slice(), &rest].concat())
        };
        assert_eq!((requests("first", "ok"), requests("second", "ok")), (2, 1), "{channel:?}");
        assert_eq!(requests("second", "provider_failed"), 1);
        for outcome in ["not_found", "unauthenticated"] {
            let labels = [("model", "other"), ("provider", "none"), ("outcome", outcome)];
            assert_eq!(page.count("orchestrator_requests_total", &labels), 1, "{outcome}");
        }
        assert_eq!(page.count("orchestrator_request_duration_seconds_count", &[]), 6);
        let attempts = |provider: &str, outcome: &str| {
            let labels = [("model", "m"), ("provider", provider), ("outcome", outcome)];
            page.count("orchestrator_attempts_total", &labels)
        };
        assert_eq!((attempts("first", "ok"), attempts("first", "provider_failed")), (2, 2));
        assert_eq!((attempts("second", "ok"), attempts("second", "provider_failed")), (1, 1));
        assert_eq!(page.count("orchestrator_failovers_total", &[("provider", "first")]), 2);
        assert_eq!(page.count("orchestrator_retries_total", &[]), 0);
        let prompt = page.count("orchestrator_tokens_total", &[("provider", "second"), ("kind", "prompt")]);
        let completion =
            page.count("orchestrator_tokens_total", &[("provider", "second"), ("kind", "completion")]);
        assert_eq!((prompt, completion), (3, 5), "as `whole` counts them");
        let cost = page.sum("orchestrator_cost_usd_total", &[("provider", "second")]);
        assert!((cost - 0.008).abs() < 1e-9, "eight tokens at a dollar a thousand: {cost}");
        assert_eq!(page.count("orchestrator_time_to_first_token_seconds_count", &[("provider", "first")]), 1);
        assert_eq!(page.count("orchestrator_streams", &[]), 0);
        for (phase, count) in [("prepare", 4), ("route", 4), ("translate", 3), ("deliver", 3), ("limits", 0)]
        {
            let labels = [("phase", phase)];
            assert_eq!(page.count("orchestrator_overhead_phase_seconds_count", &labels), count, "{phase}");
        }
        assert_eq!(page.count("orchestrator_overhead_seconds_count", &[]), 3);
        assert_eq!(page.count("orchestrator_queue_wait_seconds_count", &[]), 4);
        assert_eq!(page.count("orchestrator_provider_health", &[("provider", "first")]), 1, "one of four");
        assert!(
            page.sum("orchestrator_provider_last_seen_timestamp_seconds", &[("provider", "first")]) > 1.7e9
        );

        let edge = edge_page(&stage.gateway).await;
        let statuses = |status: &str| {
            let labels = [("route", "chat_completions"), ("status", status)];
            edge.count("orchestrator_edge_requests_total", &labels)
        };
        assert_eq!(["200", "500", "404", "401"].map(statuses), [3, 1, 1, 1], "{channel:?}");
        assert_eq!(edge.count("orchestrator_edge_core_calls_total", &[("outcome", "ok")]), 6);
        assert_eq!(edge.count("orchestrator_edge_overhead_seconds_count", &[]), 6);
        assert!(edge.count("orchestrator_edge_connections_total", &[]) > 6);
        assert_eq!(edge.count("orchestrator_edge_body_bytes", &[]), 0);
    }
}

#[tokio::test]
async fn gaps_are_those_between_the_pieces_of_a_stream_that_is_counted_while_it_runs() {
    let stage = Stage::of_one(Channel::Embedded, |_| {}, json!({})).await;
    let pieces = [role(), content("a"), content("b"), content("c"), finish()];
    stage.first_answers(Scripted::sse(pieces).pace(std::time::Duration::from_millis(60)));
    let mut answer = stage.open("m", true, "request-1", &[]).await;
    let _ = answer.read_until(1).await;
    let page = core_page(&stage.gateway, Channel::Embedded).await;
    assert_eq!(page.count("orchestrator_streams", &[]), 1);
    assert_eq!(page.count("orchestrator_sessions", &[]), 1);
    assert_eq!(page.count("orchestrator_edge_streams", &[]), 1);
    drop(answer.read_all().await);
    let page = core_page(&stage.gateway, Channel::Embedded).await;
    assert_eq!(page.count("orchestrator_streams", &[]), 0);
    assert_eq!(page.count("orchestrator_edge_streams", &[]), 0);
    for name in ["longest", "mean"] {
        let family = format!("orchestrator_stream_{name}_gap_seconds");
        assert_eq!(page.count(&format!("{family}_count"), &[]), 1, "one sample a stream");
        let seconds = page.sum(&format!("{family}_sum"), &[]);
        assert!((0.01..1.0).contains(&seconds), "{name}: {seconds}");
    }
}

#[tokio::test]
async fn what_is_refused_and_what_is_open_is_seen() {
    for channel in CHANNELS {
        let stage =
            Stage::of_one(channel, |config| config.breaker.threshold = 1, json!({"max_retries": 0})).await;
        stage.first_answers(whole("Hello"));
        let key =
            stage.gateway.admin.post("/admin/keys", &json!({"name": "k", "requests_per_minute": 1})).await;
        let caller = stage.gateway.client.with_key(key.json()["secret"].as_str());
        let asked = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        for status in [200, 429] {
            assert_eq!(caller.post("/v1/chat/completions", &asked).await.status, status);
        }
        let page = core_page(&stage.gateway, channel).await;
        let refused = [("limit", "requests"), ("scope", "key")];
        assert_eq!(page.count("orchestrator_limit_refusals_total", &refused), 1, "{channel:?}");
        assert_eq!(page.count("orchestrator_limit_refusals_total", &[]), 1);
        assert_eq!(
            page.count("orchestrator_requests_total", &[("outcome", "rate_limited"), ("model", "m")]),
            1
        );
        assert_eq!(page.count("orchestrator_overhead_phase_seconds_count", &[("phase", "limits")]), 1);
        assert_eq!(page.count("orchestrator_breakers", &[]), 0);

        stage.first_answers(failing());
        assert_eq!(stage.ask(false).await.answer.status, 500);
        let page = core_page(&stage.gateway, channel).await;
        assert_eq!(page.count("orchestrator_breakers", &[("provider", "first"), ("state", "open")]), 1);
        stage.first_answers(Scripted::json(
            401,
            &json!({"error": {"message": "no", "type": "invalid_request_error"}}),
        ));
        stage.gateway.forgive().await;
        assert_eq!(stage.ask(false).await.answer.status, 401);
        let page = core_page(&stage.gateway, channel).await;
        assert_eq!(page.count("orchestrator_provider_keys_refused", &[("provider", "first")]), 1);
        let alerts = [("kind", "provider_key_refused")];
        for _ in 0..300 {
            let page = core_page(&stage.gateway, channel).await;
            if page.count("orchestrator_alerts_total", &alerts) == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let page = core_page(&stage.gateway, channel).await;
        assert_eq!(page.count("orchestrator_alerts_total", &alerts), 1, "a key is retired");
        assert!(page.count("orchestrator_database_transaction_seconds_count", &[("access", "write")]) > 1);
        assert_eq!(page.count("orchestrator_database_failures_total", &[]), 0);
    }
}

#[tokio::test]
async fn probes_are_counted_and_leave_requests_alone() {
    let stage =
        Stage::of_one(Channel::Embedded, |config| config.health_check.enabled = true, json!({})).await;
    stage.first_answers(whole("pong"));
    for _ in 0..500 {
        let page = core_page(&stage.gateway, Channel::Embedded).await;
        if page.count("orchestrator_probes_total", &[("outcome", "ok")]) > 0 {
            break;
        }
        // Asked out of turn: the first turn comes within ten seconds.
        stage.gateway.admin.post("/api/health-check/force/first", &json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let page = core_page(&stage.gateway, Channel::Embedded).await;
    assert!(page.count("orchestrator_probes_total", &[("outcome", "ok")]) > 0);
    assert!(page.sum("orchestrator_probe_last_timestamp_seconds", &[]) > 1.7e9);
    assert_eq!(page.count("orchestrator_prober_enabled", &[]), 1);
    assert_eq!(page.count("orchestrator_requests_total", &[]), 0);
    assert_eq!(page.count("orchestrator_attempts_total", &[]), 0);
}

#[tokio::test]
async fn nothing_that_a_caller_makes_up_is_in_a_label() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        stage.first_answers(whole("Hello"));
        let made = stage
            .gateway
            .admin
            .post("/admin/keys", &json!({"name": "canary-name", "owner": "canary-owner"}))
            .await;
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        let caller = stage.gateway.client.with_key(Some(&secret));
        let headers = [
            ("x-session-id", "canary-session"),
            ("x-request-id", "canary-request"),
            ("user-agent", "canary-agent"),
        ];
        for model in ["m", "canary-model", "first/canary-upstream"] {
            let body = json!({"model": model, "user": "canary-user", "messages": [{"role": "user", "content": "canary-text"}]});
            let body = Bytes::from(body.to_string());
            caller.send(Method::POST, "/v1/chat/completions", &headers, body).await;
        }
        caller.get("/v1/models/canary-listed").await;
        caller.get("/canary-path").await;
        caller
            .send(Method::POST, "/v1beta/models/canary:generateContent?key=canary-key", &[], "{}".into())
            .await;
        for page in [core_page(&stage.gateway, channel).await, edge_page(&stage.gateway).await] {
            for canary in ["canary", &*secret, &secret[..12], CLIENT_KEY, PROVIDER_KEY, "127.0.0.1"] {
                assert!(!page.text.contains(canary), "{channel:?}, {canary}: {}", page.text);
            }
        }
        let page = core_page(&stage.gateway, channel).await;
        assert_eq!(
            page.count("orchestrator_requests_total", &[("model", "other"), ("provider", "first")]),
            1
        );
    }
}

#[tokio::test]
async fn pairs_beyond_the_setting_are_counted_as_others() {
    let stage = Stage::of_one(Channel::Embedded, |config| config.metrics.max_series = 1, json!({})).await;
    stage.first_answers(whole("Hello"));
    assert_eq!(stage.ask(false).await.answer.status, 200);
    assert_eq!(stage.ask_for("unheard-of", false, &[]).await.answer.status, 404);
    assert_eq!(stage.ask_for("first/x", false, &[]).await.answer.status, 200);
    let page = core_page(&stage.gateway, Channel::Embedded).await;
    assert_eq!(page.count("orchestrator_requests_total", &[("model", "m"), ("provider", "first")]), 1);
    assert_eq!(page.count("orchestrator_requests_total", &[("model", "other"), ("provider", "other")]), 2);
}

#[tokio::test]
async fn in_production_the_edge_shows_its_metrics_to_administrators_unless_it_is_told_otherwise() {
    for (public, stranger) in [(Some(true), 200), (Some(false), 401)] {
        for channel in CHANNELS {
            let gateway = Gateway::start_with(channel, |config| config.metrics.public = public).await;
            let without = gateway.client.with_key(None);
            for path in ["/metrics", "/health/metrics"] {
                assert_eq!(without.get(path).await.status, stranger, "{channel:?} {public:?}");
                assert_eq!(gateway.client.get(path).await.status, stranger, "no caller's key opens it");
                assert_eq!(gateway.admin.get(path).await.status, 200);
                assert_eq!(gateway.core_page.get(path).await.status, 200, "the core's listener is inside");
            }
        }
    }
}

#[tokio::test]
async fn the_cores_listener_says_whether_it_serves() {
    let gateway = Gateway::start(Channel::Split).await;
    let page = &gateway.core_page;
    assert_eq!(page.get("/health").await.json()["status"], "healthy");
    assert_eq!(page.get("/health/live").await.json(), json!({"status": "alive"}));
    assert_eq!(page.get("/health/ready").await.json(), json!({"status": "ready"}));
    assert_eq!((page.get("/admin").await.status, page.post("/metrics", &json!({})).await.status), (404, 405));
    gateway.begin_drain();
    for _ in 0..200 {
        if page.get("/health/ready").await.status == 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let answer = page.get("/health/ready").await;
    assert_eq!(answer.json(), json!({"status": "not ready", "reason": "draining"}));
    assert_eq!(page.get("/metrics").await.status, 200, "it can be watched while it drains");
}

/// Name, type, labels and who, of each row of the document's table.
fn documented() -> BTreeMap<String, (String, Vec<String>, String)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `orchestrator_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let plain = |cell: &str| cell.replace('`', "");
        let labels = plain(cells[3]);
        let labels = labels.split(", ").filter(|label| *label != "-").map(str::to_owned).collect();
        (plain(cells[1]), (plain(cells[2]), labels, cells[4].to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn the_document_has_every_metric_with_its_labels_and_no_other() {
    let gateway = Gateway::start(Channel::Embedded).await;
    let registered: Vec<_> = gateway
        .families()
        .into_iter()
        .map(|of| {
            (
                of.name.to_owned(),
                (
                    of.kind.name().to_owned(),
                    of.labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>(),
                ),
            )
        })
        .collect();
    let named: BTreeMap<_, _> = registered.iter().cloned().collect();
    assert_eq!(named.len(), registered.len(), "a family is registered twice");
    let documented = documented();
    let rows: BTreeMap<_, _> = documented
        .iter()
        .map(|(name, (kind, labels, _))| (name.clone(), (kind.clone(), labels.clone())))
        .collect();
    assert_eq!(rows, named);

    let shown = core_page(&gateway, Channel::Embedded).await;
    assert_eq!(shown.families, rows.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect());
    for (name, labels) in shown.labels() {
        assert_eq!(labels, rows[&name].1, "the labels of {name}");
    }
    let split = Gateway::start(Channel::Split).await;
    for (page, whose) in
        [(core_page(&split, Channel::Split).await, "core"), (edge_page(&split).await, "edge")]
    {
        let expected: Vec<&String> = documented
            .iter()
            .filter(|(_, (.., who))| who == whose || who == "both")
            .map(|(name, _)| name)
            .collect();
        assert_eq!(page.families.keys().collect::<Vec<_>>(), expected, "{whose}");
    }
}

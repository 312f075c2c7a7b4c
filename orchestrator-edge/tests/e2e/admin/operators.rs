//! Who operates, over REST: named keys, what their roles open, the audit log, and a database that is away.

use std::time::Duration;

use http::Method;
use orchestrator_testkit::sqlite::Outage;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CHAT, chat, delete, patch, refused};
use crate::{
    client::Client,
    gateway::{CHANNELS, Channel, Gateway},
};

/// Makes a key with this role; gives its id, and a client that holds it.
async fn operator(gateway: &Gateway, name: &str, role: &str) -> (String, Client) {
    let made = gateway.admin.post("/admin/admin-keys", &json!({"name": name, "role": role})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    (made["id"].as_str().unwrap().to_owned(), gateway.admin.with_key(Some(secret)))
}

async fn audit(gateway: &Gateway, query: &str) -> Vec<Value> {
    let answer = gateway.admin.get(&format!("/admin/audit{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_named_key_opens_what_its_role_says_from_its_making_to_its_end() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let (id, viewer) = operator(&gateway, "vic", "viewer").await;
        let session = json!({"actor": "vic", "role": "viewer", "expires_at": null, "id": ""});
        assert_eq!(viewer.get("/admin/session").await.json(), session, "{channel:?}");
        assert_eq!(viewer.get("/admin/verify").await.json(), json!({"valid": true}));
        assert_eq!(viewer.get("/api/providers/health").await.status, 200);
        let denied = viewer.post("/admin/models", &json!({"name": "m"})).await;
        assert!(refused(&denied, 403).1.contains("needs the role operator"), "{}", denied.text());
        assert_eq!(denied.json()["error"]["code"], "permission_denied");
        assert_eq!(viewer.post(CHAT, &chat("echo")).await.status, 401, "an operator is no caller");
        assert_eq!(gateway.client.get("/admin/session").await.status, 401, "and a caller no operator");

        let path = format!("/admin/admin-keys/{id}");
        assert_eq!(patch(&gateway, &path, json!({"role": "operator"})).await.status, 200);
        assert_eq!(viewer.post("/admin/models", &json!({"name": "m"})).await.status, 201, "live at once");
        assert_eq!(viewer.get("/admin/audit").await.status, 403);
        let shown = gateway.admin.get(&path).await.json();
        assert!(shown.get("secret").is_none(), "{shown}");
        let rotated = gateway.admin.post(&format!("{path}/rotate"), &json!({})).await;
        let rotated = rotated.json()["secret"].as_str().unwrap().to_owned();
        assert_eq!(viewer.get("/admin/session").await.status, 401);
        let viewer = viewer.with_key(Some(&rotated));
        assert_eq!(viewer.get("/admin/session").await.status, 200);
        assert_eq!(delete(&gateway.admin, &path).await, 204);
        assert_eq!(viewer.get("/admin/session").await.status, 401, "{channel:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn the_log_says_who_did_what_from_where_and_who_was_refused() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let (_, ann) = operator(&gateway, "ann", "operator").await;
        let headers = [("x-request-id", "job-7")];
        let body = json!({"name": "made-by-ann"}).to_string();
        assert_eq!(ann.send(Method::POST, "/admin/models", &headers, body.into()).await.status, 201);
        let row = &audit(&gateway, "?actor=ann&page_size=1").await[0];
        let address = if channel == Channel::Split { "127.0.0.1 via 127.0.0.1" } else { "127.0.0.1" };
        assert_eq!(
            [&row["action"], &row["noun"], &row["target_name"], &row["request_id"], &row["address"]],
            ["create", "model", "made-by-ann", "job-7", address],
            "{channel:?}"
        );
        let after: Value = serde_json::from_str(row["state_after_json"].as_str().unwrap()).unwrap();
        assert_eq!((after["name"].as_str(), &row["state_before_json"]), (Some("made-by-ann"), &json!("")));
        let seeded = audit(&gateway, "?actor=system&noun=provider").await;
        assert_eq!(seeded[0]["target_name"], "echo", "what a start does is on record too");

        for _ in 0..40 {
            assert_eq!(gateway.admin.with_key(Some("guess")).get("/admin/models").await.status, 401);
        }
        assert_eq!(ann.get("/admin/audit").await.status, 403);
        let counted = async |action: &str| {
            let rows = audit(&gateway, &format!("?action={action}")).await;
            assert!(rows.len() <= 20, "{rows:?}");
            let count = |row: &Value| {
                let after: Value = serde_json::from_str(row["state_after_json"].as_str().unwrap()).unwrap();
                assert_eq!((&row["outcome"], &row["address"]), (&json!("refused"), &json!(address)));
                after["count"].as_u64().unwrap()
            };
            rows.iter().map(count).sum::<u64>()
        };
        for _ in 0..500 {
            if counted("sign_in_failed").await == 40 && counted("denied").await == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((counted("sign_in_failed").await, counted("denied").await), (40, 1), "{channel:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn without_a_database_operators_sign_in_and_see_it_and_changes_are_refused_at_once() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let (_, ann) = operator(&gateway, "ann", "admin").await;
        let before = gateway.admin.get("/admin/status").await.json();
        assert_eq!((&before["status"], &before["database"]), (&json!("healthy"), &json!("up")));
        let outage = Outage::begin(&gateway.database).await;
        let writes = [
            (Method::POST, "/admin/models", json!({"name": "m"})),
            (Method::POST, "/admin/providers", json!({"name": "p", "kind": "openai"})),
            (Method::POST, "/admin/admin-keys", json!({"name": "bob", "role": "viewer"})),
            (Method::POST, "/admin/breakers/reset", json!({})),
            (Method::PUT, "/admin/health-check/config", json!({"interval_minutes": 9})),
            (Method::DELETE, "/admin/models/echo", json!(null)),
        ];
        let began = Instant::now();
        for (method, path, body) in writes {
            let answer = ann.send(method, path, &[], body.to_string().into()).await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "database_unavailable", "{path}");
            assert_eq!(answer.header("retry-after"), "2", "{path}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(ann.get("/admin/session").await.json()["actor"], "ann", "{channel:?}");
        assert_eq!(gateway.client.post(CHAT, &chat("echo")).await.status, 200);
        let status = until(&gateway, |status| status["database_away_since"].is_string()).await;
        assert_eq!(
            (&status["status"], &status["database"]),
            (&json!("degraded"), &json!("down")),
            "{status}"
        );
        assert!(status["database_latency_ms"].is_null(), "{status}");
        outage.end().await;
        until(&gateway, |status| status["status"] == "healthy").await;
        assert_eq!(ann.post("/admin/models", &json!({"name": "m"})).await.status, 201);
        gateway.stop().await;
    }
}

/// How the core is, once it says that it is so.
async fn until(gateway: &Gateway, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let said = gateway.admin.get("/admin/status").await.json();
        if is_so(&said) {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the core never said that it is so");
}

/// As a browser does it, over both channels.
#[tokio::test]
async fn a_session_is_begun_with_a_key_and_ended_everywhere() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let (id, ann) = operator(&gateway, "ann", "operator").await;
        let begun = ann.post("/admin/session", &json!({})).await;
        assert_eq!(begun.status, 201, "{}", begun.text());
        let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
        let browser = gateway.admin.with_key(None);
        let send = async |method: Method, path: &str, body: &str| {
            let headers = [("cookie", cookie.as_str()), ("x-orchestrator-csrf", "1")];
            browser.send(method, path, &headers, body.to_owned().into()).await
        };
        let session = send(Method::GET, "/admin/session", "").await.json();
        assert_eq!((&session["actor"], &session["role"]), (&json!("ann"), &json!("operator")), "{channel:?}");
        assert_eq!(begun.json(), session, "without its token");
        assert_eq!(send(Method::POST, "/admin/models", r#"{"name":"by-browser"}"#).await.status, 201);
        assert_eq!(send(Method::GET, "/admin/audit", "").await.status, 403, "it is an operator's");
        let bare = [("cookie", cookie.as_str())];
        let foreign = browser.send(Method::POST, "/admin/models", &bare, "{}".into()).await;
        assert_eq!(foreign.status, 403, "{}", foreign.text());
        let twice = send(Method::POST, "/admin/session", "").await;
        assert_eq!(twice.status, 401, "a session begins with a key");

        assert_eq!(send(Method::DELETE, "/admin/session", "").await.status, 204);
        assert_eq!(send(Method::GET, "/admin/session", "").await.status, 401);
        let actions: Vec<Value> = audit(&gateway, "?actor=ann&noun=session")
            .await
            .iter()
            .map(|row| row["action"].clone())
            .collect();
        assert!(actions.contains(&json!("sign_in")) && actions.contains(&json!("sign_out")), "{actions:?}");

        let again = ann.post("/admin/session", &json!({})).await;
        let cookie = again.header("set-cookie").split(';').next().unwrap().to_owned();
        assert_eq!(delete(&gateway.admin, &format!("/admin/admin-keys/{id}")).await, 204);
        let gone = browser.send(Method::GET, "/admin/session", &[("cookie", &cookie)], "".into()).await;
        assert_eq!(gone.status, 401, "a key that is gone takes its sessions along");
        gateway.stop().await;
    }
}

//! Sessions of browsers: the cookie, what a change with it needs, and how guessing is slowed.

use bytes::Bytes;
use prost::Message as _;
use tonic::Status;

use super::{Answer, app, ask, fake_core::raw_core, request};
use crate::App;

const TOKEN: &str = "llmo_session_abc-_123";

/// A core that knows one key and one token, and says back who asked for what as a model's name.
fn gateway() -> App {
    app(raw_core(|path, headers, _| {
        let key = headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or_default();
        let method = path.rsplit('/').next().unwrap();
        let known = key == "Bearer good" || key == format!("Bearer {TOKEN}");
        if !known {
            return Err(Status::unauthenticated("the admin key is not known"));
        }
        let session = orchestrator_proto::v1::Session {
            actor: "ann".into(),
            role: "operator".into(),
            token: (method == "CreateSession").then(|| TOKEN.to_owned()),
            ..Default::default()
        };
        let model = orchestrator_proto::v1::Model { name: key.to_owned(), ..Default::default() };
        Ok(Bytes::from(match method {
            "CreateSession" | "GetSession" => session.encode_to_vec(),
            "DeleteSession" => Vec::new(),
            _ => model.encode_to_vec(),
        }))
    }))
}

async fn send(app: &App, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(app, request(method, path, headers, "{}")).await
}

const OURS: (&str, &str) = ("x-orchestrator-csrf", "1");
const COOKIE: (&str, &str) = ("cookie", "theme=dark; orchestrator_session=llmo_session_abc-_123; x=y");

#[tokio::test]
async fn a_key_becomes_a_cookie_that_no_script_reads_and_its_token_is_nowhere_else() {
    let app = gateway();
    let answer = send(&app, "POST", "/admin/session", &[("authorization", "Bearer good"), OURS]).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let cookie =
        format!("orchestrator_session={TOKEN}; Path=/admin; Max-Age=43200; HttpOnly; SameSite=Strict");
    assert_eq!(answer.header("set-cookie"), cookie);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text().contains(TOKEN) && answer.text().contains("ann"), "{}", answer.text());

    let over_tls = [("x-admin-key", "good"), ("x-forwarded-proto", "https")];
    let answer = send(&app, "POST", "/admin/session", &over_tls).await;
    assert_eq!(answer.header("set-cookie"), format!("{cookie}; Secure"));

    let out = send(&app, "DELETE", "/admin/session", &[COOKIE, OURS]).await;
    assert_eq!((out.status.as_u16(), out.header("set-cookie").contains("Max-Age=0;")), (204, true));
    let stale = [("cookie", "orchestrator_session=llmo_session_over"), OURS];
    assert_eq!(
        send(&app, "DELETE", "/admin/session", &stale).await.status,
        204,
        "it is forgotten all the same"
    );
    assert_eq!(send(&app, "DELETE", "/admin/session", &[]).await.status, 401);
}

#[tokio::test]
async fn a_change_with_the_cookie_must_be_the_interfaces_own() {
    let app = gateway();
    let origin = |origin| ("origin", origin);
    let site = |site| ("sec-fetch-site", site);
    let host = ("host", "llm.example.com");
    for (method, headers, status) in [
        ("GET", vec![COOKIE], 200),
        ("GET", vec![COOKIE, site("same-origin")], 200),
        ("GET", vec![COOKIE, site("none")], 200),
        ("GET", vec![COOKIE, site("cross-site")], 403),
        ("GET", vec![COOKIE, site("same-site")], 403),
        ("PATCH", vec![COOKIE], 403),
        ("PATCH", vec![COOKIE, OURS], 200),
        ("PATCH", vec![COOKIE, OURS, site("same-origin"), origin("https://behind.a.proxy")], 200),
        ("PATCH", vec![COOKIE, OURS, site("cross-site")], 403),
        ("PATCH", vec![COOKIE, OURS, site("none")], 403),
        ("PATCH", vec![COOKIE, OURS, host, origin("https://llm.example.com")], 200),
        ("PATCH", vec![COOKIE, OURS, host, origin("https://evil.example.com")], 403),
        ("PATCH", vec![COOKIE, OURS, host, origin("null")], 403),
        (
            "PATCH",
            vec![
                COOKIE,
                OURS,
                ("host", "core:8080"),
                ("x-forwarded-host", "llm.example.com"),
                origin("https://llm.example.com"),
            ],
            200,
        ),
        // A key is nothing that a browser sends by itself.
        ("PATCH", vec![("authorization", "Bearer good"), site("cross-site")], 200),
    ] {
        let answer = send(&app, method, "/admin/models/m", &headers).await;
        assert_eq!(answer.status, status, "{method} {headers:?}: {}", answer.text());
    }
    let answer = send(&app, "PATCH", "/admin/models/m", &[COOKIE]).await;
    assert!(answer.text().contains("x-orchestrator-csrf"), "{}", answer.text());
}

#[tokio::test]
async fn a_key_in_a_header_comes_before_the_cookie_and_no_other_cookie_counts() {
    let app = gateway();
    let both = [COOKIE, ("authorization", "Bearer good")];
    assert!(send(&app, "GET", "/admin/models/m", &both).await.text().contains("Bearer good"));
    let with_cookie = send(&app, "GET", "/admin/models/m", &[COOKIE]).await;
    assert!(with_cookie.text().contains(TOKEN), "{}", with_cookie.text());
    let wrong = [COOKIE, ("x-admin-key", "wrong")];
    assert_eq!(send(&app, "GET", "/admin/models/m", &wrong).await.status, 401);
    for other in ["session=llmo_session_abc-_123", "orchestrator_session=", "xorchestrator_session=good"] {
        assert_eq!(send(&app, "GET", "/admin/models/m", &[("cookie", other)]).await.status, 401, "{other}");
    }
    let split = [("cookie", "a=b"), ("cookie", "orchestrator_session=llmo_session_abc-_123")];
    assert_eq!(send(&app, "GET", "/admin/models/m", &split).await.status, 200, "HTTP/2 cuts cookies apart");
}

#[tokio::test]
async fn whoever_guesses_is_made_to_wait_by_all_threads_together() {
    let app = gateway();
    let other = app.for_thread(raw_core(|_, _, _| Err(Status::unauthenticated("no"))));
    let mut waits = Vec::new();
    for round in 0..8 {
        let thread = if round % 2 == 0 { &app } else { &other };
        let answer = send(thread, "POST", "/admin/session", &[("authorization", "Bearer wrong")]).await;
        waits.push((answer.status.as_u16(), answer.header("retry-after").to_owned()));
    }
    assert!(waits[..5].iter().all(|(status, _)| *status == 401), "{waits:?}");
    assert!(waits[5..].iter().all(|(status, after)| *status == 429 && after == "1"), "{waits:?}");
    let good = send(&app, "POST", "/admin/session", &[("authorization", "Bearer good")]).await;
    assert_eq!(good.status, 429, "a right guess is not told either");
    assert!(good.text().contains("Too many attempts"), "{}", good.text());
    let by_key = send(&app, "GET", "/admin/models/m", &[("authorization", "Bearer good")]).await;
    assert_eq!(by_key.status, 200, "programs are not shut out");
}

#[tokio::test]
async fn a_core_that_is_away_is_no_wrong_key() {
    let app = app(raw_core(|_, _, _| Err(Status::unavailable("gone"))));
    for _ in 0..9 {
        let answer = send(&app, "POST", "/admin/session", &[("authorization", "Bearer good")]).await;
        assert_eq!(answer.status, 503);
    }
}

//! Paths, methods, probes and the layers around them.

use bytes::Bytes;
use orchestrator_base::config::AppEnv;
use tonic::Status;

use super::{
    app, app_with, ask,
    fake_core::{FakeCore, head, raw_core},
    get, request,
};
use crate::core_client::CoreChannel;

fn core() -> CoreChannel {
    FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))]).channel()
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_tricks_are_unknown_paths() {
    let app = app(core());
    for path in [
        "/v2/chat/completions",
        "/v1//models",
        "//v1/models",
        "/v1%2fmodels",
        "/V1/models",
        "/v1/models/",
        "/v1/models//x",
        "/v1/chat/completions/",
        "/v1/chat/completions.",
        "/v1/../admin/providers",
    ] {
        let answer = ask(&app, get(path)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(path), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_says_what_is_allowed() {
    let app = app(core());
    for (method, path, allow) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET,HEAD"),
        ("PUT", "/admin/providers/x", "GET,HEAD,PATCH,DELETE"),
    ] {
        let answer = ask(&app, request(method, path, &[], "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        assert!(answer.text().contains("method_not_allowed"));
    }
}

#[tokio::test]
async fn probes_are_answered_under_both_prefixes() {
    let app = app(core());
    for path in ["/health", "/healthz", "/api/v1/health", "/api/v1/healthz"] {
        let health: serde_json::Value = serde_json::from_slice(&ask(&app, get(path)).await.body).unwrap();
        assert_eq!(health["status"], "healthy");
        assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    for path in ["/health/live", "/api/v1/health/live", "/version", "/api/v1/version"] {
        assert_eq!(ask(&app, get(path)).await.status, 200, "{path}");
    }
    let version: serde_json::Value = serde_json::from_slice(&ask(&app, get("/version")).await.body).unwrap();
    assert_eq!(
        (&version["name"], &version["environment"]),
        (&"llm-orchestrator".into(), &"development".into())
    );
    assert_eq!(ask(&app, request("HEAD", "/", &[], "")).await.status, 200);
}

#[tokio::test]
async fn ready_is_what_the_core_says_until_the_drain_begins() {
    let serving = |status: &'static [u8]| {
        raw_core(move |path, _, _| match path {
            "/grpc.health.v1.Health/Check" => Ok(Bytes::from_static(status)),
            _ => Err(Status::unimplemented(path.to_owned())),
        })
    };
    let ready = app(serving(&[0x08, 1]));
    assert_eq!(ask(&ready, get("/health/ready")).await.text(), r#"{"status":"ready"}"#);
    ready.edge.stages.leaving().cancel();
    assert_eq!(ask(&ready, get("/health/ready")).await.status, 503, "draining");
    assert_eq!(ask(&app(serving(&[0x08, 2])), get("/api/v1/health/ready")).await.status, 503, "not serving");
    let away = raw_core(|_, _, _| Err(Status::unavailable("away")));
    assert_eq!(ask(&app(away), get("/health/ready")).await.status, 503, "no core");
}

#[tokio::test]
async fn a_core_whose_records_are_not_stored_is_ready_and_degraded() {
    let core = raw_core(|_, _, message| {
        Ok(Bytes::from_static(if message.ends_with(b"ledger") { &[0x08, 2] } else { &[0x08, 1] }))
    });
    let answer = ask(&app(core), get("/health/ready")).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), &said["status"]), (200, &"ready".into()));
    assert!(said["degraded"].is_string(), "{said}");
}

#[tokio::test]
async fn a_core_without_its_redis_is_ready_and_says_what_is_degraded() {
    let core = raw_core(|_, _, message| {
        Ok(Bytes::from_static(if message.ends_with(b"shared_state") { &[0x08, 2] } else { &[0x08, 1] }))
    });
    let answer = ask(&app(core), get("/health/ready")).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), &said["status"]), (200, &"ready".into()));
    assert!(said["degraded"].as_str().unwrap().contains("budgets"), "{said}");
}

#[tokio::test]
async fn cors_is_off_until_origins_are_named() {
    let from = |origin| {
        request("OPTIONS", "/v1/models", &[("origin", origin), ("access-control-request-method", "GET")], "")
    };
    let off = ask(&app(core()), from("https://a.example")).await;
    assert_eq!((off.status.as_u16(), off.header("access-control-allow-origin")), (405, ""));

    let on = app_with(core(), |config| config.edge.cors_origins = vec!["https://a.example".into()]);
    assert_eq!(
        ask(&on, from("https://a.example")).await.header("access-control-allow-origin"),
        "https://a.example"
    );
    assert_eq!(ask(&on, from("https://b.example")).await.header("access-control-allow-origin"), "");
    let answer = ask(&on, request("GET", "/v1/models", &[("origin", "https://a.example")], "")).await;
    assert!(answer.header("access-control-expose-headers").contains("x-orchestrator-provider"));

    let any = app_with(core(), |config| config.edge.cors_origins = vec!["*".into()]);
    assert_eq!(ask(&any, from("https://b.example")).await.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn heads_over_the_bounds_are_refused_by_name() {
    let app = app(core());
    let long_url = format!("/v1/models?a={}", "x".repeat(8 * 1024));
    assert_eq!(ask(&app, get(&long_url)).await.status, 414);

    let large = "x".repeat(33 * 1024);
    let answer = ask(&app, request("GET", "/v1/models", &[("x-large", &large)], "")).await;
    assert_eq!(answer.status, 431);
    assert!(answer.text().contains("edge.max_header_bytes"));

    let names: Vec<String> = (0..65).map(|at| format!("x-{at}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let answer = ask(&app, request("GET", "/v1/models", &many, "")).await;
    assert_eq!(answer.status, 431);
    assert!(answer.text().contains("edge.max_headers"));
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_envelope() {
    let core = FakeCore::new(|_| panic!("a fault of the core in this process"));
    let answer =
        ask(&app(core.channel()), request("POST", "/v1/completions", &[("x-request-id", "r-1")], "")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (500, "r-1"));
    insta::assert_snapshot!(answer.text(), @r#"{"error":{"code":"internal_error","message":"The gateway failed on this request.","param":null,"type":"server_error"}}"#);
}

#[tokio::test]
async fn operators_paths_are_gone_from_the_public_listener_where_they_have_their_own() {
    let whole = app(core());
    let public = app_with(core(), |config| config.admin.port = Some(0));
    let operators = public.for_operators();
    for (path, is_admins) in [
        ("/admin/providers", true),
        ("/api/admin/providers", true),
        ("/admin/verify", true),
        ("/api/providers/health", true),
        ("/api/health-check/config", true),
        ("/docs", true),
        ("/openapi.json", true),
        ("/v1/models", false),
        ("/api/v1/models", false),
        ("/v1beta/models", false),
    ] {
        let found = async |app: &crate::App| ask(app, get(path)).await.status != 404;
        let (by_all, by_public, by_operators) =
            (found(&whole).await, found(&public).await, found(&operators).await);
        assert_eq!((by_all, by_public, by_operators), (true, !is_admins, is_admins), "{path}");
    }
    for app in [&public, &operators, &public.for_thread(core()).for_operators()] {
        for path in ["/health", "/health/live", "/health/ready", "/metrics", "/api/v1/metrics"] {
            assert_ne!(ask(app, get(path)).await.status, 404, "{path}");
        }
    }
    assert_eq!(ask(&public.for_thread(core()), get("/admin/verify")).await.status, 404);
}

#[tokio::test]
async fn metrics_are_for_everybody_in_development_alone() {
    let statuses = async |env: AppEnv| {
        let app = app_with(core(), |config| config.app.env = env);
        [
            ask(&app, get("/metrics")).await.status.as_u16(),
            ask(&app, get("/api/v1/metrics")).await.status.as_u16(),
        ]
    };
    assert_eq!(statuses(AppEnv::Development).await, [200, 200]);
    assert!(statuses(AppEnv::Production).await.iter().all(|status| *status != 200));
}

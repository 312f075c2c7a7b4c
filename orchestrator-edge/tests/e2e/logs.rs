//! What the programs log, where to, and how that changes while they run.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Provider};
use serde_json::{Value, json};

use crate::{
    client::Client,
    process::{Edge, ask_echo, home, key},
};

/// Lines of JSON that a file holds, once it has one that is wanted. Of a file that is not there yet there are none.
async fn lines(file: &Path, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    for _ in 0..500 {
        let text = fs::read_to_string(file).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.iter().any(&wanted) {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what is wanted is not there: {:?}", fs::read_to_string(file));
}

async fn line(file: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    lines(file, &wanted).await.into_iter().find(|line| wanted(line)).unwrap()
}

/// Waits until something holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come to hold");
}

#[tokio::test]
async fn a_request_is_a_line_of_the_log_and_one_of_the_access_log() {
    let home = home();
    let environment = [("LOG_FILE", "log/all.log"), ("ACCESS_LOG_FILE", "log/access.log")];
    fs::create_dir(home.path().join("log")).unwrap();
    let edge = Edge::serving(home.path(), &environment, &[]).await;
    let client = edge.client(&key(home.path(), "client.key"));
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "a private matter"}]});
    let headers = [("x-request-id", "job-7"), ("x-session-id", "s-1"), ("user-agent", "tests/1")];
    let path = "/v1/chat/completions?api_key=private";
    let answer = client.send(Method::POST, path, &headers, body.to_string().into()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let headers = [("x-request-id", "job-8")];
    let wrong =
        client.with_key(Some("wrong")).send(Method::POST, path, &headers, body.to_string().into()).await;
    assert_eq!(wrong.status, 401);

    let (all, access) = (home.path().join("log/all.log"), home.path().join("log/access.log"));
    let of = |id: &'static str| {
        move |line: &Value| line["request_id"] == id && line["target"] == "orchestrator::request"
    };
    let told = line(&all, of("job-7")).await;
    for (field, value) in [
        ("level", json!("INFO")),
        ("session_id", json!("s-1")),
        ("model", json!("echo")),
        ("provider", json!("echo")),
        ("status", json!("success")),
        ("http_status", json!(200)),
    ] {
        assert_eq!(told[field], value, "{told}");
    }
    assert!(told["timestamp"].is_string() && told["duration_ms"].as_f64().unwrap() > 0.0, "{told}");
    assert!(told["output_tokens"].as_u64().unwrap() > 0, "{told}");
    let refused = line(&all, of("job-8")).await;
    assert_eq!(
        (&refused["status"], &refused["http_status"]),
        (&json!("unauthenticated"), &json!(401)),
        "{refused}"
    );

    let came = line(&access, |line| line["request_id"] == "job-7").await;
    for (field, value) in [
        ("method", json!("POST")),
        ("path", json!("/v1/chat/completions?api_key=****")),
        ("version", json!("HTTP/1.1")),
        ("status", json!(200)),
        ("bytes", json!(answer.body.len())),
        ("complete", json!(true)),
        ("client_address", json!("127.0.0.1")),
        ("user_agent", json!("tests/1")),
    ] {
        assert_eq!(came[field], value, "{came}");
    }
    // Standard error has what the file has.
    edge.logged("job-7").await;
    for text in [fs::read_to_string(all).unwrap(), fs::read_to_string(access).unwrap(), edge.log()] {
        assert!(!text.contains("private"), "{text}");
    }
    edge.stop().await;
}

#[tokio::test]
async fn files_that_were_moved_away_are_begun_anew_at_sighup() {
    let home = home();
    let environment = [("LOG_FILE", "all.log"), ("ACCESS_LOG_FILE", "access.log")];
    let edge = Edge::serving(home.path(), &environment, &[]).await;
    let client = edge.client(&key(home.path(), "client.key"));
    let (all, access) = (home.path().join("all.log"), home.path().join("access.log"));
    line(&all, |line| line["message"] == "Application startup complete").await;
    assert_eq!(ask_echo(&client).await.status, 200);
    line(&access, |line| line["status"] == 200).await;
    for file in [&all, &access] {
        fs::rename(file, file.with_extension("1")).unwrap();
    }
    edge.signal("HUP");
    line(&all, |line| line["message"] == "Configuration read again").await;
    until(async || access.exists()).await;
    assert_eq!(ask_echo(&client).await.status, 200);
    let new = lines(&access, |line| line["status"] == 200).await;
    assert_eq!(new.len(), 1, "{new:?}");
    edge.stop().await;
    assert_eq!(fs::read_to_string(access.with_extension("1")).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_stops_the_start() {
    let home = home();
    for variable in ["LOG_FILE", "ACCESS_LOG_FILE"] {
        let (code, said) = crate::process::fails(home.path(), &[(variable, "missing/x.log")], &[]).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("missing/x.log") && said.contains("log."), "{said}");
    }
}

/// Nobody reads the other end of standard error: it fills up, and requests go on.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_request() {
    let home = home();
    let mut child = Command::new(env!("CARGO_BIN_EXE_orchestrator-edge"))
        .current_dir(home.path())
        .env_clear()
        .envs([("APP_PORT", "0"), ("GRPC_PORT", "0"), ("METRICS_PORT", "0"), ("LOG_LEVEL", "trace")])
        .envs([("LOG_FILE", "all.log"), ("LOG_FORMAT", "json"), ("ORCHESTRATOR__RUNTIME__THREADS", "1")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let all = home.path().join("all.log");
    let listening = line(&all, |line| line["message"] == "Listening for REST").await;
    line(&all, |line| line["message"] == "Application startup complete").await;
    let client = Client::new(listening["address"].as_str().unwrap(), &key(home.path(), "client.key"));
    // A pipe holds 64 KiB, the buffer before it a mebibyte, and some more is on its way; a request's lines are some 2 KiB.
    let enough = (1 << 20) + (512 << 10);
    for _ in 0..10_000 {
        assert_eq!(ask_echo(&client).await.status, 200);
        if fs::metadata(&all).unwrap().len() > enough {
            break;
        }
    }
    assert!(fs::metadata(&all).unwrap().len() > enough, "there was enough to log");
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("\norchestrator_log_failing 1\n"), "{metrics}");
    assert!(!metrics.contains("\norchestrator_log_lines_lost_total 0\n"), "{metrics}");
    let told = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    assert!(told.unwrap().success());
    for _ in 0..1000 {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = child.kill();
    panic!("it did not end");
}

/// An edge with a core in it, and an edge before that one's core.
async fn two(home: &Path, front: &Path) -> (Edge, Edge) {
    let core = Edge::serving(home, &[], &[]).await;
    let uri = format!("http://{}", core.address("Listening for gRPC"));
    let edge = Edge::serving(front, &[], &["--core", &uri]).await;
    (core, edge)
}

#[tokio::test]
async fn the_level_changes_in_all_programs_at_once_and_ends_by_itself() {
    let (home, front) = (home(), home());
    let (core, edge) = two(home.path(), front.path()).await;
    let admin = edge.client(&key(home.path(), "admin.key"));
    let client = edge.client(&key(home.path(), "client.key"));
    assert_eq!(admin.get("/admin/log-level").await.json()["level"], "info");

    let wish = json!({"level": "debug", "expires_seconds": 4});
    let set = admin.send(Method::PUT, "/admin/log-level", &[], wish.to_string().into()).await;
    assert_eq!((set.status, &set.json()["level"]), (200, &json!("debug")), "{}", set.text());
    assert!(set.json()["expires_at"].is_string() && set.json()["overruled"] == true, "{}", set.text());
    for program in [&core, &edge] {
        until(async || {
            ask_echo(&client).await;
            program.log().contains("\"DEBUG\"")
        })
        .await;
    }
    until(async || admin.get("/admin/log-level").await.json()["overruled"] == false).await;
    // An edge asks its core once a second, and a line is written a moment after what it tells of.
    let told = || [&core, &edge].map(|program| program.log().matches("\"DEBUG\"").count());
    until(async || {
        let before = told();
        ask_echo(&client).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        before == told()
    })
    .await;

    for wrong in [json!({"level": "loud"}), json!({"level": "info", "expires_seconds": 99_999_999})] {
        let answer = admin.send(Method::PUT, "/admin/log-level", &[], wrong.to_string().into()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let row = &admin.get("/admin/audit?noun=log_level").await.json()[0];
    assert_eq!(row["action"], "update", "{row}");
    assert!(row["state_after_json"].as_str().unwrap().contains("debug"), "{row}");
    edge.stop().await;
    core.stop().await;
}

#[tokio::test]
async fn settings_are_read_again_and_each_that_differs_is_told() {
    let (home, provider) = (home(), Provider::start().await);
    let write = |text: &str| fs::write(home.path().join("orchestrator.toml"), text).unwrap();
    write("[admission]\nmax_queue_length = 7\n");
    let edge = Edge::serving(home.path(), &[], &[]).await;
    let admin = edge.client(&key(home.path(), "admin.key"));
    assert_eq!(admin.get("/admin/queue").await.json()["max_queue_length"], 7);
    let preflight = async || {
        let asked = [("origin", "https://chat.example.com"), ("access-control-request-method", "POST")];
        let answer = admin.send(Method::OPTIONS, "/v1/chat/completions", &asked, "".into()).await;
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(preflight().await, "");

    let hook = format!("http://{}/hook?token=s3cret-token", provider.address());
    write(&format!(
        "[admission]\nmax_queue_length = 9\n[edge]\ncors_origins = [\"https://chat.example.com\"]\nport = 1\n\
         [alerts]\nwebhook_url = \"{hook}\"\n[log]\nlevel = \"debug\"\nretention_days = 3\n\
         [[models]]\nname = \"declared-later\"\n"
    ));
    let again = admin.post("/admin/reload", &json!({})).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let effects: Vec<(String, String)> = again.json()["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (change["name"].as_str().unwrap().to_owned(), change["effect"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("edge.cors_origins", "applied"),
        ("log.level", "applied"),
        ("log.retention_days", "held by the database"),
        ("admission.max_queue_length", "applied"),
        ("alerts.webhook_url", "applied"),
    ];
    // The port is the environment's to say, which counts for more than the file.
    assert_eq!(effects, expected.map(|(name, effect)| (name.to_owned(), effect.to_owned())));
    assert_eq!(again.json()["created"], 1, "{}", again.text());
    assert_eq!(admin.get("/admin/queue").await.json()["max_queue_length"], 9);
    assert_eq!(preflight().await, "https://chat.example.com");
    assert_eq!(admin.get("/admin/log-level").await.json()["level"], "debug");
    assert_eq!(admin.get("/admin/models/declared-later").await.status, 200);
    assert!(!edge.log().contains("s3cret") && !again.text().contains("s3cret"));
    let row = &admin.get("/admin/audit?noun=settings").await.json()[0];
    assert!(row["state_after_json"].as_str().unwrap().contains("\"log.level\":\"applied\""), "{row}");

    // A bad file changes nothing, by either way.
    write("[admission]\nmax_queue_length = 11\n[breaker]\nthreshold = 0\n");
    let refused = admin.post("/admin/reload", &json!({})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("breaker.threshold"), "{}", refused.text());
    edge.signal("HUP");
    edge.logged("the configuration is not taken as a whole").await;
    assert_eq!(admin.get("/admin/queue").await.json()["max_queue_length"], 9);

    write("[admission]\nmax_queue_length = 11\n[runtime]\nthreads = 2\n[idempotency]\nmax_entries = 5\n");
    edge.signal("HUP");
    until(async || admin.get("/admin/queue").await.json()["max_queue_length"] == 11).await;
    edge.logged("\"idempotency.max_entries\",\"effect\":\"needs a restart\"").await;
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_before_cores_reads_its_own_settings_again() {
    let (home, front) = (home(), home());
    let (core, edge) = two(home.path(), front.path()).await;
    fs::write(front.path().join("orchestrator.toml"), "[edge]\nmax_headers = 3\n[log]\nlevel = \"debug\"\n")
        .unwrap();
    let client = edge.client(&key(home.path(), "client.key"));
    assert_eq!(client.get("/health").await.status, 200);
    edge.signal("HUP");
    let headers = [("x-a", "1"), ("x-b", "2"), ("x-c", "3")];
    until(async || client.send(Method::GET, "/health", &headers, "".into()).await.status == 431).await;
    edge.logged("\"DEBUG\"").await;
    fs::write(front.path().join("orchestrator.toml"), "[edge]\nmax_headers = 0\n").unwrap();
    edge.signal("HUP");
    edge.logged("the configuration has a problem, and is not taken").await;
    assert_eq!(client.get("/health").await.status, 200);
    edge.stop().await;
    core.stop().await;
}

/// Breakers, bodies and time-outs, seen by what becomes of requests.
#[tokio::test]
async fn what_is_applied_has_its_effect_on_requests() {
    let (home, provider) = (home(), Provider::start().await);
    provider.route("chat/completions", Scripted::error(500));
    let write = |text: &str| fs::write(home.path().join("orchestrator.toml"), text).unwrap();
    write("[breaker]\nthreshold = 1000\n");
    let url = provider.base_url();
    let environment = [("OPENAI_API_KEY", "sk-vendor"), ("OPENAI_BASE_URL", &*url)];
    let edge = Edge::serving(home.path(), &environment, &[]).await;
    let (admin, client) =
        (edge.client(&key(home.path(), "admin.key")), edge.client(&key(home.path(), "client.key")));
    let ask = async |id: &str| {
        let body = json!({"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let headers = [("x-request-id", id), ("x-orchestrator-timeout-ms", "5000")];
        client.send(Method::POST, "/v1/chat/completions", &headers, body.into()).await
    };
    let open = async || {
        let breakers = admin.get("/admin/breakers").await.json();
        breakers.as_array().unwrap().iter().any(|breaker| breaker["state"] == "open")
    };
    ask("before").await;
    assert!(!open().await);
    write("[breaker]\nthreshold = 1\n[bodies]\nkeep = true\n[timeouts]\ntotal_ms = 150\n");
    assert_eq!(admin.post("/admin/reload", &json!({})).await.status, 200);
    ask("after").await;
    assert!(open().await, "one fault is enough now");
    let kept = async |id: &str| {
        let log = admin.get(&format!("/admin/logs/{id}?include_bodies=true")).await;
        log.status == 200 && log.text().contains("\\\"content\\\"")
    };
    until(async || kept("after").await).await;
    assert!(!kept("before").await);

    assert_eq!(admin.post("/admin/breakers/reset", &json!({})).await.status, 204);
    provider.route("chat/completions", Scripted::silence());
    // The catalog is built anew with the new time-outs within half a second.
    until(async || {
        let late = ask("late").await;
        late.status == 504 && late.text().contains("took too long")
    })
    .await;
    edge.stop().await;
}

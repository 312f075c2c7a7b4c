//! The program itself, as a person starts it: its log, its files, its exit codes, and how it ends.
//!
//! The core's own program is another package's, which this package's tests cannot rely on being built; what both mains share
//! is seen through the edge, with a core inside it and before one in another process.

mod encrypted;
mod stopping;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use http::Method;
use orchestrator_base::{config::init_env, process::listen};
use orchestrator_testkit::provider::{Answer as Scripted, Piece, Provider};
use serde_json::{Value, json};

use crate::client::{Answer, Client};

/// A process that runs or has ended, with what it prints in files. Dropping it ends the process, whatever became of the test.
pub(crate) struct Edge {
    pub(crate) child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Edge {
    /// Starts the edge in `home` with an empty environment but for free ports, `environment` and its arguments.
    pub(crate) fn start(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let number = fs::read_dir(home).unwrap().count();
        let (out, log) = (home.join(format!("{number}.out")), home.join(format!("{number}.log")));
        let child = Command::new(env!("CARGO_BIN_EXE_orchestrator-edge"))
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .envs([("APP_PORT", "0"), ("GRPC_PORT", "0"), ("ORCHESTRATOR__RUNTIME__THREADS", "1")])
            .envs([("METRICS_PORT", "0"), ("HEALTH_CHECK_ENABLED", "false")])
            .envs(environment.iter().copied())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, out, log }
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn serving(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut edge = Self::start(home, environment, arguments);
        for _ in 0..1000 {
            if edge.log().contains("Application startup complete") {
                return edge;
            }
            let ended = edge.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", edge.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not start in time: {}", edge.log());
    }

    /// What it has logged so far. A line is written a moment after what it tells of; see [`Self::logged`].
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log has a line that says so, and gives the first one.
    pub(crate) async fn logged(&self, words: &str) -> String {
        for _ in 0..1000 {
            // A last line without its end is still being written.
            let log = self.log();
            let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = whole.into_iter().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("`{words}` was not logged: {}", self.log());
    }

    pub(crate) fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// The address that a line of the log names.
    pub(crate) fn address(&self, message: &str) -> String {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(message)).unwrap_or_else(|| panic!("{log}"));
        let line: Value = serde_json::from_str(line).unwrap();
        line["address"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        Client::new(&self.address("Listening for REST"), key)
    }

    /// The exit code of a process that ends by itself or was told to.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| panic!("{status}: {}", self.log()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not end in time: {}", self.log());
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &command]).status().unwrap().success());
    }

    pub(crate) async fn stop(mut self) {
        self.terminate();
        assert_eq!(self.exit_code().await, 0, "{}", self.log());
        assert!(self.log().contains("Stopped"), "{}", self.log());
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an edge that must not come up, and gives its exit code and what it said.
pub(crate) async fn fails(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let mut edge = Edge::start(home, environment, arguments);
    let code = edge.exit_code().await;
    assert!(!edge.log().contains("panicked"), "{}", edge.log());
    (code, edge.log())
}

pub(crate) fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn key(home: &Path, name: &str) -> String {
    fs::read_to_string(home.join("data").join(name)).unwrap().trim().to_owned()
}

pub(crate) async fn ask_echo(client: &Client) -> Answer {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "Hello"}]});
    client.post("/v1/chat/completions", &body).await
}

/// Environment of a production with keys that hold.
const PRODUCTION: [(&str, &str); 4] = [
    ("APP_ENV", "production"),
    ("ADMIN_KEY", "Ab3-kVq39dLx0ZuT7wPb2mR8sNcYh5"),
    ("MASTER_KEY", "Cd4-pWz81fQy6RsJ3vKt5nG2xEoUi7"),
    ("CLIENT_KEY", "Ef5-hMb27gXc9LdS4wTj6kV1yAqOu8"),
];

#[tokio::test]
async fn a_first_start_says_each_step_and_leads_to_an_answer() {
    let home = home();
    let edge = Edge::serving(home.path(), &[], &[]).await;
    let log = edge.log();
    let mut rest = log.as_str();
    for step in [
        "Starting LLM Orchestrator",
        "Configuration checked",
        "Waiting for database",
        "Database is ready",
        "Running database migrations",
        "Applied migration: ",
        "Catalog loaded",
        "Health check service started",
        "Starting application server",
        "Listening for REST",
        "Listening for gRPC",
        "Application startup complete",
    ] {
        let Some((_, after)) = rest.split_once(step) else { panic!("`{step}` is not there in order: {log}") };
        rest = after;
    }
    let (admin, client, master) =
        (key(home.path(), "admin.key"), key(home.path(), "client.key"), key(home.path(), "master.key"));
    for name in ["admin.key", "client.key", "master.key", "llm_orchestrator.db"] {
        let mode = fs::metadata(home.path().join("data").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let greeting = edge.out();
    for secret in [&admin, &client, &master] {
        assert!(!greeting.contains(secret.as_str()) && !log.contains(secret.as_str()));
    }
    let data = home.path().canonicalize().unwrap().join("data");
    let (rest, grpc) = (edge.address("Listening for REST"), edge.address("Listening for gRPC"));
    for part in [&*rest, &grpc, &data.display().to_string(), &data.join("admin.key").display().to_string()] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    // The pieces of the printed command, as a shell would read them.
    let after = |mark: &str| greeting.split_once(mark).unwrap_or_else(|| panic!("{mark}: {greeting}")).1;
    let url = after("curl -N http://").split_whitespace().next().unwrap();
    let key_file = after("authorization: Bearer $(cat '").split('\'').next().unwrap();
    let body = after("-d '").split('\'').next().unwrap().to_owned();
    let (authority, path) = url.split_at(url.find('/').unwrap());
    let caller = Client::new(authority, fs::read_to_string(key_file).unwrap().trim());
    let headers = [("content-type", "application/json")];
    let answer = caller.send(Method::POST, path, &headers, body.into()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains("gateway") && answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
    assert_eq!(edge.client(&admin).get("/admin/verify").await.status, 200);
    edge.stop().await;
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_one_left_and_another_beside_it_is_refused() {
    let home = home();
    let first = Edge::serving(home.path(), &[], &[]).await;
    let (admin, client) = (key(home.path(), "admin.key"), key(home.path(), "client.key"));
    let made = first.client(&admin).post("/admin/models", &json!({"name": "kept"})).await;
    assert_eq!(made.status, 201, "{}", made.text());

    let (code, said) = fails(home.path(), &[], &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("DATA_DIR"), "{said}");
    assert_eq!(ask_echo(&first.client(&client)).await.status, 200, "the first one goes on");
    first.stop().await;

    let again = Edge::serving(home.path(), &[], &[]).await;
    assert!(!again.log().contains("Applied migration"), "{}", again.log());
    assert_eq!(
        (key(home.path(), "admin.key"), key(home.path(), "client.key")),
        (admin.clone(), client.clone())
    );
    assert_eq!(again.client(&admin).get("/admin/models/kept").await.status, 200);
    assert_eq!(ask_echo(&again.client(&client)).await.status, 200);
    again.stop().await;
}

#[tokio::test]
async fn production_invents_nothing() {
    let home = home();
    let (code, said) = fails(home.path(), &[("APP_ENV", "production")], &[]).await;
    assert_eq!(code, 2, "{said}");
    for named in ["ADMIN_KEY", "MASTER_KEY", "init --env"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    let weak = [("APP_ENV", "production"), ("ADMIN_KEY", "admin"), PRODUCTION[2]];
    let (code, said) = fails(home.path(), &weak, &[]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ADMIN_KEY") && said.contains("weak"), "{said}");
    assert!(!home.path().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn the_env_file_that_is_generated_starts_a_production() {
    let home = home();
    let text = init_env::generate();
    fs::write(home.path().join(".env"), &text).unwrap();
    let edge = Edge::serving(home.path(), &[], &[]).await;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let admin = edge.client(&value("ADMIN_KEY="));
    assert_eq!(admin.get("/admin/providers").await.json(), json!([]), "no provider is invented");
    let client = edge.client(&value("CLIENT_KEY="));
    assert_eq!(client.get("/v1/models").await.json()["data"], json!([]));
    assert_eq!(client.get("/version").await.json()["environment"], "production");
    for name in ["admin.key", "client.key", "master.key"] {
        assert!(!home.path().join("data").join(name).exists(), "{name} was made");
    }
    assert_eq!(edge.out(), "", "what it prints is for programs");
    edge.stop().await;
}

#[tokio::test]
async fn another_master_key_than_the_databases_is_refused() {
    let home = home();
    Edge::serving(home.path(), &PRODUCTION, &[]).await.stop().await;
    let mut other = PRODUCTION;
    other[2].1 = "Xx9-zQw84rTy1UiO5pAs7dF3gHjKl2";
    let (code, said) = fails(home.path(), &other, &[]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("MASTER_KEY"), "{said}");
    assert!(!said.contains("zQw84rTy1UiO5pAs7dF3gHjKl2"), "{said}");
}

#[tokio::test]
async fn check_config_tells_every_problem_at_once_or_shows_what_holds() {
    let home = home();
    fs::write(home.path().join("orchestrator.toml"), "[edge]\nprot = 1\n[limits]\nmax_json_depth = 0\n")
        .unwrap();
    let wrong = [("APP_PORT", "70000"), ("LOG_LEVEL", "loud")];
    let (code, said) = fails(home.path(), &wrong, &["check-config"]).await;
    assert_eq!(code, 2, "{said}");
    for named in ["edge.prot", "the nearest is edge.port", "APP_PORT", "LOG_LEVEL", "limits.max_json_depth"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    fs::write(home.path().join("orchestrator.toml"), "[edge]\nbody_timeout_ms = 77\n").unwrap();
    let mut edge = Edge::start(home.path(), &PRODUCTION, &["check-config"]);
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
    let shown = edge.out();
    assert!(shown.contains("body_timeout_ms = 77") && shown.contains("orchestrator.toml"), "{shown}");
    for (_, secret) in &PRODUCTION[1..] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!home.path().join("data").exists(), "nothing was started");
}

#[tokio::test]
async fn a_stream_under_way_may_end_when_the_process_is_told_to() {
    let (home, provider) = (home(), Provider::start().await);
    let event = |text: &str| {
        Piece::Data(
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
                .into(),
        )
    };
    let pieces = vec![
        event("first"),
        Piece::Wait(Duration::from_secs(1)),
        event("last"),
        Piece::Data("data: [DONE]\n\n".into()),
    ];
    provider.route("chat/completions", Scripted::pieces(pieces));
    let url = provider.base_url();
    let environment = [("OPENAI_API_KEY", "sk-vendor"), ("OPENAI_BASE_URL", &*url)];
    let mut edge = Edge::serving(home.path(), &environment, &[]).await;
    let client = edge.client(&key(home.path(), "client.key"));
    let body = json!({"model": "openai/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut stream = client.open(Method::POST, "/v1/chat/completions", &[], body.to_string().into()).await;
    assert_eq!(stream.status, 200);
    let first = stream.piece().await.unwrap().unwrap();
    assert!(first.windows(5).any(|window| window == b"first"), "{first:?}");
    edge.terminate();
    let rest = stream.read_all().await.text();
    assert!(rest.contains("last") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
    let database = home.path().join("data/llm_orchestrator.db");
    let rows = orchestrator_testkit::sqlite::rows(&database, "SELECT * FROM request_logs").await;
    assert_eq!((rows.len(), rows[0]["outcome"].as_str()), (1, Some("ok")), "stored before the end: {rows:?}");
}

#[tokio::test]
async fn an_occupied_port_is_an_error_that_names_the_address() {
    let home = home();
    let taken = listen("127.0.0.1", 0, 1).unwrap();
    let address = taken[0].local_addr().unwrap();
    let port = address.port().to_string();
    for variable in ["APP_PORT", "GRPC_PORT"] {
        let (code, said) = fails(home.path(), &[(variable, &port)], &[]).await;
        assert_eq!(code, 1, "{said}");
        let naming: Vec<&str> = said.lines().filter(|line| line.contains(&address.to_string())).collect();
        assert_eq!(naming.len(), 1, "{said}");
        assert!(naming[0].contains("the start failed"), "{said}");
    }
}

#[tokio::test]
async fn health_tells_by_its_exit_code() {
    let home = home();
    let edge = Edge::serving(home.path(), &[], &[]).await;
    let port = edge.address("Listening for REST").rsplit(':').next().unwrap().to_owned();
    let ask = async || {
        let mut asking = Edge::start(home.path(), &[("APP_PORT", &*port)], &["health"]);
        (asking.exit_code().await, asking.log())
    };
    assert_eq!(ask().await, (0, String::new()));
    edge.stop().await;
    let (code, said) = ask().await;
    assert_eq!(code, 1);
    assert!(said.contains("unhealthy"), "{said}");
}

#[tokio::test]
async fn an_edge_may_stand_before_a_core_in_another_process() {
    let (home, front) = (home(), home());
    let core = Edge::serving(home.path(), &[], &[]).await;
    let client_key = key(home.path(), "client.key");
    let uri = format!("http://{}", core.address("Listening for gRPC"));
    let edge = Edge::serving(front.path(), &[], &["--core", &uri]).await;
    let client = edge.client(&client_key);
    assert_eq!(ask_echo(&client).await.status, 200);
    assert_eq!(client.get("/health/ready").await.status, 200);
    assert!(!front.path().join("data").exists(), "an edge alone keeps nothing");
    core.stop().await;
    let answer = ask_echo(&client).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
    assert_eq!(client.get("/health/ready").await.status, 503);
    edge.stop().await;
}

#[tokio::test]
async fn metrics_are_shown_where_the_settings_say_and_nowhere_if_they_say_so() {
    let home = home();
    let edge = Edge::serving(home.path(), &[], &[]).await;
    let page = Client::new(&edge.address("Listening for metrics"), "").with_key(None);
    let numbers = page.get("/metrics").await;
    assert!(numbers.text().contains("\norchestrator_build_info{version=\""), "{}", numbers.text());
    let of_edge = edge.client("none").get("/health/metrics").await;
    assert_eq!(of_edge.header("content-type"), numbers.header("content-type"));
    for text in [numbers.text(), of_edge.text()] {
        assert!(text.contains("orchestrator_edge_connections "), "one process, one text: {text}");
        assert!(text.contains("orchestrator_sessions 0\n"), "one process, one text: {text}");
    }
    edge.stop().await;

    let edge = Edge::serving(home.path(), &[("ORCHESTRATOR__METRICS__ENABLED", "false")], &[]).await;
    assert!(!edge.log().contains("Listening for metrics"), "{}", edge.log());
    edge.stop().await;

    let taken = listen("127.0.0.1", 0, 1).unwrap();
    let port = taken[0].local_addr().unwrap().port().to_string();
    let edge = Edge::serving(home.path(), &[("METRICS_PORT", &port)], &[]).await;
    assert!(edge.log().contains("the port is taken; set METRICS_PORT"), "{}", edge.log());
    edge.stop().await;
}

#[tokio::test]
async fn pages_may_call_from_the_origins_that_are_named() {
    let home = home();
    let asked = [("origin", "https://chat.example.com"), ("access-control-request-method", "POST")];
    for (origins, allowed) in [("", ""), ("https://chat.example.com", "https://chat.example.com"), ("*", "*")]
    {
        let edge = Edge::serving(home.path(), &[("CORS_ORIGINS", origins)], &[]).await;
        let path = "/v1/chat/completions";
        let answer = edge.client("none").send(Method::OPTIONS, path, &asked, "".into()).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origins}: {}", answer.status);
        let other = [("origin", "https://elsewhere.example.com"), asked[1]];
        let answer = edge.client("none").send(Method::OPTIONS, path, &other, "".into()).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_ne!(allowed, "https://elsewhere.example.com", "{origins}");
        assert_eq!(allowed == "*", origins == "*", "{origins}: {allowed}");
        edge.stop().await;
    }
}

#[tokio::test]
async fn the_log_is_as_loud_and_as_readable_as_it_was_asked_to_be() {
    let home = home();
    let edge = Edge::serving(home.path(), &[("LOG_FORMAT", "json")], &[]).await;
    assert!(edge.log().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", edge.log());
    assert!(!edge.log().contains("DEBUG"), "{}", edge.log());
    edge.stop().await;

    let edge = Edge::serving(home.path(), &[("LOG_FORMAT", "pretty"), ("LOG_LEVEL", "Debug")], &[]).await;
    assert!(edge.log().lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "{}", edge.log());
    assert!(edge.log().contains("DEBUG"), "{}", edge.log());
    edge.stop().await;

    let taken = listen("127.0.0.1", 0, 1).unwrap();
    let port = taken[0].local_addr().unwrap().port().to_string();
    let (_, said) = fails(home.path(), &[("LOG_LEVEL", "error"), ("APP_PORT", &port)], &[]).await;
    assert_eq!(said.lines().count(), 1, "errors alone: {said}");
    let (_, said) = fails(home.path(), &[("LOG_LEVEL", "off"), ("APP_PORT", &port)], &[]).await;
    assert_eq!(said, "");
}

//! Secrets that can be recognised are put wherever somebody may put one, everything is done that leaves a trace, at level trace, and
//! then they are looked for in every trace: what programs print and write, what they answer, what they tell others.
//!
//! The second test does the same with masking switched off, which only a debug build can, and must find them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Endpoint, Provider, Script};
use serde_json::json;

use crate::{
    client::{Answer, Client},
    gateway::{CHANNELS, Channel},
    process::{Edge, home},
    stage::{streamed, whole},
};

/// Every secret has this in the middle, where no masking shows anything.
const KEY: &str = "KEYCANARY71f3";
/// Stands in what callers say.
const SAID: &str = "SAIDCANARY52e8";
/// Stands in what callers say and providers quote in their errors, which the account of requests keeps.
const QUOTED: &str = "QUOTEDCANARY94b6";

/// A secret of its own for each place.
fn secret(place: &str) -> String {
    format!("sk-{place}-{KEY}-{place}-0123456789")
}

/// What was found where it must not be: the place, and what stands around it.
#[derive(Default)]
struct Findings(Vec<(String, String)>);

impl Findings {
    /// Looks for these words in a text.
    fn look(&mut self, place: &str, text: &str, words: &[&str]) {
        for word in words {
            if let Some(at) = text.find(word) {
                let from = text[..at].char_indices().rev().nth(120).map_or(0, |(from, _)| from);
                let until = text[at..].char_indices().nth(80).map_or(text.len(), |(length, _)| at + length);
                self.0.push((place.to_owned(), text[from..until].to_owned()));
            }
        }
    }

    fn places(&self) -> Vec<&str> {
        self.0.iter().map(|(place, _)| place.as_str()).collect()
    }
}

/// What programs of one scene are started with.
struct Scene {
    /// The core's, and the files that it writes.
    home: tempfile::TempDir,
    /// The edge's before it, where there are two.
    front: tempfile::TempDir,
    environment: Vec<(String, String)>,
    findings: Findings,
}

impl Scene {
    fn new(provider: &Provider, unmasked: bool) -> Self {
        let hook =
            format!("http://hook:{}@{}/hook?token={}", secret("hook"), provider.address(), secret("token"));
        let mut environment: Vec<(String, String)> = [
            ("ADMIN_KEY", secret("admin")),
            ("CLIENT_KEY", secret("client")),
            ("MASTER_KEY", secret("master")),
            ("OPENAI_API_KEY", secret("vendor")),
            ("OPENAI_BASE_URL", provider.named("vendor").base_url()),
            ("ALERTS_WEBHOOK_URL", hook),
            ("REDIS_ENABLED", "true".into()),
            ("REDIS_URL", format!("redis://:{}@127.0.0.1:1/0", secret("redis"))),
            ("LOG_LEVEL", "trace".into()),
            ("LOG_FILE", "all.log".into()),
            ("ACCESS_LOG_FILE", "access.log".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if unmasked {
            environment.push(("ORCHESTRATOR_DEBUG_BUILD_SHOWS_SECRETS".into(), "1".into()));
        }
        Self { home: home(), front: home(), environment, findings: Findings::default() }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// An answer to somebody who sent no secret but his key: none may be in it.
    fn answered(&mut self, place: &str, answer: &Answer) {
        let head = format!("{} {:?}", answer.status, answer.headers);
        self.findings.look(&format!("{place}: head"), &head, &[KEY, SAID, QUOTED]);
        self.findings.look(place, &answer.text(), &[KEY, SAID]);
    }

    /// An answer to whoever said it: his words may be in it, and no key.
    fn replied(&mut self, place: &str, answer: &Answer) {
        let head = format!("{} {:?}", answer.status, answer.headers);
        self.findings.look(place, &format!("{head}\n{}", answer.text()), &[KEY]);
    }
}

/// Everything that leaves a trace; gives what was found.
async fn play(channel: Channel, unmasked: bool) -> Findings {
    let provider = Provider::start().await;
    let mut scene = Scene::new(&provider, unmasked);
    let core = Edge::serving(scene.home.path(), &scene.environment(), &[]).await;
    let front = match channel {
        Channel::Embedded => None,
        Channel::Split => {
            let uri = format!("http://{}", core.address("Listening for gRPC"));
            let mut environment = scene.environment();
            // An edge alone has no keys.
            environment.retain(|(name, _)| !name.ends_with("_KEY") && !name.starts_with("REDIS"));
            Some(Edge::serving(scene.front.path(), &environment, &["--core", &uri]).await)
        }
    };
    let edge = front.as_ref().unwrap_or(&core);
    let (admin, client) = (edge.client(&secret("admin")), edge.client(&secret("client")));
    let (one, two) = (provider.named("one"), provider.named("two"));
    configure(&mut scene, &admin, [&one, &two]).await;
    ask(&mut scene, &client, [&one, &two]).await;
    sign_in_wrongly(&mut scene, &client).await;
    administer(&mut scene, &admin).await;
    reload(&mut scene, &core, &admin).await;
    // The alert of a refused key is sent within seconds.
    for _ in 0..300 {
        if provider.seen().iter().any(|seen| seen.path.contains("hook")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for seen in provider.seen().iter().filter(|seen| seen.path.contains("hook")) {
        scene.findings.look("webhook", &String::from_utf8_lossy(&seen.body), &[KEY, SAID, QUOTED]);
    }
    for path in [
        "/health",
        "/health/ready",
        "/health/detailed",
        "/metrics",
        "/version",
        "/v1/models",
        "/openapi.json",
    ] {
        scene.answered(path, &edge.client(&secret("client")).get(path).await);
    }
    if let Some(front) = front {
        front.stop().await;
    }
    core.stop().await;
    commands(&mut scene).await;
    look_into_files(&mut scene);
    scene.findings
}

async fn configure(scene: &mut Scene, admin: &Client, [one, two]: [&Endpoint; 2]) {
    let mut ids = Vec::new();
    for (name, endpoint, priority) in [("one", one, 200), ("two", two, 100)] {
        let body = json!({
            "name": name, "kind": "openai", "base_url": endpoint.base_url(), "api_key": secret(name), "priority": priority,
            "headers": {"x-team-token": secret("header"), "x-team": "blue"},
        });
        let made = admin.post("/admin/providers", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        scene.answered("POST /admin/providers", &made);
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let model = admin.post("/admin/models", &json!({"name": "m"})).await.json()["id"].clone();
    for id in &ids {
        let body = json!({"model_id": model, "provider_id": id, "provider_model": "m-upstream"});
        assert_eq!(admin.post("/admin/model-providers", &body).await.status, 201);
        let key = json!({"label": "second", "secret": secret("second")});
        scene.answered("POST keys", &admin.post(&format!("/admin/providers/{id}/keys"), &key).await);
    }
    // Bad input with secrets in it.
    for body in [
        json!({"name": "x", "kind": "openai", "api_key": {"a": secret("nested")}}).to_string(),
        json!({"name": "x", "kind": "openai", "api_key": [secret("listed")]}).to_string(),
        json!({"name": "x", "kind": "openai", "base_url": format!("https://u:{}@example.com/", secret("userinfo"))})
            .to_string(),
        json!({"name": "x", "kind": "openai", "base_url": format!("https://example.com/?key={}", secret("query"))})
            .to_string(),
        json!({"name": "x", "kind": "openai", "headers": {"authorization": secret("authorization")}}).to_string(),
        json!({"name": "x", "kind": "openai", "headers": {"x-key": format!("{}\n", secret("unsendable"))}}).to_string(),
        format!("{{\"name\":\"x\",\"api_key\":\"{}\"", secret("cut")),
        format!("{{\"api_key\": {}}}", secret("unquoted")),
    ] {
        let refused = admin.send(Method::POST, "/admin/providers", &[], body.into()).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        scene.replied("a refused provider", &refused);
    }
}

/// A request's body; what it says can be recognised.
fn body(stream: bool, word: &str) -> String {
    let content = format!("my password is {word}, keep it");
    json!({
        "model": "m", "stream": stream, "messages": [{"role": "user", "content": content}],
        "tools": [{"type": "function", "function": {"name": "f", "description": word}}],
    })
    .to_string()
}

/// An error that quotes the key that it was asked with, and what was asked.
fn quoting(status: u16) -> Script {
    Script::choose(move |_, seen| {
        let key = seen.header("authorization").unwrap_or_default().to_owned();
        let message = format!("Incorrect key {key}; you said {}", String::from_utf8_lossy(&seen.body));
        Scripted::json(
            status,
            &json!({"error": {"message": message, "type": "x", "code": key, "param": null}}),
        )
    })
}

/// Requests that succeed, fail and fail over, in several dialects.
async fn ask(scene: &mut Scene, client: &Client, [one, two]: [&Endpoint; 2]) {
    const CHAT: &str = "chat/completions";
    let path = "/v1/chat/completions";
    let cookie = format!("session={}", secret("cookie"));
    let own = secret("own-header");
    let headers = [("cookie", cookie.as_str()), ("x-internal-token", &own), ("proxy-authorization", &own)];
    two.route(CHAT, whole("fine"));
    let failures: [(&str, Script); 9] = [
        ("whole", whole("fine").into()),
        ("401", quoting(401)),
        ("400", quoting(400)),
        ("429", quoting(429)),
        ("500", quoting(500)),
        (
            "html",
            Script::choose(|_, seen| {
                let page = format!("<html>{:?} {}</html>", seen.headers, String::from_utf8_lossy(&seen.body));
                Scripted::whole(502, "text/html", page)
            }),
        ),
        (
            "no json",
            Script::choose(|_, seen| {
                Scripted::whole(
                    200,
                    "application/json",
                    format!("{{\"id\": {}", String::from_utf8_lossy(&seen.body)),
                )
            }),
        ),
        ("reset", Scripted::reset_before_headers().into()),
        ("no http", Scripted::not_http("nonsense").into()),
    ];
    for (name, script) in failures {
        one.route(CHAT, script);
        for stream in [false, true] {
            let word = if name == "whole" { SAID } else { QUOTED };
            let answer = client.send(Method::POST, path, &headers, body(stream, word).into()).await;
            scene.replied(&format!("an answer after {name}"), &answer);
        }
    }
    // Nobody helps out: the failure itself is answered.
    two.route(CHAT, quoting(401));
    one.route(CHAT, quoting(401));
    let answer = client.send(Method::POST, path, &headers, body(false, QUOTED).into()).await;
    scene.replied("an answer when all refuse", &answer);
    for endpoint in [one, two] {
        endpoint.route(CHAT, streamed(&["a", "b"]));
    }
    // Other dialects, with keys where their clients put them.
    let messages =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": SAID}]}).to_string();
    let key = secret("client");
    let with_header = client.with_key(None);
    let answer =
        with_header.send(Method::POST, "/v1/messages", &[("x-api-key", &key)], messages.into()).await;
    scene.replied("anthropic", &answer);
    let contents = json!({"contents": [{"parts": [{"text": SAID}]}]}).to_string();
    for query in
        [format!("key={key}"), format!("alt=sse&k%65y={key}"), format!("key={}", secret("wrong-query"))]
    {
        let path = format!("/v1beta/models/echo:streamGenerateContent?{query}");
        let answer = with_header.send(Method::POST, &path, &[], contents.clone().into()).await;
        scene.replied("gemini", &answer);
    }
    for path in ["/v1/models", "/nothing/here", "/v1beta/models", "/health"] {
        for name in ["key", "api_key", "access_token", "X-Amz-Signature", "password", "client_secret"] {
            let answer = client.get(&format!("{path}?{name}={}&page=1", secret("query"))).await;
            scene.replied(path, &answer);
        }
    }
    // What is no request at all.
    let raw = format!(
        "POST {path}?key={0} HTTP/1.1\r\nauthorization: Bearer {0}\r\nno header {0}\r\n\r\n",
        secret("raw")
    );
    let answer = client.raw(raw.as_bytes()).await;
    scene.findings.look("raw", &answer, &[KEY]);
    let broken = format!("{{\"model\": \"m\", \"messages\": [{{\"role\": \"user\", \"content\": \"{SAID}");
    scene.replied("broken body", &client.send(Method::POST, path, &[], broken.into()).await);
}

async fn sign_in_wrongly(scene: &mut Scene, client: &Client) {
    let wrong = client.with_key(Some(&secret("wrong")));
    let other = secret("another");
    for path in ["/v1/models", "/admin/providers", "/admin/verify", "/api/v1/models"] {
        scene.answered(path, &wrong.get(path).await);
        scene.answered(path, &wrong.send(Method::GET, path, &[("x-api-key", &other)], "".into()).await);
        scene.answered(path, &wrong.send(Method::GET, path, &[("x-admin-key", &other)], "".into()).await);
    }
    let basic = [("authorization", other.as_str())];
    scene.answered("basic", &client.with_key(None).send(Method::GET, "/v1/models", &basic, "".into()).await);
}

async fn administer(scene: &mut Scene, admin: &Client) {
    let made = admin.post("/admin/keys", &json!({"name": "made"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let document = json!({"document": {"api_keys": [{"name": "declared", "secret": secret("declared")}],
        "providers": [{"name": "declared", "kind": "openai", "api_key": secret("declared-provider")}]}});
    scene.answered("apply", &admin.post("/admin/config/apply", &document).await);
    let broken = json!({"document": {"api_keys": [{"name": 5, "secret": [secret("declared-wrongly")]}]}});
    scene.replied("apply", &admin.post("/admin/config/apply", &broken).await);
    let sealed = admin.post("/admin/config/export", &json!({"passphrase": secret("passphrase")})).await;
    assert_eq!(sealed.status, 200, "{}", sealed.text());
    // A provider's own headers are configuration, and are moved with it: for admins alone.
    scene.findings.look(
        "a sealed export",
        &sealed.text().replace(&secret("header"), ""),
        &[KEY, SAID, QUOTED],
    );
    let wrong = json!({"document": sealed.json(), "passphrase": secret("wrong-passphrase")});
    scene.answered("import", &admin.post("/admin/config/import", &wrong).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for path in [
        "/admin/providers",
        "/admin/models",
        "/admin/model-providers",
        "/admin/keys",
        "/admin/teams",
        "/admin/health",
        "/admin/breakers",
        "/admin/queue",
        "/admin/logs",
        "/admin/logs/export?format=jsonl",
        "/admin/stats",
        "/admin/usage",
        "/admin/audit",
        "/admin/alerts",
        "/admin/config/export",
        "/admin/status",
        "/admin/session",
        "/admin/log-level",
        "/admin/retention",
        "/admin/prices",
        "/admin/provider-stats",
        "/admin/admin-keys",
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        scene.answered(path, &answer);
    }
}

/// The configuration is read again, with other secrets, and with a file that cannot be read.
async fn reload(scene: &mut Scene, core: &Edge, admin: &Client) {
    let file = scene.home.path().join(".env");
    for text in [
        format!("CLIENT_KEY_FILE={}\nLOG_RETENTION_DAYS=5\n", secret("path")),
        format!("WHAT IS THIS {}\n", secret("line")),
        format!("ORCHESTRATOR__KEYS__ADMNI={}\n", secret("misspelt")),
        format!("ORCHESTRATOR__ALERTS__BUDGET_PERCENT={}\n", "x"),
    ] {
        fs::write(&file, text).unwrap();
        scene.answered("reload", &admin.post("/admin/reload", &json!({})).await);
        core.signal("HUP");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    fs::remove_file(&file).unwrap();
    let file = scene.home.path().join("orchestrator.toml");
    for text in [
        format!("[keys]\nadmin = \"{}\n", secret("unclosed")),
        format!("[keys]\nadmni = \"{}\"\n", secret("misspelt")),
        format!("[[providers]]\nname = \"x\"\nkind = \"openai\"\napi_key = [\"{}\"]\n", secret("typed")),
        format!("[redis]\nurl = \"http://:{}@x\"\n", secret("scheme")),
    ] {
        fs::write(&file, text).unwrap();
        scene.answered("reload", &admin.post("/admin/reload", &json!({})).await);
    }
    fs::remove_file(&file).unwrap();
}

/// What commands print, and starts that fail.
async fn commands(scene: &mut Scene) {
    let url = |scheme: &str| format!("{scheme}://user:{}@127.0.0.1:1/db", secret("database"));
    let mut given: Vec<Vec<(&str, String)>> = vec![vec![]];
    given.extend([
        vec![("DATABASE_URL", url("postgres"))],
        vec![("DATABASE_URL", url("postgres")), ("DATABASE_TYPE", "mysql".into())],
        vec![("DATABASE_URL", url("nonsense"))],
        vec![("REDIS_URL", url("http"))],
        vec![("ALERTS_WEBHOOK_URL", url("ftp"))],
        vec![("OPENAI_BASE_URL", format!("https://u:{0}@x/v1?key={0}", secret("base")))],
        vec![("CORS_ORIGINS", url("https"))],
        vec![("CORE_ENDPOINT", url("http"))],
        vec![("APP_ENV", "production".into()), ("ADMIN_KEY", format!("admin{KEY}"))],
        vec![("CLIENT_KEY_FILE", format!("/nowhere/{}", secret("path")))],
    ]);
    for more in &given {
        let mut environment = scene.environment();
        environment.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
        environment.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        let told = run(scene.home.path(), &environment, &["check-config"]).await;
        scene.findings.look("check-config", &told, &[KEY]);
    }
    for scheme in ["postgres", "mysql"] {
        let url = url(scheme);
        let mut environment = scene.environment();
        environment.extend([
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_WAIT_RETRIES", "1"),
            ("DATABASE_WAIT_INTERVAL", "0"),
        ]);
        let told = run(scene.home.path(), &environment, &[]).await;
        scene.findings.look("a start without its database", &told, &[KEY]);
    }
}

/// Runs the program to its end, and gives what it printed.
async fn run(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut edge = Edge::start(home, environment, arguments);
    edge.exit_code().await;
    format!("{}\n{}", edge.out(), edge.log())
}

/// Every file that the programs have written: their output, logs, journal and database.
fn look_into_files(scene: &mut Scene) {
    let mut files = Vec::new();
    for folder in [scene.home.path(), scene.front.path()] {
        gather(folder, &mut files);
    }
    assert!(
        files.iter().any(|file| file.ends_with("access.log"))
            && files.iter().any(|file| file.ends_with("all.log"))
    );
    assert!(files.iter().any(|file| file.ends_with("llm_orchestrator.db")));
    for file in files {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let is_account = file.components().any(|part| part.as_os_str() == "data");
        // The account keeps a provider's own words, with what it quotes of its caller's.
        let words: &[&str] = if is_account { &[KEY, SAID] } else { &[KEY, SAID, QUOTED] };
        // The database holds a provider's own headers, for they are sent with each request.
        let text = if is_account { text.replace(&secret("header"), "") } else { text };
        scene.findings.look(&name, &text, words);
    }
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

#[tokio::test]
async fn secrets_are_in_no_output_of_any_kind() {
    for channel in CHANNELS {
        let findings = play(channel, false).await;
        assert!(findings.0.is_empty(), "{channel:?}: {:#?}", findings.0);
    }
}

#[tokio::test]
async fn without_masking_they_are_found() {
    let findings = play(Channel::Embedded, true).await;
    for place in ["access.log", "check-config", "/admin/providers", "/admin/config/export"] {
        assert!(findings.places().contains(&place), "{place}: {:#?}", findings.0);
    }
}

/// What is looked for is what is asked.
#[test]
fn a_finding_says_where_and_what() {
    let mut findings = Findings::default();
    findings.look("a", "nothing", &[KEY, SAID]);
    findings.look("b", &format!("é {} é", secret("x")), &[KEY, SAID]);
    assert_eq!(findings.places(), ["b"]);
    assert!(findings.0[0].1.contains(&secret("x")));
}

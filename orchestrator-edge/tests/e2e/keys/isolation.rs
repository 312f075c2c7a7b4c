//! Who may come in where: every route with every kind of key, over both channels, as one table.
//!
//! Routes are read from the sources that register them, so that a new one is missed here.

use std::{collections::BTreeSet, fmt::Write as _};

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Provider};
use serde_json::json;

use super::made;
use crate::{
    client::Client,
    gateway::{CHANNELS, Channel, Gateway},
};

/// The sources that register routes.
const SOURCES: [&str; 7] = [
    include_str!("../../../src/router.rs"),
    include_str!("../../../src/admin_api/table.rs"),
    include_str!("../../../src/admin_api/logs.rs"),
    include_str!("../../../src/admin_api/llmio.rs"),
    include_str!("../../../src/docs.rs"),
    include_str!("../../../src/admin_api/session.rs"),
    include_str!("../../../src/ui.rs"),
];
const ADMIN: [&str; 2] = ["/admin", "/api/admin"];

/// A route: its method, its path as registered below a prefix, and what is sent.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Where it stands, for the prefixes; of Admin's table the beginning is left out.
    template: &'static str,
    prefixes: &'static [&'static str],
    /// In place of the template where it has names in braces.
    path: &'static str,
    body: &'static str,
}

const CLIENT: &[&str] = &["/v1", "/openai/v1", "/api/v1"];
const ANTHROPIC: &[&str] = &["/v1", "/anthropic/v1", "/claude/v1"];
const ANTHROPIC_MODELS: &[&str] = &["/anthropic/v1", "/claude/v1"];
const GEMINI: &[&str] = &["/v1beta", "/gemini/v1beta"];
const OPERATIONS: &[&str] = &["", "/api/v1"];
const NONE: &[&str] = &[""];

const CHAT: &str = r#"{"model":"echo","messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#;
const GENERATE: &str = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;

#[rustfmt::skip]
const ROUTES: &[(&str, &str, &[&str], &str, &str)] = &[
    ("HEAD",   "/", NONE, "", ""),
    ("GET",    "/admin-ui", NONE, "", ""),
    ("GET",    "/admin-ui/", NONE, "", ""),
    ("GET",    "/admin-ui/login.html", NONE, "", ""),
    ("GET",    "/admin-ui/assets/{build}/{*name}", NONE, "/admin-ui/assets/0/js/app.js", ""),
    ("POST",   "/chat/completions", CLIENT, "", CHAT),
    ("POST",   "/completions", CLIENT, "", r#"{"model":"echo","prompt":"hi"}"#),
    ("POST",   "/embeddings", CLIENT, "", r#"{"model":"echo","input":"hi"}"#),
    ("POST",   "/responses", CLIENT, "", r#"{"model":"echo","input":"hi"}"#),
    ("GET",    "/responses", CLIENT, "", ""),
    ("POST",   "/responses/input_tokens", CLIENT, "", r#"{"model":"echo","input":"hi"}"#),
    ("GET",    "/responses/{id}", CLIENT, "/responses/resp_1", ""),
    ("GET",    "/responses/{id}/input_items", CLIENT, "/responses/resp_1/input_items", ""),
    ("POST",   "/responses/{id}/cancel", CLIENT, "/responses/resp_1/cancel", ""),
    ("DELETE", "/responses/{id}", CLIENT, "/responses/resp_1", ""),
    ("GET",    "/models", CLIENT, "", ""),
    ("GET",    "/models/{*id}", CLIENT, "/models/echo", ""),
    ("POST",   "/models/{*id}", CLIENT, "/models/echo:generateContent", GENERATE),
    ("POST",   "/messages", ANTHROPIC, "", CHAT),
    ("POST",   "/messages/count_tokens", ANTHROPIC, "", CHAT),
    ("GET",    "/models", ANTHROPIC_MODELS, "", ""),
    ("GET",    "/models/{*id}", ANTHROPIC_MODELS, "/models/echo", ""),
    ("POST",   "EVENT_LOGGING", NONE, "/api/event_logging/batch", "{}"),
    ("GET",    "/models", GEMINI, "", ""),
    ("GET",    "/models/{*id}", GEMINI, "/models/echo", ""),
    ("POST",   "/models/{*id}", GEMINI, "/models/echo:countTokens", GENERATE),
    ("POST",   "/{*rest}", GEMINI, "/tunedModels/echo:generateContent", GENERATE),
    ("GET",    "/health", OPERATIONS, "", ""),
    ("GET",    "/healthz", OPERATIONS, "", ""),
    ("GET",    "/health/live", OPERATIONS, "", ""),
    ("GET",    "/health/ready", OPERATIONS, "", ""),
    ("GET",    "/health/metrics", OPERATIONS, "", ""),
    ("GET",    "/metrics", OPERATIONS, "", ""),
    ("GET",    "/health/detailed", OPERATIONS, "", ""),
    ("GET",    "/health/queue/status", OPERATIONS, "", ""),
    ("GET",    "/version", OPERATIONS, "", ""),
    ("GET",    "/openapi.json", NONE, "", ""),
    ("GET",    "/docs", NONE, "", ""),
    ("GET",    "/docs/app.js", NONE, "", ""),
    ("GET",    "/docs/style.css", NONE, "", ""),
    ("GET",    "/api/providers/health", NONE, "", ""),
    ("GET",    "/api/providers/health/{id}", NONE, "/api/providers/health/none", ""),
    ("POST",   "/api/health-check/force/{id}", NONE, "/api/health-check/force/none", ""),
    ("GET",    "/api/health-check/config", NONE, "", ""),
    ("PUT",    "/api/health-check/config", NONE, "", "{}"),
    ("GET",    "/verify", &ADMIN, "", ""),
    ("POST",   "/session", &ADMIN, "", ""),
    ("DELETE", "/session", &ADMIN, "", ""),
    ("GET",    "/logs/export", &ADMIN, "/logs/export?format=jsonl", ""),
    ("GET",    "/logs/tail", &ADMIN, "", ""),
];

/// Every route, those of Admin's table included, which stand there one in a line.
pub(crate) fn routes() -> Vec<Route> {
    let of_table = SOURCES[1].lines().filter_map(|line| {
        let line = line.trim();
        let is_row = line.starts_with("row(Method::")
            || line.starts_with("only(")
            || line.starts_with("in_provider(Method::");
        let method = line.split_once("Method::").filter(|_| is_row)?.1.split_once(',')?.0;
        let template = if line.starts_with("in_provider") {
            "/providers/{provider_id}/keys/{id}"
        } else {
            line.split('"').find(|piece| piece.starts_with('/'))?
        };
        // Such a row has one field, and it is looked at before anybody is asked who sends it.
        let body = if line.starts_with("only(") { r#"{"enabled":true}"# } else { "{}" };
        Some(Route { method: method.parse().unwrap(), template, prefixes: &ADMIN, path: "", body })
    });
    let others = ROUTES.iter().map(|(method, template, prefixes, path, body)| Route {
        method: method.parse().unwrap(),
        template,
        prefixes,
        path,
        body,
    });
    others.chain(of_table).collect()
}

/// What the sources register: the first argument of each `.route(`, and each path of Admin's table.
fn registered() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in SOURCES {
        for call in source.split(".route(").skip(1) {
            let argument = call.trim_start().trim_start_matches("&format!(").trim_start();
            let end = argument.find([',', ')']).unwrap();
            let argument = argument[..end].trim().trim_matches('"').replace("{{", "{").replace("}}", "}");
            found.insert(argument.trim_start_matches("{prefix}").to_owned());
        }
    }
    found
}

impl Route {
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        let path = if self.path.is_empty() { self.template } else { self.path };
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "none" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        self.prefixes.iter().map(move |prefix| format!("{prefix}{path}"))
    }
}

/// The status of the answer's head: a tail never ends.
async fn status(client: &Client, route: &Route, path: &str) -> u16 {
    let headers = [("content-type", "application/json")];
    client.open(route.method.clone(), path, &headers, Bytes::from_static(route.body.as_bytes())).await.status
}

/// Lets `resp_1` be stored at a provider, and be the caller's.
async fn store_response(gateway: &Gateway, caller: &Client) {
    let made = caller.post("/v1/responses", &json!({"model": "storing/m", "input": "hi"})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.json()["id"], "resp_1", "{}", gateway.rest);
}

async fn storing(gateway: &Gateway, provider: &Provider) {
    let response = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [], "store": true});
    for path in ["", "/resp_1", "/resp_1/cancel", "/resp_1/input_items"] {
        let answer = Scripted::whole(200, "application/json", response.to_string());
        provider.route(&format!("/responses{path}"), answer);
    }
    gateway.add_provider("storing", &provider.base_url(), json!({"max_retries": 0})).await;
}

async fn operator(gateway: &Gateway, role: &str) -> String {
    let made = gateway.admin.post("/admin/admin-keys", &json!({"name": role, "role": role})).await;
    made.json()["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_route_opens_to_the_keys_that_the_table_says_and_to_no_other() {
    let known: BTreeSet<String> = ROUTES.iter().map(|route| route.1.to_owned()).collect();
    let missed: Vec<String> = registered().difference(&known).cloned().collect();
    assert_eq!(missed, Vec::<String>::new(), "new routes: say in ROUTES what is sent to them");

    let mut tables = Vec::new();
    for channel in CHANNELS {
        tables.push(table(channel).await);
    }
    assert_eq!(tables[0], tables[1], "both channels answer alike");
    insta::assert_snapshot!(tables[0]);
}

async fn table(channel: Channel) -> String {
    let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
    storing(&gateway, &provider).await;
    for team in ["blue", "green"] {
        gateway.create("/admin/teams", &json!({"name": team})).await;
    }
    let (_, caller) = made(&gateway, &json!({"name": "caller", "team": "blue"})).await;
    let (_, other) = made(&gateway, &json!({"name": "other", "team": "green", "models": ["other"]})).await;
    let mut clients = vec![
        ("none", gateway.client.with_key(None)),
        ("wrong", gateway.client.with_key(Some("wrong"))),
        ("another team's", gateway.client.with_key(Some(&other))),
    ];
    for role in ["viewer", "operator", "admin"] {
        clients.push((role, gateway.client.with_key(Some(&operator(&gateway, role).await))));
    }
    // The caller comes last: what it may, it does.
    let caller = gateway.client.with_key(Some(&caller));
    clients.push(("the caller's", caller.clone()));
    let mut table = String::new();
    for route in routes() {
        let mut rows = BTreeSet::new();
        for path in route.paths() {
            if path.contains("/resp_1") {
                store_response(&gateway, &caller).await;
            }
            let mut row = String::new();
            for (kind, client) in &clients {
                write!(row, " {kind} {},", status(client, &route, &path).await).unwrap();
            }
            rows.insert(row);
        }
        // Another prefix is another spelling and nothing more.
        assert_eq!(rows.len(), 1, "{} {} of {:?}: {rows:?}", route.method, route.template, route.prefixes);
        let row = rows.pop_first().unwrap();
        let place = route.prefixes[0];
        writeln!(table, "{} {place}{}:{}", route.method, route.template, row.trim_end_matches(',')).unwrap();
    }
    gateway.stop().await;
    table
}

#[tokio::test]
async fn another_teams_key_sees_and_steers_nothing_of_a_callers() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        storing(&gateway, &provider).await;
        for team in ["blue", "green"] {
            gateway.create("/admin/teams", &json!({"name": team})).await;
        }
        let (_, caller) = made(&gateway, &json!({"name": "caller", "team": "blue"})).await;
        // It may use the same model: what it may not have is what is the caller's.
        let (_, other) = made(&gateway, &json!({"name": "other", "team": "green"})).await;
        let (caller, other) = (gateway.client.with_key(Some(&caller)), gateway.client.with_key(Some(&other)));
        store_response(&gateway, &caller).await;
        let asked = provider.seen().len();
        for (method, path) in [
            (Method::GET, "/v1/responses/resp_1"),
            (Method::GET, "/v1/responses/resp_1/input_items"),
            (Method::POST, "/v1/responses/resp_1/cancel"),
            (Method::DELETE, "/v1/responses/resp_1"),
        ] {
            let answer = other.send(method.clone(), path, &[], Bytes::new()).await;
            assert_eq!(answer.status, 404, "{channel:?} {method} {path}: {}", answer.text());
        }
        for body in [
            json!({"model": "storing/m", "input": "go on", "previous_response_id": "resp_1"}),
            json!({"input": "go on", "previous_response_id": "resp_1"}),
        ] {
            let answer = other.post("/v1/responses", &body).await;
            assert_eq!(answer.status, 400, "{channel:?} {body}: {}", answer.text());
        }
        assert_eq!(provider.seen().len(), asked, "the provider was asked nothing");
        assert_eq!(
            caller.get("/v1/responses/resp_1").await.json()["id"],
            "resp_1",
            "it is still the caller's"
        );

        let (_, limited) = made(&gateway, &json!({"name": "limited", "models": ["other*"]})).await;
        let listed = gateway.client.with_key(Some(&limited)).get("/v1/models").await.json();
        assert_eq!(listed["data"], json!([]), "{channel:?}");
        gateway.stop().await;
    }
}

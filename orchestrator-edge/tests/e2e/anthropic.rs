//! Anthropic's paths: its clients at its own provider.

mod across;
mod recordings;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    provider::{Answer as Scripted, Cut, Endpoint, Provider},
};
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY},
};

const PATH: &str = "/v1/messages";
const UPSTREAM: &str = "claude-sonnet-4-5-20250929";

fn ask(stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    json!({"model": "m", "max_tokens": 1024, "messages": messages, "stream": stream}).to_string()
}

/// A gateway whose model `m` two providers serve, the first of them preferred.
struct Stage {
    gateway: Gateway,
    first: Endpoint,
    second: Endpoint,
    _provider: Provider,
}

impl Stage {
    async fn start(channel: Channel) -> Self {
        Self::start_with(Gateway::start(channel).await).await
    }

    /// Both are Anthropic's.
    async fn start_with(gateway: Gateway) -> Self {
        let provider = Provider::start().await;
        let (first, second) = (provider.named("first"), provider.named("second"));
        let second_id = add_anthropic(&gateway, "second", &second, 100).await;
        let first_id = add_anthropic(&gateway, "first", &first, 200).await;
        gateway.add_model("m", UPSTREAM, &[&first_id, &second_id]).await;
        gateway.add_model("claude-sonnet-4-5", UPSTREAM, &[&first_id]).await;
        Self { gateway, first, second, _provider: provider }
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.gateway.client.send(Method::POST, path, &[], body.into()).await
    }

    fn both_answer(&self, answer: &Scripted) {
        self.first.route("", answer.clone());
        self.second.route("", answer.clone());
    }
}

/// Makes a provider of kind `anthropic` and gives its id.
async fn add_anthropic(gateway: &Gateway, name: &str, endpoint: &Endpoint, priority: u32) -> String {
    let base_url = endpoint.base_url();
    let base_url = base_url.strip_suffix("/v1").unwrap();
    let more = json!({"kind": "anthropic", "max_retries": 0, "priority": priority});
    gateway.add_provider(name, base_url, more).await
}

fn answer_of(fixture: &str) -> Scripted {
    fixtures::named(fixture).answer(&Cut::Whole)
}

/// An error in Anthropic's envelope; gives its type and its message.
#[track_caller]
fn anthropic_error(answer: &Answer) -> (String, String) {
    let json = answer.json();
    assert_eq!(json["type"], "error", "{}", answer.text());
    assert_eq!(json["request_id"], answer.header("x-request-id"), "{}", answer.text());
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    let text = |name: &str| json["error"][name].as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
    (text("type"), text("message"))
}

/// The data of a stream's events; each must have the name that it says.
fn events(stream: &str) -> Vec<Value> {
    let blocks = stream.split("\n\n").filter(|block| !block.is_empty());
    let read = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("{block:?}"));
        let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), json["type"].as_str(), "{block}");
        json
    };
    blocks.map(read).collect()
}

fn names(stream: &str) -> Vec<String> {
    events(stream).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_key_is_taken_from_each_of_its_places_and_goes_nowhere() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        stage.first.route("", answer_of("anthropic_chat"));
        let bare = stage.gateway.client.with_key(None);
        let bearer = format!("Bearer {CLIENT_KEY}");
        let shown = [("anthropic-version", "2024-01-01"), ("anthropic-beta", "a-1,b-2")];
        let hidden = [
            ("x-app", "cli"),
            ("user-agent", "claude-cli/2.0"),
            ("anthropic-dangerous-direct-browser-access", "true"),
        ];
        for (path, key) in [
            (PATH, ("x-api-key", CLIENT_KEY)),
            ("/v1/messages?beta=true", ("authorization", bearer.as_str())),
            ("/anthropic/v1/messages", ("x-api-key", CLIENT_KEY)),
            ("/claude/v1/messages", ("x-api-key", CLIENT_KEY)),
        ] {
            let headers: Vec<_> = [key].into_iter().chain(shown).chain(hidden).collect();
            let answer = bare.send(Method::POST, path, &headers, Bytes::from(ask(false))).await;
            assert_eq!(answer.status, 200, "{channel:?} {path}: {}", answer.text());
            assert_eq!(answer.body, fixtures::named("anthropic_chat").body);
        }
        stage.gateway.client.post_bytes(PATH, ask(false)).await;
        let seen = stage.first.seen();
        for (at, request) in seen.iter().enumerate() {
            assert_eq!((request.path.as_str(), request.query.as_str()), ("/v1/messages", ""));
            assert_eq!(request.header("x-api-key"), Some(PROVIDER_KEY));
            assert_eq!(request.header("authorization"), None);
            for (name, value) in shown {
                // Who names no version gets the one that Anthropic demands.
                let default = (name == "anthropic-version").then_some("2023-06-01");
                assert_eq!(request.header(name), if at < 4 { Some(value) } else { default }, "{name}");
            }
            let versions = request.headers.iter().filter(|(name, _)| name == "anthropic-version").count();
            assert_eq!(versions, 1, "one version is meant");
            let all = format!("{:?} {:?}", request.headers, request.body);
            assert!(!all.contains(CLIENT_KEY) && !all.contains("x-app"), "{all}");
            assert_eq!(request.body, ask(false).replace("\"m\"", &format!("\"{UPSTREAM}\"")));
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_anthropics_envelope_before_anybody_is_asked() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        let bare = stage.gateway.client.with_key(None);
        let refused = bare.send(Method::POST, PATH, &[("x-api-key", "wrong")], Bytes::from(ask(false))).await;
        assert_eq!((refused.status, anthropic_error(&refused).0.as_str()), (401, "authentication_error"));
        let keyless = bare.send(Method::POST, PATH, &[], Bytes::from(ask(false))).await;
        assert_eq!((keyless.status, anthropic_error(&keyless).0.as_str()), (401, "authentication_error"));

        let missing = stage.post(PATH, ask(true).replace("\"m\"", "\"claude-sonet-4-5\"")).await;
        let (kind, message) = anthropic_error(&missing);
        assert_eq!((missing.status, kind.as_str()), (404, "not_found_error"));
        assert!(message.contains("claude-sonnet-4-5"), "{message}");
        for (path, status) in [("/v1/messages/tomorrow", 404), ("/anthropic/v1/tomorrow", 404)] {
            let answer = stage.post(path, "{}").await;
            assert_eq!(
                (answer.status, anthropic_error(&answer).0.as_str()),
                (status, "not_found_error"),
                "{path}"
            );
        }
        let wrong_method = stage.gateway.client.get(PATH).await;
        assert_eq!(
            (wrong_method.status, anthropic_error(&wrong_method).0.as_str()),
            (405, "invalid_request_error")
        );

        for (body, named) in [
            ("[".to_owned(), "JSON"),
            ("{}".to_owned(), "model"),
            (r#"{"model":"m","messages":[]}"#.to_owned(), "max_tokens"),
            (ask(false).replace("1024", "\"many\""), "max_tokens"),
            (r#"{"model":"m","max_tokens":1,"messages":"hi"}"#.to_owned(), "messages"),
        ] {
            let answer = stage.post(PATH, body.clone()).await;
            let (kind, message) = anthropic_error(&answer);
            assert_eq!((answer.status, kind.as_str()), (400, "invalid_request_error"), "{channel:?} {body}");
            assert!(message.contains(named), "{message}");
        }
        assert_eq!(stage.first.seen().len() + stage.second.seen().len(), 0);
        stage.gateway.stop().await;
    }
    let gateway = Gateway::start_with(Channel::Embedded, |config| config.limits.max_body_bytes = 1000).await;
    let large = gateway.client.post_bytes(PATH, ask(false).replace("hello", &"x".repeat(1000))).await;
    assert_eq!((large.status, anthropic_error(&large).0.as_str()), (413, "request_too_large"));
}

#[tokio::test]
async fn what_its_clients_ask_beside_messages_is_answered() {
    let stage = Stage::start(Channel::Embedded).await;
    let client = stage.gateway.client.with_key(None);
    let probe = client.send(Method::HEAD, "/", &[], Bytes::new()).await;
    assert_eq!((probe.status, probe.body.len()), (200, 0));
    let events = client.post("/api/event_logging/batch", &json!({"events": [{"event_type": "x"}]})).await;
    assert_eq!((events.status, events.json()), (200, json!({})));

    let key = ("x-api-key", CLIENT_KEY);
    let version = ("anthropic-version", "2023-06-01");
    for (path, headers) in [
        ("/v1/models", vec![key, version]),
        ("/v1/models?limit=1000", vec![key, version]),
        ("/anthropic/v1/models", vec![key]),
    ] {
        let answer = client.send(Method::GET, path, &headers, Bytes::new()).await;
        let list = answer.json();
        let ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
        assert!(ids.contains(&"m"), "{path}: {list}");
        assert_eq!(
            (list["has_more"].as_bool(), list["first_id"].as_str()),
            (Some(false), ids.first().copied())
        );
        assert!(
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .all(|it| it["type"] == "model" && it["created_at"].is_string())
        );
    }
    let one = client.send(Method::GET, "/v1/models/m", &[key, version], Bytes::new()).await.json();
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!("m")));
    let missing = client.send(Method::GET, "/v1/models/nobody", &[key, version], Bytes::new()).await;
    assert_eq!((missing.status, anthropic_error(&missing).0.as_str()), (404, "not_found_error"));
    assert_eq!(stage.gateway.client.get("/v1/models").await.json()["object"], "list");
}

#[tokio::test]
async fn a_provider_that_fails_is_followed_by_the_next_and_its_own_words_pass() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        for failure in [
            "anthropic_error_429",
            "anthropic_error_500",
            "anthropic_error_529",
            "anthropic_error_401",
            "anthropic_stream_error_first",
        ] {
            stage.first.route("", answer_of(failure));
            for (stream, fixture) in [(false, "anthropic_chat"), (true, "anthropic_stream")] {
                if failure.contains("stream") && !stream {
                    continue;
                }
                stage.second.route("", answer_of(fixture));
                stage.gateway.forgive().await;
                let answer = stage.post(PATH, ask(stream)).await;
                assert_eq!(answer.status, 200, "{failure} {fixture}: {}", answer.text());
                assert_eq!(answer.body, fixtures::named(fixture).body, "{failure}");
                assert_eq!(answer.header("x-orchestrator-attempts"), "2");
            }
        }
        for failure in ["anthropic_error_429", "anthropic_error_401", "anthropic_error_529"] {
            stage.both_answer(&answer_of(failure));
            stage.gateway.forgive().await;
            let answer = stage.post(PATH, ask(true)).await;
            let said = fixtures::named(failure);
            assert_eq!((answer.status, &answer.body), (said.status, &said.body), "as the provider said it");
            assert_eq!(answer.header("retry-after"), if said.status == 429 { "7" } else { "" });
        }
        // A wrong request is wrong everywhere.
        stage.both_answer(&answer_of("anthropic_error_400"));
        let answer = stage.post(PATH, ask(false)).await;
        assert_eq!(answer.header("x-orchestrator-attempts"), "1");
        assert_eq!((answer.status, &answer.body), (400, &fixtures::named("anthropic_error_400").body));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_tells_so_and_never_stops_well() {
    let stream = fixtures::named("anthropic_stream").body;
    let text = std::str::from_utf8(&stream).unwrap();
    let borders: Vec<usize> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        // Behind the first text, in the middle of the next one, before the end's reason, and before the last event.
        for (whole, cut) in [(3, 0), (3, 40), (5, 0), (6, 0)] {
            stage.both_answer(&answer_of("anthropic_stream").fin_after(borders[whole] + cut));
            let answer = stage.post(PATH, ask(true)).await.text();
            let (passed, rest) = answer.split_at(borders[whole]);
            assert_eq!(passed, &text[..borders[whole]], "{channel:?} {whole}");
            if whole < 6 {
                let rest = events(rest);
                assert_eq!((rest.len(), &rest[0]["type"]), (1, &json!("error")), "{channel:?} {rest:?}");
                assert_eq!(rest[0]["error"]["type"], "api_error");
            }
            assert!(!rest.contains("message_stop"), "{rest}");
        }
        // What the provider itself says goes wrong passes as it is.
        stage.both_answer(&answer_of("anthropic_stream_error_midway"));
        assert_eq!(
            stage.post(PATH, ask(true)).await.body,
            fixtures::named("anthropic_stream_error_midway").body
        );
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_pings() {
    let gateway = Gateway::start_with(Channel::Embedded, |config| {
        config.stream.early_head_ms = 50;
        config.stream.idle_bytes_ms = 50;
    })
    .await;
    let stage = Stage::start_with(gateway).await;
    stage.first.route("", answer_of("anthropic_stream").after(Duration::from_millis(400)));
    let answer = stage.post(PATH, ask(true)).await.text();
    let pings = names(&answer).iter().take_while(|name| *name == "ping").count();
    assert!(pings > 0, "{answer}");
    let without: String = answer.split_inclusive("\n\n").skip(pings).collect();
    assert_eq!(without.as_bytes(), fixtures::named("anthropic_stream").body);
}

#[tokio::test]
async fn a_session_is_read_from_the_users_id() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        stage.first.route("", answer_of("anthropic_chat"));
        for (number, (user, headers, session)) in [
            ("user_a_account__session_5f0e", vec![], json!("5f0e")),
            (r#"{\"session_id\":\"s-2\"}"#, vec![], json!("s-2")),
            ("user_a_account__session_5f0e", vec![("x-session-id", "mine")], json!("mine")),
        ]
        .into_iter()
        .enumerate()
        {
            let body = ask(false).replace(
                "{\"max_tokens\"",
                &format!("{{\"metadata\":{{\"user_id\":\"{user}\"}},\"max_tokens\""),
            );
            let id = format!("session-{number}");
            let headers: Vec<_> = headers.into_iter().chain([("x-request-id", id.as_str())]).collect();
            let answer = stage.gateway.client.send(Method::POST, PATH, &headers, Bytes::from(body)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(stage.gateway.record(&id).await["session_id"], session, "{channel:?} {user}");
        }
        stage.gateway.stop().await;
    }
}

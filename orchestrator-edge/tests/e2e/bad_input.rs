//! What a caller can do wrong, and what can be done to the gateway on purpose. Each time: a 4xx that says what is wrong, no
//! provider asked, a record for what got as far as the core, and a gateway that goes on as before.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Provider};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY, openai_error},
};

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

/// A gateway with a provider that must not be asked: model `gpt-test`, and `plain-test`, which takes no tools.
struct Guarded {
    gateway: Gateway,
    provider: Provider,
    /// By request id, what its record must say: status and outcome; `None`: there must be none.
    expected: BTreeMap<String, Option<(i64, String)>>,
}

/// What is sent, and what must come back.
struct Bad<'a> {
    what: &'a str,
    status: u16,
    param: Option<&'a str>,
    says: &'a str,
}

impl Guarded {
    async fn start(channel: Channel) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let answer = json!({"id": "c1", "object": "chat.completion", "model": "gpt-test", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
        provider.route("", Scripted::json(200, &answer));
        let id = gateway.add_provider("upstream", &provider.base_url(), json!({})).await;
        gateway.add_model("gpt-test", "gpt-test", &[&id]).await;
        let plain = gateway.add_model("plain-test", "plain-test", &[]).await;
        let association = json!({"model_id": plain, "provider_id": id, "tool_call": false});
        gateway.create("/admin/model-providers", &association).await;
        Self { gateway, provider, expected: BTreeMap::new() }
    }

    /// Sends a request under an id of its own. `outcome`: what its record must say, none when the core never sees it.
    async fn refused(
        &mut self,
        client: &Client,
        (path, headers, body): (&str, &[(&str, &str)], Bytes),
        bad: Bad<'_>,
        outcome: Option<&str>,
    ) -> Answer {
        let id = format!("bad-{}", self.expected.len());
        let headers = [headers, &[("x-request-id", &*id)]].concat();
        let answer = client.send(Method::POST, path, &headers, body).await;
        let Bad { what, status, param, says } = bad;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.header("x-request-id"), id, "{what}");
        let (named, _, message) = openai_error(&answer);
        assert_eq!(named.as_deref(), param, "{what}: {message}");
        assert!(message.contains(says), "{what}: {message}");
        let final_for_the_key = matches!(status, 401 | 403);
        assert_eq!(answer.header("x-should-retry") == "false", final_for_the_key, "{what}");
        self.expected.insert(id, outcome.map(|outcome| (i64::from(status), outcome.to_owned())));
        answer
    }

    /// Nobody was asked, everything is written down, and the next request is served.
    async fn unharmed(self) {
        assert_eq!(self.provider.seen().len(), 0, "{:?}", self.provider.seen());
        echo_answers(&self.gateway).await;
        let recorded = self.expected.values().flatten().count() + 1;
        let rows = self.gateway.logs(recorded).await;
        assert_eq!(rows.len(), recorded, "one record each, and one of the echo");
        for row in rows {
            let Some(expected) = self.expected.get(row["request_id"].as_str().unwrap()) else {
                assert_eq!(row["outcome"], "ok", "{row}");
                continue;
            };
            let (status, outcome) = expected.as_ref().unwrap_or_else(|| panic!("the core saw {row}"));
            assert_eq!((row["status"].as_i64(), row["outcome"].as_str()), (Some(*status), Some(&**outcome)));
            assert_eq!((row["attempts"].as_i64(), row["provider"].as_str()), (Some(0), Some("")), "{row}");
        }
        self.gateway.stop().await;
    }
}

async fn echo_answers(gateway: &Gateway) {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "still there"}]});
    let answer = gateway.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "still there");
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// `body` with these fields put over it.
fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn malformed_bodies_are_400s_that_name_the_field() {
    let good = || chat("gpt-test");
    let nested = |count: usize| {
        format!(r#"{{"model":"gpt-test","messages":[],"x":{}{}}}"#, "[".repeat(count), "]".repeat(count))
    };
    let cases: Vec<(&str, Bytes, Option<&str>, &str)> = vec![
        ("no JSON", "hello".into(), None, "JSON"),
        ("nothing", "".into(), None, "JSON"),
        ("an array", "[]".into(), None, "object"),
        ("cut off", r#"{"model":"gpt-test","messages":[{"role""#.into(), None, "JSON"),
        ("something behind", r#"{"model":"gpt-test","messages":[]} {}"#.into(), None, "JSON"),
        (
            "invalid UTF-8",
            Bytes::from_static(b"{\"model\":\"gpt-test\",\"messages\":[\"\xff\"]}"),
            None,
            "UTF-8",
        ),
        ("100,000 levels", nested(100_000).into(), None, "128"),
        ("no model", json!({"messages": []}).to_string().into(), Some("model"), "model"),
        ("an empty model", with(good(), json!({"model": ""})).to_string().into(), Some("model"), "model"),
        (
            "a number for a model",
            with(good(), json!({"model": 4})).to_string().into(),
            Some("model"),
            "string",
        ),
        ("no messages", json!({"model": "gpt-test"}).to_string().into(), Some("messages"), "messages"),
        (
            "a string for messages",
            with(good(), json!({"messages": "hi"})).to_string().into(),
            Some("messages"),
            "array",
        ),
        (
            "stream: yes",
            with(good(), json!({"stream": "yes"})).to_string().into(),
            Some("stream"),
            "true or false",
        ),
        (
            "stream_options: true",
            with(good(), json!({"stream_options": true})).to_string().into(),
            Some("stream_options"),
            "object",
        ),
        ("tools: {}", with(good(), json!({"tools": {}})).to_string().into(), Some("tools"), "array"),
        (
            "tools where none work",
            with(chat("plain-test"), json!({"tools": [{"type": "function", "function": {"name": "f"}}]}))
                .to_string()
                .into(),
            Some("tools"),
            "tools",
        ),
    ];
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let client = guarded.gateway.client.clone();
        for (what, body, param, says) in &cases {
            let bad = Bad { what, status: 400, param: *param, says };
            guarded.refused(&client, (CHAT, &[], body.clone()), bad, Some("invalid_request")).await;
        }
        let body = json!({"model": "gpt-test", "input": "a", "stream": true}).to_string();
        let bad = Bad { what: "streamed embeddings", status: 400, param: Some("stream"), says: "stream" };
        guarded.refused(&client, (EMBEDDINGS, &[], body.into()), bad, Some("invalid_request")).await;
        guarded.unharmed().await;
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_are_413s_that_name_the_setting() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let client = guarded.gateway.client.clone();
        let body = with(chat("gpt-test"), json!({"user": "x".repeat(33 << 20)})).to_string();
        let bad = Bad { what: "33 MiB", status: 413, param: None, says: "MAX_BODY_BYTES" };
        guarded.refused(&client, (CHAT, &[], body.into()), bad, None).await;
        guarded.unharmed().await;
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_is_a_404_with_what_comes_near() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let client = guarded.gateway.client.clone();
        let body = chat("gpt-tset").to_string();
        let bad =
            Bad { what: "a typing error", status: 404, param: Some("model"), says: "near it: gpt-test" };
        guarded.refused(&client, (CHAT, &[], body.into()), bad, Some("not_found")).await;
        guarded.unharmed().await;
    }
}

#[tokio::test]
async fn keys_that_do_not_open_are_401s_and_what_they_may_not_is_a_403() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let key = async |more: Value| {
            let name = more.to_string();
            let body = with(json!({"name": name}), more);
            let answer = guarded.gateway.admin.post("/admin/keys", &body).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.json()["secret"].as_str().unwrap().to_owned()
        };
        let disabled = key(json!({"enabled": false})).await;
        let expired = key(json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
        let narrow = key(json!({"models": ["echo", "plain-*"]})).await;
        let no_chat = key(json!({"operations": ["embeddings"]})).await;
        let no_choice = key(json!({"operations": ["chat"]})).await;

        let client = guarded.gateway.client.clone();
        let body = || Bytes::from(chat("gpt-test").to_string());
        for (what, key, says) in [
            ("no key", None, "no API key"),
            ("an unknown key", Some("sk-unknown"), "not known"),
            ("a disabled key", Some(&*disabled), "disabled"),
            ("an expired key", Some(&*expired), "expired"),
        ] {
            let bad = Bad { what, status: 401, param: None, says };
            let stranger = client.with_key(key);
            let answer = guarded.refused(&stranger, (CHAT, &[], body()), bad, Some("unauthenticated")).await;
            assert!(key.is_none_or(|key| !answer.text().contains(key)), "{}", answer.text());
        }
        let bad = Bad { what: "two keys", status: 401, param: None, says: "differ" };
        let two = [("x-api-key", "sk-another")];
        guarded.refused(&client, (CHAT, &two, body()), bad, Some("unauthenticated")).await;

        let bad = Bad { what: "a model too many", status: 403, param: Some("model"), says: "`gpt-test`" };
        let narrow = client.with_key(Some(&narrow));
        guarded.refused(&narrow, (CHAT, &[], body()), bad, Some("permission_denied")).await;
        let bad = Bad { what: "an operation too many", status: 403, param: None, says: "chat" };
        let no_chat = client.with_key(Some(&no_chat));
        guarded.refused(&no_chat, (CHAT, &[], body()), bad, Some("permission_denied")).await;
        let chosen = [("x-orchestrator-providers", "upstream")];
        let param = Some("x-orchestrator-providers");
        let bad = Bad { what: "a provider of its choice", status: 403, param, says: "providers" };
        let no_choice = client.with_key(Some(&no_choice));
        guarded.refused(&no_choice, (CHAT, &chosen, body()), bad, Some("permission_denied")).await;
        guarded.unharmed().await;
    }
}

#[tokio::test]
async fn headers_of_the_gateway_that_are_malformed_are_400s_that_name_them() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let client = guarded.gateway.client.clone();
        for (name, value) in [
            ("x-orchestrator-timeout-ms", "soon"),
            ("x-orchestrator-timeout-ms", "0"),
            ("x-orchestrator-timeout-ms", "-5"),
            ("x-orchestrator-tags", "team=blue"),
            ("x-orchestrator-tags", r#"{"team":1}"#),
            ("x-orchestrator-strict", "maybe"),
            ("x-orchestrator-providers", "up stream"),
        ] {
            let bad = Bad { what: value, status: 400, param: Some(name), says: name };
            let body = chat("gpt-test").to_string().into();
            guarded.refused(&client, (CHAT, &[(name, value)], body), bad, None).await;
        }
        let body: Bytes = chat("gpt-test").to_string().into();
        let bad = Bad { what: "a typing error", status: 404, param: None, says: "/v1/chat/completion." };
        guarded.refused(&client, ("/v1/chat/completion", &[], body.clone()), bad, None).await;
        let bad = Bad { what: "POST", status: 405, param: None, says: "POST" };
        let answer = guarded.refused(&client, ("/v1/models", &[], body.clone()), bad, None).await;
        assert_eq!(answer.header("allow"), "GET,HEAD");
        let long = format!("{CHAT}?{}", "x".repeat(9 * 1024));
        let bad = Bad { what: "a long URL", status: 414, param: None, says: "8192" };
        guarded.refused(&client, (&long, &[], body.clone()), bad, None).await;
        let many = vec![("x-bomb", "x"); 70];
        let bad = Bad { what: "70 headers", status: 431, param: None, says: "edge.max_headers" };
        guarded.refused(&client, (CHAT, &many, body.clone()), bad, None).await;
        let large = "x".repeat(33 * 1024);
        let bad = Bad { what: "a large header", status: 431, param: None, says: "edge.max_header_bytes" };
        guarded.refused(&client, (CHAT, &[("x-bomb", &large)], body), bad, None).await;
        guarded.unharmed().await;
    }
}

/// A proxy that counts bytes sees one request where one that reads chunks sees two: only the first may be served here.
#[tokio::test]
async fn a_request_smuggled_behind_two_lengths_is_not_served() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let behind = "0\r\n\r\nGET /health HTTP/1.1\r\nhost: h\r\n\r\n";
        let bytes = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {CLIENT_KEY}\r\nx-request-id: smuggler\r\n\
             content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{behind}",
            behind.len()
        );
        let answer = guarded.gateway.client.raw(bytes.as_bytes()).await;
        assert_eq!(status(&answer), Some(400), "{answer}");
        assert!(!answer.contains("healthy"), "{answer}");
        guarded.expected.insert("smuggler".into(), Some((400, "invalid_request".into())));
        guarded.unharmed().await;
    }
}

/// The status of a raw answer; `None`: the connection was closed without one.
fn status(answer: &str) -> Option<u16> {
    let line = answer.strip_prefix("HTTP/1.1 ")?;
    line.get(..3)?.parse().ok()
}

#[tokio::test]
async fn what_is_no_proper_http_is_refused_or_cut_off() {
    for channel in CHANNELS {
        let guarded = Guarded::start(channel).await;
        let client = &guarded.gateway.client;
        let body = chat("gpt-test").to_string();
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {CLIENT_KEY}\r\n");
        let bomb = format!("{head}x-bomb: {}\r\n\r\n", "x".repeat(1 << 20));
        let lengths = format!("{head}content-length: 3\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let bad_chunk = format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n");
        for (what, bytes) in [
            ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 noise \xff\xfe\r\n\r\n".as_slice()),
            ("no HTTP", b"HELO gateway\r\n\r\n"),
            ("a megabyte of header", bomb.as_bytes()),
            ("two lengths that differ", lengths.as_bytes()),
            ("a chunk of no size", bad_chunk.as_bytes()),
            ("a header with a NUL", b"GET /health HTTP/1.1\r\nhost: h\r\nx-a: a\0b\r\n\r\n"),
        ] {
            let answer = client.raw(bytes).await;
            let refused = status(&answer).is_none_or(|status| (400..500).contains(&status));
            assert!(refused, "{what}: {answer}");
        }
        guarded.unharmed().await;
    }
}

#[tokio::test]
async fn who_dawdles_is_cut_off() {
    for channel in CHANNELS {
        let gateway = Gateway::start_with(channel, |config| {
            config.edge.header_timeout_ms = 200;
            config.edge.body_timeout_ms = 200;
        });
        let gateway = gateway.await;
        let answer = gateway.client.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: h").await;
        assert_eq!(answer, "", "a head that is not finished");
        let begun = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {CLIENT_KEY}\r\ncontent-length: 100\r\n\r\n{{"
        );
        let answer = gateway.client.raw(begun.as_bytes()).await;
        assert_eq!(status(&answer), Some(408), "{answer}");
        assert!(answer.contains("edge.body_timeout_ms") && answer.contains("x-request-id"), "{answer}");
        echo_answers(&gateway).await;
        gateway.stop().await;
    }
}

/// Of a repeated key a provider may take the first or the last: it must get one, and that one which the key may use.
#[tokio::test]
async fn of_two_models_in_a_body_the_provider_gets_the_one_that_was_authorised() {
    for channel in CHANNELS {
        let mut guarded = Guarded::start(channel).await;
        let answer =
            guarded.gateway.admin.post("/admin/keys", &json!({"name": "k", "models": ["gpt-test"]})).await;
        let key = answer.json()["secret"].as_str().unwrap().to_owned();
        let narrow = guarded.gateway.client.with_key(Some(&key));
        let twice = |first: &str, last: &str| {
            format!(
                r#"{{"model":"{first}","messages":[{{"role":"user","content":"hi"}}],"mod\u0065l":"{last}"}}"#
            )
        };
        let bad = Bad { what: "a model too many", status: 403, param: Some("model"), says: "`plain-test`" };
        let body = twice("gpt-test", "plain-test").into();
        guarded.refused(&narrow, (CHAT, &[], body), bad, Some("permission_denied")).await;
        assert_eq!(guarded.provider.seen().len(), 0);

        let answer = narrow.post_bytes(CHAT, twice("plain-test", "gpt-test")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = guarded.provider.seen();
        let body = String::from_utf8(seen[0].body.to_vec()).unwrap();
        assert!(!body.contains("plain-test"), "{body}");
        assert_eq!(body.matches("gpt-test").count(), 1, "{body}");
        guarded.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_lone_surrogate_travels_or_is_refused_but_never_breaks() {
    for channel in CHANNELS {
        let guarded = Guarded::start(channel).await;
        let body = br#"{"model":"gpt-test","messages":[{"role":"user","content":"\ud800"}]}"#.as_slice();
        let answer = guarded.gateway.client.post_bytes(CHAT, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(guarded.provider.seen()[0].body, body, "text that is not ours to mend goes as it came");
        let answer = guarded.gateway.client.post_bytes(CHAT, r#"{"model":"\ud800","messages":[]}"#).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(openai_error(&answer).0.as_deref(), Some("model"));
        guarded.gateway.stop().await;
    }
}

#[tokio::test]
async fn no_key_cookie_or_hop_by_hop_header_reaches_a_provider() {
    for channel in CHANNELS {
        let guarded = Guarded::start(channel).await;
        let headers = [
            ("x-api-key", CLIENT_KEY),
            ("x-goog-api-key", CLIENT_KEY),
            ("cookie", "session=canary"),
            ("proxy-authorization", "Basic canary"),
            ("x-admin-key", "canary"),
            ("connection", "x-hop, keep-alive"),
            ("x-hop", "canary"),
            ("keep-alive", "timeout=canary"),
            ("te", "trailers, canary"),
            ("x-forwarded-for", "canary"),
            ("referer", "http://canary"),
            ("openai-beta", "assistants=v2"),
        ];
        let body = Bytes::from(chat("gpt-test").to_string());
        let path = format!("{CHAT}?key={CLIENT_KEY}&beta=true");
        let answer = guarded.gateway.client.send(Method::POST, &path, &headers, body).await;
        assert_eq!(answer.status, 200, "equal keys are one key: {}", answer.text());
        let seen = &guarded.provider.seen()[0];
        let told = format!("{seen:?} {}", seen.query);
        assert!(!told.contains("canary") && !told.contains(CLIENT_KEY), "{told}");
        assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {PROVIDER_KEY}")));
        assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
        guarded.gateway.stop().await;
    }
}

//! Counts of a prompt's tokens: for clients of Anthropic, of Gemini and of OpenAI's Responses, at providers of every kind, each asked in
//! its own words; and the estimate where nobody counts.

use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Endpoint, Provider, Script};
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY},
};

const MESSAGES: &str = "/v1/messages/count_tokens";
const GEMINI: &str = "/v1beta/models/m:countTokens";
const RESPONSES: &str = "/v1/responses/input_tokens";

/// A gateway whose model `m` is `up` at one provider.
struct House {
    gateway: Gateway,
    endpoint: Endpoint,
    /// The provider's id in the catalog.
    id: String,
    _provider: Provider,
}

impl House {
    async fn of(kind: &str, channel: Channel) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let endpoint = provider.named(kind);
        let base_url = endpoint.base_url();
        // These kinds have the version in their paths.
        let versioned = matches!(kind, "anthropic" | "gemini");
        let base_url = if versioned { base_url.trim_end_matches("/v1") } else { &base_url };
        let more = json!({"kind": kind, "max_retries": 0});
        let id = gateway.add_provider(kind, base_url, more).await;
        gateway.add_model("m", "up", &[&id]).await;
        Self { gateway, endpoint, id, _provider: provider }
    }

    /// Counts 42, as providers of that kind do.
    async fn counting(kind: &str, channel: Channel) -> Self {
        let house = Self::of(kind, channel).await;
        let (path, answer) = match kind {
            "anthropic" => ("messages/count_tokens", json!({"input_tokens": 42})),
            "gemini" => (
                "",
                json!({"totalTokens": 42, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}]}),
            ),
            _ => ("responses/input_tokens", json!({"object": "response.input_tokens", "input_tokens": 42})),
        };
        house.endpoint.route(path, Scripted::json(200, &answer));
        house
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let headers = [("anthropic-beta", "token-counting-2024-11-01")];
        self.gateway.client.send(Method::POST, path, &headers, body.to_owned().into()).await
    }

    fn asked(&self) -> (String, String) {
        let seen = self.endpoint.seen();
        let last = seen.last().expect("the provider was asked");
        (last.path.clone(), String::from_utf8(last.body.to_vec()).unwrap())
    }
}

/// The number in a vendor's answer, if the answer is of that vendor's shape.
#[track_caller]
fn counted(path: &str, answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let json = answer.json();
    let name = if path == GEMINI { "totalTokens" } else { "input_tokens" };
    let object = if path == RESPONSES { json!("response.input_tokens") } else { Value::Null };
    assert_eq!(json["object"], object, "{path}: {json}");
    json[name].as_u64().unwrap_or_else(|| panic!("{path}: {json}"))
}

/// The same question by a client of each vendor.
fn questions() -> [(&'static str, &'static str); 3] {
    [
        (
            MESSAGES,
            r#"{"model": "m", "system": "Be terse.", "messages": [{"role": "user", "content": "hi"}]}"#,
        ),
        (
            GEMINI,
            r#"{"generateContentRequest": {"model": "models/m", "systemInstruction": {"parts": [{"text": "Be terse."}]},
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}}"#,
        ),
        (RESPONSES, r#"{"model": "m", "instructions": "Be terse.", "input": "hi"}"#),
    ]
}

#[tokio::test]
async fn every_client_gets_the_count_of_a_provider_that_counts() {
    for channel in CHANNELS {
        for (kind, asked_at, words) in [
            ("anthropic", "/v1/messages/count_tokens", ["\"system\":", "\"messages\":"]),
            ("gemini", "/v1beta/models/up:countTokens", ["\"systemInstruction\":", "\"contents\":"]),
            ("openai", "/v1/responses/input_tokens", ["Be terse.", "\"input\":"]),
        ] {
            let house = House::counting(kind, channel).await;
            for (path, body) in questions() {
                let answer = house.post(path, body).await;
                assert_eq!(counted(path, &answer), 42, "{channel:?} {kind}");
                assert_eq!(answer.header("x-orchestrator-provider"), kind);
                assert_eq!(answer.header("x-orchestrator-estimated"), "");
                assert_eq!(answer.header("x-orchestrator-dropped"), "", "{path} at {kind}");
                let (at, sent) = house.asked();
                assert_eq!(at, asked_at);
                let sent_json: Value = serde_json::from_str(&sent).unwrap();
                let model =
                    sent_json["generateContentRequest"]["model"].as_str().or(sent_json["model"].as_str());
                assert_eq!(model, Some(if kind == "gemini" { "models/up" } else { "up" }), "{sent}");
                for word in words {
                    assert!(sent.contains(word), "{path} at {kind}: {sent}");
                }
                for refused in ["max_tokens", "max_output_tokens", "stream", "store", "generationConfig"] {
                    assert!(!sent.contains(refused), "{path} at {kind}: {sent}");
                }
            }
            // What was counted was not used.
            for row in house.gateway.logs(3).await {
                let fields = ["operation", "outcome", "provider", "prompt_tokens", "completion_tokens"];
                let row = fields.map(|name| row[name].to_string().trim_matches('"').to_owned());
                assert_eq!(row, ["count_tokens", "ok", kind, "0", "0"]);
            }
            house.gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn at_its_own_vendor_a_count_travels_as_it_is() {
    for channel in CHANNELS {
        let anthropic = House::counting("anthropic", channel).await;
        let ask = |model: &str| {
            format!(
                r#"{{ "model": "{model}", "messages":[{{"role":"user","content":"hi"}}], "later": 1.0 }}"#
            )
        };
        for path in
            [MESSAGES, "/anthropic/v1/messages/count_tokens", "/claude/v1/messages/count_tokens?beta=true"]
        {
            assert_eq!(counted(MESSAGES, &anthropic.post(path, &ask("m")).await), 42);
            let seen = anthropic.endpoint.seen().pop().unwrap();
            assert_eq!(seen.body, ask("up"));
            assert_eq!(seen.header("x-api-key"), Some(PROVIDER_KEY));
            assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
            assert_eq!(seen.header("anthropic-beta"), Some("token-counting-2024-11-01"));
        }
        anthropic.gateway.stop().await;

        let gemini = House::counting("gemini", channel).await;
        let ask = r#"{ "contents": [{"parts": [{"text": "hi"}]}], "later": 1.0 }"#;
        for path in [GEMINI, "/v1/models/m:countTokens", "/gemini/v1beta/models/m:countTokens"] {
            let answer = gemini.post(path, ask).await;
            assert_eq!(
                answer.json()["promptTokensDetails"][0]["tokenCount"],
                42,
                "{path}: {}",
                answer.text()
            );
            assert_eq!(gemini.asked().1, ask);
        }
        gemini.gateway.stop().await;
    }
}

#[tokio::test]
async fn where_nobody_counts_there_is_an_estimate_that_says_so() {
    for channel in CHANNELS {
        // This kind has no count, and is not asked for one.
        let compatible = House::of("openai_compatible", channel).await;
        for (path, body) in questions() {
            let answer = compatible.post(path, body).await;
            // "Be terse." and "hi" are eleven bytes, four a token.
            assert_eq!(counted(path, &answer), 3, "{channel:?}");
            assert_eq!(answer.header("x-orchestrator-estimated"), "true");
            assert_eq!(answer.header("x-orchestrator-provider"), "");
        }
        assert_eq!(compatible.endpoint.seen().len(), 0);
        let rows = compatible.gateway.logs(3).await;
        assert!(rows.iter().all(|row| row["outcome"] == "ok" && row["prompt_tokens"] == 0), "{rows:?}");
        compatible.gateway.stop().await;

        // Whoever fails to count is as good as one who cannot.
        let failures: [(&str, Script); 4] = [
            ("anthropic", Scripted::error(529).into()),
            (
                "anthropic",
                Scripted::json(
                    404,
                    &json!({"type": "error", "error": {"type": "not_found_error", "message": "no"}}),
                )
                .into(),
            ),
            ("gemini", Scripted::html().into()),
            (
                "openai",
                Scripted::json(
                    400,
                    &json!({"error": {"message": "no such path", "type": "invalid_request_error"}}),
                )
                .into(),
            ),
        ];
        for (kind, failure) in failures {
            let house = House::of(kind, channel).await;
            house.endpoint.route("", failure);
            let (path, body) = questions()[0];
            let answer = house.post(path, body).await;
            assert_eq!(counted(path, &answer), 3, "{channel:?} {kind}");
            assert_eq!(answer.header("x-orchestrator-estimated"), "true");
            assert_eq!(answer.header("x-orchestrator-attempts"), "1");
            house.gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn the_next_provider_counts_where_the_first_does_not() {
    let house = House::counting("anthropic", Channel::Embedded).await;
    let compatible = json!({"kind": "openai_compatible", "priority": 900});
    let id = house.gateway.add_provider("first", &house.endpoint.base_url(), compatible).await;
    house.gateway.add_model("two", "up", &[&id, &house.id]).await;
    let answer =
        house.post(MESSAGES, r#"{"model": "two", "messages": [{"role": "user", "content": "hi"}]}"#).await;
    assert_eq!(counted(MESSAGES, &answer), 42);
    assert_eq!(answer.header("x-orchestrator-provider"), "anthropic");
    house.gateway.stop().await;
}

#[tokio::test]
async fn a_callers_fault_is_told_in_its_own_words() {
    for channel in CHANNELS {
        let house = House::of("openai_compatible", channel).await;
        for (path, body, field) in [
            (MESSAGES, r#"{"messages": []}"#, "model"),
            (
                MESSAGES,
                r#"{"model": "m", "messages": [{"role": "user", "content": 7}]}"#,
                "messages[0].content",
            ),
            (GEMINI, "{}", "contents"),
            (
                GEMINI,
                r#"{"generateContentRequest": {"contents": [{"parts": [{"text": 7}]}]}}"#,
                "generateContentRequest.contents[0].parts[0].text",
            ),
            (RESPONSES, r#"{"model": "m", "input": 7}"#, "input"),
        ] {
            let answer = house.post(path, body).await;
            assert_eq!(answer.status, 400, "{channel:?} {body}: {}", answer.text());
            envelope(path, &answer, field);
        }
        let unknown =
            house.post(MESSAGES, r#"{"model": "nn", "messages": [{"role": "user", "content": "hi"}]}"#).await;
        assert_eq!(unknown.status, 404, "{}", unknown.text());
        envelope(MESSAGES, &unknown, "nn");
        house.gateway.stop().await;

        // What a provider that counts says of a request is the caller's to know.
        let house = House::of("anthropic", channel).await;
        let said = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "later: Extra inputs"}});
        house.endpoint.route("", Scripted::json(400, &said));
        for (path, body) in questions() {
            let answer = house.post(path, body).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            envelope(path, &answer, "later: Extra inputs");
        }
        house.gateway.stop().await;
    }
}

#[track_caller]
fn envelope(path: &str, answer: &Answer, needle: &str) {
    let json = answer.json();
    let vendors = match path {
        MESSAGES => json["type"] == "error" && json["error"]["type"].is_string(),
        GEMINI => json["error"]["status"].is_string(),
        _ => json["error"]["type"].is_string() && json.get("type").is_none(),
    };
    assert!(
        vendors && json["error"]["message"].as_str().unwrap().contains(needle),
        "{path} {needle}: {json}"
    );
}

#[tokio::test]
async fn who_may_chat_with_a_model_may_count_for_it_and_nobody_else() {
    let house = House::counting("anthropic", Channel::Embedded).await;
    let (path, body) = questions()[0];
    for (fields, status) in [
        (json!({"operations": ["chat"]}), 200),
        (json!({"operations": ["embeddings"]}), 403),
        (json!({"models": ["m"]}), 200),
        (json!({"models": ["others-*"]}), 403),
    ] {
        let mut key = fields.clone();
        key["name"] = json!(fields.to_string());
        let made = house.gateway.admin.post("/admin/keys", &key).await.json();
        let client = house.gateway.client.with_key(made["secret"].as_str());
        let answer = client.send(Method::POST, path, &[], body.to_owned().into()).await;
        assert_eq!(answer.status, status, "{fields} {made}: {}", answer.text());
        if status == 403 {
            assert_eq!(answer.json()["error"]["type"], "permission_error");
        }
    }
    let by_query = format!("{GEMINI}?key={CLIENT_KEY}");
    let answer =
        house.gateway.client.with_key(None).send(Method::POST, &by_query, &[], questions()[1].1.into()).await;
    assert_eq!(counted(GEMINI, &answer), 42);
    assert_eq!(house.endpoint.seen().len(), 3);
    house.gateway.stop().await;
}

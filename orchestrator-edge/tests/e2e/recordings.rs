//! Real traffic through the whole gateway: what a provider once said reaches a client of the same dialect as it was said, and the
//! account is the provider's own. The provider judges each request it gets against the recorded one, byte for byte.

use orchestrator_testkit::{
    judge::{Body, Judge, Operation},
    provider::{Answer, Cut, Endpoint, Provider},
    recorded::{self, Recording},
};
use serde_json::{Value, json};

use crate::gateway::{CLIENT_KEY, Channel, Gateway, PROVIDER_KEY, openai_error};

/// One exchange, set up: who answers it, and what the client sends.
struct Exchange {
    recording: Recording,
    endpoint: Endpoint,
    path: &'static str,
    /// The recorded request, asking for this exchange's own provider.
    request: String,
    model: String,
}

/// Sets up every exchange as a provider of its own, asked as `PROVIDER/UPSTREAM`.
async fn stage(gateway: &Gateway, provider: &Provider, recordings: Vec<Recording>) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for (number, recording) in recordings.into_iter().enumerate() {
        let name = format!("r{number}");
        let endpoint = provider.named(&name);
        let options = json!({"max_retries": 0});
        gateway.add_provider(&name, &endpoint.base_url(), options).await;
        let operation = recording.operation().unwrap();
        let upstream = match recording.upstream_model.as_str() {
            "" => "gpt-4o",
            named => named,
        };
        let model = format!("{name}/{upstream}");
        let request = with_model(&request_of(&recording, operation), &model);
        let judge =
            Judge::new(operation, PROVIDER_KEY, upstream, Body::recorded_bytes(&request)).secret(CLIENT_KEY);
        endpoint.judge("", judge);
        let path = match operation {
            Operation::ChatCompletions => "/v1/chat/completions",
            Operation::Completions => "/v1/completions",
            Operation::Embeddings => "/v1/embeddings",
        };
        exchanges.push(Exchange { recording, endpoint, path, request, model });
    }
    exchanges
}

/// The recorded request, or one like it where only the answer was kept.
fn request_of(recording: &Recording, operation: Operation) -> String {
    if let Some(request) = &recording.request_body {
        return request.clone();
    }
    let mut request = match operation {
        Operation::ChatCompletions => json!({"messages": [{"role": "user", "content": "Hello"}]}),
        Operation::Completions => json!({"prompt": "Hello"}),
        Operation::Embeddings => json!({"input": "Hello"}),
    };
    if recording.streaming {
        request["stream"] = true.into();
    }
    request.to_string()
}

/// The same text with another `model`, or with one.
fn with_model(request: &str, model: &str) -> String {
    let parsed: Value = serde_json::from_str(request).unwrap();
    let Some(asked) = parsed.get("model").map(Value::to_string) else {
        return request.replacen('{', &format!("{{\"model\":{}, ", json!(model)), 1);
    };
    let at = value_of_model(request, &asked).unwrap_or_else(|| panic!("where is the model in {request}?"));
    format!("{}{}{}", &request[..at], json!(model), &request[at + asked.len()..])
}

/// Where the value `asked` stands behind the key `model`, however the text is spaced.
fn value_of_model(request: &str, asked: &str) -> Option<usize> {
    request.match_indices("\"model\"").find_map(|(at, key)| {
        let behind = request[at + key.len()..].trim_start().strip_prefix(':')?.trim_start();
        behind.starts_with(asked).then(|| request.len() - behind.len())
    })
}

/// What the client must get: the provider's bytes, less the usage event that only our own asking could have caused.
fn expected(exchange: &Exchange) -> String {
    let body = String::from_utf8(exchange.recording.body.to_vec()).unwrap();
    let asked: Value = serde_json::from_str(&exchange.request).unwrap();
    let asked_for_usage = asked["stream_options"]["include_usage"] == true;
    if !exchange.recording.is_event_stream() || asked_for_usage {
        return body;
    }
    let separator = if body.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    body.split_inclusive(separator).filter(|event| !is_usage_alone(event)).collect()
}

fn is_usage_alone(event: &str) -> bool {
    let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or_default();
    let Ok(chunk) = serde_json::from_str::<Value>(data) else { return false };
    chunk["choices"].as_array().is_some_and(Vec::is_empty) && chunk["usage"].is_object()
}

/// Whether the provider answered at all: with content, or with an error in OpenAI's envelope and a status that says so.
fn is_answer(recording: &Recording) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    if !recording.is_event_stream() {
        let body = parsed(&String::from_utf8_lossy(&recording.body));
        return body.is_object() && body["error"].is_object() == (recording.status >= 400);
    }
    let events: Vec<Value> = recorded::data_events(recording).iter().map(|data| parsed(data)).collect();
    let error = events.iter().position(|event| event["error"].is_object());
    error.is_none_or(|error| events[..error].iter().any(has_content))
}

/// Something that a reader would see: a text or a call of a tool.
fn has_content(chunk: &Value) -> bool {
    let choice = &chunk["choices"][0];
    let texts = [&choice["delta"]["content"], &choice["delta"]["reasoning"], &choice["text"]];
    texts.iter().any(|text| text.as_str().is_some_and(|text| !text.is_empty()))
        || choice["delta"]["tool_calls"].is_array()
}

/// Sends every exchange once, with the provider's bytes cut this way, and checks what the client got.
async fn replay(gateway: &Gateway, exchanges: &[Exchange], cut: &Cut) {
    for exchange in exchanges {
        let file = &exchange.recording.file;
        exchange.endpoint.route("", exchange.recording.answer(cut));
        let answer = gateway.client.post_bytes(exchange.path, exchange.request.clone()).await;
        let complaints = exchange.endpoint.complaints();
        assert!(complaints.is_empty(), "{file}: {complaints:#?}");
        if is_answer(&exchange.recording) {
            assert_eq!(answer.status, exchange.recording.status, "{file}: {}", answer.text());
            assert_eq!(answer.text(), expected(exchange), "{file}, cut {cut:?}");
        } else {
            // Nothing that a client of OpenAI's could read: it is told so in the envelope that it knows.
            assert_eq!(answer.status, 502, "{file}: {}", answer.text());
            openai_error(&answer);
        }
        assert_eq!(answer.header("x-orchestrator-attempts"), "1", "{file}");
    }
}

/// The ledger has what the provider counted, cached and reasoning tokens apart; where it counted nothing, an estimate.
async fn check_account(gateway: &Gateway, exchanges: &[Exchange]) {
    let rows = gateway.logs(exchanges.len()).await;
    for exchange in exchanges {
        let file = &exchange.recording.file;
        let row = rows
            .iter()
            .find(|row| row["model"] == exchange.model.as_str())
            .unwrap_or_else(|| panic!("{file}"));
        if !is_answer(&exchange.recording) || exchange.recording.status >= 400 {
            let status = if is_answer(&exchange.recording) { exchange.recording.status } else { 502 };
            assert_eq!(
                (row["status"].as_u64(), row["prompt_tokens"].as_u64()),
                (Some(status.into()), Some(0)),
                "{file}"
            );
            continue;
        }
        let Some(counted) = recorded::usage_of(&exchange.recording) else {
            assert_eq!(row["usage_source"], "estimated", "{file}: {row}");
            continue;
        };
        assert_eq!(row["usage_source"], "provider", "{file}: {row}");
        assert_eq!(row["prompt_tokens"].as_u64(), Some(counted.prompt.unwrap_or(0)), "{file}: {row}");
        assert_eq!(row["completion_tokens"].as_u64(), Some(counted.completion.unwrap_or(0)), "{file}: {row}");
        assert_eq!(row["cached_read_tokens"].as_u64(), Some(counted.cached.unwrap_or(0)), "{file}: {row}");
        assert_eq!(row["reasoning_tokens"].as_u64(), Some(counted.reasoning.unwrap_or(0)), "{file}: {row}");
    }
}

async fn every_exchange_arrives_as_it_was_sent(channel: Channel) {
    let gateway = Gateway::start(channel).await;
    let provider = Provider::start().await;
    let exchanges = stage(&gateway, &provider, recorded::everything()).await;
    replay(&gateway, &exchanges, &Cut::Whole).await;
    check_account(&gateway, &exchanges).await;
    gateway.stop().await;
}

#[tokio::test]
async fn every_exchange_arrives_as_it_was_sent_through_an_embedded_core() {
    every_exchange_arrives_as_it_was_sent(Channel::Embedded).await;
}

#[tokio::test]
async fn every_exchange_arrives_as_it_was_sent_through_a_core_elsewhere() {
    every_exchange_arrives_as_it_was_sent(Channel::Split).await;
}

/// Byte by byte costs a write each: what is longer than this is cut at random places only.
const SHORT: usize = 4 * 1024;

#[tokio::test]
async fn it_is_the_same_however_the_provider_cuts_its_bytes() {
    let gateway = Gateway::start(Channel::Split).await;
    let provider = Provider::start().await;
    let exchanges = stage(&gateway, &provider, recorded::everything()).await;
    replay(&gateway, &exchanges, &Cut::Seeded(7)).await;
    let short: Vec<Exchange> =
        exchanges.into_iter().filter(|one| one.recording.body.len() <= SHORT).collect();
    assert!(short.len() > 20, "only {} short exchanges", short.len());
    replay(&gateway, &short, &Cut::EveryByte).await;
    gateway.stop().await;
}

/// A gateway before one provider `p`, which answers every chat with this.
async fn before(answer: Answer, options: Value) -> (Gateway, Provider) {
    let gateway = Gateway::start(Channel::Embedded).await;
    let provider = Provider::start().await;
    provider.route("/chat/completions", answer);
    gateway.add_provider("p", &provider.base_url(), json!({"max_retries": 0, "options": options})).await;
    (gateway, provider)
}

#[tokio::test]
async fn numbers_and_unknown_fields_pass_untouched_in_both_directions() {
    let odd = r#""temperature": 1.0000000000000000001, "from_tomorrow": {"deep": [1e400, -0, "\u00e9"]}"#;
    let said = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"score":1.0000000000000000001,"new":{"a":1e-9}}"#;
    let answer = Answer::whole(200, "application/json", said);
    let (gateway, provider) = before(answer, json!({})).await;
    let request = format!(r#"{{ "model":"p/m", "messages":[{{"role":"user","content":"hi"}}], {odd} }}"#);

    let answer = gateway.client.post_bytes("/v1/chat/completions", request.clone()).await;

    assert_eq!(answer.text(), said);
    let asked = String::from_utf8(provider.seen()[0].body.to_vec()).unwrap();
    assert_eq!(asked, request.replace("p/m", "m"));
}

#[tokio::test]
async fn a_stream_whose_caller_did_not_ask_for_usage_is_metered_all_the_same() {
    let events = [
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"id":"x","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12}}"#,
    ];
    let answer = Answer::sse(events);
    let (gateway, provider) = before(answer.clone(), json!({})).await;
    let mut request =
        json!({"model": "p/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});

    let unasked = gateway.client.post("/v1/chat/completions", &request).await;
    assert!(!unasked.text().contains("usage"), "{}", unasked.text());
    assert!(unasked.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(provider.seen()[0].json()["stream_options"]["include_usage"], true);

    request["stream_options"] = json!({"include_usage": true});
    let asked = gateway.client.post("/v1/chat/completions", &request).await;
    assert_eq!(asked.body, answer.body_bytes());

    for row in gateway.logs(2).await {
        assert_eq!(
            (row["prompt_tokens"].as_i64(), row["usage_source"].as_str()),
            (Some(11), Some("provider"))
        );
    }
}

#[tokio::test]
async fn a_provider_that_does_not_take_it_is_not_asked_for_usage() {
    let answer =
        Answer::sse([r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#]);
    let (gateway, provider) = before(answer, json!({"include_usage": false})).await;
    let request = json!({"model": "p/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    gateway.client.post("/v1/chat/completions", &request).await;
    assert!(provider.seen()[0].json().get("stream_options").is_none());
    assert_eq!(gateway.logs(1).await[0]["usage_source"], "estimated");
}

#[tokio::test]
async fn the_judge_refuses_what_a_broken_splice_would_send() {
    let answer = Answer::json(200, &json!({"choices": []}));
    // An override stands for the fault: a field that the caller did not write.
    let (gateway, provider) = before(answer, json!({"body_overrides_json": {"temperature": "0.5"}})).await;
    let request = r#"{"model":"p/m","messages":[{"role":"user","content":"hi"}],"temperature":1}"#;
    let judge = Judge::new(Operation::ChatCompletions, PROVIDER_KEY, "m", Body::recorded_bytes(request));
    provider.judge("/chat/completions", judge);

    let answer = gateway.client.post_bytes("/v1/chat/completions", request).await;

    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        provider.complaints().iter().any(|complaint| complaint.contains("temperature")),
        "{:?}",
        provider.complaints()
    );
}

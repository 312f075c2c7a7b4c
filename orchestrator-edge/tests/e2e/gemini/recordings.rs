//! Real traffic of Gemini's and Vertex's through the running gateway, in both framings of a stream.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    judge::{Body, Judge, Operation},
    provider::{Answer, Cut, Provider},
    recorded::{self, Recording},
};
use serde_json::Value;

use super::add_gemini;
use crate::gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY};

/// A recorded exchange, by what the gateway must do with it.
struct Exchange {
    recording: Recording,
    request: String,
    model: String,
    operation: Operation,
}

impl Exchange {
    fn of(recording: Recording) -> Self {
        let request = recording.request_body.clone().unwrap_or_else(|| super::ASK.to_owned());
        let json: Value = serde_json::from_str(&request).unwrap();
        let named = [&json["model"], &json["requests"][0]["model"]].into_iter().find_map(Value::as_str);
        let model = named.unwrap_or("models/gemini-2.5-flash").trim_start_matches("models/").to_owned();
        let operation = match recording.endpoint.as_str() {
            "streamGenerateContent" => Operation::StreamGenerateContent,
            "gemini_embed" if json["requests"].is_array() => Operation::BatchEmbedContents,
            "gemini_embed" => Operation::EmbedContent,
            _ => Operation::GenerateContent,
        };
        Self { recording, request, model, operation }
    }

    fn verb(&self) -> &'static str {
        match self.operation {
            Operation::StreamGenerateContent => "streamGenerateContent",
            Operation::BatchEmbedContents => "batchEmbedContents",
            Operation::EmbedContent => "embedContent",
            _ => "generateContent",
        }
    }

    /// What a provider that is asked for events answers.
    fn answer(&self, cut: &Cut) -> Answer {
        if self.recording.status == 200 && self.operation == Operation::StreamGenerateContent {
            return Answer::stream("text/event-stream", self.body()).cut(cut);
        }
        self.recording.answer(cut)
    }

    fn body(&self) -> Bytes {
        if self.recording.status == 200 {
            recorded::as_events(&self.recording)
        } else {
            self.recording.body.clone()
        }
    }
}

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_embedded() {
    sweep(Channel::Embedded).await;
}

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_split() {
    sweep(Channel::Split).await;
}

async fn sweep(channel: Channel) {
    assert!(CHANNELS.contains(&channel));
    let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
    let mut counted = Vec::new();
    for (number, recording) in recorded::of_gemini().into_iter().enumerate() {
        let exchange = Exchange::of(recording);
        let name = format!("r{number}");
        let endpoint = provider.named(&name);
        add_gemini(&gateway, &name, &endpoint, 100).await;
        let judged = Body::recorded_bytes(&exchange.request);
        endpoint.judge(
            "",
            Judge::new(exchange.operation, PROVIDER_KEY, &exchange.model, judged).secret(CLIENT_KEY),
        );
        let path = format!("/v1beta/models/{name}/{}:{}", exchange.model, exchange.verb());
        let streams = exchange.operation == Operation::StreamGenerateContent;
        let as_asked = if streams { format!("{path}?alt=sse") } else { path.clone() };
        for (at, cut) in [Cut::Whole, Cut::Seeded(11), Cut::Seeded(12)].iter().enumerate() {
            let case = format!("{channel:?} {} {cut:?}", exchange.recording.file);
            endpoint.route("", exchange.answer(cut));
            let id = format!("{name}-{at}");
            let headers = [("x-request-id", id.as_str())];
            let send = |path: &str| {
                let body = Bytes::from(exchange.request.clone());
                let path = path.to_owned();
                let client = gateway.client.clone();
                async move { client.send(Method::POST, &path, &headers, body).await }
            };
            let answer = send(&as_asked).await;
            assert_eq!(endpoint.complaints(), Vec::<String>::new(), "{case}");
            if exchange.recording.file == "gemini_stream_blocked.json"
                || !exchange.recording.file.contains("error")
            {
                assert_eq!(answer.status, exchange.recording.status, "{case}: {}", answer.text());
            }
            assert_eq!(answer.text(), String::from_utf8_lossy(&exchange.body()), "{case}");
            counted.push((id, exchange.recording.clone()));
        }
        if streams && exchange.recording.status == 200 {
            let body = Bytes::from(exchange.request.clone());
            let array = gateway.client.send(Method::POST, &path, &[], body).await.json();
            assert_eq!(array, elements(&exchange.body()), "{}", exchange.recording.file);
        }
    }
    for (id, recording) in counted.iter().filter(|(_, recording)| recording.status == 200) {
        let row = gateway.record(id).await;
        let Some((prompt, completion)) = usage(&recording.body) else { continue };
        let told = [&row["prompt_tokens"], &row["completion_tokens"]].map(|count| count.as_u64().unwrap());
        assert_eq!(told, [prompt, completion], "{}: {row}", recording.file);
        assert_eq!(row["usage_source"], "provider", "{}", recording.file);
    }
    gateway.stop().await;
}

/// The chunks of a stream of events, as one array.
fn elements(events: &Bytes) -> Value {
    let text = String::from_utf8(events.to_vec()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| serde_json::from_str::<Value>(json).unwrap()).collect()
}

/// The last usage in a body, whatever its framing: prompt and completion, thoughts and tools' prompts included.
fn usage(body: &Bytes) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(body);
    let last = text.rfind("\"usageMetadata\"")?;
    let json = text[last..].split_once(':')?.1;
    let usage: Value = serde_json::Deserializer::from_str(json).into_iter().next()?.ok()?;
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let any = ["promptTokenCount", "candidatesTokenCount"].iter().any(|name| usage[*name].is_u64());
    any.then(|| {
        (
            count("promptTokenCount") + count("toolUsePromptTokenCount"),
            count("candidatesTokenCount") + count("thoughtsTokenCount"),
        )
    })
}

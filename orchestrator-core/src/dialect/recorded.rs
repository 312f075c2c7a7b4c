//! The dialects against real traffic: answers of OpenAI, Azure and a dozen compatible servers, recorded by other projects.
//!
//! The recordings are not part of this repository. Where they lie beside the workspace (`../shared/recorded`) these tests run
//! over all of them; elsewhere they say that they are skipped. What is expected is read by naive code over parsed JSON.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::{Dialect, Wire};
use crate::{
    call::{Batch, Facts},
    chat::{ChatEvent, ChatReply, PartKind, Usage},
    dialect::HubReply,
};

/// One exchange with a provider.
struct Exchange {
    file: String,
    dialect: Dialect,
    streaming: bool,
    request: Value,
    status: u64,
    answer: Bytes,
}

fn folder() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let folder = workspace.parent()?.join("shared/recorded");
    folder.join("MANIFEST.json").exists().then_some(folder)
}

fn exchanges() -> Vec<Exchange> {
    let Some(folder) = folder() else {
        eprintln!("skipped: there is no folder of recorded traffic beside the workspace");
        return Vec::new();
    };
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut exchanges = Vec::new();
    for row in read(&folder.join("MANIFEST.json")).as_array().unwrap() {
        let dialect = match row["endpoint"].as_str().unwrap() {
            "chat_completions" => Dialect::OpenAiChat,
            "completions" => Dialect::OpenAiCompletions,
            "embeddings" => Dialect::OpenAiEmbeddings,
            _ => continue,
        };
        let file = row["file"].as_str().unwrap().to_owned();
        let recording = read(&folder.join(&file));
        exchanges.push(Exchange {
            dialect,
            streaming: row["streaming"].as_bool().unwrap(),
            request: recording["request_body"].clone(),
            status: recording["status"].as_u64().unwrap(),
            answer: Bytes::from(recording["response_body_text"].as_str().unwrap().to_owned()),
            file,
        });
    }
    assert!(exchanges.len() > 80, "the manifest names too few exchanges of these dialects");
    exchanges
}

/// What a stream or an answer says, read by parsing everything.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    usage: Option<Usage>,
    text: String,
    reasoning: String,
    refusal: String,
    arguments: String,
    calls: Vec<String>,
    ids: Vec<String>,
    finish: Vec<String>,
    error: bool,
}

impl Naive {
    fn chunk(&mut self, json: &Value) {
        if json["error"].is_object() {
            self.error = true;
            self.usage = usage(&json["usage"]).or(self.usage);
            return;
        }
        for choice in json["choices"].as_array().into_iter().flatten() {
            let said = if choice["message"].is_object() && !choice["delta"].is_object() {
                &choice["message"]
            } else {
                &choice["delta"]
            };
            self.text.push_str(choice["text"].as_str().unwrap_or_default());
            self.content(&said["content"]);
            let reasoning = [&said["reasoning_content"], &said["reasoning"]];
            self.reasoning.push_str(reasoning.iter().find_map(|text| text.as_str()).unwrap_or_default());
            self.refusal.push_str(said["refusal"].as_str().unwrap_or_default());
            for call in said["tool_calls"].as_array().into_iter().flatten() {
                // Some servers repeat a call's id and name with every piece of it.
                let id = call["id"].as_str().map(|id| format!("{} {id}", choice["index"]));
                let repeated = id.as_ref().is_some_and(|id| self.ids.contains(id));
                self.ids.extend(id);
                self.call(&call["function"], repeated);
            }
            self.call(&said["function_call"], false);
            self.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
        self.usage = usage(&json["usage"]).or_else(|| usage(&json["x_groq"]["usage"])).or(self.usage);
    }

    fn call(&mut self, function: &Value, repeated: bool) {
        let name = function["name"].as_str().filter(|name| !name.is_empty() && !repeated);
        self.calls.extend(name.map(str::to_owned));
        self.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
    }

    fn content(&mut self, content: &Value) {
        self.text.push_str(content.as_str().unwrap_or_default());
        for part in content.as_array().into_iter().flatten() {
            self.text.push_str(part["text"].as_str().unwrap_or_default());
            for thought in part["thinking"].as_array().into_iter().flatten() {
                self.reasoning.push_str(thought["text"].as_str().unwrap_or_default());
            }
        }
    }

    fn stream(text: &str) -> Self {
        let mut naive = Self::default();
        for line in text.lines() {
            let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]")
            else {
                continue;
            };
            naive.chunk(&serde_json::from_str(data).unwrap());
        }
        naive
    }

    fn events(events: &[ChatEvent]) -> Self {
        let mut naive = Self::default();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => naive.text.push_str(text),
                ChatEvent::Reasoning { text, .. } => naive.reasoning.push_str(text),
                ChatEvent::Refusal { text, .. } => naive.refusal.push_str(text),
                ChatEvent::ToolCall(call) => {
                    naive.calls.extend(call.name.clone());
                    naive.arguments.push_str(&call.arguments);
                }
                ChatEvent::Finished { finish, .. } => naive.finish.push(finish.native.clone()),
                ChatEvent::Usage(usage) => naive.usage = Some(*usage),
                _ => {}
            }
        }
        naive
    }

    fn reply(reply: &ChatReply) -> Self {
        let mut naive = Self { usage: reply.usage, ..Self::default() };
        for choice in &reply.choices {
            for part in &choice.message.parts {
                match &part.kind {
                    PartKind::Text(text) => naive.text.push_str(text),
                    PartKind::Reasoning(thought) => naive.reasoning.push_str(&thought.text),
                    PartKind::Refusal(text) => naive.refusal.push_str(text),
                    PartKind::ToolCall(call) => {
                        naive.calls.push(call.name.clone());
                        naive.arguments.push_str(&call.arguments);
                    }
                    _ => {}
                }
            }
            naive.finish.extend(Some(choice.finish.native.clone()).filter(|native| !native.is_empty()));
        }
        naive
    }
}

fn usage(json: &Value) -> Option<Usage> {
    let count = |json: &Value| json.as_u64();
    let total = count(&json["total_tokens"])?;
    let prompt = count(&json["prompt_tokens"]).unwrap_or(0);
    let details = &json["prompt_tokens_details"];
    let cached = [&details["cached_tokens"], &json["prompt_cache_hit_tokens"], &json["cached_tokens"]];
    Some(Usage {
        prompt,
        completion: count(&json["completion_tokens"]).unwrap_or(total - prompt),
        cached_read: cached.into_iter().find_map(count).unwrap_or(0),
        cache_write: count(&details["cache_write_tokens"]).unwrap_or(0),
        reasoning: count(&json["completion_tokens_details"]["reasoning_tokens"]).unwrap_or(0),
        prompt_audio: count(&details["audio_tokens"]).unwrap_or(0),
        completion_audio: count(&json["completion_tokens_details"]["audio_tokens"]).unwrap_or(0),
    })
}

#[test]
fn recorded_requests_are_understood() {
    for exchange in exchanges() {
        let mut request = exchange.request;
        if !request.is_object() {
            continue;
        }
        if request["model"].is_null() {
            // On Azure the path may name the model alone.
            request["model"] = Value::from("deployment");
        }
        let body = Bytes::from(request.to_string());
        let wire = exchange.dialect.wire();
        let facts = wire.peek(&body, 128).unwrap_or_else(|error| panic!("{}: {error}", exchange.file));
        assert_eq!(facts.stream, request["stream"] == true, "{}", exchange.file);
        // What a provider refuses need not have a meaning for us, and of prompts only one text can be translated.
        if let Err(error) = wire.decode_request(&body) {
            let prompts =
                exchange.dialect == Dialect::OpenAiCompletions && error.param.as_deref() == Some("prompt");
            assert!(exchange.status >= 400 || prompts, "{}: {error}", exchange.file);
        }
    }
}

#[test]
fn recorded_answers_tell_their_usage_and_survive_the_hub() {
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200 && !exchange.streaming) {
        let file = &exchange.file;
        let wire = exchange.dialect.wire();
        let json: Value = serde_json::from_slice(&exchange.answer).unwrap();
        let signals = wire.inspect(&exchange.answer);
        let mut naive = Naive::default();
        naive.chunk(&json);
        assert_eq!(signals.error.is_some(), naive.error, "{file}");
        assert_eq!(signals.usage, naive.usage, "{file}");
        if naive.error {
            continue;
        }
        assert_eq!(signals.model.as_deref(), json["model"].as_str(), "{file}");
        let reply = wire.decode_reply(&exchange.answer).unwrap_or_else(|error| panic!("{file}: {error}"));
        if let HubReply::Chat(chat) = &reply {
            assert!(signals.content || naive.text.is_empty(), "{file}");
            assert_eq!(Naive::reply(chat), Naive { ids: Vec::new(), ..naive }, "{file}");
        }
        assert_survives(wire, &reply, file);
    }
}

/// Written for a caller and read again an answer is the same, but for finish reasons that only its provider knows.
fn assert_survives(wire: &dyn Wire, reply: &HubReply, file: &str) {
    let written = wire.encode_reply(reply).unwrap();
    let mut expected = reply.clone();
    if let HubReply::Chat(chat) = &mut expected {
        for choice in &mut chat.choices {
            choice.finish.native =
                choice.finish.reason.map(|reason| reason.name().to_owned()).unwrap_or_default();
        }
        if chat.id.is_empty() {
            chat.id = "chatcmpl-0".to_owned();
        }
    }
    assert_eq!(wire.decode_reply(&written).unwrap(), expected, "{file}");
}

fn merged(batches: impl Iterator<Item = Batch>) -> Batch {
    let mut all = Batch::default();
    let mut raw = Vec::new();
    for batch in batches {
        raw.extend_from_slice(&batch.raw);
        all.events.extend(batch.events);
        all.signals.merge(batch.signals);
    }
    all.raw = Bytes::from(raw);
    all
}

/// The stream cut behind every blank line: as a provider's events come one by one.
fn one_by_one(stream: &Bytes) -> Vec<Bytes> {
    let text = std::str::from_utf8(stream).unwrap();
    let end = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    text.split_inclusive(end).map(|event| stream.slice_ref(event.as_bytes())).collect()
}

#[test]
fn recorded_streams_pass_unchanged_and_say_what_they_say() {
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200 && exchange.streaming) {
        let file = &exchange.file;
        let wire = exchange.dialect.wire();
        let naive = Naive::stream(std::str::from_utf8(&exchange.answer).unwrap());
        let mut tap = wire.tap(false);
        let events = one_by_one(&exchange.answer);
        let passed = merged(events.iter().map(|event| tap.pass(event.clone())));
        assert_eq!(passed.raw, exchange.answer, "{file}");
        assert_eq!(passed.signals.usage, naive.usage, "{file}");
        assert_eq!(passed.signals.error.is_some(), naive.error, "{file}");

        let mut decoder = wire.stream_decoder();
        let decoded = merged(events.iter().map(|event| decoder.decode(event)));
        assert_eq!(format!("{:?}", decoded.signals), format!("{:?}", passed.signals), "{file}");
        let whole = wire.stream_decoder().decode(&exchange.answer);
        assert_eq!(whole.events, decoded.events, "{file}");
        assert_eq!(
            Naive::events(&decoded.events),
            Naive { error: false, ids: Vec::new(), ..naive },
            "{file}"
        );
        assert_stream_survives(wire, &decoded.events, file);
    }
}

/// Written for a caller and read again a stream says the same.
fn assert_stream_survives(wire: &dyn Wire, events: &[ChatEvent], file: &str) {
    let mut encoder = wire.stream_encoder(&Facts { include_usage: true, ..Facts::default() });
    let mut written = encoder.encode(events).to_vec();
    written.extend_from_slice(&encoder.finish());
    let again = wire.stream_decoder().decode(&Bytes::from(written));
    let (mut before, after) = (Naive::events(events), Naive::events(&again.events));
    for native in &mut before.finish {
        *native = super::openai::content::finish(native.clone()).reason.unwrap().name().to_owned();
    }
    assert_eq!(after, before, "{file}");
}

#[test]
fn recorded_errors_have_a_message_and_pass_as_they_are() {
    let headers = http::HeaderMap::new();
    for exchange in exchanges().iter().filter(|exchange| exchange.status >= 400) {
        let wire = exchange.dialect.wire();
        let answer = super::ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(exchange.status as u16).unwrap(),
            headers: &headers,
            body: &exchange.answer,
            now: 0,
        };
        let error = wire.read_error(&answer);
        let rendered = wire.render_error(&error, "");
        assert_eq!(u64::from(error.status()), exchange.status, "{}", exchange.file);
        assert_eq!(rendered, exchange.answer, "{}", exchange.file);
        // What logs and the ledger keep of a rejected key is our own text.
        let about_our_key = matches!(exchange.status, 401..=403);
        assert!(
            !about_our_key || error.message.contains("refused the gateway's access"),
            "{}",
            exchange.file
        );
    }
}

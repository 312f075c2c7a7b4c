//! Anthropic's dialect against real traffic, whole and streamed.

use bytes::Bytes;
use orchestrator_testkit::recorded::{self, Recording};
use serde_json::{Value, json};

use super::{merged, one_by_one};
use crate::{
    call::Facts,
    chat::{ChatEvent, PartKind, Usage},
    dialect::{Dialect, EncodeTarget, HubReply, HubRequest, Quirks, Wire},
};

/// What an answer says, read by parsing everything.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thoughts: String,
    calls: Vec<(String, String, Value)>,
    signatures: usize,
    citations: usize,
    /// Blocks that the hub has no word for.
    others: Vec<Value>,
    finish: String,
    usage: Option<Usage>,
}

impl Said {
    fn naive(message: &Value) -> Self {
        let mut said = Self::default();
        for block in message["content"].as_array().into_iter().flatten() {
            said.block(block);
        }
        said.finish = message["stop_reason"].as_str().unwrap_or_default().to_owned();
        said.usage = usage(&message["usage"]);
        said
    }

    fn block(&mut self, block: &Value) {
        let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str().unwrap() {
            "text" => {
                self.text.push_str(&text("text"));
                self.citations += block["citations"].as_array().map_or(0, Vec::len);
            }
            "thinking" => {
                self.thoughts.push_str(&text("thinking"));
                self.signatures += usize::from(!text("signature").is_empty());
            }
            "redacted_thinking" => self.signatures += 1,
            "tool_use" => self.calls.push((text("id"), text("name"), block["input"].clone())),
            _ => self.others.push(block.clone()),
        }
    }

    /// A stream: its message put together as the vendor's documentation tells clients to.
    fn naive_stream(stream: &Bytes) -> Self {
        let text = std::str::from_utf8(stream).unwrap();
        let mut message = Value::Null;
        let mut inputs: Vec<String> = Vec::new();
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            let event: Value = serde_json::from_str(data).unwrap();
            let at = event["index"].as_u64().unwrap_or_default() as usize;
            match event["type"].as_str().unwrap() {
                "message_start" => message = event["message"].clone(),
                "content_block_start" => {
                    message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
                    inputs.push(String::new());
                }
                "content_block_delta" => delta(&mut message["content"][at], &mut inputs[at], &event["delta"]),
                "content_block_stop" if !inputs[at].is_empty() => {
                    message["content"][at]["input"] = serde_json::from_str(&inputs[at]).unwrap();
                }
                "message_delta" => {
                    message["stop_reason"] = event["delta"]["stop_reason"].clone();
                    for (name, count) in event["usage"].as_object().into_iter().flatten() {
                        if !count.is_null() {
                            message["usage"][name] = count.clone();
                        }
                    }
                }
                _ => {}
            }
        }
        Self::naive(&message)
    }

    fn events(events: &[ChatEvent]) -> Self {
        let mut said = Self::default();
        let mut arguments: Vec<String> = Vec::new();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => said.text.push_str(text),
                ChatEvent::Reasoning { text, .. } => said.thoughts.push_str(text),
                ChatEvent::ReasoningBlock { .. } => said.signatures += 1,
                ChatEvent::Citation { .. } => said.citations += 1,
                ChatEvent::ToolCall(call) => {
                    if let (Some(id), Some(name)) = (&call.id, &call.name) {
                        said.calls.push((id.clone(), name.clone(), Value::Null));
                        arguments.push(String::new());
                    }
                    arguments[call.index as usize].push_str(&call.arguments);
                }
                ChatEvent::Opaque { dialect: "anthropic", json, .. } => {
                    said.others.push(serde_json::from_str(json).unwrap());
                }
                ChatEvent::Finished { finish, .. } => said.finish.clone_from(&finish.native),
                ChatEvent::Usage(usage) => said.usage = Some(*usage),
                _ => {}
            }
        }
        for (call, arguments) in said.calls.iter_mut().zip(&arguments) {
            call.2 = serde_json::from_str(arguments).unwrap();
        }
        said
    }

    fn reply(reply: &HubReply) -> Self {
        let HubReply::Chat(reply) = reply else { panic!("a chat") };
        let choice = &reply.choices[0];
        let mut said = Self { usage: reply.usage, finish: choice.finish.native.clone(), ..Self::default() };
        for part in &choice.message.parts {
            said.citations += part.citations.len();
            match &part.kind {
                PartKind::Text(text) => said.text.push_str(text),
                PartKind::Reasoning(thought) => {
                    said.thoughts.push_str(&thought.text);
                    said.signatures +=
                        usize::from(thought.signature.is_some() || thought.encrypted.is_some());
                }
                PartKind::ToolCall(call) => {
                    let arguments = serde_json::from_str(&call.arguments).unwrap();
                    said.calls.push((call.id.clone(), call.name.clone(), arguments));
                }
                PartKind::Opaque { dialect, json } if dialect == "anthropic" => {
                    said.others.push(serde_json::from_str(json).unwrap());
                }
                _ => {}
            }
        }
        said
    }
}

fn delta(block: &mut Value, input: &mut String, delta: &Value) {
    let append = |block: &mut Value, name: &str| {
        let more = delta[name].as_str().unwrap();
        block[name] = format!("{}{more}", block[name].as_str().unwrap_or_default()).into();
    };
    match delta["type"].as_str().unwrap() {
        "text_delta" => append(block, "text"),
        "thinking_delta" => append(block, "thinking"),
        "signature_delta" => append(block, "signature"),
        "input_json_delta" => input.push_str(delta["partial_json"].as_str().unwrap()),
        "citations_delta" => {
            if !block["citations"].is_array() {
                block["citations"] = json!([]);
            }
            block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
        }
        other => panic!("{other}"),
    }
}

fn usage(json: &Value) -> Option<Usage> {
    let count = |name: &str| json[name].as_u64().unwrap_or_default();
    let (read, write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    Some(Usage {
        prompt: count("input_tokens") + read + write,
        completion: json["output_tokens"].as_u64()?,
        cached_read: read,
        cache_write: write,
        reasoning: json["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or_default(),
        ..Usage::default()
    })
}

fn answered(streaming: bool) -> impl Iterator<Item = Recording> {
    recorded::of_anthropic()
        .into_iter()
        .filter(move |it| it.status == 200 && it.streaming == streaming && !it.file.contains("error"))
}

fn wire() -> &'static dyn Wire {
    Dialect::Anthropic.wire()
}

#[test]
fn recorded_requests_are_understood_and_come_back_the_same() {
    for exchange in recorded::of_anthropic().iter().filter(|it| it.status == 200) {
        let Some(request) = &exchange.request_body else { continue };
        let file = &exchange.file;
        let mut request: Value = serde_json::from_str(request).unwrap();
        if request["model"].is_null() {
            // On Vertex the path names it.
            request["model"] = exchange.upstream_model.clone().into();
        }
        let body = Bytes::from(request.to_string());
        let facts = wire().peek(&body, 128).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(facts.stream, request["stream"] == true, "{file}");
        let hub = wire().decode_request(&body).unwrap_or_else(|error| panic!("{file}: {error}"));
        // A name that is no Claude's is told what the caller said.
        let target = EncodeTarget {
            model: "other",
            include_usage: false,
            overrides: &[],
            legacy_names: false,
            quirks: Quirks::NONE,
        };
        let encoded = wire().encode_request(&hub, &target).unwrap();
        // Instructions in the middle have moved to the top.
        let moved = |path: &String| path.strip_suffix(".role").is_some_and(|it| it.starts_with("messages["));
        assert!(encoded.dropped.iter().all(moved), "{file}: {:?}", encoded.dropped);
        let again = wire().decode_request(&encoded.body).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(compared(again), compared(hub), "{file}");
    }
}

/// Turns of one side are one message, instructions go to the top, and empty text says nothing.
fn compared(request: HubRequest) -> String {
    let HubRequest::Chat(mut chat) = request else { panic!("a chat") };
    chat.model.clear();
    chat.messages.sort_by_key(|message| message.role != crate::chat::Role::System);
    let mut parts: Vec<_> = chat.messages.drain(..).flat_map(|message| message.parts).collect();
    parts.retain(|part| !matches!(&part.kind, PartKind::Text(text) if text.is_empty()));
    // Results come before what else their message says.
    let texts: Vec<String> = parts.iter().map(|part| format!("{part:?}")).collect();
    let mut sorted = texts;
    sorted.sort();
    format!("{sorted:?} {chat:?}")
}

#[test]
fn recorded_answers_survive_the_hub() {
    for exchange in answered(false) {
        let file = &exchange.file;
        let naive = Said::naive(&serde_json::from_slice(&exchange.body).unwrap());
        let signals = wire().inspect(&exchange.body);
        assert!(signals.error.is_none() && signals.content && signals.terminator, "{file}");
        assert_eq!(signals.usage, naive.usage, "{file}");
        assert_eq!(signals.finish.unwrap().native, naive.finish, "{file}");
        let reply = wire().decode_reply(&exchange.body).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(Said::reply(&reply), naive, "{file}");
        let written = wire().encode_reply(&reply).unwrap();
        let again = Said::reply(&wire().decode_reply(&written).unwrap());
        assert_eq!(Said { usage: naive.usage, ..again }, naive, "{file}");
    }
}

#[test]
fn recorded_streams_pass_unchanged_and_say_what_they_say() {
    for exchange in answered(true) {
        let (file, stream) = (&exchange.file, &exchange.body);
        let naive = Said::naive_stream(stream);
        let events = one_by_one(stream);
        let mut tap = wire().tap(false);
        let passed = merged(events.iter().map(|event| tap.pass(event.clone())));
        assert_eq!(passed.raw, stream, "{file}");
        assert_eq!(passed.signals.usage, naive.usage, "{file}");
        assert_eq!(passed.signals.finish.as_ref().unwrap().native, naive.finish, "{file}");
        assert!(passed.signals.terminator && passed.signals.error.is_none(), "{file}");

        let mut decoder = wire().stream_decoder();
        let decoded = merged(events.iter().map(|event| decoder.decode(event)));
        assert_eq!(Said::events(&decoded.events), naive, "{file}");
        let mut heard = decoded.signals.clone();
        heard.service_tier = None;
        assert_eq!(format!("{heard:?}"), format!("{:?}", passed.signals), "{file}");
        assert_eq!(wire().stream_decoder().decode(stream).events, decoded.events, "{file}");

        let mut encoder = wire().stream_encoder(&Facts::default());
        let mut written = encoder.encode(&decoded.events).to_vec();
        written.extend_from_slice(&encoder.finish());
        let again = Said::naive_stream(&Bytes::from(written));
        // What nobody counted is estimated for the caller.
        assert_eq!(Said { usage: naive.usage, ..again }, naive, "{file}");
    }
}

#[test]
fn recorded_errors_have_a_message_and_pass_as_they_are() {
    let headers = http::HeaderMap::new();
    for exchange in recorded::of_anthropic().iter().filter(|exchange| exchange.status >= 400) {
        let error = wire().read_error(&crate::dialect::ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(exchange.status).unwrap(),
            headers: &headers,
            body: &exchange.body,
            now: 0,
        });
        assert_eq!(error.status(), exchange.status, "{}", exchange.file);
        assert_eq!(wire().render_error(&error, ""), exchange.body, "{}", exchange.file);
        let Ok(json) = serde_json::from_slice::<Value>(&exchange.body) else { continue };
        let told = crate::dialect::told::message(&error);
        assert!(told.contains(json["error"]["message"].as_str().unwrap()), "{}", exchange.file);
    }
}

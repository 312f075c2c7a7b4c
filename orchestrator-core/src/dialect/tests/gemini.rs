//! Gemini's dialect against real traffic, whole and streamed, in both of its framings.

use bytes::Bytes;
use orchestrator_testkit::recorded::{self, Recording};
use serde_json::Value;

use super::{merged, one_by_one};
use crate::{
    call::Facts,
    chat::{ChatEvent, FinishReason, PartKind, Usage},
    dialect::{Dialect, EncodeTarget, HubReply, HubRequest, Wire},
};

/// What an answer says, read by parsing everything.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thoughts: String,
    calls: Vec<(String, Value)>,
    signatures: usize,
    finish: String,
    usage: Option<Usage>,
}

impl Said {
    fn naive(chunks: &[Value]) -> Self {
        let mut said = Self::default();
        for chunk in chunks {
            for candidate in chunk["candidates"].as_array().into_iter().flatten() {
                for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                    said.part(part);
                }
                if !candidate["finishReason"].is_null() {
                    said.finish = candidate["finishReason"].as_str().map_or_else(
                        || {
                            ["", "STOP", "MAX_TOKENS"][candidate["finishReason"].as_u64().unwrap() as usize]
                                .to_owned()
                        },
                        str::to_owned,
                    );
                }
            }
            if let Some(reason) = chunk["promptFeedback"]["blockReason"].as_str() {
                reason.clone_into(&mut said.finish);
            }
            said.usage = usage(&chunk["usageMetadata"]).or(said.usage);
        }
        said
    }

    fn part(&mut self, part: &Value) {
        let text = part["text"].as_str().unwrap_or_default();
        let place = if part["thought"] == true { &mut self.thoughts } else { &mut self.text };
        place.push_str(text);
        if let Some(name) = part["functionCall"]["name"].as_str() {
            self.calls.push((name.to_owned(), part["functionCall"]["args"].clone()));
        }
        self.signatures += usize::from(part["thoughtSignature"].is_string());
    }

    fn events(events: &[ChatEvent]) -> Self {
        let mut said = Self::default();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => said.text.push_str(text),
                ChatEvent::Reasoning { text, .. } => said.thoughts.push_str(text),
                ChatEvent::ReasoningBlock { .. } => said.signatures += 1,
                ChatEvent::ToolCall(call) => {
                    said.signatures += usize::from(call.signature.is_some());
                    let arguments = serde_json::from_str(&call.arguments).unwrap();
                    said.calls.push((call.name.clone().unwrap(), arguments));
                }
                ChatEvent::Finished { finish, .. } => said.finish.clone_from(&finish.native),
                ChatEvent::Usage(usage) => said.usage = Some(*usage),
                _ => {}
            }
        }
        said
    }

    fn reply(reply: &HubReply) -> Self {
        let HubReply::Chat(reply) = reply else { panic!("a chat") };
        let mut said = Self { usage: reply.usage, ..Self::default() };
        for choice in &reply.choices {
            for part in &choice.message.parts {
                match &part.kind {
                    PartKind::Text(text) => said.text.push_str(text),
                    PartKind::Reasoning(thought) => {
                        said.thoughts.push_str(&thought.text);
                        said.signatures += usize::from(thought.signature.is_some());
                    }
                    PartKind::ToolCall(call) => {
                        said.signatures += usize::from(call.signature.is_some());
                        said.calls.push((call.name.clone(), serde_json::from_str(&call.arguments).unwrap()));
                    }
                    _ => {}
                }
            }
            said.finish.clone_from(&choice.finish.native);
            let called = choice.finish.reason == Some(FinishReason::ToolCalls);
            assert!(!called || !said.calls.is_empty());
        }
        said
    }
}

fn usage(json: &Value) -> Option<Usage> {
    let count = |name: &str| json[name].as_u64().unwrap_or(0);
    let counts = ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"];
    counts.iter().find(|name| json[**name].is_u64())?;
    Some(Usage {
        prompt: count("promptTokenCount") + count("toolUsePromptTokenCount"),
        completion: count("candidatesTokenCount") + count("thoughtsTokenCount"),
        cached_read: count("cachedContentTokenCount"),
        reasoning: count("thoughtsTokenCount"),
        ..Usage::default()
    })
}

fn content(streaming: bool) -> impl Iterator<Item = Recording> {
    recorded::of_gemini()
        .into_iter()
        .filter(move |it| it.endpoint != "gemini_embed" && it.status == 200 && it.streaming == streaming)
        // An error is no answer to compare.
        .filter(|it| !it.file.contains("error"))
}

fn wire() -> &'static dyn Wire {
    Dialect::Gemini.wire()
}

#[test]
fn recorded_requests_are_understood_and_come_back_the_same() {
    for exchange in
        recorded::of_gemini().iter().filter(|it| it.endpoint != "gemini_embed" && it.status == 200)
    {
        let Some(request) = &exchange.request_body else { continue };
        let file = &exchange.file;
        let body = Bytes::from(request.clone());
        wire().peek(&body, 128).unwrap_or_else(|error| panic!("{file}: {error}"));
        let hub = wire().decode_request(&body).unwrap_or_else(|error| panic!("{file}: {error}"));
        let target = EncodeTarget {
            model: "gemini-2.5-flash",
            include_usage: false,
            overrides: &[],
            legacy_names: false,
            quirks: crate::dialect::Quirks::NONE,
        };
        let encoded = wire().encode_request(&hub, &target).unwrap();
        assert_eq!(encoded.dropped, Vec::<String>::new(), "{file}");
        let again = wire().decode_request(&encoded.body).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(compared(again), compared(hub), "{file}");
    }
}

/// Consecutive turns of one side become one, calls go without ids, and a level of thinking becomes the budget of an older model.
fn compared(request: HubRequest) -> String {
    let HubRequest::Chat(mut chat) = request else { panic!("a chat") };
    chat.reasoning = None;
    let mut parts: Vec<_> = chat.messages.drain(..).flat_map(|message| message.parts).collect();
    for part in &mut parts {
        match &mut part.kind {
            PartKind::ToolCall(call) => call.id.clear(),
            PartKind::ToolResult(result) => result.tool_call_id.clear(),
            _ => {}
        }
    }
    // A schema without properties is left out.
    for tool in chat.tools.iter_mut().filter(|tool| tool.parameters.contains("\"properties\": {}")) {
        tool.parameters.clear();
    }
    format!("{parts:?} {chat:?}")
}

#[test]
fn recorded_answers_survive_the_hub() {
    for exchange in content(false) {
        let file = &exchange.file;
        let json: Value = serde_json::from_slice(&exchange.body).unwrap();
        let naive = Said::naive(&[json]);
        let signals = wire().inspect(&exchange.body);
        assert!(signals.error.is_none(), "{file}");
        assert_eq!(signals.usage, naive.usage, "{file}");
        let reply = wire().decode_reply(&exchange.body).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(Said::reply(&reply), naive, "{file}");
        let written = wire().encode_reply(&reply).unwrap();
        assert_eq!(Said::reply(&wire().decode_reply(&written).unwrap()), naive, "{file}");
    }
}

#[test]
fn recorded_streams_pass_unchanged_and_say_what_they_say() {
    for exchange in content(true) {
        let file = &exchange.file;
        let stream = recorded::as_events(&exchange);
        let text = String::from_utf8(stream.to_vec()).unwrap();
        let chunks: Vec<Value> = text
            .split("data: ")
            .filter(|data| !data.trim().is_empty())
            .map(|data| serde_json::from_str(data.trim()).unwrap())
            .collect();
        let naive = Said::naive(&chunks);
        let events = one_by_one(&stream);
        let mut tap = wire().tap(false);
        let passed = merged(events.iter().map(|event| tap.pass(event.clone())));
        assert_eq!(passed.raw, stream, "{file}");
        assert_eq!(passed.signals.usage, naive.usage, "{file}");
        assert!(
            passed.signals.finish.is_some() && passed.signals.content != naive_silence(&naive, &chunks),
            "{file}"
        );

        let mut decoder = wire().stream_decoder();
        let mut decoded = merged(events.iter().map(|event| decoder.decode(event)));
        decoded.events.extend(decoder.end());
        assert_eq!(Said::events(&decoded.events), naive, "{file}");
        assert_eq!(format!("{:?}", decoded.signals), format!("{:?}", passed.signals), "{file}");
        let mut whole = wire().stream_decoder();
        let mut at_once = whole.decode(&stream).events;
        at_once.extend(whole.end());
        assert_eq!(at_once, decoded.events, "{file}");

        let mut encoder = wire().stream_encoder(&Facts::default());
        let mut written = encoder.encode(&decoded.events).to_vec();
        written.extend_from_slice(&encoder.finish());
        let mut again = wire().stream_decoder();
        let mut events = again.decode(&Bytes::from(written)).events;
        events.extend(again.end());
        assert_eq!(Said::events(&events), naive, "{file}");
    }
}

/// Whether a stream says nothing that is content.
fn naive_silence(said: &Said, chunks: &[Value]) -> bool {
    let code = chunks.iter().any(|chunk| chunk.to_string().contains("executableCode"));
    said.text.is_empty() && said.thoughts.is_empty() && said.calls.is_empty() && !code
}

#[test]
fn recorded_errors_have_a_message_and_pass_as_they_are() {
    let headers = http::HeaderMap::new();
    for exchange in recorded::of_gemini().iter().filter(|exchange| exchange.status >= 400) {
        let error = wire().read_error(&crate::dialect::ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(exchange.status).unwrap(),
            headers: &headers,
            body: &exchange.body,
            now: 0,
        });
        assert_eq!(error.status(), exchange.status, "{}", exchange.file);
        let json: Value = serde_json::from_slice(&exchange.body).unwrap();
        let json = json.get(0).unwrap_or(&json);
        assert!(
            crate::dialect::told::message(&error).contains(json["error"]["message"].as_str().unwrap()),
            "{}",
            exchange.file
        );
        assert_eq!(wire().render_error(&error, ""), exchange.body, "{}", exchange.file);
    }
}

#[test]
fn recorded_embeddings_survive_the_hub() {
    for exchange in recorded::of_gemini().iter().filter(|it| it.endpoint == "gemini_embed") {
        let request = Bytes::from(exchange.request_body.clone().unwrap());
        let single = !String::from_utf8_lossy(&request).contains("\"requests\"");
        let dialect = if single { Dialect::GeminiEmbedContent } else { Dialect::GeminiEmbeddings };
        dialect.wire().peek(&request, 128).unwrap();
        dialect.wire().decode_request(&request).unwrap();
        let reply = dialect.wire().decode_reply(&exchange.body).unwrap();
        let again = dialect.wire().encode_reply(&reply).unwrap();
        let json = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap();
        let vectors = |json: &Value| json.to_string().matches("values").count();
        assert_eq!(vectors(&json(&again)), vectors(&json(&exchange.body)), "{}", exchange.file);
        assert_eq!(dialect.wire().decode_reply(&again).unwrap(), reply, "{}", exchange.file);
    }
}

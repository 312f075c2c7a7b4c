//! Responses against real traffic, where it is there, and the project's own exchanges. What is expected is read by naive code over
//! parsed JSON.

use bytes::Bytes;
use orchestrator_testkit::recorded::{self, Recording};
use serde_json::Value;

use super::*;
use crate::{
    call::Batch,
    chat::{ChatEvent, PartKind, Usage},
};

/// What an answer says, read by parsing everything.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<(String, String)>,
    usage: Option<Usage>,
    finish: Option<String>,
}

impl Said {
    /// By a response object.
    fn naive(response: &Value) -> Self {
        let mut said = Self::default();
        for item in response["output"].as_array().unwrap() {
            let text = |json: &Value| json.as_str().unwrap_or_default().to_owned();
            let parts = |field: &str| item[field].as_array().cloned().unwrap_or_default();
            match item["type"].as_str().unwrap() {
                "message" => {
                    for part in parts("content") {
                        said.text.push_str(&text(&part["text"]));
                        said.refusal.push_str(&text(&part["refusal"]));
                    }
                }
                "reasoning" => {
                    for part in parts("summary").iter().chain(&parts("content")) {
                        said.reasoning.push_str(&text(&part["text"]));
                    }
                }
                "function_call" => said.calls.push((text(&item["name"]), text(&item["arguments"]))),
                _ => {}
            }
        }
        let usage = &response["usage"];
        let count = |json: &Value| json.as_u64().unwrap_or_default();
        said.usage = usage.is_object().then(|| Usage {
            prompt: count(&usage["input_tokens"]),
            completion: count(&usage["output_tokens"]),
            cached_read: count(&usage["input_tokens_details"]["cached_tokens"]),
            cache_write: count(&usage["input_tokens_details"]["cache_write_tokens"]),
            reasoning: count(&usage["output_tokens_details"]["reasoning_tokens"]),
            ..Usage::default()
        });
        said.finish = match response["status"].as_str().unwrap() {
            "completed" if said.calls.is_empty() => Some("stop".to_owned()),
            "completed" => Some("tool_calls".to_owned()),
            "incomplete" => Some("length".to_owned()),
            _ => None,
        };
        said
    }

    fn reply(reply: &crate::chat::ChatReply) -> Self {
        let choice = &reply.choices[0];
        let mut said = Self { usage: reply.usage, ..Self::default() };
        said.finish = choice.finish.reason.map(|reason| reason.name().to_owned());
        for part in &choice.message.parts {
            match &part.kind {
                PartKind::Text(text) => said.text.push_str(text),
                PartKind::Refusal(text) => said.refusal.push_str(text),
                PartKind::Reasoning(thought) => said.reasoning.push_str(&thought.text.replace("\n\n", "")),
                PartKind::ToolCall(call) => said.calls.push((call.name.clone(), call.arguments.clone())),
                _ => {}
            }
        }
        said
    }

    fn events(events: &[ChatEvent]) -> Self {
        let mut said = Self::default();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => said.text.push_str(text),
                ChatEvent::Refusal { text, .. } => said.refusal.push_str(text),
                ChatEvent::Reasoning { text, .. } => said.reasoning.push_str(&text.replace("\n\n", "")),
                ChatEvent::ToolCall(call) => {
                    if let Some(name) = &call.name {
                        said.calls.push((name.clone(), String::new()));
                    }
                    said.calls.last_mut().unwrap().1.push_str(&call.arguments);
                }
                ChatEvent::Usage(usage) => said.usage = Some(*usage),
                ChatEvent::Finished { finish, .. } => {
                    said.finish = finish.reason.map(|reason| reason.name().to_owned());
                }
                _ => {}
            }
        }
        said
    }
}

fn answered(streaming: bool) -> impl Iterator<Item = Recording> {
    recorded::responses().into_iter().filter(move |it| it.status == 200 && it.streaming == streaming)
}

#[test]
fn recorded_requests_are_understood() {
    let mut refused = Vec::new();
    for exchange in recorded::responses() {
        let body = Bytes::from(exchange.request_body.clone().unwrap());
        let request: Value = serde_json::from_slice(&body).unwrap();
        let facts =
            OpenAiResponses.peek(&body, 128).unwrap_or_else(|error| panic!("{}: {error}", exchange.file));
        assert_eq!(facts.stream, request["stream"] == true, "{}", exchange.file);
        assert_eq!(facts.previous_response.as_deref(), request["previous_response_id"].as_str());
        let target = EncodeTarget {
            model: "m",
            include_usage: false,
            overrides: &[],
            legacy_names: false,
            quirks: crate::dialect::Quirks::NONE,
        };
        match OpenAiResponses.decode_request(&body) {
            Ok(hub) => {
                let again = OpenAiResponses.encode_request(&hub, &target).unwrap();
                let HubRequest::Chat(before) = hub else { panic!() };
                let Ok(HubRequest::Chat(after)) = OpenAiResponses.decode_request(&again.body) else {
                    panic!()
                };
                assert_eq!(after.messages, before.messages, "{}", exchange.file);
            }
            Err(error) => refused.push(error.param.unwrap_or_default()),
        }
    }
    refused.sort();
    refused.dedup();
    // Only what its provider keeps cannot be told to another.
    let known = ["background", "previous_response_id"];
    assert!(refused.iter().all(|param| known.contains(&param.as_str())), "{refused:?}");
}

#[test]
fn recorded_answers_are_decoded_and_survive_the_hub() {
    for exchange in answered(false) {
        let file = &exchange.file;
        let json: Value = serde_json::from_slice(&exchange.body).unwrap();
        let signals = OpenAiResponses.inspect(&exchange.body);
        assert_eq!(signals.error.is_some(), json["status"] == "failed", "{file}");
        if json["status"] == "failed" {
            continue;
        }
        let naive = Said::naive(&json);
        assert_eq!(signals.usage, naive.usage, "{file}");
        assert_eq!(signals.model.as_deref(), json["model"].as_str(), "{file}");
        assert_eq!(signals.stored_id.is_some(), json["store"] != false, "{file}");
        let Ok(HubReply::Chat(reply)) = OpenAiResponses.decode_reply(&exchange.body) else {
            panic!("{file}")
        };
        assert_eq!(Said::reply(&reply), naive, "{file}");

        let written = OpenAiResponses.encode_reply(&HubReply::Chat(reply.clone())).unwrap();
        let Ok(HubReply::Chat(mut again)) = OpenAiResponses.decode_reply(&written) else { panic!("{file}") };
        // Fields that older answers lack are written with what says nothing.
        again.extras.retain(|name, _| reply.extras.contains_key(name));
        if reply.choices[0].finish.reason.is_some() {
            assert_eq!(again, reply, "{file}");
        }
    }
}

fn collect(batches: impl Iterator<Item = Batch>) -> Batch {
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

#[test]
fn recorded_streams_pass_unchanged_and_say_what_they_say() {
    for exchange in answered(true) {
        let file = &exchange.file;
        let text = std::str::from_utf8(&exchange.body).unwrap();
        let end = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
        let events: Vec<Bytes> =
            text.split_inclusive(end).map(|event| exchange.body.slice_ref(event.as_bytes())).collect();
        let mut tap = OpenAiResponses.tap(true);
        let passed = collect(events.iter().map(|event| tap.pass(event.clone())));
        assert_eq!(passed.raw, exchange.body, "{file}");

        let last: Value = serde_json::from_str(recorded::data_events(&exchange).last().unwrap()).unwrap();
        let failed = last["response"]["status"] == "failed";
        assert_eq!(passed.signals.error.is_some(), failed, "{file}");
        assert!(passed.signals.terminator, "{file}");
        let mut decoder = OpenAiResponses.stream_decoder();
        let decoded = collect(events.iter().map(|event| decoder.decode(event)));
        assert_eq!(decoded.signals.error.is_some(), failed, "{file}");
        if failed {
            continue;
        }
        let naive = Said::naive(&last["response"]);
        assert_eq!(passed.signals.usage, naive.usage, "{file}");
        assert_eq!(Said::events(&decoded.events), naive, "{file}");
        assert_eq!(OpenAiResponses.stream_decoder().decode(&exchange.body).events, decoded.events, "{file}");

        let mut encoder = OpenAiResponses.stream_encoder(&Facts::default());
        let mut written = encoder.encode(&decoded.events).to_vec();
        written.extend_from_slice(&encoder.finish());
        let again = OpenAiResponses.stream_decoder().decode(&Bytes::from(written));
        assert_eq!(Said::events(&again.events), naive, "{file}");
    }
}

#[test]
fn recorded_errors_pass_as_they_are() {
    let headers = http::HeaderMap::new();
    for exchange in recorded::responses().iter().filter(|exchange| exchange.status >= 400) {
        let answer = ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(exchange.status).unwrap(),
            headers: &headers,
            body: &exchange.body,
            now: 0,
        };
        let error = OpenAiResponses.read_error(&answer);
        assert_eq!(error.status(), exchange.status, "{}", exchange.file);
        assert_eq!(OpenAiResponses.render_error(&error, ""), exchange.body, "{}", exchange.file);
    }
}

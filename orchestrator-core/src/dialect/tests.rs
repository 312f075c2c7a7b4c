//! The dialects against real traffic: the project's own exchanges, and answers of OpenAI, Azure and a dozen compatible servers that
//! other projects recorded, where those are there. What is expected is read by naive code over parsed JSON.

mod anthropic;
mod client_fields;
mod gemini;
mod matrix;
mod naive;
mod properties;
mod published;
mod table;

use bytes::Bytes;
use memchr::memmem;
use orchestrator_testkit::{
    judge::Operation,
    recorded::{self, Recording},
};
use serde_json::Value;

use super::{Dialect, Wire};
use crate::{
    call::{Batch, Facts, Signals},
    chat::ChatEvent,
    dialect::HubReply,
    ledger::usage,
};
use naive::Naive;

/// The exchanges that were answered with a 200, streamed or not.
fn answered(streaming: bool) -> impl Iterator<Item = Recording> {
    recorded::everything().into_iter().filter(move |it| it.status == 200 && it.streaming == streaming)
}

fn wire_of(recording: &Recording) -> &'static dyn Wire {
    match recording.operation().unwrap() {
        Operation::ChatCompletions => Dialect::OpenAiChat.wire(),
        Operation::Completions => Dialect::OpenAiCompletions.wire(),
        Operation::Responses => Dialect::OpenAiResponses.wire(),
        _ => Dialect::OpenAiEmbeddings.wire(),
    }
}

#[test]
fn recorded_requests_are_understood() {
    for exchange in recorded::everything() {
        let Some(request) = &exchange.request_body else { continue };
        let mut request: Value = serde_json::from_str(request).unwrap();
        if request["model"].is_null() {
            // On Azure the path may name the model alone.
            request["model"] = Value::from("deployment");
        }
        let body = Bytes::from(request.to_string());
        let wire = wire_of(&exchange);
        let facts = wire.peek(&body, 128).unwrap_or_else(|error| panic!("{}: {error}", exchange.file));
        assert_eq!(facts.stream, request["stream"] == true, "{}", exchange.file);
        // What a provider refuses need not have a meaning for us, and of prompts only one text can be translated.
        if let Err(error) = wire.decode_request(&body) {
            let prompts = exchange.operation() == Some(Operation::Completions)
                && error.param.as_deref() == Some("prompt");
            assert!(exchange.status >= 400 || prompts, "{}: {error}", exchange.file);
        }
    }
}

#[test]
fn recorded_answers_tell_their_usage_and_survive_the_hub() {
    for exchange in answered(false) {
        let file = &exchange.file;
        let wire = wire_of(&exchange);
        let json: Value = serde_json::from_slice(&exchange.body).unwrap();
        let signals = wire.inspect(&exchange.body);
        let mut naive = Naive::default();
        naive.chunk(&json);
        assert_eq!(signals.error.is_some(), naive.error, "{file}");
        assert_eq!(signals.usage, naive.usage, "{file}");
        if naive.error {
            continue;
        }
        assert_eq!(signals.model.as_deref(), json["model"].as_str(), "{file}");
        let reply = wire.decode_reply(&exchange.body).unwrap_or_else(|error| panic!("{file}: {error}"));
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
    for exchange in answered(true) {
        let file = &exchange.file;
        let wire = wire_of(&exchange);
        let naive = Naive::stream(&exchange);
        let mut tap = wire.tap(false);
        let mut events = one_by_one(&exchange.body);
        let passed = merged(events.iter().map(|event| tap.pass(event.clone())));
        assert_eq!(passed.raw, exchange.body, "{file}");
        assert_eq!(passed.signals.usage, naive.usage, "{file}");
        assert_eq!(passed.signals.error.is_some(), naive.error, "{file}");

        let mut tapped = passed.signals;
        if let Some(at) = events.iter().position(|event| memmem::find(event, b"\"error\":{").is_some()) {
            // Behind an error nobody decodes.
            events.truncate(at + 1);
            tapped.terminator = false;
        }
        let mut decoder = wire.stream_decoder();
        let decoded = merged(events.iter().map(|event| decoder.decode(event)));
        assert_eq!(what_both_read(&decoded.signals), what_both_read(&tapped), "{file}");
        let whole = wire.stream_decoder().decode(&exchange.body);
        assert_eq!(whole.events, decoded.events, "{file}");
        assert_eq!(
            Naive::events(&decoded.events),
            Naive { error: false, ids: Vec::new(), ..naive },
            "{file}"
        );
        assert_stream_survives(wire, &decoded.events, file);
    }
}

/// The tap estimates how much of an answer passed, the decoder knows; the tier is the decoder's alone.
fn what_both_read(signals: &Signals) -> String {
    format!("{:?}", Signals { output_bytes: 0, service_tier: None, ..signals.clone() })
}

#[test]
fn what_is_estimated_of_a_stream_is_near_what_its_provider_counted() {
    let mut compared = 0;
    for exchange in answered(true).filter(|exchange| ["openai", "azure"].contains(&&*exchange.provider)) {
        // Hidden reasoning is counted and never sent; of a few words nothing can be estimated.
        let counted = recorded::usage_of(&exchange).filter(|usage| usage.reasoning.unwrap_or(0) == 0);
        let Some(counted) = counted.and_then(|usage| usage.completion).filter(|count| *count >= 20) else {
            continue;
        };
        compared += 1;
        let events = one_by_one(&exchange.body);
        for (share, of) in [(1, 1), (1, 2)] {
            let cut = &events[..events.len() * share / of];
            let (mut tap, mut decoder) = (wire_of(&exchange).tap(false), wire_of(&exchange).stream_decoder());
            let tapped = merged(cut.iter().map(|event| tap.pass(event.clone()))).signals.output_bytes;
            let decoded = merged(cut.iter().map(|event| decoder.decode(event))).signals.output_bytes;
            for estimate in [tapped, decoded].map(usage::estimate) {
                let counted = counted * share as u64 / of as u64;
                let near = estimate <= counted * 3 && counted <= estimate * 3;
                assert!(near, "{} {share}/{of}: {estimate} for {counted}", exchange.file);
            }
        }
    }
    assert!(compared >= 4 || recorded::find().is_none(), "only {compared} streams could be compared");
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
    for exchange in recorded::everything().iter().filter(|exchange| exchange.status >= 400) {
        let wire = wire_of(exchange);
        let answer = super::ErrorAnswer {
            provider: "acme",
            status: http::StatusCode::from_u16(exchange.status).unwrap(),
            headers: &headers,
            body: &exchange.body,
            now: 0,
        };
        let error = wire.read_error(&answer);
        let rendered = wire.render_error(&error, "");
        if serde_json::from_slice::<Value>(&exchange.body).is_ok() {
            assert_eq!(error.status(), exchange.status, "{}", exchange.file);
            assert_eq!(rendered, exchange.body, "{}", exchange.file);
        } else {
            assert_eq!(error.status(), error.kind.status(), "{}", exchange.file);
            assert!(error.message.contains("acme"), "{}", exchange.file);
        }
    }
}

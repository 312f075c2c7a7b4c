//! Streams: golden events, cuts, and what callers hear.

use bytes::Bytes;
use orchestrator_testkit::fixtures;

use super::*;
use crate::{
    call::Batch,
    chat::{ChatEvent, Finish, FinishReason, ToolCallDelta, Usage},
    dialect::openai_chat::OpenAiChat,
};

const STREAMS: [&str; 5] = [
    "gemini_stream",
    "gemini_stream_tool_calls",
    "gemini_stream_two_ends",
    "gemini_stream_blocked",
    "gemini_stream_n2",
];

/// The events of a stream that came in these stretches and ended.
fn decoded(stretches: &[Bytes]) -> (Vec<ChatEvent>, Signals) {
    let mut decoder = Gemini.stream_decoder();
    let mut all = Batch::default();
    for stretch in stretches {
        let batch = decoder.decode(stretch);
        all.events.extend(batch.events);
        all.signals.merge(batch.signals);
    }
    all.events.extend(decoder.end());
    (all.events, all.signals)
}

fn events_of(stream: &Bytes) -> Vec<Bytes> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split_inclusive("\r\n\r\n").map(|event| stream.slice_ref(event.as_bytes())).collect()
}

fn written(wire: &dyn Wire, events: &[ChatEvent]) -> String {
    let mut encoder = wire.stream_encoder(&Facts { include_usage: true, ..Facts::default() });
    let mut out: Vec<u8> = Vec::new();
    for event in events {
        out.extend_from_slice(&encoder.encode(std::slice::from_ref(event)));
    }
    out.extend_from_slice(&encoder.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn streams_become_the_hubs_events_however_they_come() {
    for name in STREAMS {
        let stream = fixtures::named(name).body;
        let (events, signals) = decoded(&events_of(&stream));
        assert_eq!(decoded(&[stream]).0, events, "{name}");
        assert!(!signals.terminator && signals.error.is_none() && signals.finish.is_some(), "{name}");
        insta::assert_debug_snapshot!(name, events);
    }
}

#[test]
fn a_stream_goes_into_the_hub_and_comes_back() {
    for name in STREAMS {
        let (events, _) = decoded(&events_of(&fixtures::named(name).body));
        let again = Bytes::from(written(&Gemini, &events));
        insta::assert_snapshot!(format!("{name}_written"), String::from_utf8_lossy(&again));
        let (twice, _) = decoded(&events_of(&again));
        assert_eq!(said(&twice), said(&events), "{name}");
    }
}

/// What events say, less when usage is told: once is enough.
fn said(events: &[ChatEvent]) -> (Vec<ChatEvent>, Option<Usage>) {
    let mut usage = None;
    let mut rest = Vec::new();
    for event in events {
        match event {
            ChatEvent::Usage(count) => usage = Some(*count),
            other => rest.push(other.clone()),
        }
    }
    (rest, usage)
}

#[test]
fn a_stream_cut_at_any_events_border_has_no_end() {
    for name in STREAMS.into_iter().filter(|name| *name != "gemini_stream_two_ends") {
        let events = events_of(&fixtures::named(name).body);
        for length in 0..events.len() {
            let (heard, signals) = decoded(&events[..length]);
            assert!(signals.finish.is_none(), "{name} {length}");
            assert!(
                !heard.iter().any(|event| matches!(event, ChatEvent::Finished { .. })),
                "{name} {length}"
            );
            let mut tap = Gemini.tap(false);
            let passed = events[..length].iter().map(|event| tap.pass(event.clone()));
            assert!(passed.map(|batch| batch.signals).all(|signals| signals.finish.is_none()), "{name}");
        }
    }
}

#[test]
fn the_tap_passes_every_byte_and_hears_what_the_decoder_hears() {
    for name in STREAMS.into_iter().chain(["gemini_stream_error_midway"]) {
        let stream = fixtures::named(name).body;
        let mut tap = Gemini.tap(false);
        let mut raw = Vec::new();
        let mut signals = Signals::default();
        for event in events_of(&stream) {
            let batch = tap.pass(event);
            raw.extend_from_slice(&batch.raw);
            signals.merge(batch.signals);
        }
        assert_eq!(raw, stream, "{name}");
        assert_eq!(format!("{signals:?}"), format!("{:?}", decoded(&events_of(&stream)).1), "{name}");
    }
}

#[test]
fn an_event_that_lost_its_blank_line_gets_one_before_an_error_follows() {
    let half = Bytes::from_static(b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}");
    assert!(Gemini.tap(false).pass(half).raw.ends_with(b"}\r\n\r\n"));
}

#[test]
fn an_error_inside_a_stream_ends_it() {
    let (events, signals) = decoded(&events_of(&fixtures::named("gemini_stream_error_midway").body));
    let error = signals.error.unwrap();
    assert_eq!(error.message, "The model is overloaded. Please try again later.");
    assert!(!events.iter().any(|event| matches!(event, ChatEvent::Finished { .. })));
    let (_, signals) = decoded(&[Bytes::from_static(b"data: {\"candidates\"\r\n\r\n")]);
    assert!(signals.error.is_some(), "half a chunk is no answer");
}

#[test]
fn pieces_of_calls_are_gathered_and_a_broken_stream_has_no_half_call() {
    let piece = |index, id: Option<&str>, name: Option<&str>, arguments: &str| {
        ChatEvent::ToolCall(ToolCallDelta {
            choice: 0,
            index,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
            signature: None,
        })
    };
    let finish = Finish { reason: Some(FinishReason::ToolCalls), native: "tool_calls".to_owned() };
    let events = [
        ChatEvent::Started { id: "x".into(), model: "m".into(), created: 0 },
        ChatEvent::Text { choice: 0, text: "So:".into() },
        piece(0, Some("call_1"), Some("f"), "{\"a\":"),
        piece(1, Some("call_2"), Some("g"), ""),
        piece(0, None, None, "1}"),
        piece(1, None, None, "{\"b\":"),
        ChatEvent::Finished { choice: 0, finish },
        ChatEvent::Usage(Usage { prompt: 3, completion: 9, reasoning: 4, ..Usage::default() }),
        ChatEvent::Done,
    ];
    let mut encoder = Gemini.stream_encoder(&Facts::default());
    let begun = encoder.encode(&events[..6]);
    assert!(!String::from_utf8_lossy(&begun).contains("functionCall"), "{begun:?}");
    insta::assert_snapshot!(written(&Gemini, &events));
}

#[test]
fn a_caller_of_openais_hears_geminis_stream_in_its_own_words() {
    let (events, _) = decoded(&events_of(&fixtures::named("gemini_stream_tool_calls").body));
    insta::assert_snapshot!(written(&OpenAiChat, &events));
}

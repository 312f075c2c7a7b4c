//! Streams: golden events, cuts, and what callers hear.

use bytes::Bytes;
use orchestrator_testkit::fixtures;
use serde_json::Value;

use super::*;
use crate::{
    call::Batch,
    chat::{ChatEvent, Finish, FinishReason, ToolCallDelta, Usage},
    dialect::openai_chat::OpenAiChat,
};

const STREAMS: [&str; 5] = [
    "anthropic_stream",
    "anthropic_stream_stop_sequence",
    "anthropic_stream_tool_calls",
    "anthropic_stream_server_tools",
    "anthropic_stream_uncounted",
];

/// The events of a stream that came in these stretches.
fn decoded(stretches: &[Bytes]) -> (Vec<ChatEvent>, Signals) {
    let mut decoder = Anthropic.stream_decoder();
    let mut all = Batch::default();
    for stretch in stretches {
        let batch = decoder.decode(stretch);
        all.events.extend(batch.events);
        all.signals.merge(batch.signals);
    }
    (all.events, all.signals)
}

fn events_of(stream: &Bytes) -> Vec<Bytes> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split_inclusive("\n\n").map(|event| stream.slice_ref(event.as_bytes())).collect()
}

fn written(wire: &dyn Wire, events: &[ChatEvent]) -> String {
    let facts = Facts { include_usage: true, body_bytes: 400, ..Facts::default() };
    let mut encoder = wire.stream_encoder(&facts);
    let mut out: Vec<u8> = Vec::new();
    for event in events {
        out.extend_from_slice(&encoder.encode(std::slice::from_ref(event)));
    }
    out.extend_from_slice(&encoder.finish());
    String::from_utf8(out).unwrap()
}

/// The data of the events, by name.
fn data(stream: &str, name: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| serde_json::from_str::<Value>(json).unwrap())
        .filter(|json| json["type"] == name)
        .collect()
}

#[test]
fn streams_become_the_hubs_events_however_they_come() {
    for name in STREAMS {
        let stream = fixtures::named(name).body;
        let (events, signals) = decoded(&events_of(&stream));
        assert_eq!(decoded(&[stream]).0, events, "{name}");
        assert!(signals.terminator && signals.error.is_none() && signals.finish.is_some(), "{name}");
        insta::assert_debug_snapshot!(name, events);
    }
}

#[test]
fn a_stream_goes_into_the_hub_and_comes_back() {
    for name in STREAMS {
        let (events, _) = decoded(&events_of(&fixtures::named(name).body));
        let again = Bytes::from(written(&Anthropic, &events));
        insta::assert_snapshot!(format!("{name}_written"), String::from_utf8_lossy(&again));
        let (twice, _) = decoded(&events_of(&again));
        assert_eq!(said(&twice), said(&events), "{name}");
    }
}

/// What events say, pieces of one text joined, less what is told of usage.
fn said(events: &[ChatEvent]) -> Vec<ChatEvent> {
    let mut out: Vec<ChatEvent> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (_, ChatEvent::Usage(_)) => {}
            (Some(ChatEvent::Text { text, .. }), ChatEvent::Text { text: more, .. }) => text.push_str(more),
            (Some(ChatEvent::ToolCall(call)), ChatEvent::ToolCall(more)) if more.id.is_none() => {
                call.arguments.push_str(&more.arguments);
            }
            (_, event) => out.push(event.clone()),
        }
    }
    out
}

#[test]
fn a_stream_cut_at_any_events_border_has_no_end() {
    for name in STREAMS {
        let events = events_of(&fixtures::named(name).body);
        for length in 0..events.len() {
            let (heard, signals) = decoded(&events[..length]);
            assert!(!signals.terminator, "{name} {length}");
            assert!(!heard.contains(&ChatEvent::Done), "{name} {length}");
            let mut tap = Anthropic.tap(false);
            let mut passed = events[..length].iter().map(|event| tap.pass(event.clone()));
            assert!(passed.all(|batch| !batch.signals.terminator), "{name} {length}");
        }
    }
}

#[test]
fn the_tap_passes_every_byte_and_hears_what_the_decoder_hears() {
    for name in STREAMS.into_iter().chain(["anthropic_stream_error_midway", "anthropic_stream_error_first"]) {
        let stream = fixtures::named(name).body;
        let mut tap = Anthropic.tap(false);
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
fn nothing_is_content_before_something_is_said() {
    for (name, first) in
        [("anthropic_stream", 3), ("anthropic_stream_tool_calls", 2), ("anthropic_stream_server_tools", 1)]
    {
        let mut tap = Anthropic.tap(false);
        let stream = fixtures::named(name).body;
        let content = events_of(&stream).into_iter().map(|event| tap.pass(event).signals.content);
        assert_eq!(content.into_iter().position(|content| content), Some(first), "{name}");
    }
}

#[test]
fn an_error_inside_a_stream_ends_it() {
    for name in ["anthropic_stream_error_midway", "anthropic_stream_error_first"] {
        let (events, signals) = decoded(&events_of(&fixtures::named(name).body));
        assert_eq!(signals.error.unwrap().message, "Overloaded");
        assert!(!signals.terminator && !events.contains(&ChatEvent::Done), "{name}");
    }
    let late = [
        &fixtures::named("anthropic_stream_error_midway").body[..],
        b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let (events, _) = decoded(&[Bytes::from(late.concat())]);
    assert!(!events.contains(&ChatEvent::Done), "behind an error nothing counts");
    let (_, signals) = decoded(&[Bytes::from_static(b"data: {\"type\"\n\n")]);
    assert!(signals.error.is_some(), "half an event is no answer");
}

#[test]
fn what_nobody_knows_is_passed_over() {
    let stream = "event: tomorrow\ndata: {\"type\":\"tomorrow\",\"delta\":{\"type\":\"x_delta\",\"x\":1}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":9,\"delta\":{\"type\":\"x_delta\",\"x\":1}}\n\n: hi\n\n";
    let (events, signals) = decoded(&[Bytes::from(stream)]);
    assert!(events.is_empty() && signals.error.is_none() && !signals.content);
}

#[test]
fn the_beginning_tells_what_is_known_of_the_input_and_the_end_corrects_it() {
    let input = |json: &Value| json["input_tokens"].as_u64().unwrap();
    let text = ChatEvent::Text { choice: 0, text: "Hello there, you.".into() };
    let started = ChatEvent::Started { id: "i".into(), model: "m".into(), created: 0 };
    let counted = Usage { prompt: 7, completion: 3, ..Usage::default() };
    // Nobody counts: 400 bytes were asked.
    let stream = written(&Anthropic, &[started.clone(), text.clone()]);
    assert_eq!(input(&data(&stream, "message_start")[0]["message"]["usage"]), 100);
    assert_eq!(data(&stream, "message_delta")[0]["usage"]["output_tokens"], 5);
    assert_eq!(input(&data(&stream, "message_delta")[0]["usage"]), 100);
    // Counted at the end.
    let stream = written(&Anthropic, &[started.clone(), text.clone(), ChatEvent::Usage(counted)]);
    assert_eq!(input(&data(&stream, "message_start")[0]["message"]["usage"]), 100);
    assert_eq!(input(&data(&stream, "message_delta")[0]["usage"]), 7);
    // Counted at once.
    let mut encoder = Anthropic.stream_encoder(&Facts::default());
    let begun = encoder.encode(&[started, ChatEvent::Usage(counted), text]);
    let begun = String::from_utf8(begun.to_vec()).unwrap();
    assert_eq!(input(&data(&begun, "message_start")[0]["message"]["usage"]), 7);
}

#[test]
fn pieces_of_calls_that_come_mixed_become_blocks_that_do_not() {
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
    let finish = Finish { reason: Some(FinishReason::Stop), native: "stop".to_owned() };
    let events = [
        ChatEvent::Started { id: "x".into(), model: "m".into(), created: 0 },
        ChatEvent::Text { choice: 0, text: "So:".into() },
        piece(0, Some("call_1"), Some("f"), "{\"a\":"),
        piece(1, Some("call_2"), Some("g"), ""),
        piece(0, None, None, "1}"),
        piece(1, None, None, "{\"b\":"),
        ChatEvent::Text { choice: 0, text: "Done.".into() },
        ChatEvent::Finished { choice: 0, finish },
        ChatEvent::Usage(Usage { prompt: 3, completion: 9, reasoning: 4, ..Usage::default() }),
        ChatEvent::Done,
    ];
    insta::assert_snapshot!(written(&Anthropic, &events));
}

#[test]
fn a_caller_of_openais_hears_anthropics_stream_in_its_own_words() {
    let (events, _) = decoded(&events_of(&fixtures::named("anthropic_stream_tool_calls").body));
    insta::assert_snapshot!(written(&OpenAiChat, &events));
}

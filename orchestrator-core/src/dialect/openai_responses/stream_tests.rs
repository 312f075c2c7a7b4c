//! Streams: golden texts, and what must hold however they are cut.

use bytes::Bytes;
use orchestrator_testkit::fixtures;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    call::Batch,
    chat::{ChatEvent, Citation, Finish, FinishReason, ToolCallDelta, Usage},
    dialect::seal,
};

/// A stream with every kind of item, event by event.
fn stream() -> Vec<String> {
    let body = fixtures::named("responses_stream").body;
    let text = String::from_utf8(body.to_vec()).unwrap();
    text.split_inclusive("\n\n").map(str::to_owned).collect()
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

/// The stream in stretches: a cut before each event whose place is in `cuts`.
fn stretches(events: &[String], cuts: &[usize]) -> Vec<Bytes> {
    let mut stretches = vec![String::new()];
    for (at, event) in events.iter().enumerate() {
        if cuts.contains(&at) && at > 0 {
            stretches.push(String::new());
        }
        stretches.last_mut().unwrap().push_str(event);
    }
    stretches.into_iter().map(Bytes::from).collect()
}

fn decoded(events: &[String], cuts: &[usize]) -> Batch {
    let mut decoder = OpenAiResponses.stream_decoder();
    collect(stretches(events, cuts).iter().map(|stretch| decoder.decode(stretch)))
}

fn tapped(events: &[String], cuts: &[usize]) -> Batch {
    let mut tap = OpenAiResponses.tap(true);
    collect(stretches(events, cuts).into_iter().map(|stretch| tap.pass(stretch)))
}

fn encoded(events: &[ChatEvent]) -> String {
    let mut encoder = OpenAiResponses.stream_encoder(&Facts::default());
    let mut out = encoder.encode(events).to_vec();
    out.extend_from_slice(&encoder.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn a_stream_becomes_the_hubs_events() {
    let batch = decoded(&stream(), &[]);
    let lines: Vec<String> = batch.events.iter().map(|event| format!("{event:?}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    insta::assert_debug_snapshot!("stream_signals", batch.signals);
}

/// Parallel calls told in turns, as some servers do, reasoning of another vendor, and a source.
fn told() -> Vec<ChatEvent> {
    let call = |index, id: Option<&str>, arguments: &str| {
        ChatEvent::ToolCall(ToolCallDelta {
            index,
            id: id.map(str::to_owned),
            name: id.map(|_| "f".to_owned()),
            arguments: arguments.to_owned(),
            signature: id.filter(|id| *id == "b").map(|_| seal::seal(Dialect::OpenAiChat, "sig")),
            ..ToolCallDelta::default()
        })
    };
    let signature = Some(seal::seal(Dialect::OpenAiChat, "signed"));
    let citation =
        Citation { url: Some("https://x.test".into()), title: Some("t".into()), ..Citation::default() };
    let finish = Finish { reason: Some(FinishReason::ToolCalls), native: "tool_use".into() };
    vec![
        ChatEvent::Started { id: "msg-1".into(), model: "m".into(), created: 7 },
        ChatEvent::Reasoning { choice: 0, text: "h".into() },
        ChatEvent::Reasoning { choice: 0, text: "m".into() },
        ChatEvent::ReasoningBlock { choice: 0, signature, encrypted: None },
        ChatEvent::Text { choice: 0, text: "zü".into() },
        ChatEvent::Logprobs { choice: 0, json: r#"{"content":[{"token":"zü"}]}"#.into() },
        ChatEvent::Text { choice: 0, text: " hi".into() },
        ChatEvent::Citation { choice: 0, citation },
        ChatEvent::Refusal { choice: 0, text: "no".into() },
        call(0, Some("a"), ""),
        call(1, Some("b"), "{\"y\""),
        call(0, None, "{}"),
        call(1, None, ":1}"),
        ChatEvent::Text { choice: 1, text: "another choice".into() },
        ChatEvent::Usage(Usage { prompt: 5, completion: 4, cached_read: 1, ..Usage::default() }),
        ChatEvent::Finished { choice: 0, finish },
        ChatEvent::Done,
    ]
}

#[test]
fn the_hubs_events_become_a_stream() {
    insta::assert_snapshot!(encoded(&told()));
}

/// The events of a written stream, each with its name.
fn parsed(stream: &str) -> Vec<(String, Value)> {
    let events = stream.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            (name.strip_prefix("event: ").unwrap().to_owned(), data)
        })
        .collect()
}

/// What any client of Responses relies on.
fn assert_well_formed(stream: &str) {
    let events = parsed(stream);
    assert_eq!(events[0].0, "response.created");
    let mut deltas: Vec<String> = Vec::new();
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!(event["type"], **name);
        assert_eq!(event["sequence_number"], number);
        let place = event["output_index"].as_u64().unwrap_or_default() as usize;
        match name.as_str() {
            "response.output_item.added" => {
                assert_eq!(place, deltas.len(), "items are announced in their order");
                deltas.push(String::new());
            }
            _ if name.rsplit('.').next() == Some("delta") => {
                deltas[place].push_str(event["delta"].as_str().unwrap());
            }
            _ => {}
        }
    }
    let (last, event) = events.last().unwrap();
    assert!(last == "response.completed" || last == "response.incomplete", "{last}");
    let output = event["response"]["output"].as_array().unwrap();
    let done: Vec<&Value> = (0..output.len())
        .map(|place| {
            let is = |(name, event): &&(String, Value)| {
                name == "response.output_item.done" && event["output_index"] == place
            };
            &events.iter().find(is).unwrap().1["item"]
        })
        .collect();
    assert_eq!(output.iter().collect::<Vec<_>>(), done, "the last object repeats what was done");
    let said: Vec<String> = output
        .iter()
        .map(|item| {
            let parts = item["content"].as_array().into_iter().chain(item["summary"].as_array()).flatten();
            let texts = parts.flat_map(|part| [part["text"].as_str(), part["refusal"].as_str()]);
            texts.chain([item["arguments"].as_str()]).flatten().collect()
        })
        .collect();
    assert_eq!(said, deltas, "the last object says what the deltas said");
}

#[test]
fn what_is_written_is_what_clients_rely_on() {
    assert_well_formed(&encoded(&told()));
    assert_well_formed(&encoded(&decoded(&stream(), &[]).events));
    assert_well_formed(&encoded(&[]));
    let finish = Finish { reason: Some(FinishReason::Length), native: String::new() };
    let cut = encoded(&[
        ChatEvent::Text { choice: 0, text: "a".into() },
        ChatEvent::Finished { choice: 0, finish },
    ]);
    assert_well_formed(&cut);
    assert!(
        cut.contains("event: response.incomplete\n") && cut.contains(r#"{"reason":"max_output_tokens"}"#)
    );
}

/// Neighbouring pieces of one kind as one: how finely a stream was told is nobody's concern.
fn joined(events: &[ChatEvent]) -> Vec<ChatEvent> {
    let mut out: Vec<ChatEvent> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (Some(ChatEvent::Text { text: before, .. }), ChatEvent::Text { text, .. })
            | (Some(ChatEvent::Reasoning { text: before, .. }), ChatEvent::Reasoning { text, .. }) => {
                before.push_str(text);
            }
            (Some(ChatEvent::ToolCall(before)), ChatEvent::ToolCall(call))
                if before.index == call.index && call.id.is_none() =>
            {
                before.arguments.push_str(&call.arguments);
            }
            _ => out.push(event.clone()),
        }
    }
    out
}

#[test]
fn a_translated_stream_reads_back_as_the_same_events() {
    let events = decoded(&stream(), &[]).events;
    assert_eq!(joined(&decoded(&[encoded(&events)], &[]).events), joined(&events));
}

#[test]
fn what_is_said_only_when_it_is_done_is_heard_once() {
    let without_deltas: Vec<String> = stream()
        .into_iter()
        .filter(|event| !event.contains(".delta\n") && !event.contains("annotation.added"))
        .collect();
    let last: Vec<String> =
        stream().into_iter().filter(|event| event.contains("event: response.c")).collect();
    let text = |events: &[String]| {
        let mut said = String::new();
        for event in decoded(events, &[]).events {
            match event {
                ChatEvent::Text { text, .. } => said.push_str(&text),
                ChatEvent::Reasoning { text, .. } => said.extend(["(", &text, ")"]),
                ChatEvent::ToolCall(call) => said.push_str(&call.arguments),
                _ => {}
            }
        }
        said
    };
    let expected = "(Think.)(\n\nAgain.)Zürich is sunny 👋{\"city\": \"Zürich\"}{\"city\": \"Łódź\"}";
    assert_eq!(text(&without_deltas), expected);
    assert_eq!(text(&last), expected);
}

#[test]
fn errors_inside_a_stream_are_told_apart_from_content() {
    let start = stream()[0].clone();
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"say \\\"error\\\": response.failed\",\"output_index\":0}\n\n".to_owned();
    for signals in [
        tapped(&[delta.clone(), delta.clone()], &[1]).signals,
        decoded(std::slice::from_ref(&delta), &[]).signals,
    ] {
        assert!(signals.error.is_none() && signals.content && !signals.terminator);
    }
    let errors = [
        "event: error\ndata: {\"type\":\"error\",\"code\":\"c\",\"message\":\"boom\",\"param\":null,\"sequence_number\":2}\n\n",
        "data: {\"type\":\"error\",\"error\":{\"type\":\"t\",\"code\":\"c\",\"message\":\"boom\",\"param\":null}}\n\n",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"status\":\"failed\",\"error\":{\"code\":\"c\",\"message\":\"boom\"},\"output\":[]}}\n\n",
    ];
    for event in errors {
        for stream in
            [vec![start.clone(), event.to_owned()], vec![start.clone(), delta.clone(), event.to_owned()]]
        {
            let tap = tapped(&stream, &[1, 2]).signals;
            let error = tap.error.unwrap();
            assert_eq!((&*error.message, error.code.as_deref()), ("boom", Some("c")), "{event}");
            let decoder = decoded(&stream, &[1, 2]);
            assert_eq!(format!("{:?}", decoder.signals.error.unwrap()), format!("{error:?}"));
            assert!(!decoder.events.contains(&ChatEvent::Done));
            // Whoever asks in Chat gets an envelope that its client understands.
            let envelope: Value =
                serde_json::from_slice(&Dialect::OpenAiChat.wire().render_error(&error, "")).unwrap();
            assert!(envelope["error"]["type"].is_string(), "{envelope}");
        }
    }
}

#[test]
fn nothing_but_the_last_event_ends_an_answer() {
    let stream = stream();
    for count in 0..stream.len() {
        for signals in [tapped(&stream[..count], &[]).signals, decoded(&stream[..count], &[]).signals] {
            assert!(!signals.terminator && signals.finish.is_none(), "{count}");
        }
    }
    let mut encoder = OpenAiResponses.stream_encoder(&Facts::default());
    let cut = String::from_utf8(encoder.encode(&told()).to_vec()).unwrap();
    assert!(!cut.contains("response.completed"));
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn a_stream_says_the_same_however_it_is_cut(cuts in prop::collection::vec(0..40usize, 0..8)) {
        let stream = stream();
        let whole = decoded(&stream, &[]);
        let cut = decoded(&stream, &cuts);
        prop_assert_eq!(&cut.events, &whole.events);
        let seen = format!("{:?}", cut.signals);
        prop_assert_eq!(&seen, &format!("{:?}", whole.signals));
        let mut tap = tapped(&stream, &cuts);
        prop_assert!(tap.signals.output_bytes.abs_diff(whole.signals.output_bytes) <= 32);
        // What only the decoder knows: the exact length, the tier.
        tap.signals.output_bytes = whole.signals.output_bytes;
        tap.signals.service_tier.clone_from(&whole.signals.service_tier);
        prop_assert_eq!(&format!("{:?}", tap.signals), &seen);
        prop_assert_eq!(tap.raw, stream.concat());
    }

    #[test]
    fn nothing_in_a_stream_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "(data: ?|\\{|\\}|\"|\"type\":|\"item\":|\"response\":|\\[|\\]|\"delta\"|\"error\"|\n|\r|:|event: error){0,20}") {
        for stretch in [Bytes::from(bytes), Bytes::from(text)] {
            prop_assert_eq!(&OpenAiResponses.tap(true).pass(stretch.clone()).raw, &stretch);
            OpenAiResponses.stream_decoder().decode(&stretch);
            OpenAiResponses.inspect(&stretch);
            let _ = OpenAiResponses.decode_request(&stretch);
            let _ = OpenAiResponses.decode_reply(&stretch);
            let _ = OpenAiResponses.peek(&stretch, 128);
        }
    }
}

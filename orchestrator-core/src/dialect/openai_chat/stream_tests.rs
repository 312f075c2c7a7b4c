//! Streams: golden texts, and what must hold however they are cut.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    call::Batch,
    chat::{ChatEvent, ToolCallDelta, Usage},
};

/// A stream with everything that the field puts into streams.
const STREAM: &[&str] = &[
    "\u{feff}: OPENROUTER PROCESSING\n\n",
    "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"prompt_filter_results\":[{}]}\n\n",
    "data: {\"id\":\"c1\",\"created\":17.0,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\n",
    "data:{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"!\"}]},{\"type\":\"text\",\"text\":\"He\"}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"y \\\"usage\\\": {\"},\"logprobs\":{\"content\":[]}}],\"error\":null,\"usage\": {\"prompt_tokens\": 1}}\n\n",
    "data: {\"choices\":[{\"index\":1,\"delta\":{\"refusal\":\"no\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":{\"y\":1.0}},\"extra_content\":{\"google\":{\"thought_signature\":\"sig\"}}},{\"id\":\"c\",\"function\":{\"name\":\"h\",\"arguments\":\"{}\"}}]},\"finish_reason\": \"tool_calls\"}],\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}}\n\n",
    "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\n",
    "data: [DONE]",
];

fn collect(batches: Vec<Batch>) -> Batch {
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
fn stretches(events: &[&str], cuts: &[usize]) -> Vec<Bytes> {
    let mut stretches = vec![String::new()];
    for (at, event) in events.iter().enumerate() {
        if cuts.contains(&at) && at > 0 {
            stretches.push(String::new());
        }
        stretches.last_mut().unwrap().push_str(event);
    }
    stretches.into_iter().map(Bytes::from).collect()
}

fn decoded(events: &[&str], cuts: &[usize]) -> Batch {
    let mut decoder = OpenAiChat.stream_decoder();
    collect(stretches(events, cuts).iter().map(|stretch| decoder.decode(stretch)).collect())
}

fn tapped(events: &[&str], cuts: &[usize], drop_usage: bool) -> Batch {
    let mut tap = OpenAiChat.tap(drop_usage);
    collect(stretches(events, cuts).into_iter().map(|stretch| tap.pass(stretch)).collect())
}

#[test]
fn a_stream_becomes_the_hubs_events() {
    let batch = decoded(STREAM, &[]);
    let lines: Vec<String> = batch.events.iter().map(|event| format!("{event:?}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    insta::assert_debug_snapshot!("stream_signals", batch.signals);
}

/// Together and OpenRouter, as recorded.
#[test]
fn what_a_provider_says_twice_is_heard_once() {
    let batch = decoded(
        &[
            "data: {\"id\":\"c\",\"service_tier\":\"flex\",\"choices\":[{\"index\":0,\"text\":\"1\",\"delta\":{\"role\":\"assistant\",\"content\":\"1\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n",
        ],
        &[1, 2],
    );
    let lines: Vec<String> = batch.events.iter().skip(1).map(|event| format!("{event:?}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Text { choice: 0, text: "1" }
    Finished { choice: 0, finish: Finish { reason: Some(Stop), native: "stop" } }
    Usage(Usage { prompt: 1, completion: 0, cached_read: 0, cache_write: 0, reasoning: 0, prompt_audio: 0, completion_audio: 0 })
    "#);
    assert_eq!(batch.signals.service_tier.as_deref(), Some("flex"));
}

#[test]
fn role_filters_and_empty_deltas_are_not_content() {
    for count in 1..=3 {
        let signals = tapped(&STREAM[..count], &[], false).signals;
        assert!(!signals.content && !signals.commits(), "{count}");
    }
    assert!(tapped(&STREAM[..4], &[], false).signals.commits());
}

#[test]
fn only_the_usage_chunk_that_we_asked_for_is_dropped() {
    let whole = STREAM.concat();
    assert_eq!(tapped(STREAM, &[5, 12], false).raw, whole);
    let without: String =
        STREAM.iter().enumerate().filter(|(at, _)| *at != 12).map(|(_, event)| *event).collect();
    for cuts in [&[][..], &[12], &[13], &[12, 13]] {
        let batch = tapped(STREAM, cuts, true);
        assert_eq!(batch.raw, without, "{cuts:?}");
        assert_eq!(batch.signals.usage, Some(Usage { prompt: 5, completion: 6, ..Usage::default() }));
    }
}

#[test]
fn a_stretch_passes_without_a_copy() {
    let mut tap = OpenAiChat.tap(true);
    let stretch = Bytes::from_static(STREAM[3].as_bytes());
    assert_eq!(tap.pass(stretch.clone()).raw.as_ptr(), stretch.as_ptr());
}

#[test]
fn errors_inside_a_stream_are_told_apart_from_content() {
    let start = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let talk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"error\\\": {\"}}]}}],\"error\":null}\n\n";
    assert!(tapped(&[start, talk], &[1], false).signals.error.is_none());
    let errors = [
        "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"boom\",\"status_code\":400}}\n\n",
        "event: error\ndata: {\"message\":\"boom\"}\n\n",
        "data: {\"object\":\"error\",\"message\":\"boom\",\"code\":40303}\n\n",
        "data: {\"id\":\"x\",\"error\":{\"code\":400,\"message\":\"boom\"},\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
    ];
    let mut bodies = Vec::new();
    for event in errors {
        for stream in [&[event][..], &[start, event]] {
            let tap = tapped(stream, &[1], false);
            let error = tap.signals.error.unwrap();
            assert_eq!(error.message, "boom", "{event}");
            assert_eq!(error.upstream.as_ref().unwrap().status, 200);
            let decoder = decoded(stream, &[1]).signals.error.unwrap();
            assert_eq!(format!("{decoder:?}"), format!("{error:?}"));
            bodies.push(String::from_utf8(error.upstream.unwrap().body.to_vec()).unwrap());
        }
    }
    insta::assert_snapshot!(bodies.join("\n"));
}

#[test]
fn a_chunk_that_is_no_json_is_the_providers_failure() {
    let signals = decoded(&["data: {\"choices\": tru\n\n"], &[]).signals;
    assert_eq!(signals.error.unwrap().kind, crate::error::ErrorKind::ProviderFailed);
}

fn encoded(events: &[ChatEvent], include_usage: bool) -> String {
    let mut encoder = OpenAiChat.stream_encoder(&Facts { include_usage, ..Facts::default() });
    let mut out = encoder.encode(events).to_vec();
    out.extend_from_slice(&encoder.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn the_hubs_events_become_a_stream() {
    let events = decoded(STREAM, &[]).events;
    insta::assert_snapshot!("encoded_with_usage", encoded(&events, true));
    let without = encoded(&events, false);
    assert!(!without.contains("usage\":null") && !without.contains("prompt_tokens"));
    assert!(without.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_stream_that_is_not_finished_has_no_terminator() {
    let mut encoder = OpenAiChat.stream_encoder(&Facts::default());
    let bytes = encoder.encode(&[ChatEvent::Text { choice: 0, text: "a".into() }, ChatEvent::Done]);
    assert!(!String::from_utf8(bytes.to_vec()).unwrap().contains("[DONE]"));
}

#[test]
fn a_translated_stream_reads_back_as_the_same_events() {
    let events = decoded(STREAM, &[]).events;
    let written = encoded(&events, true);
    let again = decoded(&[&written], &[]).events;
    // Usage is told once and at the end; the rest is as it was.
    let told = |events: &[ChatEvent]| -> Vec<ChatEvent> {
        events.iter().filter(|event| !matches!(event, ChatEvent::Usage(_))).cloned().collect()
    };
    assert_eq!(told(&again), told(&events));
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn a_stream_says_the_same_however_it_is_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
        let whole = decoded(STREAM, &[]);
        let cut = decoded(STREAM, &cuts);
        prop_assert_eq!(&cut.events, &whole.events);
        let seen = format!("{:?}", cut.signals);
        prop_assert_eq!(&seen, &format!("{:?}", whole.signals));
        let mut tap = tapped(STREAM, &cuts, false);
        // The tap has estimated what the decoder has counted.
        prop_assert!(tap.signals.output_bytes.abs_diff(whole.signals.output_bytes) <= 16);
        tap.signals.output_bytes = whole.signals.output_bytes;
        prop_assert_eq!(&format!("{:?}", tap.signals), &seen);
        prop_assert_eq!(tap.raw, STREAM.concat());
    }

    #[test]
    fn nothing_in_a_stream_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "(data: ?|\\{|\\}|\"|\"choices\":|\\[|\\]|\"usage\":|\"error\"|\n|\r|:|event: error){0,20}") {
        for stretch in [Bytes::from(bytes), Bytes::from(text)] {
            let passed = OpenAiChat.tap(true).pass(stretch.clone());
            prop_assert!(passed.raw.len() <= stretch.len());
            OpenAiChat.stream_decoder().decode(&stretch);
            OpenAiChat.inspect(&stretch);
            let _ = OpenAiChat.decode_request(&stretch);
            let _ = OpenAiChat.peek(&stretch, 128);
        }
    }
}

#[test]
fn signatures_sources_and_bare_calls_have_their_place_in_a_stream() {
    let choice = 0;
    let signature = Some(crate::dialect::seal::seal(Dialect::OpenAiEmbeddings, "s"));
    let encrypted = Some(crate::dialect::seal::seal(
        Dialect::OpenAiChat,
        r#"{"type":"reasoning.encrypted","data":"d","id":"x"}"#,
    ));
    let citation = crate::chat::Citation { url: Some("https://a.test".into()), ..Default::default() };
    let call = ToolCallDelta { id: Some("c".into()), name: Some("f".into()), ..ToolCallDelta::default() };
    let events = [
        ChatEvent::Started { id: "i".into(), model: "m".into(), created: 0 },
        ChatEvent::Reasoning { choice, text: "h".into() },
        ChatEvent::Reasoning { choice, text: "m".into() },
        ChatEvent::ReasoningBlock { choice, signature, encrypted: None },
        ChatEvent::ReasoningBlock { choice, signature: None, encrypted },
        ChatEvent::Text { choice, text: "ä!".into() },
        ChatEvent::Citation { choice, citation },
        ChatEvent::ToolCall(call),
        ChatEvent::Finished { choice, finish: crate::dialect::openai::content::finish("tool_calls".into()) },
    ];
    let mut encoder = OpenAiChat.stream_encoder(&Facts::default());
    let mut written = encoder.encode(&events).to_vec();
    written.extend_from_slice(&encoder.finish());
    let written = String::from_utf8(written).unwrap();
    insta::assert_snapshot!(written);
    let again = OpenAiChat.stream_decoder().decode(&Bytes::from(written)).events;
    let blocks = |events: &[ChatEvent]| {
        let block = |event: &&ChatEvent| matches!(event, ChatEvent::ReasoningBlock { .. });
        events.iter().filter(block).cloned().collect::<Vec<_>>()
    };
    assert_eq!(blocks(&again), blocks(&events));
    let texts: String = again
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Reasoning { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    // The entry that holds the signature holds its text as well; who reads both counts it once.
    assert_eq!(texts, "hm");
}

//! What holds for every dialect of chat, whichever it is: requests lose nothing but what they say they lose, cuts change nothing,
//! half a stream is never a whole one, and nothing that is JSON makes anybody panic.

use std::collections::BTreeMap;

use bytes::Bytes;
use orchestrator_testkit::{
    fixtures,
    recorded::{self, Recording},
};
use proptest::prelude::*;
use serde_json::Value;

use super::matrix::{chat_dialects, read_stream, spoken, translate_stream};
use crate::{
    chat::{
        ChatRequest, Media, MediaSource, Message, Part, PartKind, Reasoning, ReasoningPart, ResponseFormat,
        Role, Tool, ToolCall, ToolChoice, ToolResult,
    },
    dialect::{Dialect, EncodeTarget, HubRequest, Quirks, seal},
    provider::sse::Framer,
};

// --- Requests.

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    include_usage: false,
    overrides: &[],
    legacy_names: false,
    quirks: Quirks { top_k: true, ..Quirks::NONE },
};

fn encode(dialect: Dialect, request: &ChatRequest) -> (Bytes, Vec<String>) {
    let hub = HubRequest::Chat(Box::new(request.clone()));
    let encoded = dialect.wire().encode_request(&hub, &TARGET).unwrap();
    (encoded.body, encoded.dropped)
}

fn decode(dialect: Dialect, body: &Bytes) -> ChatRequest {
    match dialect.wire().decode_request(body) {
        Ok(HubRequest::Chat(chat)) => *chat,
        other => panic!("{}: {} -> {other:?}", dialect.name(), String::from_utf8_lossy(body)),
    }
}

/// What the hub models of a request, by the names that `dropped` uses.
fn modelled(request: &ChatRequest) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    let mut note = |name, said: Option<String>| {
        if let Some(said) = said {
            all.insert(name, said);
        }
    };
    note("max_output_tokens", request.max_output_tokens.map(|it| it.to_string()));
    note("temperature", request.temperature.map(|it| it.to_string()));
    note("top_p", request.top_p.map(|it| it.to_string()));
    note("top_k", request.top_k.map(|it| it.to_string()));
    note("frequency_penalty", request.frequency_penalty.map(|it| it.to_string()));
    note("presence_penalty", request.presence_penalty.map(|it| it.to_string()));
    note("stop", Some(request.stop.join("|")).filter(|it| !it.is_empty()));
    note("seed", request.seed.map(|it| it.to_string()));
    note("candidate_count", request.candidate_count.map(|it| it.to_string()));
    note("end_user", request.end_user.clone());
    note("tool_choice", request.tool_choice.as_ref().map(|it| format!("{it:?}")));
    note("tools", Some(format!("{:?}", request.tools.iter().map(|it| &it.name).collect::<Vec<_>>())));
    note("response_format", request.response_format.as_ref().map(schema_of));
    note("texts", Some(said(request, false)));
    note("calls", Some(said(request, true)));
    all
}

fn schema_of(format: &ResponseFormat) -> String {
    match format {
        ResponseFormat::JsonSchema { schema, .. } => {
            serde_json::from_str::<Value>(schema).unwrap_or_default().to_string()
        }
        other => format!("{other:?}"),
    }
}

/// The texts of all messages, or their calls and what these returned, in order.
fn said(request: &ChatRequest, calls: bool) -> String {
    let mut out: Vec<String> = Vec::new();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::Text(text) if !calls => out.push(text.clone()),
            PartKind::ToolCall(call) if calls => {
                let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
                out.push(format!("{} {arguments}", call.name));
            }
            PartKind::ToolResult(result) if calls => out.push(format!("{:?}", texts(&result.parts))),
            _ => {}
        }
    }
    // Dialects differ in how they part a text, and where the instructions stand.
    out.sort();
    out.concat()
}

fn texts(parts: &[Part]) -> String {
    parts
        .iter()
        .filter_map(|part| if let PartKind::Text(text) = &part.kind { Some(text.as_str()) } else { None })
        .collect()
}

fn any_turn() -> impl Strategy<Value = Vec<Message>> {
    let message = |role, kinds: Vec<PartKind>| Message {
        role,
        parts: kinds.into_iter().map(Part::from).collect(),
        name: None,
    };
    let image = || {
        PartKind::Image(Media {
            source: MediaSource::Data(Bytes::from_static(&[0, 1])),
            mime_type: "image/png".into(),
            filename: None,
            detail: None,
        })
    };
    let called = move |words: String, own: bool, count: usize| {
        let origin = if own { Dialect::OpenAiChat } else { Dialect::OpenAiEmbeddings };
        let thought =
            ReasoningPart { text: "hm".into(), signature: Some(seal::seal(origin, "s")), encrypted: None };
        let mut said = vec![PartKind::Reasoning(thought)];
        let mut results = Vec::new();
        for at in 0..count {
            let (id, name) = (format!("call_{at}"), format!("f{at}"));
            let arguments = format!("{{\"x\":{at}}}");
            said.push(PartKind::ToolCall(ToolCall {
                id: id.clone(),
                name: name.clone(),
                arguments,
                signature: None,
            }));
            let parts = vec![PartKind::Text(format!("{words}{at}")).into()];
            let result = ToolResult { tool_call_id: id, name: Some(name), parts, is_error: false };
            results.push(message(Role::Tool, vec![PartKind::ToolResult(result)]));
        }
        let mut turn = vec![message(Role::Assistant, said)];
        turn.extend(results);
        turn
    };
    prop_oneof![
        "[a-zä]{1,6}".prop_map(move |text| vec![
            message(Role::User, vec![PartKind::Text(text)]),
            message(Role::Assistant, vec![PartKind::Text("yes".into())]),
        ]),
        "[a-z]{1,6}".prop_map(move |text| vec![message(Role::User, vec![PartKind::Text(text), image()])]),
        ("[a-z]{1,6}", any::<bool>(), 1..3usize).prop_map(move |(words, own, count)| {
            let mut turn = vec![message(Role::User, vec![PartKind::Text("do".into())])];
            turn.extend(called(words, own, count));
            turn
        }),
    ]
}

fn any_request() -> impl Strategy<Value = ChatRequest> {
    let choice = prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::Named("f0".into()))),
    ];
    let schema = ResponseFormat::JsonSchema {
        name: "s".into(),
        description: None,
        schema: r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#
            .into(),
        strict: Some(true),
    };
    let format = prop_oneof![Just(None), Just(Some(ResponseFormat::JsonObject)), Just(Some(schema))];
    let numbers = (
        prop::option::of(1..9000u32),
        prop::option::of(0.0..1.0f64),
        prop::option::of(0.0..1.0f64),
        prop::option::of(1..50u32),
        prop::option::of(-2.0..2.0f64),
        prop::option::of(any::<i32>()),
    );
    let words = (
        prop::collection::vec("[a-z]{1,4}", 0..3),
        prop::option::of("[a-z]{1,8}"),
        prop::option::of("low|high"),
    );
    (prop::collection::vec(any_turn(), 1..4), choice, format, numbers, words, any::<bool>()).prop_map(
        |(turns, tool_choice, response_format, numbers, (stop, end_user, effort), told)| {
            let mut messages: Vec<Message> = Vec::new();
            if told {
                let text = PartKind::Text("be brief".into()).into();
                messages.push(Message { role: Role::System, parts: vec![text], name: None });
            }
            messages.extend(turns.into_iter().flatten());
            let tool = |name: &str| Tool {
                name: name.into(),
                description: Some("d".into()),
                parameters: r#"{"type":"object","properties":{"x":{"type":"integer"}}}"#.into(),
                strict: None,
            };
            ChatRequest {
                model: "m".into(),
                messages,
                tools: vec![tool("f0"), tool("f1")],
                tool_choice,
                max_output_tokens: numbers.0,
                temperature: numbers.1,
                top_p: numbers.2,
                top_k: numbers.3,
                frequency_penalty: numbers.4,
                seed: numbers.5.map(i64::from),
                stop,
                end_user,
                response_format,
                reasoning: effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }),
                ..ChatRequest::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn a_request_loses_nothing_but_what_it_says(request in any_request()) {
        for dialect in chat_dialects() {
            let (body, dropped) = encode(dialect, &request);
            let again = decode(dialect, &body);
            let (before, after) = (modelled(&request), modelled(&again));
            for (name, said) in &before {
                let lost = dropped.iter().any(|path| path == name || path.starts_with(&format!("{name}.")));
                prop_assert!(
                    lost || after.get(name) == Some(said),
                    "{}: {name}: {said} -> {:?}\n{}\n{dropped:?}", dialect.name(), after.get(name), String::from_utf8_lossy(&body)
                );
            }
            // What was told once is told the same way again.
            let (second, _) = encode(dialect, &again);
            let json = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap();
            prop_assert_eq!(json(&second), json(&body), "{}", dialect.name());
        }
    }
}

// --- Streams.

/// The streams that were answered with a 200; the project's own, and the shorter ones of the recordings.
fn streams() -> Vec<(Recording, Dialect, Bytes)> {
    let mut all = fixtures::load().unwrap();
    if let Some(dir) = recorded::find() {
        all.extend(recorded::load(&dir).unwrap().into_iter().filter(|it| it.body.len() < 40_000));
    }
    all.retain(|it| it.status == 200 && it.streaming);
    let known = all.into_iter().filter_map(|it| spoken(&it).map(|dialect| (it, dialect)));
    known
        .map(|(it, dialect)| {
            let body = recorded::as_events(&it);
            (it, dialect, body)
        })
        .collect()
}

/// Places to cut: every byte of a short stream, some of a long one, always the same ones.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = if length < 1_500 { 1 } else { length / 61 + 1 };
    (0..length).step_by(step)
}

/// The whole events of these reads.
fn framed(reads: &[Bytes]) -> Vec<Bytes> {
    let mut framer = Framer::new(usize::MAX);
    reads.iter().filter_map(|read| framer.push(read.clone()).unwrap()).collect()
}

fn heard(dialect: Dialect, pieces: &[Bytes]) -> String {
    let mut decoder = dialect.wire().stream_decoder();
    let mut events = Vec::new();
    for piece in pieces {
        let batch = decoder.decode(piece);
        events.extend(batch.events);
        if batch.signals.error.is_some() {
            break;
        }
    }
    events.extend(decoder.end());
    format!("{events:?}")
}

#[test]
fn no_cut_changes_what_a_stream_says() {
    for (recording, dialect, body) in streams() {
        let whole = heard(dialect, &framed(std::slice::from_ref(&body)));
        for cut in cuts(body.len()) {
            let pieces = framed(&[body.slice(..cut), body.slice(cut..)]);
            assert_eq!(heard(dialect, &pieces), whole, "{} cut at {cut}", recording.file);
        }
    }
}

#[test]
fn half_a_stream_is_never_a_whole_answer() {
    for (recording, dialect, body) in streams() {
        let mut before = usize::MAX;
        for cut in cuts(body.len()) {
            let pieces = framed(&[body.slice(..cut)]);
            let told: Vec<u8> = pieces.concat();
            if std::mem::replace(&mut before, told.len()) == told.len() {
                // Half an event more is nothing that anybody was told.
                continue;
            }
            let said = read_stream(dialect, &told);
            // A reason for every choice that has begun is an end, whatever terminator would have followed.
            let ended = said.complete || said.ended();
            for caller in chat_dialects() {
                let got = read_stream(caller, &translate_stream(dialect, caller, &pieces));
                let file = &recording.file;
                assert!(ended || !got.complete, "{} <- {file} cut at {cut}", caller.name());
            }
        }
    }
}

// --- Anything.

/// The texts that are JSON of any kind, from the words that the dialects look for.
fn anything() -> impl Strategy<Value = Value> {
    let words = "model|messages|role|content|type|text|tools|function|parameters|input|contents|parts|system|user|assistant|tool|\
        tool_calls|arguments|image_url|url|data|source|thinking|signature|stream|max_tokens|stop|choices|delta|candidates|usage|\
        output|index|error|message|functionCall|name|args|id|finish_reason|finishReason|stop_reason|generationConfig|item|summary|\
        content_block|response|tool_use|tool_result|tool_use_id|function_call|function_call_output|call_id|reasoning|input_text";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3.0..3.0f64).prop_map(Value::from),
        words.prop_map(Value::from),
        "\\PC{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(words, inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

/// Puts `other` somewhere into `json`.
fn graft(json: &mut Value, place: usize, other: Value) {
    match json {
        Value::Object(members) if !members.is_empty() && !place.is_multiple_of(5) => {
            let at = place % members.len();
            if let Some(member) = members.values_mut().nth(at) {
                graft(member, place / 5, other);
            }
        }
        Value::Array(elements) if !elements.is_empty() && !place.is_multiple_of(5) => {
            let at = place % elements.len();
            graft(&mut elements[at], place / 5, other);
        }
        slot => *slot = other,
    }
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn nothing_that_is_json_makes_anybody_panic(other in anything(), place in any::<u32>(), which in any::<prop::sample::Index>()) {
        let recordings = fixtures::load().unwrap();
        let with_requests: Vec<_> = recordings.iter().filter(|it| it.request_body.is_some() && spoken(it).is_some()).collect();
        let recording = which.get(&with_requests);
        let mut request: Value = serde_json::from_str(recording.request_body.as_deref().unwrap()).unwrap();
        graft(&mut request, place as usize, other.clone());
        for json in [&other, &request] {
            let body = Bytes::from(json.to_string());
            let event = Bytes::from(format!("event: {}\ndata: {body}\n\n", json["type"].as_str().unwrap_or("x"), body = json));
            for dialect in chat_dialects() {
                let wire = dialect.wire();
                let _ = wire.peek(&body, 64);
                if let Err(error) = wire.decode_request(&body) {
                    prop_assert!(!error.message.is_empty());
                }
                let _ = wire.decode_reply(&body);
                let _ = wire.inspect(&body);
                let batch = wire.stream_decoder().decode(&event);
                let _ = wire.tap(true).pass(event.clone());
                for caller in chat_dialects() {
                    let facts = crate::call::Facts { include_usage: true, ..crate::call::Facts::default() };
                    let mut encoder = caller.wire().stream_encoder(&facts);
                    let _ = encoder.encode(&batch.events);
                    let _ = encoder.finish();
                }
            }
        }
    }
}

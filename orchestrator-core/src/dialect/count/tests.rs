//! The count dialects: what each vendor is asked and told, and real traffic.

use insta::assert_snapshot;
use orchestrator_testkit::recorded;

use super::*;
use crate::dialect::{Quirks, splice::quoted};

const COUNTS: [Dialect; 3] = [Dialect::AnthropicCount, Dialect::GeminiCount, Dialect::OpenAiResponsesCount];

/// A request of Anthropic's with all that a chat may say, and a good deal that no count takes.
const FULL: &str = r#"{"model":"m","system":"Be terse.","max_tokens":99,"temperature":0.5,"top_k":3,"stop_sequences":["x"],
    "metadata":{"user_id":"u"},"service_tier":"auto","tool_choice":{"type":"any"},
    "messages":[{"role":"user","content":"Weather?"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"weather","input":{"city":"Bern"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"rain"}]}],
    "tools":[{"name":"weather","description":"Tells it.","input_schema":{"type":"object"}}]}"#;

fn body(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn written(dialect: Dialect, overrides: &[(String, JsonText)]) -> String {
    let request = Dialect::AnthropicCount.wire().decode_request(&body(FULL)).unwrap();
    let target = EncodeTarget {
        model: "up",
        include_usage: true,
        overrides,
        legacy_names: false,
        quirks: Quirks::default(),
    };
    let Encoded { body, dropped } = dialect.wire().encode_request(&request, &target).unwrap();
    assert_eq!(dropped, Vec::<String>::new(), "what is not counted is not missed");
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn each_vendor_is_asked_for_what_its_count_takes_and_nothing_else() {
    assert_snapshot!(COUNTS.map(|dialect| written(dialect, &[])).join("\n"));
}

#[test]
fn of_a_providers_overrides_those_remain_that_its_count_takes() {
    let overrides = [("max_tokens", "5"), ("thinking", r#"{"type":"adaptive"}"#)];
    let overrides = overrides.map(|(name, json)| (name.to_owned(), json.to_owned()));
    let text = written(Dialect::AnthropicCount, &overrides);
    assert!(text.contains(r#""thinking":{"type":"adaptive"}"#) && !text.contains("max_tokens"), "{text}");
    let edits = Edits { model: "up", overrides: &overrides, ..Edits::default() };
    let spliced =
        Dialect::AnthropicCount.wire().splice(&body(r#"{"model":"m","messages":[]}"#), &edits).unwrap();
    assert_eq!(spliced, r#"{"model":"up","messages":[],"thinking":{"type":"adaptive"}}"#);
}

#[test]
fn geminis_model_is_rewritten_within_a_whole_request_and_contents_alone_pass_as_they_are() {
    let splice = |text: &str| {
        let overrides = [("tools".to_owned(), "[]".to_owned())];
        let edits = Edits { model: "up", overrides: &overrides, ..Edits::default() };
        Dialect::GeminiCount.wire().splice(&body(text), &edits).unwrap()
    };
    let alone = r#"{ "contents": [{"parts":[{"text":"hi"}]}] }"#;
    assert_eq!(splice(alone), alone);
    assert_eq!(
        splice(r#"{ "generate_content_request": {"contents": [], "model":"models/m"} }"#),
        r#"{ "generate_content_request": {"contents": [], "model":"models/up","tools":[]} }"#
    );
}

#[test]
fn an_answer_is_a_number_in_its_vendors_words() {
    let reply = HubReply::Count { tokens: 7, source: UsageSource::Provider };
    let told = COUNTS.map(|dialect| {
        let wire = dialect.wire();
        let text = wire.encode_reply(&reply).unwrap();
        assert_eq!(wire.decode_reply(&text).unwrap(), reply, "{dialect:?}");
        assert!(wire.inspect(&text).error.is_none());
        String::from_utf8(text.to_vec()).unwrap()
    });
    assert_snapshot!(told.join("\n"), @r#"
    {"input_tokens":7}
    {"totalTokens":7}
    {"object":"response.input_tokens","input_tokens":7}
    "#);
    for nothing in ["{}", r#"{"input_tokens":"many","totalTokens":-1}"#, "<html>", "[7]"] {
        for dialect in COUNTS {
            let error = dialect.wire().inspect(&body(nothing)).error.unwrap();
            assert_eq!(error.kind, ErrorKind::ProviderFailed, "{dialect:?} {nothing}");
        }
    }
}

#[test]
fn a_body_is_read_as_its_chats_but_for_what_says_how_to_answer() {
    let facts = Dialect::AnthropicCount.wire().peek(&body(FULL), 64).unwrap();
    assert_eq!((&*facts.model, facts.stream, facts.body_bytes), ("m", false, 0));
    let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    assert!(Dialect::AnthropicCount.wire().peek(&body(text), 64).is_ok(), "a count needs no max_tokens");
    assert!(Dialect::AnthropicCount.wire().decode_request(&body(text)).is_ok());

    let deep = format!(r#"{{"contents":[],"a":{}1{}}}"#, "[".repeat(9), "]".repeat(9));
    assert!(Dialect::GeminiCount.wire().peek(&body(&deep), 8).is_err(), "as deep as everywhere");
}

#[test]
fn a_wrong_field_is_named_as_the_caller_wrote_it() {
    let cases = [
        (Dialect::AnthropicCount, r#"{"messages":[]}"#, "model"),
        (Dialect::AnthropicCount, r#"{"model":"m"}"#, "messages"),
        (
            Dialect::AnthropicCount,
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            "messages[0].content",
        ),
        (Dialect::GeminiCount, "{}", "contents"),
        (Dialect::GeminiCount, r#"{"generateContentRequest":7}"#, "generateContentRequest"),
        (Dialect::GeminiCount, r#"{"generateContentRequest":{}}"#, "generateContentRequest.contents"),
        (
            Dialect::GeminiCount,
            r#"{"generate_content_request":{"contents":[{"parts":[{"text":7}]}]}}"#,
            "generate_content_request.contents[0].parts[0].text",
        ),
        (Dialect::OpenAiResponsesCount, r#"{"model":"m","input":7}"#, "input"),
    ];
    for (dialect, text, param) in cases {
        let wire = dialect.wire();
        let error = wire.peek(&body(text), 64).and_then(|_| wire.decode_request(&body(text))).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{text}: {}", error.message);
        assert!(error.message.contains(&*quoted(param).replace('"', "`")), "{}", error.message);
    }
}

#[test]
fn recorded_counts_pass_as_they_are_and_are_understood() {
    let Some(folder) = recorded::find() else { return };
    let endpoints = [("count_tokens", Dialect::AnthropicCount), ("countTokens", Dialect::GeminiCount)];
    let mut seen = 0;
    for recording in recorded::load(&folder).unwrap() {
        let Some((_, dialect)) = endpoints.iter().find(|(endpoint, _)| *endpoint == recording.endpoint)
        else {
            continue;
        };
        seen += 1;
        let (wire, file) = (dialect.wire(), &recording.file);
        let request = body(recording.request_body.as_ref().unwrap());
        let facts = wire.peek(&request, 64).unwrap();
        // The same model, so nothing is different.
        let edits = Edits { model: &facts.model, ..Edits::default() };
        assert_eq!(wire.splice(&request, &edits).unwrap(), request, "{file}");

        let said: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
        let tokens = said["input_tokens"].as_u64().or(said["totalTokens"].as_u64()).unwrap();
        let reply = wire.decode_reply(&recording.body).unwrap();
        assert_eq!(reply, HubReply::Count { tokens, source: UsageSource::Provider }, "{file}");
        assert!(wire.inspect(&recording.body).error.is_none(), "{file}");

        let prompt = wire.decode_request(&request).unwrap();
        for other in COUNTS {
            let target = EncodeTarget {
                model: "up",
                include_usage: false,
                overrides: &[],
                legacy_names: false,
                quirks: Quirks::default(),
            };
            let asked = other.wire().encode_request(&prompt, &target).unwrap().body;
            assert!(other.wire().decode_request(&asked).is_ok(), "{file} {other:?}");
        }
    }
    assert_eq!(seen, 8);
}

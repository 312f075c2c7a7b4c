//! Golden texts of every shape, and what another vendor makes of them.

use bytes::Bytes;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
};
use proptest::prelude::*;

use super::*;
use crate::{
    chat::{ChatReply, ChatRequest, PartKind, ToolChoice},
    dialect::{fixed_cases, openai_chat::OpenAiChat, seal},
    error::ErrorKind,
};

const FLASH: &str = "gemini-2.5-flash";

const FULL: &str = r#"{
  "model": "models/ignored",
  "systemInstruction": {"parts": [{"text": "Be brief."}]},
  "contents": [
    {"role": "user", "parts": [{"text": "Look:"}, {"inlineData": {"mimeType": "image/png", "data": "_-8"}, "mediaResolution": {"level": "LOW"}},
      {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.example/f.pdf"}}]},
    {"role": "model", "parts": [{"text": "Hm.", "thought": true}, {"text": "So.", "thoughtSignature": "c2lnLTA="},
      {"functionCall": {"name": "f", "args": {"b": 1.0, "a": "ü"}}, "thoughtSignature": "c2lnLTE="},
      {"functionCall": {"id": "own", "name": "g"}}, {"functionCall": {"name": "f", "args": {}}}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "1"}}},
      {"functionResponse": {"id": "own", "name": "g", "response": {"error": "no"}}},
      {"functionResponse": {"name": "f", "response": {"temperature": 21.50}}}]},
    {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}]},
    {"role": "user", "parts": [{"text": "Go on."}]}
  ],
  "tools": [{"functionDeclarations": [
    {"name": "f", "description": "F", "parameters": {"type": "OBJECT", "properties": {"b": {"type": "NUMBER"}, "a": {"type": "STRING", "nullable": true}}}},
    {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": true}}]}, {"googleSearch": {}}],
  "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
  "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
  "cachedContent": "cachedContents/c",
  "generationConfig": {"temperature": 0.5, "topP": 0.9, "topK": 40.0, "maxOutputTokens": 100, "candidateCount": 2, "seed": 7,
    "presencePenalty": 0.1, "frequencyPenalty": 0.2, "stopSequences": ["END"], "responseLogprobs": true, "logprobs": 3,
    "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}},
    "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 512}, "audioTimestamp": true}
}"#;

fn decoded(body: &str) -> ChatRequest {
    match Gemini.decode_request(&Bytes::copy_from_slice(body.as_bytes())).unwrap() {
        HubRequest::Chat(chat) => *chat,
        HubRequest::Embed(_) => panic!("a chat"),
    }
}

fn encoded(request: &ChatRequest, model: &str) -> (String, Vec<String>) {
    let target = EncodeTarget {
        model,
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: crate::dialect::Quirks::NONE,
    };
    let encoded = Gemini.encode_request(&HubRequest::Chat(Box::new(request.clone())), &target).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped)
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// What Gemini's servers would say to a body.
fn judged(model: &str, body: &str) -> Vec<String> {
    Judge::new(Operation::GenerateContent, "key", model, Body::published()).body_complaints(body)
}

#[test]
fn a_full_request_goes_into_the_hub_and_comes_back() {
    let hub = decoded(FULL);
    insta::assert_debug_snapshot!(hub);
    let (body, dropped) = encoded(&hub, FLASH);
    insta::assert_snapshot!(pretty(&body));
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(judged(FLASH, &body), Vec::<String>::new());
    // A provider gets calls without ids: name and order say the same.
    let hub = format!("{hub:?}").replace("\"own\"", "\"call_1_1\"");
    assert_eq!(format!("{:?}", decoded(&body)), hub, "nothing is lost on the way");
}

#[test]
fn both_spellings_say_the_same() {
    let mut snake = FULL.to_owned();
    for (camel, other) in [
        ("systemInstruction", "system_instruction"),
        ("inlineData", "inline_data"),
        ("mimeType", "mime_type"),
        ("fileUri", "file_uri"),
        ("fileData", "file_data"),
        ("thoughtSignature", "thought_signature"),
        ("functionCallingConfig", "function_calling_config"),
        ("functionCall\"", "function_call\""),
        ("functionResponse", "function_response"),
        ("functionDeclarations", "function_declarations"),
        ("parametersJsonSchema", "parameters_json_schema"),
        ("allowedFunctionNames", "allowed_function_names"),
        ("toolConfig", "tool_config"),
        ("generationConfig", "generation_config"),
        ("topP", "top_p"),
        ("maxOutputTokens", "max_output_tokens"),
        ("responseSchema", "response_schema"),
        ("thinkingConfig", "thinking_config"),
        ("thinkingBudget", "thinking_budget"),
        ("executableCode", "executable_code"),
    ] {
        assert!(snake.contains(camel), "{camel}");
        snake = snake.replace(camel, other);
    }
    // What is passed on as it came keeps its spelling.
    let (mut snake, mut camel) = (decoded(&snake), decoded(FULL));
    for request in [&mut snake, &mut camel] {
        for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
            if let PartKind::Opaque { json, .. } = &mut part.kind {
                json.clear();
            }
        }
    }
    assert_eq!(snake, camel);
}

#[test]
fn a_lone_object_stands_for_an_array_of_one() {
    let lone = r#"{"contents":{"parts":{"text":"hi"}},"tools":{"functionDeclarations":{"name":"f"}}}"#;
    let listed = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#;
    assert_eq!(decoded(lone), decoded(listed));
}

/// A conversation of OpenAI's with everything that Gemini has another way for.
const FOREIGN: &str = r##"{"model":"m","messages":[
  {"role":"system","content":"Be brief."},
  {"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}},{"type":"image_url","image_url":{"url":"https://a.example/b.JPG?x=1"}}]},
  {"role":"assistant","content":"Let me see.","tool_calls":[
    {"id":"call_a","type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}},
    {"id":"call_b","type":"function","function":{"name":"g","arguments":""}},
    {"id":"call_c","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},
  {"role":"tool","tool_call_id":"call_c","content":"third"},
  {"role":"tool","tool_call_id":"call_a","content":"{\"ok\":true}"},
  {"role":"tool","tool_call_id":"call_b","content":"[2]"},
  {"role":"user","content":"And?"},
  {"role":"developer","content":"In German."}],
  "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"number"}}}}},
    {"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}],
  "tool_choice":"required","parallel_tool_calls":false,"reasoning_effort":"medium","n":1,"stop":["a","b","c","d","e","f"],"logit_bias":{"1":2},"user":"u",
  "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"},"strict":true}}}"##;

fn foreign() -> ChatRequest {
    match OpenAiChat.decode_request(&Bytes::from_static(FOREIGN.as_bytes())).unwrap() {
        HubRequest::Chat(chat) => *chat,
        HubRequest::Embed(_) => panic!("a chat"),
    }
}

#[test]
fn a_conversation_of_another_vendors_is_one_that_gemini_takes() {
    for model in [FLASH, "gemini-3-pro-preview"] {
        let (body, dropped) = encoded(&foreign(), model);
        assert_eq!(judged(model, &body), Vec::<String>::new(), "{model}");
        insta::assert_snapshot!(format!("{model} {}\ndropped: {dropped:?}", pretty(&body)));
    }
}

#[test]
fn signatures_go_back_to_gemini_and_no_other_vendors_do() {
    let mut hub = decoded(FULL);
    let sealed = |text: &str| seal::seal(Dialect::OpenAiChat, text);
    for part in hub.messages.iter_mut().flat_map(|message| &mut message.parts) {
        match &mut part.kind {
            PartKind::Reasoning(thought) if thought.signature.is_some() => {
                thought.signature = Some(sealed("theirs"));
            }
            PartKind::ToolCall(call) if call.signature.is_some() => call.signature = Some(sealed("theirs")),
            _ => {}
        }
    }
    let (body, dropped) = encoded(&hub, "gemini-3-flash");
    assert_eq!(
        dropped,
        ["messages[2].parts[1].reasoning.signature", "messages[2].parts[3].tool_call.signature"]
    );
    assert!(body.contains("skip_thought_signature_validator") && !body.contains("theirs"), "{body}");
    assert_eq!(judged("gemini-3-flash", &body), Vec::<String>::new());
}

#[test]
fn wrong_fields_are_named_by_their_path_as_the_caller_spelled_it() {
    let wrong = [
        r#"{"contents":[{"role":"owner","parts":[]}]}"#,
        r#"{"contents":[{"parts":[{"text":7}]}]}"#,
        r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"%%"}}]}]}"#,
        r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png"}}]}]}"#,
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"args":{}}}]}]}"#,
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":"{}"}}]}]}"#,
        r#"{"contents":[{"parts":[{"function_response":{"name":"f","response":{}}}]}]}"#,
        r#"{"contents":[],"system_instruction":"be brief"}"#,
        r#"{"contents":[],"generation_config":{"top_k":-1}}"#,
        r#"{"contents":[],"generationConfig":{"maxOutputTokens":1.5}}"#,
        r#"{"contents":[],"generationConfig":{"stopSequences":[1]}}"#,
        r#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingBudget":"much"}}}"#,
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"description":"no name"}]}]}"#,
        r#"{"contents":[],"toolConfig":{"functionCallingConfig":{"allowedFunctionNames":[{}]}}}"#,
    ];
    let said = wrong.map(|body| {
        let error = Gemini.decode_request(&Bytes::from_static(body.as_bytes())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        format!("{}: {}", error.param.unwrap_or_default(), error.message)
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_result_that_answers_no_call_is_refused_where_another_vendors_history_has_one() {
    let mut hub = foreign();
    hub.messages.remove(2);
    let target = EncodeTarget {
        model: FLASH,
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: crate::dialect::Quirks::NONE,
    };
    let error = Gemini.encode_request(&HubRequest::Chat(Box::new(hub)), &target).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages[2]"));
}

#[test]
fn more_than_the_hub_can_say_of_a_tool_choice_survives() {
    for config in [
        r#"{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","g"]}}"#,
        r#"{"functionCallingConfig":{"mode":"VALIDATED"}}"#,
        r#"{"retrievalConfig":{"languageCode":"de"}}"#,
    ] {
        let hub = decoded(&format!(r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}],"toolConfig":{config}}}"#));
        let (body, _) = encoded(&hub, FLASH);
        assert!(body.contains(config), "{body}");
        assert_ne!(hub.tool_choice, Some(ToolChoice::None));
    }
}

fn reply_of(name: &str) -> ChatReply {
    match Gemini.decode_reply(&fixtures::named(name).body).unwrap() {
        HubReply::Chat(reply) => reply,
        HubReply::Embed(_) | HubReply::Count { .. } => panic!("a chat"),
    }
}

#[test]
fn whole_answers_go_into_the_hub_and_come_back() {
    for name in [
        "gemini_chat",
        "gemini_tool_calls",
        "gemini_blocked",
        "gemini_malformed_call",
        "gemini_numeric",
        "gemini_code",
    ] {
        let reply = reply_of(name);
        let again = Gemini.encode_reply(&HubReply::Chat(reply.clone())).unwrap();
        let json = pretty(std::str::from_utf8(&again).unwrap());
        insta::assert_snapshot!(name, format!("{reply:#?}\n{json}"));
    }
}

#[test]
fn an_answer_for_a_caller_of_openais_has_its_calls_usage_and_end() {
    let chat = OpenAiChat.encode_reply(&HubReply::Chat(reply_of("gemini_tool_calls"))).unwrap();
    insta::assert_snapshot!(pretty(std::str::from_utf8(&chat).unwrap()));
}

#[test]
fn what_is_no_answer_is_the_providers_failure() {
    for body in ["{}", r#"{"error":{"code":500,"message":"x"}}"#, "<html>", "[]", r#"{"candidates":7}"#] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        assert!(Gemini.inspect(&body).error.is_some(), "{body:?}");
        assert_eq!(Gemini.decode_reply(&body).unwrap_err().kind, ErrorKind::ProviderFailed);
    }
}

fn error_of(name: &str) -> Error {
    let fixture = fixtures::named(name);
    Gemini.read_error(&ErrorAnswer {
        provider: "google",
        status: http::StatusCode::from_u16(fixture.status).unwrap(),
        headers: &http::HeaderMap::new(),
        body: &fixture.body,
        now: 0,
    })
}

#[test]
fn errors_are_understood_and_pass_as_they_are() {
    let mut said = Vec::new();
    for name in ["error_400_gemini", "error_400_gemini_key", "error_429_gemini", "error_503_gemini"] {
        let error = error_of(name);
        assert_eq!(Gemini.render_error(&error, "r"), fixtures::named(name).body, "{name}");
        let kind = error.upstream.as_ref().and_then(|upstream| upstream.kind.clone());
        said.push(format!("{name}: {} {error} {:?} {kind:?}", error.status(), error.retry_after));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn an_error_of_ours_or_of_another_vendors_has_googles_envelope() {
    let invalid = Error::invalid("messages[0].role".to_owned(), "wrong role");
    let limited = Error::new(ErrorKind::RateLimited, "slow down")
        .with_code("rate_limit_exceeded")
        .with_retry_after(Some(std::time::Duration::from_millis(1500)));
    let text = |error: &Error| String::from_utf8(Gemini.render_error(error, "r").to_vec()).unwrap();
    insta::assert_snapshot!([text(&invalid), text(&limited)].join("\n"));
    let event = Gemini.render_error_event(&error_of("error_429_gemini"), "r");
    assert!(event.starts_with(b"data: {") && event.ends_with(b"}\r\n\r\n"), "{event:?}");
}

prop_compose! {
    fn words()(word in "[a-zäß \\\\\"\n{}]{1,12}") -> String { word }
}

fn any_part(model: bool) -> impl Strategy<Value = serde_json::Value> {
    let text = words().prop_map(|text| serde_json::json!({"text": text}));
    let medium = words()
        .prop_map(|text| serde_json::json!({"inlineData": {"mimeType": "image/png", "data": base64(&text)}}));
    let thought = words().prop_map(|text| serde_json::json!({"text": text, "thought": true}));
    let signed = words().prop_map(|text| serde_json::json!({"text": text, "thoughtSignature": "c2ln"}));
    let call =
        words().prop_map(|text| serde_json::json!({"functionCall": {"name": "f", "args": {"a": text}}}));
    if model { prop_oneof![text, thought, signed, call].boxed() } else { prop_oneof![text, medium].boxed() }
}

fn base64(text: &str) -> String {
    use ::base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

proptest! {
    #![proptest_config(fixed_cases())]

    /// The texts of turns with a call for each result, in both directions.
    #[test]
    fn what_the_hub_models_survives_the_round_trip(
        turns in prop::collection::vec((prop::collection::vec(any_part(false), 1..3), prop::collection::vec(any_part(true), 1..5)), 1..4),
        temperature in prop::option::of(0.0_f64..2.0),
        limit in prop::option::of(1_u32..9999),
    ) {
        let mut contents = Vec::new();
        let mut waiting = 0;
        for (said, answered) in turns {
            let results = std::iter::repeat_n(
                serde_json::json!({"functionResponse": {"name": "f", "response": {"result": "r"}}}), waiting);
            contents.push(serde_json::json!({"role": "user", "parts": results.chain(said).collect::<Vec<_>>()}));
            waiting = answered.iter().filter(|part| part["functionCall"].is_object()).count();
            contents.push(serde_json::json!({"role": "model", "parts": answered}));
        }
        let mut config = serde_json::json!({});
        if let Some(temperature) = temperature { config["temperature"] = temperature.into(); }
        if let Some(limit) = limit { config["maxOutputTokens"] = limit.into(); }
        let hub = decoded(&serde_json::json!({"contents": contents, "generationConfig": config}).to_string());
        let (body, dropped) = encoded(&hub, FLASH);
        prop_assert_eq!(dropped, Vec::<String>::new());
        prop_assert_eq!(judged(FLASH, &body), Vec::<String>::new());
        prop_assert_eq!(decoded(&body), hub);
    }

    #[test]
    fn no_body_is_a_panic(body in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
        let body = Bytes::from(body);
        let _ = Gemini.peek(&body, 128);
        let _ = Gemini.decode_request(&body);
        let _ = Gemini.decode_reply(&body);
        let _ = Gemini.inspect(&body);
    }
}

//! Native requests and heads, field by field.

use std::collections::BTreeMap;

use http::StatusCode;

use super::*;
use crate::testing::layered;

fn invoke() -> v1::InvokeRequest {
    v1::InvokeRequest { dialect: "openai_chat".into(), body: "{}".into(), ..v1::InvokeRequest::default() }
}

fn decode(message: v1::InvokeRequest) -> Result<Call> {
    let limits = Limits { max_body_bytes: 64, ..Limits::default() };
    let mut request = layered(message, &[("x-request-id", "from-metadata"), ("x-api-key", "sk-1")]);
    adopt_request_id(&mut request);
    call(request, &limits)
}

#[test]
fn a_native_call_keeps_its_body_and_all_that_is_said_about_it() {
    let message = v1::InvokeRequest {
        headers: [("openai-beta".to_owned(), "x=1".to_owned())].into(),
        timeout_ms: Some(1500),
        session_id: "s".into(),
        tags: [("app".to_owned(), "mail".to_owned())].into(),
        strict: true,
        client_address: "10.0.0.1".into(),
        user_agent: "curl/8".into(),
        providers: vec!["echo".into()],
        request_id: "from-message".into(),
        body: "{ \"model\" : 1 }".into(),
        ..invoke()
    };
    let call = decode(message).unwrap();
    assert_eq!(call.request_id, "from-message");
    assert_eq!(call.keys.len(), 1);
    assert_eq!(call.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(call.headers["openai-beta"], "x=1");
    let about = call.about;
    assert_eq!((about.session_id.as_str(), about.tags["app"].as_str(), about.strict), ("s", "mail", true));
    assert_eq!((about.client_address.as_str(), about.user_agent.as_str()), ("10.0.0.1", "curl/8"));
    assert_eq!(about.providers, ["echo"]);
    let Input::Native { dialect: Dialect::OpenAiChat, body, .. } = call.input else {
        panic!("{:?}", call.input)
    };
    assert_eq!(body, "{ \"model\" : 1 }");
}

#[test]
fn an_unusable_request_id_is_left_aside() {
    let message = v1::InvokeRequest { request_id: "two words".into(), ..invoke() };
    assert_eq!(decode(message).unwrap().request_id, "from-metadata");
}

#[test]
fn an_operation_is_the_dialects_own_or_about_models() {
    let input = |dialect: &str, operation: &str| {
        let path_args = [("id".to_owned(), "gpt-4.1".to_owned())].into();
        let said = (dialect.to_owned(), operation.to_owned());
        decode(v1::InvokeRequest { dialect: said.0, operation: said.1, path_args, ..invoke() })
            .map(|call| call.input)
    };
    for (dialect, operation) in [
        ("openai_chat", ""),
        ("openai_chat", "chat"),
        ("openai_completions", "completions"),
        ("openai_embeddings", "embeddings"),
    ] {
        assert!(matches!(input(dialect, operation), Ok(Input::Native { .. })), "{dialect} {operation}");
    }
    assert!(matches!(input("openai_chat", "models.list"), Ok(Input::Models { id: None, .. })));
    let Ok(Input::Models { id, .. }) = input("openai_chat", "models.get") else { panic!("not a model") };
    assert_eq!(id.as_deref(), Some("gpt-4.1"));

    for (dialect, operation, field) in [
        ("cobol", "", "dialect"),
        ("openai_chat", "embeddings", "operation"),
        ("openai_chat", "dance", "operation"),
    ] {
        let error = input(dialect, operation).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(field), "{dialect} {operation}");
    }
    let error = decode(v1::InvokeRequest { operation: "models.get".into(), ..invoke() }).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("path_args[\"id\"]"));
}

#[test]
fn what_cannot_be_taken_is_refused_by_name() {
    let field = |message| decode(message).unwrap_err().param.unwrap();
    let headers = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    assert_eq!(field(v1::InvokeRequest { timeout_ms: Some(0), ..invoke() }), "timeout_ms");
    assert_eq!(field(v1::InvokeRequest { headers: headers("a b", "c"), ..invoke() }), "headers[\"a b\"]");
    assert_eq!(field(v1::InvokeRequest { headers: headers("a", "b\nc"), ..invoke() }), "headers[\"a\"]");

    let error = decode(v1::InvokeRequest { body: vec![b' '; 65].into(), ..invoke() }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(error.message.contains("MAX_BODY_BYTES allows 64"), "{}", error.message);
}

#[test]
fn a_caller_cannot_make_us_pass_on_keys_or_framing() {
    let headers = OWN_HEADERS.map(|name| (name.to_owned(), "x".to_owned())).into();
    assert!(decode(v1::InvokeRequest { headers, ..invoke() }).unwrap().headers.is_empty());
}

#[test]
fn a_head_keeps_every_header_and_says_why_it_failed() {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("content-type", "application/json"), ("vary", "a"), ("vary", "b"), ("retry-after", "2")]
    {
        headers.append(name, HeaderValue::from_static(value));
    }
    let meter = Meter { limit: 9, remaining: 0, reset: Duration::from_millis(7) };
    let limits = Some(Standing { requests: None, tokens: Some(meter) });
    let failure = Some(ErrorKind::RateLimited);
    let head = Head { status: StatusCode::TOO_MANY_REQUESTS, headers, failure, limits };
    let expected = v1::Head {
        status: 429,
        headers: [("vary".to_owned(), "a, b".to_owned()), ("retry-after".to_owned(), "2".to_owned())].into(),
        content_type: "application/json".into(),
        reason: v1::ErrorReason::RateLimited.into(),
        limits: Some(v1::RateLimits {
            requests: None,
            tokens: Some(v1::RateMeter { limit: 9, remaining: 0, reset_micros: 7000 }),
        }),
    };
    assert_eq!(encode_head(&head), expected);

    let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), failure: None, limits: None };
    assert_eq!(encode_head(&head).reason(), v1::ErrorReason::Unspecified);
}

#[test]
fn what_a_path_of_geminis_says_is_kept_and_its_model_is_required() {
    let asked = |verb: &str, query: &str| {
        let path_args = [("model".to_owned(), "a/b:c".to_owned()), ("verb".to_owned(), verb.to_owned())];
        let message = v1::InvokeRequest {
            dialect: "gemini".into(),
            path_args: path_args.into(),
            query: query.into(),
            ..invoke()
        };
        let Input::Native { path, .. } = decode(message).unwrap().input else { panic!("a native request") };
        assert_eq!(path.model.as_deref(), Some("a/b:c"));
        (path.stream, path.json_array)
    };
    assert_eq!(asked("generateContent", "alt=sse"), (false, false));
    assert_eq!(asked("streamGenerateContent", "x=1&alt=sse"), (true, false));
    assert_eq!(asked("streamGenerateContent", "alt=json"), (true, true));
    let nameless = v1::InvokeRequest { dialect: "gemini".into(), ..invoke() };
    assert!(decode(nameless).unwrap_err().message.contains("path_args[\"model\"]"));
}

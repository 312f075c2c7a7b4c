//! What layers, metadata and options add up to.

use std::net::SocketAddr;

use orchestrator_core::chat::Role;
use secrecy::ExposeSecret as _;

use super::*;
use crate::testing::layered;

fn message() -> v1::ChatRequest {
    let part = v1::Part { kind: Some(v1::part::Kind::Text("hi".into())), ..v1::Part::default() };
    let message = v1::Message { role: v1::Role::User.into(), parts: vec![part], name: None };
    v1::ChatRequest { model: "m".into(), messages: vec![message], ..v1::ChatRequest::default() }
}

fn call_with(metadata: &[(&'static str, &'static str)], options: v1::CallOptions) -> Result<Call> {
    let message = v1::ChatRequest { options: Some(options), ..message() };
    chat(layered(message, metadata), true, 8)
}

#[test]
fn a_call_carries_what_layers_metadata_and_message_say() {
    let metadata = [
        ("x-request-id", "job-7"),
        ("authorization", "Bearer sk-1"),
        ("grpc-timeout", "2S"),
        ("user-agent", "grpc-go/1.70"),
        ("x-session-id", "s-1"),
        ("x-orchestrator-tags", "{\"app\":\"mail\"}"),
        ("x-orchestrator-strict", "true"),
        ("x-orchestrator-providers", "openai, echo"),
    ];
    let mut request = layered(message(), &metadata);
    let peer: SocketAddr = "10.1.2.3:4567".parse().unwrap();
    request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: Some(peer) });

    let call = chat(request, true, 8).unwrap();
    assert_eq!(call.request_id, "job-7");
    assert_eq!(call.keys[0].expose_secret(), "sk-1");
    assert_eq!(call.timeout, Some(Duration::from_millis(1995)));
    assert_eq!(call.about.session_id, "s-1");
    assert_eq!(call.about.tags["app"], "mail");
    assert!(call.about.strict);
    assert_eq!(call.about.providers, ["openai", "echo"]);
    assert_eq!(
        (call.about.client_address.as_str(), call.about.user_agent.as_str()),
        ("10.1.2.3", "grpc-go/1.70")
    );
    let Input::Chat(chat) = call.input else { panic!("{:?}", call.input) };
    assert!(chat.stream && chat.messages[0].role == Role::User);
}

#[test]
fn the_messages_options_win_over_the_metadata() {
    let metadata = [
        ("x-session-id", "from metadata"),
        ("x-orchestrator-tags", "{\"app\":\"a\",\"team\":\"t\"}"),
        ("x-orchestrator-providers", "openai"),
    ];
    let options = v1::CallOptions {
        session_id: "from options".into(),
        tags: [("app".to_owned(), "b".to_owned())].into(),
        strict: true,
        providers: vec!["echo".into()],
        retry_count: Some(0),
        ..v1::CallOptions::default()
    };
    let about = call_with(&metadata, options).unwrap().about;
    assert_eq!(about.session_id, "from options");
    assert_eq!((about.tags["app"].as_str(), about.tags["team"].as_str()), ("b", "t"));
    assert_eq!(about.providers, ["echo"]);
    assert!(about.strict);
    assert_eq!(about.retry_count, Some(0));
    let often = v1::CallOptions { retry_count: Some(11), ..v1::CallOptions::default() };
    let refused = call_with(&metadata, often).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("options.retry_count"));
}

#[test]
fn the_earlier_of_two_deadlines_holds() {
    let timeout = |metadata: &[_]| call_with(metadata, v1::CallOptions::default()).unwrap().timeout;
    assert_eq!(timeout(&[]), None);
    assert_eq!(timeout(&[("x-orchestrator-timeout-ms", "300")]), Some(Duration::from_millis(300)));
    let both = [("x-orchestrator-timeout-ms", "300"), ("grpc-timeout", "100m")];
    assert_eq!(timeout(&both), Some(Duration::from_millis(95)));
}

#[test]
fn malformed_metadata_is_refused_by_name() {
    let malformed = [
        ("x-orchestrator-timeout-ms", "0"),
        ("x-orchestrator-timeout-ms", "1.5"),
        ("x-orchestrator-timeout-ms", "-1"),
        ("x-orchestrator-tags", "[]"),
        ("x-orchestrator-tags", "{\"a\":1}"),
        ("x-orchestrator-strict", "yes"),
        ("x-orchestrator-providers", "openai,,echo"),
        ("grpc-timeout", "soon"),
    ];
    for (name, value) in malformed {
        let error = call_with(&[(name, value)], v1::CallOptions::default()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(name), "{value}");
        assert!(error.message.starts_with(name), "{}", error.message);
    }
}

#[test]
fn a_prompt_to_count_is_named_from_the_outside() {
    let error = count_tokens(layered(v1::CountTokensRequest::default(), &[]), 8).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("request"));

    let prompt = v1::ChatRequest { model: String::new(), ..message() };
    let error = count_tokens(layered(v1::CountTokensRequest { request: Some(prompt) }, &[]), 8).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("request.model"));
}

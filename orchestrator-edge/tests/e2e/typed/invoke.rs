//! `Invoke` and `StreamInvoke`: a public dialect's bytes over gRPC.

use orchestrator_proto::v1;
use orchestrator_testkit::{
    fixtures,
    provider::{Cut, Provider},
    recorded::Recording,
};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{House, keyed, ways};

fn native(body: &Value) -> v1::InvokeRequest {
    let body = body.to_string().into();
    v1::InvokeRequest { dialect: "openai_chat".into(), body, ..v1::InvokeRequest::default() }
}

fn chat(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]})
}

fn plays(provider: &Provider, recording: &Recording, cut: &Cut) {
    provider.route("chat/completions", recording.answer(cut));
}

#[tokio::test]
async fn a_whole_answer_is_one_message_with_the_providers_bytes() {
    let house = House::start().await;
    let recording = fixtures::named("chat");
    plays(&house.provider, &recording, &Cut::Whole);
    for (way, mut client) in ways(&house.gateway) {
        let request = v1::InvokeRequest { request_id: "job-7".into(), ..native(&chat(false)) };
        let answer = client.invoke(keyed(request)).await.unwrap().into_inner();
        let head = answer.head.unwrap();
        assert_eq!((head.status, &*head.content_type), (200, "application/json"), "{way}");
        assert_eq!(head.reason(), v1::ErrorReason::Unspecified, "{way}");
        let told = ["x-request-id", "x-orchestrator-provider", "x-orchestrator-attempts"];
        assert_eq!(told.map(|name| &*head.headers[name]), ["job-7", "upstream", "1"], "{way}");
        assert_eq!(answer.data, recording.body, "{way}");

        // StreamInvoke answers it the same, in one message too.
        let mut stream = client.stream_invoke(keyed(native(&chat(false)))).await.unwrap().into_inner();
        let only = stream.message().await.unwrap().unwrap();
        assert_eq!((only.head.unwrap().status, only.data), (200, recording.body.clone()), "{way}");
        assert_eq!(stream.message().await.unwrap(), None, "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_streaming_body_is_sent_on_to_stream_invoke() {
    let house = House::start().await;
    for (way, mut client) in ways(&house.gateway) {
        let status = client.invoke(keyed(native(&chat(true)))).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{way}");
        assert!(status.message().contains("use StreamInvoke"), "{way}: {status}");
        assert_eq!(
            status.get_details_bad_request().unwrap().field_violations[0].field,
            "body.stream",
            "{way}"
        );
    }
    assert_eq!(house.provider.seen().len(), 0);
    house.finish().await;
}

#[tokio::test]
async fn a_streams_messages_end_on_events_borders_and_hold_every_byte() {
    let house = House::start().await;
    for name in ["chat_stream", "chat_stream_crlf", "chat_stream_comments", "chat_stream_tool_calls"] {
        let recording = fixtures::named(name);
        for (seed, (way, mut client)) in (1..).zip(ways(&house.gateway)) {
            plays(&house.provider, &recording, &Cut::Seeded(seed));
            // Asked for here too, so that nothing has to be added or taken out.
            let mut body = chat(true);
            body["stream_options"] = json!({"include_usage": true});
            let mut stream = client.stream_invoke(keyed(native(&body))).await.unwrap().into_inner();
            let mut data = Vec::new();
            let mut heads = 0;
            while let Some(message) = stream.message().await.unwrap() {
                let bordered = message.data.is_empty()
                    || [&b"\n\n"[..], b"\r\n\r\n"].iter().any(|end| message.data.ends_with(end));
                assert!(bordered, "{name} ({way}): {:?}", message.data);
                heads += usize::from(message.head.is_some());
                data.extend_from_slice(&message.data);
            }
            assert_eq!(heads, 1, "{name} ({way})");
            assert_eq!(bytes::Bytes::from(data), recording.body, "{name} ({way})");
        }
    }
    house.finish().await;
}

#[tokio::test]
async fn failures_come_in_the_callers_dialect() {
    let house = House::start().await;
    let recording = fixtures::named("error_429_seconds");
    plays(&house.provider, &recording, &Cut::Whole);
    for (way, mut client) in ways(&house.gateway) {
        let answer = client.invoke(keyed(native(&chat(false)))).await.unwrap().into_inner();
        let head = answer.head.unwrap();
        assert_eq!((head.status, head.reason()), (429, v1::ErrorReason::RateLimited), "{way}");
        assert_eq!(answer.data, recording.body, "{way}");
        assert_eq!(
            (&*head.headers["retry-after"], &*head.headers["x-orchestrator-attempts"]),
            ("20", "1"),
            "{way}"
        );

        let keyless = client.invoke(native(&chat(false))).await.unwrap().into_inner();
        assert_eq!(keyless.head.unwrap().status, 401, "{way}");
        let body: Value = serde_json::from_slice(&keyless.data).unwrap();
        assert!(body["error"]["message"].is_string(), "{way}: {body}");
    }
    house.finish().await;
}

#[tokio::test]
async fn an_unknown_dialect_or_operation_is_named() {
    let house = House::start().await;
    for (way, mut client) in ways(&house.gateway) {
        let cobol = v1::InvokeRequest { dialect: "cobol".into(), ..native(&chat(false)) };
        let paint = v1::InvokeRequest { operation: "paint".into(), ..native(&chat(false)) };
        for (request, field) in [(cobol, "dialect"), (paint, "operation")] {
            let whole = client.invoke(keyed(request.clone())).await.unwrap_err();
            let streamed = client.stream_invoke(keyed(request)).await.unwrap_err();
            for status in [whole, streamed] {
                assert_eq!(status.code(), Code::InvalidArgument, "{way}: {status}");
                let violations = status.get_details_bad_request().unwrap().field_violations;
                assert_eq!(violations[0].field, field, "{way}");
            }
        }
    }
    house.finish().await;
}

//! How calls on the typed plane fail: a status, with the details that `google.rpc` has for it.

use std::time::Duration;

use orchestrator_proto::v1;
use orchestrator_testkit::{
    fixtures,
    provider::{Answer, Cut, Piece},
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt as _};

use super::{Client, Event, House, collect, hello, keyed, metadata, patient, said, ways, with_key};

fn fixture(name: &str) -> Answer {
    fixtures::named(name).answer(&Cut::Whole)
}

fn info(status: &Status) -> ErrorInfo {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "orchestrator.v1");
    info
}

/// The failure of a chat, whole or streamed, that must not begin.
async fn refused(client: &mut Client, request: v1::ChatRequest, streamed: bool) -> Status {
    if !streamed {
        return client.chat(keyed(request)).await.expect_err("a failure");
    }
    let (events, failure) = collect(client.stream_chat(keyed(request)).await).await;
    assert_eq!(events, [], "nothing may come before the failure");
    failure.expect("a failure")
}

#[tokio::test]
async fn the_next_provider_answers_where_the_first_one_fails() {
    let house = House::start().await;
    let (bad, good) = (house.provider.named("bad"), house.provider.named("good"));
    let failing = house.gateway.add_provider("bad", &bad.base_url(), json!({"priority": 200})).await;
    let serving = house.gateway.add_provider("good", &good.base_url(), json!({"priority": 100})).await;
    house.gateway.add_model("two", "gpt-4o-mini", &[&failing, &serving]).await;
    let request = v1::ChatRequest { model: "two".into(), ..hello() };
    for (way, mut client) in ways(&house.gateway) {
        house.gateway.forgive().await;
        bad.route("chat/completions", fixture("error_500"));
        good.route("chat/completions", fixture("chat"));
        let answer = client.chat(keyed(request.clone())).await.unwrap();
        assert_eq!(metadata(&answer, "x-orchestrator-attempts"), "2", "{way}");
        let routing = answer.into_inner().routing.unwrap();
        assert_eq!((&*routing.provider, routing.attempts), ("good", 2), "{way}");

        // A stream that fails before it has said anything is no stream yet.
        bad.route("chat/completions", fixture("chat_stream_error_after_role"));
        good.route("chat/completions", fixture("chat_stream_usage"));
        let (events, failure) = collect(client.stream_chat(keyed(request.clone())).await).await;
        assert!(failure.is_none(), "{way}: {failure:?}");
        let Some(Event::Started(start)) = events.first() else { panic!("{way}: {events:?}") };
        let routing = start.routing.clone().unwrap();
        assert_eq!((&*routing.provider, routing.attempts), ("good", 2), "{way}");
        assert!(matches!(events.last(), Some(Event::Finished(_))), "{way}");
    }
    let rows = house.gateway.logs(4).await;
    assert!(rows.iter().all(|row| row["attempts"] == 2 && row["outcome"] == "ok"), "{rows:?}");
    house.finish().await;
}

#[tokio::test]
async fn a_providers_failure_names_it_and_says_how_often_it_was_asked() {
    let house = House::start().await;
    house.chats(fixture("error_500"));
    for (way, mut client) in ways(&house.gateway) {
        for streamed in [false, true] {
            let status = refused(&mut client, hello(), streamed).await;
            assert_eq!(status.code(), Code::Unavailable, "{way}: {status}");
            let info = info(&status);
            assert_eq!(info.reason, "PROVIDER_FAILED", "{way}");
            let told = ["provider", "upstream_status", "attempts"].map(|name| &*info.metadata[name]);
            assert_eq!(told, ["upstream", "500", "1"], "{way}");
            assert_eq!(status.metadata().get("x-orchestrator-attempts").unwrap(), "1", "{way}");
            assert_eq!(status.metadata().get("x-orchestrator-provider").unwrap(), "upstream", "{way}");
        }
    }
    house.finish().await;
}

#[tokio::test]
async fn attempts_are_counted_when_all_of_them_fail() {
    let house = House::start().await;
    let (bad, worse) = (house.provider.named("bad"), house.provider.named("worse"));
    let more = json!({"max_retries": 0});
    let first = house.gateway.add_provider("bad", &bad.base_url(), more.clone()).await;
    let second = house.gateway.add_provider("worse", &worse.base_url(), more).await;
    house.gateway.add_model("two", "gpt-4o-mini", &[&first, &second]).await;
    for endpoint in [&bad, &worse] {
        endpoint.route("chat/completions", Answer::html());
    }
    for (way, mut client) in ways(&house.gateway) {
        let request = v1::ChatRequest { model: "two".into(), ..hello() };
        let status = refused(&mut client, request, false).await;
        assert_eq!((status.code(), &*info(&status).metadata["attempts"]), (Code::Unavailable, "2"), "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_follows_what_was_said() {
    let house = House::start().await;
    let bytes = fixtures::named("chat_stream_error_midway").body;
    let error = bytes.windows(9).position(|text| text == b"data: {\"e").unwrap();
    // What comes together with an error is never begun: the error has to come later to be in the middle.
    house.chats(Answer::pieces(vec![
        Piece::Data(bytes.slice(..error)),
        Piece::Wait(Duration::from_millis(300)),
        Piece::Data(bytes.slice(error..)),
    ]));
    for (way, mut client) in ways(&house.gateway) {
        let (events, failure) = collect(client.stream_chat(keyed(hello())).await).await;
        assert_eq!(said::streamed(&events)[&0].text, "Hello", "{way}");
        assert!(!events.iter().any(|event| matches!(event, Event::Finished(_))), "{way}: {events:?}");
        let status = failure.expect("a failure");
        assert_eq!(status.code(), Code::Unavailable, "{way}");
        let info = info(&status);
        assert_eq!((&*info.metadata["provider"], &*info.metadata["attempts"]), ("upstream", "1"), "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_providers_limit_says_when_to_come_back() {
    let house = House::start().await;
    house.chats(fixture("error_429_seconds"));
    for (way, mut client) in ways(&house.gateway) {
        for streamed in [false, true] {
            let status = refused(&mut client, hello(), streamed).await;
            assert_eq!(status.code(), Code::ResourceExhausted, "{way}: {status}");
            let info = info(&status);
            assert_eq!((&*info.reason, &*info.metadata["provider"]), ("RATE_LIMITED", "upstream"), "{way}");
            let retry = status.get_details_retry_info().unwrap();
            assert_eq!(retry.retry_delay, Some(Duration::from_secs(20)), "{way}");
            let quota = status.get_details_quota_failure().unwrap();
            assert_eq!(quota.violations[0].subject, "provider:upstream", "{way}");
        }
    }
    house.finish().await;
}

#[tokio::test]
async fn a_bad_request_names_the_field_whoever_finds_it() {
    let house = House::start().await;
    house.chats(fixture("error_400"));
    for (way, mut client) in ways(&house.gateway) {
        let by_provider = refused(&mut client, hello(), false).await;
        assert_eq!(info(&by_provider).metadata["provider"], "upstream", "{way}");
        let mut roleless = hello();
        roleless.messages[0].role = v1::Role::Unspecified.into();
        let by_us = refused(&mut client, roleless, true).await;
        assert!(!info(&by_us).metadata.contains_key("provider"), "{way}");
        for status in [by_provider, by_us] {
            assert_eq!(status.code(), Code::InvalidArgument, "{way}: {status}");
            let violations = status.get_details_bad_request().unwrap().field_violations;
            assert_eq!(violations[0].field, "messages[0].role", "{way}");
        }
        let unknown = refused(&mut client, v1::ChatRequest { model: "nn".into(), ..hello() }, false).await;
        assert_eq!((unknown.code(), &*info(&unknown).metadata["code"]), (Code::NotFound, "model_not_found"));
    }
    house.finish().await;
}

#[tokio::test]
async fn no_key_and_a_wrong_key_are_refused_by_every_method() {
    let house = House::start().await;
    for (way, client) in ways(&house.gateway) {
        let statuses = [
            client.clone().chat(hello()).await.unwrap_err(),
            client.clone().chat(with_key(hello(), "sk-wrong")).await.unwrap_err(),
            collect(client.clone().stream_chat(with_key(hello(), "sk-wrong")).await).await.1.unwrap(),
            client.clone().embed(embed_hello()).await.unwrap_err(),
            client.clone().list_models(v1::ListServedModelsRequest::default()).await.unwrap_err(),
            client.clone().count_tokens(v1::CountTokensRequest { request: Some(hello()) }).await.unwrap_err(),
        ];
        for status in statuses {
            assert_eq!(status.code(), Code::Unauthenticated, "{way}: {status}");
            assert_eq!(info(&status).reason, "UNAUTHENTICATED", "{way}");
            assert!(!status.message().contains("sk-wrong"), "{way}: {status}");
        }
    }
    assert_eq!(house.provider.seen().len(), 0);
    house.finish().await;
}

fn embed_hello() -> v1::EmbedRequest {
    let input = v1::EmbedInput { kind: Some(v1::embed_input::Kind::Text("hello".into())) };
    v1::EmbedRequest { model: "m".into(), inputs: vec![input], ..v1::EmbedRequest::default() }
}

/// A deadline that is far shorter than any time-out of the gateway's, and far longer than a busy machine's pauses.
const DEADLINE: Duration = Duration::from_millis(300);

fn hurried(message: v1::ChatRequest) -> tonic::Request<v1::ChatRequest> {
    let mut request = keyed(message);
    request.set_timeout(DEADLINE);
    request
}

#[tokio::test]
async fn a_callers_deadline_is_answered_by_the_gateway_before_the_caller_gives_up() {
    let house = House::start().await;
    house.chats(Answer::silence());
    let [_, in_process] = ways(&house.gateway);
    for (number, (way, mut client)) in (0..).zip([("socket", patient(&house.gateway)), in_process]) {
        let asked = tokio::time::Instant::now();
        let whole = client.chat(hurried(hello())).await.unwrap_err();
        let took = asked.elapsed();
        let expected = DEADLINE.mul_f32(0.95)..DEADLINE * 10;
        assert!(expected.contains(&took), "{way}: {took:?}");
        let (events, streamed) = collect(client.stream_chat(hurried(hello())).await).await;
        assert_eq!(events, [], "{way}");
        for status in [whole, streamed.unwrap()] {
            assert_eq!(status.code(), Code::DeadlineExceeded, "{way}: {status}");
            // A client's own clock would have no details.
            assert_eq!(info(&status).reason, "TIMEOUT", "{way}");
        }
        for row in &house.gateway.logs(2 * (number + 1)).await[2 * number..] {
            assert_eq!(
                (row["outcome"].as_str(), row["status"].as_i64()),
                (Some("timeout"), Some(504)),
                "{way}"
            );
        }
    }
    house.finish().await;
}

#[tokio::test]
async fn a_deadline_in_the_middle_of_a_stream_follows_what_was_said() {
    let house = House::start().await;
    let whole = fixture("chat_stream_usage");
    let first_word = String::from_utf8_lossy(&whole.body_bytes()).find("Hello").unwrap() + 200;
    house.chats(whole.stall_after(first_word));
    let [_, in_process] = ways(&house.gateway);
    for (way, mut client) in [("socket", patient(&house.gateway)), in_process] {
        let (events, failure) = collect(client.stream_chat(hurried(hello())).await).await;
        assert_eq!(failure.expect("a failure").code(), Code::DeadlineExceeded, "{way}");
        assert_eq!(said::streamed(&events)[&0].text, "Hello", "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let house = House::start().await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/v1", listener.local_addr().unwrap())
    };
    let provider = house.gateway.add_provider("gone", &gone, json!({"max_retries": 0})).await;
    house.gateway.add_model("lost", "gpt-4o-mini", &[&provider]).await;
    for (way, mut client) in ways(&house.gateway) {
        let status = refused(&mut client, v1::ChatRequest { model: "lost".into(), ..hello() }, false).await;
        assert_eq!(status.code(), Code::Unavailable, "{way}: {status}");
        let info = info(&status);
        assert_eq!((&*info.reason, &*info.metadata["provider"]), ("PROVIDER_FAILED", "gone"), "{way}");
    }
    house.finish().await;
}

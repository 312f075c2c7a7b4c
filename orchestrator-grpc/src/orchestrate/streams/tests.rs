//! The adapters over scripted streams.

use futures_util::{StreamExt as _, stream};
use orchestrator_core::{
    call::UsageSource,
    chat::{ChatEvent, Finish, FinishReason, ToolCallDelta, Usage},
    error::{Error, ErrorKind},
};
use tonic::Code;
use v1::chat_event::Kind;

use super::*;

fn served() -> Served {
    Served { provider: "openai".into(), upstream_model: "gpt-4.1".into(), attempts: 2, ..Served::default() }
}

fn begun() -> TypedEvent {
    TypedEvent::Event(ChatEvent::Started { id: "c-1".into(), model: "gpt-4.1-2025".into(), created: 7 })
}

fn text(text: &str) -> TypedEvent {
    TypedEvent::Event(ChatEvent::Text { choice: 0, text: text.into() })
}

fn finished() -> TypedEvent {
    let usage = Usage { prompt: 3, completion: 2, ..Usage::default() };
    TypedEvent::Finished { usage, usage_source: UsageSource::Provider, service_tier: None }
}

/// What a client reads of a core's stream.
async fn read(said: impl Stream<Item = CoreResult<TypedEvent>>) -> Vec<Result<v1::ChatEvent, Status>> {
    ChatEvents::new(said, served(), None).collect().await
}

#[tokio::test]
async fn every_event_comes_in_its_order_between_started_and_finished() {
    let call = ToolCallDelta {
        choice: 0,
        index: 1,
        id: Some("call_1".into()),
        name: Some("weather".into()),
        arguments: "{".into(),
        signature: None,
    };
    let said = vec![
        begun(),
        TypedEvent::Event(ChatEvent::Reasoning { choice: 0, text: "hm".into() }),
        TypedEvent::Event(ChatEvent::ReasoningBlock {
            choice: 0,
            signature: Some("s".into()),
            encrypted: None,
        }),
        text("Hello"),
        TypedEvent::Event(ChatEvent::Refusal { choice: 1, text: "no".into() }),
        TypedEvent::Event(ChatEvent::ToolCall(call)),
        TypedEvent::Event(ChatEvent::Logprobs { choice: 0, json: "{}".into() }),
        TypedEvent::Event(ChatEvent::Finished {
            choice: 0,
            finish: Finish { reason: Some(FinishReason::Length), native: "max_tokens".into() },
        }),
        finished(),
    ];
    let events: Vec<_> = read(stream::iter(said).map(Ok))
        .await
        .into_iter()
        .map(|event| event.unwrap().kind.unwrap())
        .collect();
    insta::assert_debug_snapshot!(events);
}

#[tokio::test]
async fn a_stream_that_opens_with_something_else_is_given_a_beginning() {
    let events = read(stream::iter([text("Hello"), begun(), finished()]).map(Ok)).await;
    let kinds: Vec<_> = events.into_iter().map(|event| event.unwrap().kind.unwrap()).collect();
    let [Kind::Started(started), Kind::Text(text), Kind::Finished(_)] = kinds.as_slice() else {
        panic!("{kinds:?}")
    };
    assert_eq!(started.model, "gpt-4.1");
    assert_eq!(started.routing.as_ref().unwrap().attempts, 2);
    assert_eq!(text.text, "Hello");
}

#[tokio::test]
async fn a_failure_is_the_last_thing_that_is_heard() {
    let failure = Err(Error::new(ErrorKind::ProviderFailed, "cut"));
    let events = read(stream::iter([Ok(begun()), failure, Ok(text("never"))])).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].as_ref().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_panic_in_a_stream_is_the_status_of_its_call() {
    let said = stream::iter([1, 2, 3]).map(|n| if n == 2 { panic!("oh") } else { Ok(begun()) });
    let events = read(said).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].as_ref().unwrap_err().code(), Code::Internal);
}

fn head() -> v1::Head {
    v1::Head { status: 200, ..v1::Head::default() }
}

fn messages_of<S: Stream<Item = NativePart>>(stream: S) -> InvokeMessages<S> {
    InvokeMessages { head: Some(head()), whole: None, stream: Some(stream), request_id: None }
}

#[tokio::test]
async fn a_whole_native_answer_is_exactly_one_message() {
    for body in ["", "{\"id\":1}"] {
        let messages = InvokeMessages::new(head(), NativeBody::Whole(body.into()), None);
        let messages: Vec<_> = messages.map(Result::unwrap).collect().await;
        assert_eq!(messages, [v1::InvokeResponse { head: Some(head()), data: body.into(), last: true }]);
    }
}

#[tokio::test]
async fn the_head_travels_with_the_first_bytes_and_the_last_are_said_to_be_the_last() {
    let said = [("data: 1\n\n", false), ("data: 2\n\n", true)];
    let said = stream::iter(said).map(|(data, last)| NativePart { data: data.into(), last });
    let messages: Vec<_> = messages_of(said).map(Result::unwrap).collect().await;
    let expected = [
        v1::InvokeResponse { head: Some(head()), data: "data: 1\n\n".into(), last: false },
        v1::InvokeResponse { head: None, data: "data: 2\n\n".into(), last: true },
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn the_head_does_not_wait_for_bytes_that_are_not_there() {
    let mut messages = Box::pin(messages_of(stream::pending()));
    let first = messages.next().await.unwrap().unwrap();
    assert_eq!(first, v1::InvokeResponse { head: Some(head()), data: Bytes::new(), last: false });
    assert!(futures_util::poll!(messages.next()).is_pending());

    let empty: Vec<_> = messages_of(stream::empty()).map(Result::unwrap).collect().await;
    assert_eq!(empty, [v1::InvokeResponse { head: Some(head()), data: Bytes::new(), last: true }]);
}

//! `StreamChat`: an answer as it is made.

use std::time::Duration;

use orchestrator_proto::v1;
use orchestrator_testkit::{
    fixtures,
    provider::{Answer, Cut},
};
use serde_json::json;
use tonic::Code;

use super::{Event, House, collect, hello, keyed, metadata, next, said, usage, ways, with_key};

fn fixture(name: &str) -> Answer {
    fixtures::named(name).answer(&Cut::EveryByte)
}

#[tokio::test]
async fn a_stream_opens_with_who_answers_and_ends_with_what_was_used() {
    let house = House::start().await;
    house.chats(fixture("chat_stream_usage"));
    for (way, mut client) in ways(&house.gateway) {
        let answer = client.stream_chat(keyed(v1::ChatRequest { top_k: Some(1), ..hello() })).await;
        let answer = answer.unwrap();
        assert_eq!(metadata(&answer, "x-orchestrator-provider"), "upstream", "{way}");
        assert_eq!(metadata(&answer, "x-orchestrator-dropped"), "top_k", "{way}");
        let (events, failure) = collect(Ok(answer)).await;
        assert!(failure.is_none(), "{way}: {failure:?}");
        insta::allow_duplicates! { insta::assert_debug_snapshot!(events) }
    }
    house.finish().await;
}

#[tokio::test]
async fn choices_refusals_and_reasoning_are_told_apart_as_they_come() {
    let house = House::start().await;
    for (way, mut client) in ways(&house.gateway) {
        let mut read = async |name: &str| {
            house.chats(fixture(name));
            let (events, failure) = collect(client.stream_chat(keyed(hello())).await).await;
            assert!(failure.is_none(), "{way}: {failure:?}");
            let Some(Event::Finished(end)) = events.last() else { panic!("{way}: {events:?}") };
            (said::streamed(&events), end.usage.unwrap())
        };
        let (choices, _) = read("chat_stream_n2").await;
        assert_eq!(choices.len(), 2, "{way}");
        assert!(choices.values().all(|said| !said.text.is_empty() && !said.finish.is_empty()), "{way}");

        let (choices, estimated) = read("chat_stream_refusal").await;
        assert_eq!((&*choices[&0].refusal, &*choices[&0].text), ("I'm sorry, I can't.", ""), "{way}");
        assert_eq!(estimated.source(), v1::UsageSource::Estimated, "{way}");
        assert!(estimated.prompt_tokens > 0 && estimated.completion_tokens > 0, "{way}");

        let (choices, counted) = read("chat_stream_reasoning").await;
        assert!(!choices[&0].reasoning.is_empty() && !choices[&0].text.is_empty(), "{way}: {choices:?}");
        let expected = v1::Usage { cached_read_tokens: 16, reasoning_tokens: 24, ..usage(20, 30) };
        assert_eq!(counted, expected, "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn pieces_are_passed_on_before_the_answer_is_over() {
    let house = House::start().await;
    let whole = fixtures::named("chat_stream_usage").answer(&Cut::Whole);
    let first_word = String::from_utf8_lossy(&whole.body_bytes()).find("Hello").unwrap() + 200;
    house.chats(whole.stall_after(first_word));
    for (way, mut client) in ways(&house.gateway) {
        let mut stream = client.stream_chat(keyed(hello())).await.unwrap().into_inner();
        assert!(matches!(next(&mut stream).await, Ok(Some(Event::Started(_)))), "{way}");
        let Ok(Some(Event::Text(text))) = next(&mut stream).await else { panic!("{way}: no text") };
        assert_eq!(text.text, "Hello", "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_providers_work_and_is_written_down() {
    let house = House::start().await;
    let whole = fixtures::named("chat_stream_usage").answer(&Cut::Whole);
    let first_word = String::from_utf8_lossy(&whole.body_bytes()).find("Hello").unwrap() + 200;
    house.chats(whole.stall_after(first_word));
    for (number, (way, mut client)) in (1..).zip(ways(&house.gateway)) {
        let mut stream = client.stream_chat(keyed(hello())).await.unwrap().into_inner();
        while !matches!(next(&mut stream).await.unwrap(), Some(Event::Text(_))) {}
        drop(stream);
        let seen = house.provider.seen().pop().unwrap();
        assert!(seen.peer_closed_within(Duration::from_secs(1)).await, "{way}: the provider goes on");
        let rows = house.gateway.logs(number).await;
        let row = &rows[number - 1];
        assert_eq!(row["outcome"], "cancelled", "{way}: {row}");
        assert_eq!(
            (&row["usage_source"], &row["provider"]),
            (&"estimated".into(), &"upstream".into()),
            "{way}"
        );
    }
    house.finish().await;
}

#[tokio::test]
async fn a_caller_that_leaves_has_its_answer_read_on_where_its_key_says_so() {
    let house = House::start().await;
    let key = json!({"name": "drains", "on_disconnect": "drain"});
    let key = house.gateway.admin.post("/admin/keys", &key).await.json();
    let secret = key["secret"].as_str().unwrap();
    let whole = fixtures::named("chat_stream_usage").answer(&Cut::Whole);
    let first_word = String::from_utf8_lossy(&whole.body_bytes()).find("Hello").unwrap() + 200;
    let pause = Duration::from_millis(300);
    for (number, (way, mut client)) in (1..).step_by(2).zip(ways(&house.gateway)) {
        house.chats(whole.clone().cut(&Cut::At(vec![first_word])).pace(pause));
        let mut stream = client.stream_chat(with_key(hello(), secret)).await.unwrap().into_inner();
        while !matches!(next(&mut stream).await.unwrap(), Some(Event::Text(_))) {}
        drop(stream);
        let row = house.gateway.logs(number).await.remove(number - 1);
        assert_eq!((&row["outcome"], &row["status"]), (&"cancelled".into(), &499.into()), "{way}: {row}");
        assert_eq!((&row["usage_source"], &row["attempts"]), (&"provider".into(), &1.into()), "{way}: {row}");

        house.chats(fixtures::named("chat").answer(&Cut::Whole).after(pause));
        let mut waiting = Box::pin(client.chat(with_key(hello(), secret)));
        tokio::select! {
            answer = &mut waiting => panic!("{way}: {answer:?}"),
            _ = house.provider.wait_for(number + 1, super::PATIENCE) => {}
        }
        drop(waiting);
        let row = house.gateway.logs(number + 1).await.remove(number);
        assert_eq!(
            (&row["outcome"], &row["usage_source"]),
            (&"cancelled".into(), &"provider".into()),
            "{way}"
        );
        assert!(house.provider.seen().iter().all(|seen| !seen.peer_closed()), "{way}: it was cut short");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_ends_the_providers_work_too() {
    let house = House::start().await;
    house.chats(Answer::silence());
    for (number, (way, client)) in (1..).zip(ways(&house.gateway)) {
        let mut asking = client.clone();
        let mut waiting = Box::pin(asking.chat(keyed(hello())));
        let seen = tokio::select! {
            answer = &mut waiting => panic!("{way}: {answer:?}"),
            seen = house.provider.wait_for(number, super::PATIENCE) => seen,
        };
        drop(waiting);
        assert!(
            seen[number - 1].peer_closed_within(Duration::from_secs(1)).await,
            "{way}: the provider goes on"
        );
        assert_eq!(house.gateway.logs(number).await[number - 1]["outcome"], "cancelled", "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_a_status_behind_what_it_said() {
    let house = House::start().await;
    let whole = fixtures::named("chat_stream_usage").answer(&Cut::Whole);
    let first_word = String::from_utf8_lossy(&whole.body_bytes()).find("Hello").unwrap() + 200;
    for (way, mut client) in ways(&house.gateway) {
        for cut in [whole.clone().reset_after(first_word), whole.clone().fin_after(first_word)] {
            house.chats(cut);
            let (events, failure) = collect(client.stream_chat(keyed(hello())).await).await;
            assert_eq!(failure.expect("a failure").code(), Code::Unavailable, "{way}");
            assert_eq!(said::streamed(&events)[&0].text, "Hello", "{way}");
            assert!(!events.iter().any(|event| matches!(event, Event::Finished(_))), "{way}: {events:?}");
        }
    }
    for row in house.gateway.logs(4).await {
        assert_eq!(row["outcome"], "truncated", "{row}");
    }
    house.finish().await;
}

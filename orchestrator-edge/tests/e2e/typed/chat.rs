//! `Chat`: what a program asks reaches the provider, and what the provider answers reaches the program.

use std::collections::BTreeMap;

use orchestrator_proto::v1;
use orchestrator_testkit::{
    fixtures,
    provider::{Answer, Cut, Script},
};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;
use v1::{FinishReason, response_format::Kind as Format, tool_choice::Mode};

use super::{
    Client, House, Part, collect, hello, keyed, message, metadata,
    said::{self, Call, Said},
    usage, ways,
};

fn fixture(name: &str) -> Answer {
    fixtures::named(name).answer(&Cut::Whole)
}

pub(super) fn weather_tool() -> v1::Tool {
    let parameters = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#;
    v1::Tool {
        name: "get_weather".into(),
        description: Some("Weather of a city".into()),
        parameters_json: parameters.into(),
        strict: Some(true),
    }
}

/// The call's result, as a program gives it back.
fn result(call: &Call, text: &str) -> v1::Message {
    let parts = vec![v1::Part { kind: Some(Part::Text(text.into())), ..v1::Part::default() }];
    let result = v1::ToolResult { tool_call_id: call.id.clone(), parts, ..v1::ToolResult::default() };
    message(v1::Role::Tool, vec![Part::ToolResult(result)])
}

/// Asks with tools: what the model says, its message to be handed back, and why it ended.
async fn ask(client: &mut Client, request: v1::ChatRequest, streamed: bool) -> Said {
    let mut choices = if streamed {
        let (events, failure) = collect(client.stream_chat(keyed(request)).await).await;
        assert!(failure.is_none(), "{failure:?}");
        said::streamed(&events)
    } else {
        said::whole(client.chat(keyed(request)).await.unwrap().get_ref())
    };
    choices.remove(&0).unwrap()
}

#[tokio::test]
async fn a_conversation_with_a_tool_takes_two_turns() {
    for (streamed, turns) in [
        (false, ["chat_tool_calls", "chat_tool_results"]),
        (true, ["chat_stream_tool_calls", "chat_stream_usage"]),
    ] {
        let house = House::start().await;
        for (way, mut client) in ways(&house.gateway) {
            house.chats(Script::sequence(turns.map(fixture)));
            let choice = v1::ToolChoice { mode: Mode::Auto.into(), name: String::new() };
            let mut request = v1::ChatRequest {
                tools: vec![weather_tool()],
                tool_choice: Some(choice),
                parallel_tool_calls: Some(true),
                ..hello()
            };
            let first = ask(&mut client, request.clone(), streamed).await;
            assert_eq!(first.finish, "tool_calls", "{way}");
            assert_eq!(first.calls.len(), 2, "{way}");
            assert_eq!((&*first.calls[0].id, &*first.calls[0].name), ("call_1", "get_weather"));
            assert_eq!(first.calls[0].meaning(), json!({"city": "Zürich"}), "{way}");

            let calls = first.calls.iter().map(|call| {
                let (id, name, arguments_json) = (call.id.clone(), call.name.clone(), call.arguments.clone());
                Part::ToolCall(v1::ToolCall { id, name, arguments_json, signature: None })
            });
            request.messages.push(message(v1::Role::Assistant, calls.collect()));
            request.messages.extend(first.calls.iter().map(|call| result(call, "21.5")));
            let second = ask(&mut client, request, streamed).await;
            assert_eq!(second.finish, "stop", "{way}");
            assert!(!second.text.is_empty() && second.calls.is_empty(), "{way}: {second:?}");

            let asked = house.asked();
            assert_eq!(asked["messages"][1]["tool_calls"][0]["function"]["name"], "get_weather", "{way}");
            let third = json!({"role": "tool", "tool_call_id": first.calls[1].id, "content": "21.5"});
            assert_eq!(asked["messages"][3], third, "{way}");
        }
        house.finish().await;
    }
}

/// A request that says all that OpenAI Chat can be told.
fn everything() -> v1::ChatRequest {
    let media = |source, mime_type: &str| v1::Media {
        source: Some(source),
        mime_type: mime_type.into(),
        detail: Some("low".into()),
        filename: None,
    };
    let url = v1::media::Source::Url("https://example.com/cat.png".into());
    let inline = v1::media::Source::Data(bytes::Bytes::from_static(b"\x89PNG"));
    let look = vec![
        Part::Text("What is this?".into()),
        Part::Image(media(url, "")),
        Part::Image(media(inline, "image/png")),
    ];
    let schema = v1::JsonSchemaFormat {
        name: "animal".into(),
        description: Some("An animal".into()),
        schema_json: r#"{"type":"object","properties":{"zoo":{"maximum":1.0}}}"#.into(),
        strict: Some(false),
    };
    v1::ChatRequest {
        model: "m".into(),
        messages: vec![
            message(v1::Role::Developer, vec![Part::Text("Be brief.".into())]),
            v1::Message { name: Some("ada".into()), ..message(v1::Role::User, look) },
        ],
        tools: vec![weather_tool()],
        tool_choice: Some(v1::ToolChoice { mode: Mode::Named.into(), name: "get_weather".into() }),
        parallel_tool_calls: Some(false),
        max_output_tokens: Some(100),
        temperature: Some(0.5),
        top_p: Some(0.25),
        frequency_penalty: Some(-1.0),
        presence_penalty: Some(1.5),
        stop: vec!["END".into()],
        seed: Some(-7),
        candidate_count: Some(2),
        response_format: Some(v1::ResponseFormat { kind: Some(Format::JsonSchema(schema)) }),
        reasoning: Some(v1::Reasoning { effort: Some("low".into()), ..v1::Reasoning::default() }),
        logprobs: Some(v1::LogprobsRequest { top: 1 }),
        service_tier: Some("flex".into()),
        end_user: Some("user-1".into()),
        extras_json: BTreeMap::from([("openai_chat.logit_bias".into(), r#"{"50256": -100}"#.into())]),
        ..v1::ChatRequest::default()
    }
}

#[tokio::test]
async fn everything_that_openai_chat_can_be_told_arrives_there() {
    let house = House::start().await;
    house.chats(fixture("chat_n2_logprobs"));
    for (way, mut client) in ways(&house.gateway) {
        let answer = client.chat(keyed(everything())).await.unwrap();
        assert_eq!(metadata(&answer, "x-orchestrator-dropped"), "", "{way}");
    }
    let seen = house.provider.seen();
    assert_eq!(seen[0].body, seen[1].body);
    insta::assert_snapshot!(format!("{:#}", seen[0].json()));
    house.finish().await;
}

#[tokio::test]
async fn several_choices_come_back_with_their_log_probabilities_and_all_that_the_hub_does_not_model() {
    let house = House::start().await;
    house.chats(fixture("chat_n2_logprobs"));
    for (way, mut client) in ways(&house.gateway) {
        let request = v1::ChatRequest { candidate_count: Some(2), ..hello() };
        let answer = client.chat(keyed(request)).await.unwrap().into_inner();
        let ends: Vec<_> =
            answer.choices.iter().map(|choice| (choice.index, choice.finish_reason())).collect();
        assert_eq!(ends, [(0, FinishReason::Stop), (1, FinishReason::Length)], "{way}");
        let choices = said::whole(&answer);
        assert_eq!((&*choices[&0].text, &*choices[&1].text), ("Hi", "Hey"), "{way}");
        let logprobs: Value = serde_json::from_str(answer.choices[0].logprobs_json()).unwrap();
        assert_eq!(logprobs["content"][0]["bytes"], json!([72, 105]), "{way}");
        assert_eq!(answer.choices[1].logprobs_json, None, "{way}");

        assert_eq!((&*answer.id, &*answer.model), ("chatcmpl-fixture", "gpt-4o-mini-2024-07-18"), "{way}");
        assert_eq!((answer.created_unix, answer.service_tier()), (1_735_689_600, "default"), "{way}");
        assert_eq!(answer.extras_json["openai_chat.system_fingerprint"], "\"fp_fixture\"", "{way}");
        assert_eq!(answer.usage, Some(usage(11, 7)), "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_refusal_reasoning_and_a_filter_are_told_apart_from_text() {
    let house = House::start().await;
    let names = ["chat_refusal", "chat_reasoning", "chat_content_filter"];
    for (way, mut client) in ways(&house.gateway) {
        house.chats(Script::sequence(names.map(fixture)));
        let refusal = client.chat(keyed(hello())).await.unwrap().into_inner();
        let said = &said::whole(&refusal)[&0];
        assert_eq!((&*said.refusal, &*said.text), ("I'm sorry, I can't help with that.", ""), "{way}");

        let reasoning = client.chat(keyed(hello())).await.unwrap().into_inner();
        let said = &said::whole(&reasoning)[&0];
        assert_eq!((&*said.reasoning, &*said.text), ("Six times seven is 42.", "42"), "{way}");
        let counted = v1::Usage { cached_read_tokens: 16, reasoning_tokens: 24, ..usage(20, 30) };
        assert_eq!(reasoning.usage, Some(counted), "{way}");

        let filtered = client.chat(keyed(hello())).await.unwrap().into_inner();
        assert_eq!(filtered.choices[0].finish_reason(), FinishReason::ContentFilter, "{way}");
        assert_eq!(filtered.choices[0].native_finish_reason, "content_filter", "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn an_answer_says_who_served_it_and_what_could_not_be_carried() {
    let house = House::start().await;
    house.chats(fixture("chat"));
    for (way, mut client) in ways(&house.gateway) {
        let mut request = keyed(v1::ChatRequest {
            top_k: Some(40),
            extras_json: BTreeMap::from([("anthropic.thinking".into(), "{}".into())]),
            ..hello()
        });
        request.metadata_mut().insert("x-request-id", "job-7".parse().unwrap());
        let answer = client.chat(request).await.unwrap();
        let told =
            ["x-request-id", "x-orchestrator-provider", "x-orchestrator-model", "x-orchestrator-attempts"]
                .map(|name| metadata(&answer, name));
        assert_eq!(told, ["job-7", "upstream", "gpt-4o-mini", "1"], "{way}");
        assert_eq!(metadata(&answer, "x-orchestrator-dropped"), "top_k, extras.anthropic.thinking", "{way}");
        assert!(metadata(&answer, "x-orchestrator-overhead-us").parse::<u64>().is_ok(), "{way}");
        let routing = v1::Routing {
            provider: "upstream".into(),
            upstream_model: "gpt-4o-mini".into(),
            attempts: 1,
            dropped: vec!["top_k".into(), "extras.anthropic.thinking".into()],
        };
        assert_eq!(answer.get_ref().routing, Some(routing), "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_strict_caller_is_refused_what_would_be_dropped_and_nobody_is_asked() {
    let house = House::start().await;
    for (way, mut client) in ways(&house.gateway) {
        let options = v1::CallOptions { strict: true, ..v1::CallOptions::default() };
        let in_message = keyed(v1::ChatRequest { top_k: Some(40), options: Some(options), ..hello() });
        let mut in_metadata = keyed(v1::ChatRequest { top_k: Some(40), ..hello() });
        in_metadata.metadata_mut().insert("x-orchestrator-strict", "true".parse().unwrap());
        for request in [in_message, in_metadata] {
            let status = client.chat(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{way}: {status}");
            let violations = status.get_details_bad_request().unwrap().field_violations;
            assert_eq!(violations[0].field, "top_k", "{way}");
        }
    }
    assert_eq!(house.provider.seen().len(), 0);
    house.finish().await;
}

#[tokio::test]
async fn usage_that_the_provider_does_not_state_is_estimated() {
    let house = House::start().await;
    let mut body: Value = serde_json::from_slice(&fixtures::named("chat").body).unwrap();
    body.as_object_mut().unwrap().remove("usage").expect("the fixture states usage");
    house.chats(Answer::json(200, &body));
    for (way, mut client) in ways(&house.gateway) {
        let usage = client.chat(keyed(hello())).await.unwrap().into_inner().usage.unwrap();
        assert_eq!(usage.source(), v1::UsageSource::Estimated, "{way}");
        assert!(usage.prompt_tokens > 0 && usage.completion_tokens > 0, "{way}: {usage:?}");
    }
    house.finish().await;
}

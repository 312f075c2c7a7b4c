//! What a program can find out without asking a model: models, lengths of prompts, health, and the contract itself.

use orchestrator_base::config::AppEnv;
use orchestrator_proto::v1;
use orchestrator_testkit::provider::Answer;
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{House, UPSTREAM, hello, keyed, listener, ways, with_key};
use crate::gateway::{ADMIN_KEY, CLIENT_KEY, Channel, Gateway};

#[tokio::test]
async fn models_are_listed_with_who_serves_them_page_by_page() {
    let house = House::start().await;
    for (way, mut client) in ways(&house.gateway) {
        let all =
            client.list_models(keyed(v1::ListServedModelsRequest::default())).await.unwrap().into_inner();
        let names: Vec<&str> = all.models.iter().map(|model| &*model.id).collect();
        assert_eq!(names, ["echo", "m"], "{way}");
        assert_eq!(all.models[1].providers, ["upstream"], "{way}");
        assert!(all.models[1].created_unix > 1_700_000_000 && all.next_page_token.is_empty(), "{way}");

        let mut page = v1::ListServedModelsRequest { page_size: 1, page_token: String::new() };
        let first = client.list_models(keyed(page.clone())).await.unwrap().into_inner();
        assert_eq!((first.models.len(), &*first.models[0].id), (1, "echo"), "{way}");
        page.page_token = first.next_page_token;
        let second = client.list_models(keyed(page)).await.unwrap().into_inner();
        assert_eq!((&*second.models[0].id, &*second.next_page_token), ("m", ""), "{way}");
    }
    house.finish().await;
}

#[tokio::test]
async fn a_prompts_tokens_are_estimated_where_nobody_counts_and_grow_with_it() {
    let house = House::start().await;
    let local = json!({"kind": "openai_compatible", "max_retries": 0});
    let local = house.gateway.add_provider("local", &house.provider.base_url(), local).await;
    house.gateway.add_model("local-m", "up", &[&local]).await;
    let hello = || v1::ChatRequest { model: "local-m".into(), ..hello() };
    for (way, mut client) in ways(&house.gateway) {
        let mut count = async |request: v1::ChatRequest| {
            let request = v1::CountTokensRequest { request: Some(request) };
            let answer = client.count_tokens(keyed(request)).await?.into_inner();
            assert_eq!(answer.source(), v1::UsageSource::Estimated, "{way}");
            assert_eq!(answer.routing.unwrap().provider, "", "{way}");
            Ok::<_, Status>(answer.prompt_tokens)
        };
        let short = count(hello()).await.unwrap();
        let mut twice = hello();
        twice.messages.extend(hello().messages);
        assert!(short > 0 && count(twice).await.unwrap() > short, "{way}");
        let unknown = count(v1::ChatRequest { model: "nn".into(), ..hello() }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{way}");
    }
    assert_eq!(house.provider.seen().len(), 0);
    house.finish().await;
}

#[tokio::test]
async fn a_provider_that_counts_is_asked_and_named() {
    let house = House::start().await;
    let count = json!({"object": "response.input_tokens", "input_tokens": 42});
    house.provider.route("responses/input_tokens", Answer::json(200, &count));
    for (way, mut client) in ways(&house.gateway) {
        let request = v1::CountTokensRequest { request: Some(hello()) };
        let answer = client.count_tokens(keyed(request)).await.unwrap();
        assert_eq!(answer.metadata().get("x-orchestrator-provider").unwrap(), "upstream", "{way}");
        let answer = answer.into_inner();
        assert_eq!((answer.prompt_tokens, answer.source()), (42, v1::UsageSource::Provider), "{way}");
        let routing = answer.routing.unwrap();
        assert_eq!(
            (&*routing.provider, &*routing.upstream_model, routing.attempts),
            ("upstream", UPSTREAM, 1)
        );
        assert_eq!(house.asked()["input"][0]["content"][0]["text"], "Say hello.", "{}", house.asked());
        assert_eq!(house.asked()["model"], UPSTREAM);

        let empty = v1::CountTokensRequest {
            request: Some(v1::ChatRequest { model: "m".into(), ..Default::default() }),
        };
        assert_eq!(
            client.count_tokens(keyed(empty)).await.unwrap_err().code(),
            Code::InvalidArgument,
            "{way}"
        );
    }
    house.finish().await;
}

#[tokio::test]
async fn health_is_told_for_all_and_for_each_service() {
    let house = House::start().await;
    for channel in [listener(&house.gateway), house.gateway.in_process()] {
        let mut client = HealthClient::new(channel);
        for service in ["", "orchestrator.v1.Orchestrate", "orchestrator.v1.Admin"] {
            let answer = client.check(HealthCheckRequest { service: service.into() }).await.unwrap();
            assert_eq!(answer.get_ref().status(), ServingStatus::Serving, "{service:?}");
        }
        let unknown = client.check(HealthCheckRequest { service: "nobody".into() }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
    house.finish().await;
}

/// The services that reflection lists for the holder of `key`.
async fn services(gateway: &Gateway, key: Option<&str>) -> Result<Vec<String>, Status> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = futures_util::stream::iter([question]);
    let request = match key {
        Some(key) => with_key(asked, key),
        None => Request::new(asked),
    };
    let mut client = ServerReflectionClient::new(listener(gateway));
    let mut answers = client.server_reflection_info(request).await?.into_inner();
    match answers.message().await?.expect("an answer").message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("no list of services: {other:?}"),
    }
}

const OFFERED: [&str; 3] = ["grpc.health.v1.Health", "orchestrator.v1.Admin", "orchestrator.v1.Orchestrate"];

#[tokio::test]
async fn reflection_lists_every_service_in_development() {
    let gateway = Gateway::start(Channel::Embedded).await;
    let listed = services(&gateway, None).await.unwrap();
    for name in OFFERED {
        assert!(listed.iter().any(|listed| listed == name), "{name} is not among {listed:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn reflection_is_for_administrators_in_production() {
    let gateway = Gateway::start_with(Channel::Embedded, |config| {
        config.app.env = AppEnv::Production;
        config.keys.master = Some("test-master-key-0123456789-0123456789".into());
    })
    .await;
    for key in [None, Some(CLIENT_KEY), Some("sk-wrong")] {
        let refused = services(&gateway, key).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{key:?}: {refused}");
    }
    let listed = services(&gateway, Some(ADMIN_KEY)).await.unwrap();
    assert!(OFFERED.iter().all(|name| listed.iter().any(|listed| listed == name)), "{listed:?}");
    gateway.stop().await;
}

//! All services and layers together, called in process.

use futures_util::StreamExt as _;
use orchestrator_base::config::Limits;
use orchestrator_core::error::{Error, ErrorKind};
use orchestrator_proto::v1::{self, admin_client::AdminClient, orchestrate_client::OrchestrateClient};
use secrecy::ExposeSecret as _;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use super::*;
use crate::testing::services;

async fn service() -> CoreService {
    routes(services(Reflection::Open, Limits::default()).await)
}

/// Calls through the layers and without a socket, as an embedding edge does.
#[tokio::test]
async fn a_call_in_process_passes_every_layer() {
    let mut client = OrchestrateClient::new(service().await);
    let mut request = Request::new(v1::ChatRequest { model: "m".into(), ..v1::ChatRequest::default() });
    request.metadata_mut().insert("x-request-id", "job-7".parse().unwrap());

    let status = client.chat(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "messages");
    assert_eq!(status.get_details_error_info().unwrap().reason, "INVALID_REQUEST");
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "job-7");
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_is_refused_before_the_core_is_asked() {
    let mut client = OrchestrateClient::new(service().await);
    let mut request = Request::new(v1::ListServedModelsRequest::default());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = client.list_models(request).await.unwrap_err();
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "grpc-timeout");
}

#[tokio::test]
async fn admin_is_there_and_what_is_not_is_unimplemented() {
    let mut admin = AdminClient::new(service().await);
    let status = admin.list_providers(v1::ListProvidersRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "list_providers"));

    let unknown = http::Request::builder().uri("/orchestrator.v1.Nothing/At").body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(service().await, unknown).await.unwrap();
    assert_eq!(Status::from_header_map(response.headers()).unwrap().code(), Code::Unimplemented);
    assert_eq!(response.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn the_decode_limit_follows_the_configured_body() {
    let limits = Limits { max_body_bytes: 5 << 20, ..Limits::default() };
    let mut client = OrchestrateClient::new(routes(services(Reflection::Open, limits).await));
    let with_body = |size: usize| v1::InvokeRequest {
        dialect: "openai_chat".into(),
        operation: "dance".into(),
        body: vec![b' '; size].into(),
        ..v1::InvokeRequest::default()
    };

    // Beyond tonic's own 4 MiB and within ours: read, and refused for what it says.
    let status = client.invoke(with_body(5 << 20)).await.unwrap_err();
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "operation");
    // A little too large: read, and refused by the limit's name.
    let status = client.invoke(with_body((5 << 20) + 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("MAX_BODY_BYTES"), "{}", status.message());
    // Much too large: not even read.
    let status = client.invoke(with_body(7 << 20)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("decoded message length too large"), "{}", status.message());
}

#[tokio::test]
async fn health_answers_for_the_whole_and_for_each_service() {
    let parts = services(Reflection::Open, Limits::default()).await;
    let health = parts.health.clone();
    let mut client = HealthClient::new(routes(parts));
    for serving in [true, false] {
        health.set_serving(serving).await;
        for name in ["", "orchestrator.v1.Orchestrate", "orchestrator.v1.Admin"] {
            let answer = client.check(HealthCheckRequest { service: name.into() }).await.unwrap();
            let expected = if serving { "Serving" } else { "NotServing" };
            assert_eq!(format!("{:?}", answer.into_inner().status()), expected, "{name}");
        }
    }
    let unknown = client.check(HealthCheckRequest { service: "nobody".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

/// The services that reflection lists for a caller with this key.
async fn listed(reflection: Reflection, key: Option<&'static str>) -> Result<Vec<String>, Status> {
    let mut client = ServerReflectionClient::new(routes(services(reflection, Limits::default()).await));
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut request = Request::new(futures_util::stream::iter([ask]));
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", key.parse().unwrap());
    }
    let answer = client.server_reflection_info(request).await?.into_inner().next().await.unwrap()?;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test]
async fn reflection_shows_every_service() {
    let mut names = listed(Reflection::Open, None).await.unwrap();
    names.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "orchestrator.v1.Admin",
        "orchestrator.v1.Edges",
        "orchestrator.v1.Orchestrate",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn reflection_in_production_is_for_administrators() {
    let check: AdminCheck = Arc::new(|keys| match keys {
        [key] if key.expose_secret() == "admin" => Ok(()),
        _ => Err(Error::new(ErrorKind::Unauthenticated, "an admin key is needed")),
    });
    let guarded = Reflection::ForAdmins(check);
    assert_eq!(listed(guarded.clone(), None).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(
        listed(guarded.clone(), Some("Bearer other")).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(listed(guarded, Some("Bearer admin")).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_listener_serves_its_part_and_health_is_part_of_each() {
    let code = async |part: Part, path: &str| {
        let request = http::Request::post(path).header("content-type", "application/grpc");
        let request = request.body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(part.of(service().await), request).await.unwrap();
        let told = Status::from_header_map(answer.headers());
        told.map(|status| (status.code(), status.message().to_owned()))
    };
    let (admin, models) = ("/orchestrator.v1.Admin/ListProviders", "/orchestrator.v1.Orchestrate/ListModels");
    for (part, closed, why) in [
        (Part::WithoutAdmin, admin, "Admin is served on a port of its own"),
        (Part::ForOperators, models, "this port is for operators alone"),
    ] {
        assert_eq!(code(part, closed).await, Some((Code::Unimplemented, why.to_owned())), "{part:?}");
        for open in [admin, models, "/grpc.health.v1.Health/Check"] {
            let told = code(part, open).await;
            assert!(open == closed || told.is_none_or(|(_, said)| said != why), "{part:?} {open}");
            let whole = code(Part::Whole, open).await;
            assert!(whole.is_none_or(|(_, said)| said != why), "{open}");
        }
    }
}

//! Real sockets on the loopback address.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use orchestrator_base::config::Limits;
use orchestrator_proto::v1::{self, orchestrate_client::OrchestrateClient};
use tokio::task::JoinHandle;
use tonic::{
    Code, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

use super::*;
use crate::{
    routes::{Reflection, routes},
    testing::services,
};

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Option<io::Result<()>>>,
}

/// Serves on a free port of the loopback address.
async fn start(drain: Duration) -> Served {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = routes(services(Reflection::Open, Limits::default()).await);
    let shutdown = CancellationToken::new();
    let ended =
        task::spawn("server under test", serve(listener, service, Stages::after(shutdown.clone(), drain)));
    Served { address, shutdown, ended }
}

async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// A call that stays open until somebody ends it.
async fn watch(channel: Channel) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: String::new() };
    let mut stream = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    stream
}

#[tokio::test]
async fn calls_over_a_socket_are_answered() {
    let server = start(Duration::from_mins(1)).await;
    let mut client = OrchestrateClient::new(connect(server.address).await);
    let request = v1::InvokeRequest { dialect: "cobol".into(), ..v1::InvokeRequest::default() };
    let status = client.stream_invoke(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let said = status.message();
    assert!(said.starts_with("dialect: must be one of openai_chat, openai_completions,"), "{said}");
    assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 36);
}

#[tokio::test]
async fn one_connection_carries_more_than_two_hundred_open_calls() {
    let server = start(Duration::from_mins(1)).await;
    let channel = connect(server.address).await;
    let open = futures_util::future::join_all((0..250).map(|_| watch(channel.clone())));
    let open = tokio::time::timeout(Duration::from_secs(20), open).await;
    assert_eq!(open.expect("no call waits for another").len(), 250);
}

#[tokio::test]
async fn a_shutdown_waits_for_open_calls_and_refuses_new_connections() {
    let server = start(Duration::from_mins(1)).await;
    let stream = watch(connect(server.address).await).await;
    server.shutdown.cancel();

    let mut refused = tokio::net::TcpStream::connect(server.address).await.is_err();
    while !refused {
        tokio::task::yield_now().await;
        refused = tokio::net::TcpStream::connect(server.address).await.is_err();
    }
    assert!(!server.ended.is_finished(), "an open call must be waited for");
    drop(stream);
    server.ended.await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_end_within_the_drain_deadline_is_cut_off() {
    let server = start(Duration::from_millis(50)).await;
    let mut stream = watch(connect(server.address).await).await;
    server.shutdown.cancel();
    server.ended.await.unwrap().unwrap().unwrap();
    assert!(stream.next().await.unwrap().is_err(), "the stream must end with an error, not with an end");
}

#[tokio::test]
async fn dropping_the_server_ends_its_connections() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = routes(services(Reflection::Open, Limits::default()).await);
    let mut serving = Box::pin(serve(listener, service, Stages::default()));
    let mut stream = tokio::select! {
        stream = async { watch(connect(address).await).await } => stream,
        _ = &mut serving => panic!("the server ended by itself"),
    };
    drop(serving);
    assert!(stream.next().await.unwrap().is_err());
}

//! The gRPC services as other programs call them: over the listener with a plain tonic client, and through the embedded core
//! without a socket.

mod chat;
mod discovery;
mod embed;
mod failures;
mod invoke;
mod naive;
mod recordings;
mod said;
mod stream;

use std::time::Duration;

use orchestrator_edge::core_client::{self, CoreChannel};
use orchestrator_proto::v1::{self, orchestrate_client::OrchestrateClient};
use orchestrator_testkit::{
    judge::{Body, Judge, Operation},
    provider::{Provider, Script},
};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, Streaming, transport};
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use v1::{chat_event::Kind as Event, part::Kind as Part};

use crate::gateway::{CLIENT_KEY, Channel, Gateway, PROVIDER_KEY};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The model that the provider is asked for, and judged by.
const UPSTREAM: &str = "gpt-4o-mini";

type Client = OrchestrateClient<CoreChannel>;

/// A gateway with one provider, `upstream`, that serves the model `m`. A failure is not tried again there.
struct House {
    gateway: Gateway,
    provider: Provider,
}

impl House {
    async fn start() -> Self {
        let gateway = Gateway::start(Channel::Embedded).await;
        let provider = Provider::start().await;
        let upstream =
            gateway.add_provider("upstream", &provider.base_url(), json!({"max_retries": 0})).await;
        gateway.add_model("m", UPSTREAM, &[&upstream]).await;
        Self { gateway, provider }
    }

    /// Answers chats by `script`, each request judged by what OpenAI publishes.
    fn chats(&self, script: impl Into<Script>) {
        self.route(Operation::ChatCompletions, script);
    }

    fn route(&self, operation: Operation, script: impl Into<Script>) {
        let judge = Judge::new(operation, PROVIDER_KEY, UPSTREAM, Body::published()).secret(CLIENT_KEY);
        self.provider.judge(operation.path(), judge);
        self.provider.route(operation.path(), script);
    }

    /// What the provider was asked last.
    fn asked(&self) -> Value {
        self.provider.seen().last().expect("the provider was asked").json()
    }

    /// Ends the test: nothing that the provider was asked was wrong.
    async fn finish(self) {
        assert_eq!(self.provider.complaints(), Vec::<String>::new());
        self.gateway.stop().await;
    }
}

/// Both ways to the services.
pub(crate) fn ways(gateway: &Gateway) -> [(&'static str, Client); 2] {
    [
        ("listener", OrchestrateClient::new(listener(gateway))),
        ("in process", OrchestrateClient::new(gateway.in_process())),
    ]
}

/// tonic's own client, as any program would have it.
fn listener(gateway: &Gateway) -> CoreChannel {
    let channel = transport::Endpoint::from_shared(gateway.grpc.clone()).unwrap().connect_lazy();
    BoxCloneSyncService::new(channel.map_err(|error| Status::from_error(error.into())))
}

/// A client over the socket without a clock of its own: whatever ends its calls is the gateway.
fn patient(gateway: &Gateway) -> Client {
    OrchestrateClient::new(core_client::remote(&gateway.grpc).unwrap())
}

/// A request with the client's key.
pub(crate) fn keyed<T>(message: T) -> Request<T> {
    with_key(message, CLIENT_KEY)
}

fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

/// A chat that asks `m` for a greeting.
pub(crate) fn hello() -> v1::ChatRequest {
    asking("m")
}

fn asking(model: &str) -> v1::ChatRequest {
    let messages = vec![message(v1::Role::User, vec![Part::Text("Say hello.".into())])];
    v1::ChatRequest { model: model.into(), messages, ..v1::ChatRequest::default() }
}

fn message(role: v1::Role, parts: Vec<Part>) -> v1::Message {
    let parts = parts.into_iter().map(|kind| v1::Part { kind: Some(kind), ..v1::Part::default() }).collect();
    v1::Message { role: role.into(), parts, name: None }
}

/// Reads a stream to its end: its events, and the status that it ended with if that was not well.
async fn collect(answer: Result<Response<Streaming<v1::ChatEvent>>, Status>) -> (Vec<Event>, Option<Status>) {
    let mut stream = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut events = Vec::new();
    loop {
        match next(&mut stream).await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(status) => return (events, Some(status)),
        }
    }
}

async fn next(stream: &mut Streaming<v1::ChatEvent>) -> Result<Option<Event>, Status> {
    let event = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an event in time")?;
    Ok(event.map(|event| event.kind.expect("an event is of some kind")))
}

/// A text of the answer's metadata; empty when it is not there.
fn metadata<'a, T>(answer: &'a Response<T>, name: &str) -> &'a str {
    answer.metadata().get(name).map_or("", |value| value.to_str().unwrap())
}

fn usage(prompt: u64, completion: u64) -> v1::Usage {
    v1::Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        source: v1::UsageSource::Provider.into(),
        ..v1::Usage::default()
    }
}

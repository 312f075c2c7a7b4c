//! The one handler of the client API: path, headers, query and body become an `InvokeRequest`, the answer becomes HTTP.
//!
//! The body is never opened here. What the core answers, errors included, is already in the caller's dialect.

mod answer;
pub(crate) mod gemini;
mod limits;
mod request;

use std::{pin::pin, time::Duration};

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use http::request::Parts;
use orchestrator_base::telemetry::context::TraceId;
use orchestrator_proto::{
    in_process::{Head, TakesHead},
    v1::{InvokeRequest, InvokeResponse, orchestrate_client::OrchestrateClient},
};
use tokio::time::Instant;
use tonic::{Code, Streaming};
use tracing::field::DisplayValue;

use crate::{
    Edge,
    core_client::Again,
    error::{EdgeError, Voice},
    layers::{RequestId, trace},
};

pub(crate) use request::KEY_HEADERS;

type Call = tonic::Request<InvokeRequest>;

/// What a path stands for: the dialect of its body and the operation in it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) dialect: &'static str,
    /// Empty: what the dialect itself is for.
    pub(crate) operation: &'static str,
}

/// Answers a request for `target`.
pub(crate) async fn invoke(edge: Edge, target: Target, request: Request) -> Response {
    invoke_at(edge, target, Place::default(), request).await.unwrap_or_else(EdgeError::into_response)
}

/// Answers a request for the resource that the rest of the path names.
///
/// Names of models hold slashes and colons, and vendors' SDKs send a slash either as it is or as `%2F`. The name is looked
/// up and nothing else, so either form can reach only what a model is called; empty segments name nothing.
pub(crate) async fn invoke_named(
    State(edge): State<Edge>,
    target: Target,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let Ok(Path(id)) = id else { return EdgeError::bad_path(path).into_response() };
    if path.contains("//") || path.ends_with('/') {
        return EdgeError::unknown_path(request.method(), path).into_response();
    }
    let place = Place { path_args: vec![("id", id)], ..Place::default() };
    invoke_at(edge, target, place, request).await.unwrap_or_else(EdgeError::into_response)
}

/// What a path says beside its target.
#[derive(Default)]
pub(crate) struct Place {
    /// Names and values for the core.
    pub(crate) path_args: Vec<(&'static str, String)>,
    /// A key may stand in the query (`?key=`).
    pub(crate) key_in_query: bool,
    /// The answer is a JSON array whose elements come one by one.
    pub(crate) in_array: bool,
}

pub(crate) async fn invoke_at(
    edge: Edge,
    target: Target,
    place: Place,
    request: Request,
) -> Result<Response, EdgeError> {
    let mut watch = Watch::start();
    let (head, body) = request.into_parts();
    let voice = Voice::of(head.uri.path(), &head.headers);
    let first = call_for(target, &place, &head)?;
    let request_id = head.extensions.get::<RequestId>().map(RequestId::to_string).unwrap_or_default();
    let whose = Whose { voice, request_id, trace_id: trace::id(&head) };
    watch.waits();
    let body = edge.bodies.read(&head.headers, body).await?;
    // A call is made of its head anew where the core refused it unbegun, so that the others need no copy.
    let mut first = Some(first);
    let calls = || {
        let mut call = first.take().map_or_else(|| call_for(target, &place, &head), Ok)?;
        call.get_mut().body = body.bytes.clone();
        Ok(call)
    };
    let curfew = edge.stages.curfew();
    let asked = {
        let asking = pin!(ask(&edge, &whose, calls));
        curfew.unless(asking).await
    };
    let said = asked.unwrap_or_else(|| Err(EdgeError::stopping()))?;
    watch.goes_on();
    edge.metrics.core_call(Code::Ok);
    // From here on the core answers: whatever it needed of the body, it has.
    drop(body.share);
    let answer = answer::answer(said, whose, place.in_array, &edge).await;
    edge.metrics.overhead.record(watch.spent());
    answer
}

/// A request as a call to the core.
fn call_for(target: Target, place: &Place, head: &Parts) -> Result<Call, EdgeError> {
    let mut call = tonic::Request::new(request::describe(target, &place.path_args, head)?);
    call.extensions_mut().insert(TakesHead);
    request::present_keys(&head.headers, call.metadata_mut());
    request::present_id(head, call.metadata_mut());
    if place.key_in_query {
        request::present_query_key(head.uri.query().unwrap_or_default(), call.metadata_mut())?;
    }
    Ok(call)
}

/// What the core has said of its answer, and what follows.
struct Said {
    /// How it begins.
    head: Head,
    /// Its first part.
    first: InvokeResponse,
    /// The parts after that.
    rest: Streaming<InvokeResponse>,
}

/// Calls the core until one has begun, and waits for the first part. The head is the one that is handed over, or else the message's.
async fn ask(
    edge: &Edge,
    whose: &Whose,
    mut calls: impl FnMut() -> Result<Call, EdgeError>,
) -> Result<Said, EdgeError> {
    let mut core = OrchestrateClient::new(edge.core.clone()).max_decoding_message_size(edge.max_answer_bytes);
    let mut again = Again::default();
    let answer = loop {
        match core.stream_invoke(calls()?).await {
            Ok(answer) => break answer,
            Err(status) if again.may(&status) => {}
            Err(status) => return Err(lost(edge, &status, whose)),
        }
    };
    let (_, mut rest, mut extensions) = answer.into_parts();
    let first = rest.message().await.map_err(|status| lost(edge, &status, whose))?;
    let mut first = first.ok_or_else(EdgeError::no_answer)?;
    let written = first.head.take();
    let head = extensions.remove::<Head>().or_else(|| written.and_then(answer::head_of));
    Ok(Said { head: head.ok_or_else(EdgeError::no_answer)?, first, rest })
}

/// Whose request it is: in whose envelope an error in the middle comes, and what it and the log name.
struct Whose {
    voice: Voice,
    request_id: String,
    trace_id: Option<TraceId>,
}

impl Whose {
    /// The ids of the request and of its trace, for the log.
    fn names(&self) -> (&str, Option<DisplayValue<TraceId>>) {
        (&self.request_id, self.trace_id.map(tracing::field::display))
    }
}

/// A call that failed before its answer began.
fn lost(edge: &Edge, status: &tonic::Status, whose: &Whose) -> EdgeError {
    edge.metrics.core_call(status.code());
    let (request_id, trace_id) = whose.names();
    tracing::warn!(
        request_id,
        trace_id,
        grpc.code = ?status.code(),
        grpc.message = status.message(),
        "the core gave no answer"
    );
    EdgeError::from_status(status)
}

/// The edge's own work for a request: the time between its waits.
struct Watch {
    since: Instant,
    spent: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { since: Instant::now(), spent: Duration::ZERO }
    }

    fn waits(&mut self) {
        self.spent += self.since.elapsed();
    }

    fn goes_on(&mut self) {
        self.since = Instant::now();
    }

    fn spent(&mut self) -> Duration {
        self.waits();
        self.spent
    }
}

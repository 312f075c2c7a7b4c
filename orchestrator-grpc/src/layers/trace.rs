//! Names each call: its `x-request-id` is taken from the caller or made, stands in the log span of the call, and goes back in
//! the answer's metadata; so does the id of its trace, if it belongs to one.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use orchestrator_base::{
    clock::Clock,
    random::Random,
    telemetry::{
        context::{TRACEPARENT, TRACESTATE},
        traces::{self, Trace},
    },
};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

/// The metadata that carries a request's id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// The longest id that is taken from a caller. It is written into every log row of the call.
const LONGEST: usize = 128;

/// What traces a call through logs and answers: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id, if it can be used.
    pub fn from_caller(value: &HeaderValue) -> Option<Self> {
        let length_fits = (1..=LONGEST).contains(&value.len());
        let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
        (length_fits && visible).then(|| Self(value.clone()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as metadata.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// The metadata that names the trace of a call in its answer.
pub const TRACE_ID: &str = "x-orchestrator-trace-id";
/// Calls of these services belong to traces; those of load balancers, of edges for themselves and of people with grpcurl do not.
const TRACED: [&str; 2] = ["/orchestrator.v1.Orchestrate/", "/orchestrator.v1.Admin/"];

/// The trace that a call belongs to, with a span where it is recorded.
fn trace(request: &Request<Body>) -> Trace {
    let path = request.uri().path();
    if !TRACED.iter().any(|service| path.starts_with(service)) {
        return Trace::default();
    }
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let trace = Trace::begin(text(TRACEPARENT), text(TRACESTATE), || path.trim_start_matches('/').to_owned());
    if let Some(span) = trace.span() {
        traces::set(span, "rpc.system.name", "grpc");
        traces::set(span, "rpc.method", path.trim_start_matches('/').to_owned());
    }
    trace
}

/// What the answer's head says of the call.
fn note(span: &Span, answer: &Response<Body>, id: &str) {
    traces::set(span, "orchestrator.request_id", id.to_owned());
    // A call that failed at once has its status in the head.
    let Some(status) = Status::from_header_map(answer.headers()) else { return };
    let code = format!("{:?}", status.code());
    let ours = [Code::Internal, Code::Unknown, Code::Unavailable, Code::DataLoss, Code::DeadlineExceeded];
    if ours.contains(&status.code()) {
        traces::fail(span, &code, &code);
    }
    traces::set(span, "rpc.response.status_code", code);
}

/// Gives each request a [`RequestId`] and each answer an `x-request-id`, unless the handler has set another.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    clock: Clock,
    random: Random,
}

impl TraceLayer {
    /// Ids that are made come from `random` and `clock`.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    fn name(&self, request: &Request<Body>) -> RequestId {
        let given = request.headers().get(REQUEST_ID).and_then(RequestId::from_caller);
        given.unwrap_or_else(|| {
            let id = self.random.uuid(self.clock.now()).hyphenated().to_string();
            // A UUID is always a valid header value.
            RequestId(HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("unnamed")))
        })
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { layer: self.clone(), inner }
    }
}

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct Traced<S> {
    layer: TraceLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = self.layer.name(&request);
        let trace = trace(&request);
        let trace_id = trace.id();
        // Of the highest level, so that a log of errors alone names the request too.
        let span = tracing::error_span!(
            "rpc",
            request_id = id.as_str(),
            trace_id = trace_id.map(tracing::field::display),
            rpc.method = request.uri().path()
        );
        request.extensions_mut().insert(id.clone());
        if trace_id.is_some() {
            request.extensions_mut().insert(trace.clone());
        }

        let answer = self.inner.call(request).instrument(span);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(span) = trace.span() {
                note(span, &response, id.as_str());
            }
            if let Some(trace_id) = trace_id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
                response.headers_mut().insert(TRACE_ID, trace_id);
            }
            response.headers_mut().entry(REQUEST_ID).or_insert_with(|| id.to_header());
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use orchestrator_base::clock::UnixMicros;
    use tower::ServiceExt as _;

    use super::*;

    /// The id that the handler saw and the one that the answer carries, for what the caller sent.
    async fn ids(sent: Option<&str>) -> (String, String) {
        let layer = TraceLayer::new(Clock::manual(UnixMicros(1_000_000)), Random::seeded(1));
        let handler = tower::service_fn(async |request: Request<Body>| {
            let seen = request.extensions().get::<RequestId>().unwrap().as_str().to_owned();
            Ok(Response::builder().header("seen", seen).body(Body::empty()).unwrap())
        });
        let mut request = Request::new(Body::empty());
        if let Some(id) = sent {
            request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
        }
        let response = layer.layer(handler).oneshot(request).await.unwrap();
        let text = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        (text("seen"), text(REQUEST_ID))
    }

    #[tokio::test]
    async fn a_callers_id_is_kept_and_answered() {
        assert_eq!(ids(Some("job-7/a")).await, ("job-7/a".to_owned(), "job-7/a".to_owned()));
    }

    #[tokio::test]
    async fn an_absent_or_unusable_id_is_replaced_by_a_uuid_v7() {
        let too_long = "x".repeat(129);
        for sent in [None, Some(""), Some("two words"), Some(too_long.as_str())] {
            let (seen, answered) = ids(sent).await;
            assert_eq!(seen, answered);
            assert!(seen.len() == 36 && seen.as_bytes()[14] == b'7', "{sent:?} became {seen}");
        }
    }

    #[tokio::test]
    async fn a_callers_trace_is_named_to_the_handler_and_in_the_answer() {
        let layer = TraceLayer::new(Clock::system(), Random::seeded(1));
        let handler = tower::service_fn(async |request: Request<Body>| {
            let trace = request.extensions().get::<Trace>().and_then(Trace::id).map(|id| id.to_string());
            Ok(Response::builder().header("seen", trace.unwrap_or_default()).body(Body::empty()).unwrap())
        });
        let service = layer.layer(handler);
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{id}-00f067aa0ba902b7-01");
        for (path, parent, found) in [
            ("/orchestrator.v1.Orchestrate/Chat", &*parent, id),
            ("/orchestrator.v1.Orchestrate/Chat", "nonsense", ""),
            ("/grpc.health.v1.Health/Check", &*parent, ""),
        ] {
            let request =
                Request::builder().uri(path).header(TRACEPARENT, parent).body(Body::empty()).unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()["seen"], found);
            let named = answer.headers().get(TRACE_ID).map_or("", |id| id.to_str().unwrap());
            assert_eq!(named, found);
        }
    }
}

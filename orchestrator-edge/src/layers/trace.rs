//! The trace that a request belongs to, and the edge's span in it: from the head of the request to the last byte of the answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use orchestrator_base::telemetry::{
    context::{TRACEPARENT, TRACESTATE, TraceId},
    traces::{self, Trace},
};
use tracing::Span;

use crate::listener::PeerAddress;

/// The header that names a request's trace in its answer.
pub(super) const TRACE_ID: HeaderName = HeaderName::from_static("x-orchestrator-trace-id");
/// Who works with these is named in every line of the log by a span. The client API, which must be quick, names itself where it has
/// something to say.
const OPERATORS: [&str; 4] = ["/admin/", "/api/admin/", "/api/providers/", "/api/health-check/"];
/// What is asked all the time by those who watch, and the files of pages: spans of them tell nobody anything.
const UNTRACED: [&str; 6] = ["/health", "/metrics", "/version", "/docs", "/openapi.json", "/admin-ui"];
/// The longest text of a caller that is put on a span.
const MAX_TEXT_BYTES: usize = 256;

/// The trace of a request, which handlers find in its extensions; none where it belongs to none.
pub(super) fn begin(request: &mut Request, id: &str) -> Trace {
    let path = request.uri().path();
    let below = path.strip_prefix("/api/v1").unwrap_or(path);
    if UNTRACED.iter().any(|prefix| below.starts_with(prefix)) {
        return Trace::default();
    }
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let trace = Trace::begin(text(TRACEPARENT), text(TRACESTATE), || match route {
        Some(route) => format!("{} {route}", request.method()),
        None => request.method().to_string(),
    });
    if let Some(span) = trace.span() {
        traces::set(span, "http.request.method", request.method().to_string());
        // Without its query, in which a key may stand.
        traces::set(span, "url.path", bounded(path));
        traces::set(span, "orchestrator.request_id", id.to_owned());
        if let Some(route) = route {
            traces::set(span, "http.route", route.to_owned());
        }
        if let Some(agent) = text(header::USER_AGENT.as_str()) {
            traces::set(span, "user_agent.original", bounded(agent));
        }
        if let Some(PeerAddress(peer)) = request.extensions().get() {
            traces::set(span, "client.address", peer.ip().to_string());
        }
    }
    if trace.id().is_some() {
        request.extensions_mut().insert(trace.clone());
    }
    trace
}

/// What the log says of whoever asks this path.
pub(super) fn log_span(path: &str, id: &str, trace: &Trace) -> Span {
    if OPERATORS.iter().any(|prefix| path.starts_with(prefix)) {
        let trace_id = trace.id().map(tracing::field::display);
        return tracing::error_span!("rest", request_id = id, trace_id);
    }
    Span::none()
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT_BYTES).collect()
}

/// Names the trace in the answer, and keeps its span for as long as the answer takes.
pub(super) fn finish(trace: Trace, mut response: Response) -> Response {
    if let Some(id) = trace.id().and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
        response.headers_mut().insert(TRACE_ID, id);
    }
    let Some(span) = trace.span() else { return response };
    let status = response.status();
    traces::set(span, "http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        traces::fail(span, status.as_str(), status.canonical_reason().unwrap_or_default());
    }
    response.map(|body| Body::new(Traced { body, trace, ended: false }))
}

/// The id of a request's trace, for the log.
pub(crate) fn id(request: &http::request::Parts) -> Option<TraceId> {
    request.extensions.get().and_then(Trace::id)
}

/// Gives a call to the core the trace of the request that it is made for.
pub(crate) fn present(request: &http::request::Parts, headers: &mut HeaderMap) {
    let trace = request.extensions.get::<Trace>().cloned().unwrap_or_default();
    for (name, value) in trace.headers() {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The body of an answer whose request is recorded.
struct Traced {
    body: Body,
    trace: Trace,
    /// All of it was read.
    ended: bool,
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        // Whoever knows that nothing follows does not ask again.
        self.ended |= next.is_none() || self.body.is_end_stream();
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.ended
            && !self.body.is_end_stream()
            && let Some(span) = self.trace.span()
        {
            traces::set(span, "orchestrator.client_left", true);
        }
    }
}

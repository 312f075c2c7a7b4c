//! Names each call: its `x-request-id` is taken from the caller or made, stands in the log span of the call, and goes back in
//! the answer's metadata.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use orchestrator_base::{clock::Clock, random::Random};
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument as _;

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

/// The metadata that carries a caller's trace (<https://www.w3.org/TR/trace-context/#traceparent-header>).
const TRACE_PARENT: &str = "traceparent";

/// The trace that a call belongs to: 32 lower-case hexadecimal digits, not all zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(Box<str>);

impl TraceId {
    /// From `VERSION-TRACE-PARENT-FLAGS`; `None` for what is not of that form.
    pub fn from_parent(value: &HeaderValue) -> Option<Self> {
        let mut parts = value.to_str().ok()?.split('-');
        let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let whole = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16);
        (whole && trace.bytes().any(|byte| byte != b'0')).then(|| Self(trace.into()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { layer: self.clone(), inner }
    }
}

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct Trace<S> {
    layer: TraceLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Trace<S>
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
        let span = tracing::info_span!("rpc", request_id = id.as_str(), rpc.method = request.uri().path());
        request.extensions_mut().insert(id.clone());
        if let Some(trace) = request.headers().get(TRACE_PARENT).and_then(TraceId::from_parent) {
            request.extensions_mut().insert(trace);
        }

        let answer = self.inner.call(request).instrument(span);
        Box::pin(async move {
            let mut response = answer.await?;
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

    #[test]
    fn a_trace_is_taken_from_a_well_formed_parent_alone() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let trace = |text: &str| {
            TraceId::from_parent(&HeaderValue::from_str(text).unwrap()).map(|trace| trace.to_string())
        };
        assert_eq!(trace(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(
            trace(&format!("cc-{id}-00f067aa0ba902b7-01-later-versions-say-more")).as_deref(),
            Some(id)
        );
        let zeros = "0".repeat(32);
        for wrong in [
            "",
            id,
            &format!("ff-{id}-00f067aa0ba902b7-01"),
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            &format!("00-{id}-00f067aa-01"),
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }
}

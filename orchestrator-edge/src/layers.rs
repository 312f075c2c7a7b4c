//! What every request passes through, whatever its path. [`wrap`] is the list; each line says why it stands there.

pub(crate) mod trace;

use std::{any::Any, fmt, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use orchestrator_base::{clock::Clock, random::Random};
use tokio::time::Instant;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};
use tracing::Instrument as _;

use crate::{
    Edge,
    access::AccessLine,
    error::{EdgeError, Voice, retell},
    metrics::Metrics,
    native::KEY_HEADERS,
};

/// The header that traces a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What Anthropic calls it, and its clients look for.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The longest request id that is taken from a caller.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// The longest URL (path and query) that is served.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Answer headers that pages in a browser may read.
const EXPOSED: [HeaderName; 10] = [
    REQUEST_ID,
    trace::TRACE_ID,
    HeaderName::from_static("x-orchestrator-provider"),
    HeaderName::from_static("x-orchestrator-model"),
    HeaderName::from_static("x-orchestrator-attempts"),
    HeaderName::from_static("x-orchestrator-overhead-us"),
    HeaderName::from_static("x-orchestrator-dropped"),
    HeaderName::from_static("x-orchestrator-estimated"),
    HeaderName::from_static("x-should-retry"),
    header::RETRY_AFTER,
];

/// The id of a request, for handlers.
#[derive(Clone)]
pub(crate) struct RequestId(Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Puts the layers around every route of `router`, the outermost first.
pub(crate) fn wrap(router: Router, edge: &Edge) -> Router {
    let [authorization, x_api_key, x_goog_api_key] = KEY_HEADERS;
    let x_admin_key = HeaderName::from_static("x-admin-key");
    let secrets = [authorization, x_api_key, x_goog_api_key, x_admin_key, header::COOKIE];
    let layers = ServiceBuilder::new()
        // Every answer has an id, and every error the caller's envelope, those of the layers below included.
        .layer(from_fn_with_state(edge.clone(), identify))
        // Keys print as "Sensitive" wherever headers are debugged, and HTTP/2 keeps them out of its tables.
        .layer(SetSensitiveRequestHeadersLayer::new(secrets))
        // One request's panic is one 500.
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| EdgeError::panicked().into_response()))
        // Exact bounds, with an answer that names the setting; the listener's own are coarser and answer bare.
        .layer(from_fn_with_state(edge.clone(), bound_head));
    router.layer(layers)
}

async fn identify(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let (class, received) = (Metrics::class(&request), Instant::now());
    let id = request_id(request.headers(), &edge.clock, &edge.random);
    let access = AccessLine::begin(&request, &id, &edge.clock);
    request.extensions_mut().insert(RequestId(id.clone()));
    let trace = trace::begin(&mut request, &id);
    let voice = Voice::of(request.uri().path(), request.headers());
    let log = trace::log_span(request.uri().path(), &id, &trace);
    let mut response = retell(run(&edge, request, next).instrument(log).await, voice, &id);
    // Visible ASCII always makes a header's value.
    if let Ok(id) = HeaderValue::from_str(&id) {
        if voice == Voice::Anthropic {
            response.headers_mut().insert(ANTHROPIC_REQUEST_ID, id.clone());
        }
        response.headers_mut().insert(REQUEST_ID, id);
    }
    edge.metrics.answered(class, response.status(), received.elapsed());
    let response = match access {
        Some(line) => line.around(response),
        None => response,
    };
    trace::finish(trace, response)
}

/// Pages of the named origins may call; without origins there is no such layer.
async fn run(edge: &Edge, request: Request, next: Next) -> Response {
    // Copied, where there is one: a look at the setting that is held while the request waits would make the looks of others dearer.
    let cors = Option::clone(&edge.cors.load());
    let Some(cors) = cors else { return next.run(request).await };
    let answer = cors.layer(next).oneshot(request);
    answer.await.unwrap_or_else(|never| match never {})
}

/// The caller's own id if it is visible ASCII of a fair length, else a new one.
fn request_id(headers: &HeaderMap, clock: &Clock, random: &Random) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|id| std::str::from_utf8(id.as_bytes()).ok());
    let is_fit = |id: &&str| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match given.filter(is_fit) {
        Some(id) => Arc::from(id),
        None => Arc::from(random.uuid(clock.now()).hyphenated().to_string()),
    }
}

async fn bound_head(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    match check_head(&request, &edge) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check_head(request: &Request, edge: &Edge) -> Result<(), EdgeError> {
    let url_bytes = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url_bytes > MAX_URL_BYTES {
        return Err(EdgeError::url_too_long(MAX_URL_BYTES));
    }
    let headers = request.headers();
    let settings = edge.settings.load();
    if headers.len() > settings.max_headers {
        return Err(EdgeError::too_many_headers(settings.max_headers));
    }
    // As on the wire: "name: value\r\n".
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > settings.max_header_bytes {
        return Err(EdgeError::headers_too_large(settings.max_header_bytes));
    }
    Ok(())
}

/// `*` means any origin. Keys travel in headers, not in cookies, so credentials are never allowed.
pub(crate) fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(EXPOSED));
    Some(layer)
}

#[cfg(test)]
mod tests {
    use orchestrator_base::clock::UnixMicros;

    use super::*;

    #[test]
    fn a_request_id_is_kept_only_when_it_is_short_visible_ascii() {
        let id_for = |given: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
            request_id(&headers, &Clock::manual(UnixMicros(0)), &Random::seeded(1))
        };
        assert_eq!(&*id_for(b"abc-1"), "abc-1");
        let made = id_for(b"");
        assert_eq!(made.len(), 36);
        for unfit in [&b"a b"[..], b"\xc3\xa9", &[b'a'; 129]] {
            assert_eq!(id_for(unfit), made, "a new one, from the same seed");
        }
    }
}

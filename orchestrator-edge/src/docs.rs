//! `/docs`: `/openapi.json` as a page. Its script and its looks come from this program: nothing is fetched from anywhere else, and the
//! browser is told so.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::Edge;

const PAGE: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/app.js");
const STYLE: &str = include_str!("docs/style.css");
/// A build's files are its version's: whoever has them need not fetch them again.
const TAG: &str = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");

/// Own files alone, no inline script or style, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Registers the paths.
pub(crate) fn routes(router: Router<Edge>) -> Router<Edge> {
    router
        .route("/docs", get(async |request: Request| file(&request, "text/html; charset=utf-8", PAGE)))
        .route(
            "/docs/app.js",
            get(async |request: Request| file(&request, "text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/docs/style.css",
            get(async |request: Request| file(&request, "text/css; charset=utf-8", STYLE)),
        )
}

fn file(request: &Request, content_type: &'static str, text: &'static str) -> Response {
    let headers = HeaderMap::from_iter(
        [
            (header::CONTENT_TYPE, content_type),
            (header::ETAG, TAG),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ]
        .map(|(name, value)| (name, HeaderValue::from_static(value))),
    );
    // A debug build's files change without its version.
    let is_known =
        !cfg!(debug_assertions) && request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| tag == TAG);
    if is_known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, text).into_response()
    }
}

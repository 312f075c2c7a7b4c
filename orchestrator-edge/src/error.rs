//! The edge's own errors, in the envelope of the vendor whose path was called. Everything else is rendered by the core, in the
//! caller's dialect.
//!
//! OpenAI: `{"error":{"message","type","param","code"}}`. Anthropic: `{"type":"error","error":{"type","message"},"request_id"}`.
//! Gemini: `{"error":{"code","message","status"}}`.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};

/// Whose clients an error is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// OpenAI's, and everybody who knows no other envelope.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Gemini's.
    Gemini,
}

impl Voice {
    /// Whose clients call such a path with such headers.
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Self {
        let own_path = ["/v1beta/", "/gemini/"].iter().any(|prefix| path.starts_with(prefix));
        let shared_path = path == "/v1/models" || path.starts_with("/v1/models/");
        let verb = path
            .rsplit_once(':')
            .is_some_and(|(_, verb)| ["Content", "Contents", "Tokens"].iter().any(|end| verb.ends_with(end)));
        if own_path || (shared_path && (verb || headers.contains_key("x-goog-api-key"))) {
            Self::Gemini
        } else if is_anthropics(path) || (shared_path && headers.contains_key("anthropic-version")) {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

/// Whether only clients of Anthropic call such a path.
fn is_anthropics(path: &str) -> bool {
    let prefixed = ["/anthropic/", "/claude/"].iter().any(|prefix| path.starts_with(prefix));
    prefixed || path == "/v1/messages" || path.starts_with("/v1/messages/") || path == EVENT_LOGGING
}

/// Where Anthropic's coding agent sends its telemetry.
pub(crate) const EVENT_LOGGING: &str = "/api/event_logging/batch";

/// Something that went wrong before the core could answer.
#[derive(Clone, Debug)]
pub(crate) struct EdgeError {
    pub(crate) status: StatusCode,
    /// OpenAI's `type`.
    kind: &'static str,
    /// What a program can tell errors apart by.
    pub(crate) code: &'static str,
    /// The header or field at fault.
    param: Option<&'static str>,
    pub(crate) message: String,
    /// Seconds after which another try makes sense.
    retry_after: Option<u32>,
}

impl EdgeError {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
        Self { status, kind, code, param: None, message, retry_after: None }
    }

    fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn unknown_path(method: &Method, path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_path", format!("There is nothing at {method} {path}."))
    }

    pub(crate) fn method_not_allowed(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not take {method}; the header `allow` names what it takes.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// Nothing but HTTP is spoken here.
    pub(crate) fn upgrade_required(path: &str) -> Self {
        let message = format!("{path} speaks no WebSocket: POST the request instead.");
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message)
    }

    pub(crate) fn bad_path(path: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_path",
            format!("The path {path} is not valid UTF-8 once decoded."),
        )
    }

    pub(crate) fn bad_header(name: &'static str, expected: &str) -> Self {
        let message = format!("The header `{name}` is malformed: {expected} is expected.");
        Self { param: Some(name), ..Self::new(StatusCode::BAD_REQUEST, "bad_header", message) }
    }

    pub(crate) fn bad_body() -> Self {
        let message = "The body ended before it was complete.".to_owned();
        Self::new(StatusCode::BAD_REQUEST, "bad_body", message)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("The body is larger than {limit} bytes (MAX_BODY_BYTES).");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn body_too_slow(millis: u128) -> Self {
        let message = format!("The body did not arrive within {millis} ms (edge.body_timeout_ms).");
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    pub(crate) fn url_too_long(limit: usize) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "url_too_long", format!("The URL is longer than {limit} bytes."))
    }

    pub(crate) fn too_many_headers(limit: usize) -> Self {
        let message = format!("The request has more than {limit} headers (edge.max_headers).");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
    }

    pub(crate) fn headers_too_large(limit: usize) -> Self {
        let message = format!("The headers are larger than {limit} bytes (edge.max_header_bytes).");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
    }

    /// The bodies of all requests together are at their bound.
    pub(crate) fn bodies_full() -> Self {
        let message = "The gateway holds as many request bodies as it may; try again in a moment.".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message).retry_after(1)
    }

    pub(crate) fn panicked() -> Self {
        let message = "The gateway failed on this request.".to_owned();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// The core ended the call without any answer.
    pub(crate) fn no_answer() -> Self {
        let message = "The gateway's core ended the call without an answer.".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "core_unavailable", message).retry_after(1)
    }

    /// The process ends, and what still runs ends with it.
    pub(crate) fn stopping() -> Self {
        let message = "The gateway is stopping; send the request again.".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message).retry_after(1)
    }

    /// A call that failed below the dialects. What the core says about the caller is passed on; of its own troubles the
    /// caller learns only the kind, for their texts may hold addresses.
    pub(crate) fn from_status(status: &Status) -> Self {
        let said = || status.message().to_owned();
        match status.code() {
            Code::InvalidArgument => Self::new(StatusCode::BAD_REQUEST, "invalid_request", said()),
            Code::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", said()),
            Code::PermissionDenied => Self::new(StatusCode::FORBIDDEN, "permission_denied", said()),
            Code::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", said()),
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => {
                Self::new(StatusCode::CONFLICT, "conflict", said())
            }
            Code::ResourceExhausted => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", said()).retry_after(1)
            }
            Code::Unavailable => {
                let message = "The gateway's core cannot be reached; try again in a moment.".to_owned();
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "core_unavailable", message).retry_after(1)
            }
            // A tonic client reports its own time-out as `Cancelled`.
            Code::Cancelled | Code::DeadlineExceeded => {
                let message = "The gateway's core did not answer in time.".to_owned();
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
            }
            // Tonic says `OutOfRange` of a message over the decode limit: ours is too narrow, the caller did no wrong.
            Code::Ok
            | Code::Unknown
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                let message = "The gateway's core failed on this request.".to_owned();
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
            }
        }
    }

    /// The envelope as JSON text; `request_id` is the answer's own.
    pub(crate) fn envelope(&self, voice: Voice, request_id: &str) -> String {
        let Self { message, kind, param, code, .. } = self;
        let error = match voice {
            Voice::OpenAi => json!({ "message": message, "type": kind, "param": param, "code": code }),
            Voice::Anthropic => json!({ "type": anthropic_type(self.status), "message": message }),
            Voice::Gemini => {
                json!({ "code": self.status.as_u16(), "message": message, "status": google_status(self.status) })
            }
        };
        match voice {
            Voice::Anthropic => {
                json!({ "type": "error", "error": error, "request_id": request_id }).to_string()
            }
            _ => json!({ "error": error }).to_string(),
        }
    }
}

/// Anthropic's word for a status (<https://docs.anthropic.com/en/api/errors>).
fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

/// Google's word for a status (<https://cloud.google.com/apis/design/errors>).
fn google_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 => "UNIMPLEMENTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

/// Tells an error of the edge in the envelope of whoever called.
pub(crate) fn retell(response: Response, voice: Voice, request_id: &str) -> Response {
    let Some(error) = response.extensions().get::<EdgeError>().filter(|_| voice != Voice::OpenAi) else {
        return response;
    };
    let body = Body::from(error.envelope(voice, request_id));
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body)
}

impl IntoResponse for EdgeError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let body = self.envelope(Voice::OpenAi, "");
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // Only the layer around all routes knows who called.
        response.extensions_mut().insert(self);
        response
    }
}

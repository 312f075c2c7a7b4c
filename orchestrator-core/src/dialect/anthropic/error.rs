//! Errors, both ways: `{"type":"error","error":{"type","message"},"request_id"}` (<https://docs.anthropic.com/en/api/errors>).

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::{
    dialect::{Dialect, ErrorAnswer, json::ObjectWriter, retry_after, told},
    error::{Error, ErrorKind, Upstream},
};

/// The most of a provider's error body that is kept.
const MAX_BODY: usize = 64 * 1024;
/// The most of a provider's message that is passed on, in characters.
const MAX_MESSAGE: usize = 4096;

/// What an error body says.
#[derive(Debug, Default)]
struct Said {
    message: Option<String>,
    kind: Option<String>,
    /// It is JSON that says something.
    says_something: bool,
    /// It is an envelope of Anthropic's.
    enveloped: bool,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let error = json.get("error").filter(|error| error.is_object()).unwrap_or(&json);
        let text =
            |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let message = text(&error["message"]).or_else(|| text(&json["error"]));
        Self {
            message: message.map(|message| message.chars().take(MAX_MESSAGE).collect()),
            kind: text(&error["type"]),
            says_something: json.as_object().is_some_and(|object| !object.is_empty()),
            enveloped: json["error"].is_object(),
        }
    }
}

/// Reads an error answer.
pub(super) fn read_error(answer: &ErrorAnswer<'_>) -> Error {
    if answer.status == StatusCode::OK {
        let mut error = stream_error(answer.body);
        if let Some(upstream) = &mut error.upstream {
            answer.provider.clone_into(&mut upstream.provider);
        }
        return error;
    }
    let status = answer.status.as_u16();
    let said = Said::read(answer.body);
    let about_our_key = matches!(status, 401..=403);
    let message = match said.message {
        // The provider's words may show a part of the key.
        _ if about_our_key => {
            format!("provider {} refused the gateway's access to it ({status})", answer.provider)
        }
        Some(message) => message,
        None => format!("provider {} answered {status}", answer.provider),
    };
    let keep_body = said.says_something && answer.body.len() <= MAX_BODY;
    let upstream = Upstream {
        provider: answer.provider.to_owned(),
        dialect: Dialect::Anthropic.name(),
        status,
        body: if keep_body { answer.body.clone() } else { Bytes::new() },
        kind: said.kind,
    };
    let wait = retry_after::read(answer.headers, answer.now);
    Error::new(kind_of(status), message).with_upstream(upstream).with_retry_after(wait)
}

/// What is about the request is the caller's fault, a model that one provider lacks another may have, the rest is the provider's
/// failure.
fn kind_of(status: u16) -> ErrorKind {
    match status {
        413 => ErrorKind::TooLarge,
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::RateLimited,
        401..=403 | 405 | 408 | 409 | 425 | 499 => ErrorKind::ProviderFailed,
        400..=498 => ErrorKind::InvalidRequest,
        _ => ErrorKind::ProviderFailed,
    }
}

/// Reads an error that came under a 200, in a stream or as the whole body: always the provider's failure. The provider's name is
/// not known here.
pub(super) fn stream_error(data: &[u8]) -> Error {
    let said = Said::read(data);
    let message = said.message.unwrap_or_else(|| "the provider sent something that is no answer".to_owned());
    let keep = said.enveloped && data.len() <= MAX_BODY;
    let upstream = Upstream {
        provider: String::new(),
        dialect: Dialect::Anthropic.name(),
        status: 200,
        body: if keep { Bytes::copy_from_slice(data) } else { Bytes::new() },
        kind: said.kind,
    };
    Error::new(ErrorKind::ProviderFailed, message).with_upstream(upstream)
}

/// An error for a caller: the provider's own body byte for byte where it came in this dialect, else our envelope.
pub(super) fn render_error(error: &Error, request_id: &str) -> Bytes {
    match provider_body(error) {
        Some(body) => body.clone(),
        None => Bytes::from(envelope(error, request_id)),
    }
}

/// An error for a caller whose stream has begun.
pub(super) fn render_error_event(error: &Error, request_id: &str) -> Bytes {
    let json = match provider_body(error) {
        Some(body) => String::from_utf8_lossy(body).trim().replace(['\n', '\r'], " "),
        None => envelope(error, request_id),
    };
    Bytes::from(format!("event: error\ndata: {json}\n\n"))
}

fn provider_body(error: &Error) -> Option<&Bytes> {
    let upstream = error.upstream.as_ref()?;
    (upstream.dialect == Dialect::Anthropic.name() && !upstream.body.is_empty()).then_some(&upstream.body)
}

fn envelope(error: &Error, request_id: &str) -> String {
    let mut inner = ObjectWriter::new();
    inner.string("type", kind_name(error.status()));
    inner.string("message", &told::message(error));
    let mut out = ObjectWriter::new();
    out.string("type", "error");
    out.raw("error", &inner.finish());
    out.string("request_id", request_id);
    out.finish()
}

/// Anthropic's type of an error of that status.
fn kind_name(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 | 408 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

//! Errors, both ways: `{"error":{"code","message","status","details"}}`, which a stream without `alt=sse` wraps in an array
//! (<https://cloud.google.com/apis/design/errors>). A wait stands in `details` (`RetryInfo.retryDelay`), and a wrong key is a 400
//! whose reason says so.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::{
    dialect::{
        Dialect, ErrorAnswer,
        json::{ObjectWriter, array},
        retry_after, told,
    },
    error::{Error, ErrorKind, Upstream},
};

/// The most of a provider's error body that is kept.
const MAX_BODY: usize = 64 * 1024;
/// The most of a provider's message that is passed on, in characters.
const MAX_MESSAGE: usize = 4096;
/// Nobody is waited for longer than a day.
const LONGEST: f64 = 24.0 * 3600.0;

/// Google's word for a key that it does not know.
const KEY_INVALID: &str = "API_KEY_INVALID";

/// What an error body says.
#[derive(Debug, Default)]
struct Said {
    message: Option<String>,
    /// `INVALID_ARGUMENT`.
    status: Option<String>,
    /// `ErrorInfo.reason`.
    reason: Option<String>,
    retry_delay: Option<Duration>,
    /// It is JSON that says something.
    says_something: bool,
    /// It is an envelope of Google's.
    enveloped: bool,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let json = json.get(0).unwrap_or(&json);
        let error = json.get("error").filter(|error| error.is_object()).unwrap_or(json);
        let details = || error["details"].as_array().into_iter().flatten();
        let text =
            |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let message = text(&error["message"]).or_else(|| text(&json["error"]));
        let delay = details().find_map(|detail| detail["retryDelay"].as_str()).and_then(seconds);
        Self {
            message: message.map(|message| message.chars().take(MAX_MESSAGE).collect()),
            status: text(&error["status"]),
            reason: details().find_map(|detail| text(&detail["reason"])),
            retry_delay: delay,
            says_something: json.as_object().is_some_and(|object| !object.is_empty()),
            enveloped: json["error"].is_object(),
        }
    }
}

/// A protobuf duration in JSON: `48.9s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?.parse::<f64>().ok()?;
    let sane = seconds.is_finite() && seconds >= 0.0;
    sane.then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

/// Reads an error answer.
pub(in crate::dialect) fn read_error(answer: &ErrorAnswer<'_>, dialect: Dialect) -> Error {
    if answer.status == StatusCode::OK {
        let mut error = stream_error(answer.body, dialect);
        if let Some(upstream) = &mut error.upstream {
            answer.provider.clone_into(&mut upstream.provider);
        }
        return error;
    }
    let status = answer.status.as_u16();
    let said = Said::read(answer.body);
    let about_our_key = matches!(status, 401..=403) || said.reason.as_deref() == Some(KEY_INVALID);
    // The account behind our key is in no state to ask this: billing, region.
    let about_our_account = status == 400 && said.status.as_deref() == Some("FAILED_PRECONDITION");
    let kind = if about_our_key || about_our_account { ErrorKind::ProviderFailed } else { kind_of(status) };
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
        dialect: dialect.name(),
        status,
        body: if keep_body { answer.body.clone() } else { Bytes::new() },
        kind: said.reason.filter(|reason| reason == KEY_INVALID).or(said.status),
    };
    let wait = retry_after::read(answer.headers, answer.now).or(said.retry_delay);
    Error::new(kind, message).with_upstream(upstream).with_retry_after(wait)
}

/// As for OpenAI's family: what is about the request is the caller's fault, a model that one provider lacks another may have, the
/// rest is the provider's failure.
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
pub(in crate::dialect) fn stream_error(data: &[u8], dialect: Dialect) -> Error {
    let said = Said::read(data);
    let message = said.message.unwrap_or_else(|| "the provider sent something that is no answer".to_owned());
    let keep = said.enveloped && data.len() <= MAX_BODY;
    let upstream = Upstream {
        provider: String::new(),
        dialect: dialect.name(),
        status: 200,
        body: if keep { Bytes::copy_from_slice(data) } else { Bytes::new() },
        kind: said.status,
    };
    Error::new(ErrorKind::ProviderFailed, message).with_upstream(upstream).with_retry_after(said.retry_delay)
}

/// An error for a caller: the provider's own body byte for byte where it came in a dialect of Gemini's, else our envelope.
pub(in crate::dialect) fn render_error(error: &Error) -> Bytes {
    match provider_body(error) {
        Some(body) => body.clone(),
        None => Bytes::from(envelope(error)),
    }
}

/// An error for a caller whose stream has begun.
pub(in crate::dialect) fn render_error_event(error: &Error) -> Bytes {
    let json = match provider_body(error) {
        Some(body) => {
            let text = String::from_utf8_lossy(body).trim().replace(['\n', '\r'], " ");
            // An element of a stream is an object, whatever the provider's answer was wrapped in.
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).map(str::trim);
            inner.map_or(text.clone(), str::to_owned)
        }
        None => envelope(error),
    };
    Bytes::from(format!("data: {json}\r\n\r\n"))
}

fn provider_body(error: &Error) -> Option<&Bytes> {
    let upstream = error.upstream.as_ref()?;
    let own = [Dialect::Gemini, Dialect::GeminiEmbeddings, Dialect::GeminiEmbedContent];
    own.iter().find(|dialect| dialect.name() == upstream.dialect)?;
    Some(&upstream.body).filter(|body| !body.is_empty())
}

fn envelope(error: &Error) -> String {
    let mut inner = ObjectWriter::new();
    inner.plain("code", error.status());
    inner.string("message", &told::message(error));
    // Clients look at the status, and a failed server is not one that is away.
    let status = if error.status() == 500 { "INTERNAL" } else { status_of(error.kind) };
    inner.string("status", status);
    let details = details(error);
    if !details.is_empty() {
        inner.raw("details", &array(&details));
    }
    let mut out = ObjectWriter::new();
    out.raw("error", &inner.finish());
    out.finish()
}

/// What else is known, in Google's own types (<https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto>).
fn details(error: &Error) -> Vec<String> {
    let open = |kind: &str| {
        let mut detail = ObjectWriter::new();
        detail.string("@type", &format!("type.googleapis.com/google.rpc.{kind}"));
        detail
    };
    let mut details = Vec::new();
    if let Some(code) = &error.code {
        let mut info = open("ErrorInfo");
        info.string("reason", &code.to_ascii_uppercase());
        info.string("domain", "llm-orchestrator");
        details.push(info.finish());
    }
    if let Some(param) = &error.param {
        let mut violation = ObjectWriter::new();
        violation.string("field", param);
        violation.string("description", &error.message);
        let mut request = open("BadRequest");
        request.raw("fieldViolations", &array(&[violation.finish()]));
        details.push(request.finish());
    }
    if error.kind == ErrorKind::RateLimited && error.upstream.is_none() {
        let mut violation = ObjectWriter::new();
        violation.string("description", &error.message);
        let mut quota = open("QuotaFailure");
        quota.raw("violations", &array(&[violation.finish()]));
        details.push(quota.finish());
    }
    if let Some(wait) = error.retry_after {
        let mut retry = open("RetryInfo");
        retry.string("retryDelay", &format!("{}s", wait.as_secs_f64()));
        details.push(retry.finish());
    }
    details
}

/// Google's `status` of a kind of error.
fn status_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => "INVALID_ARGUMENT",
        ErrorKind::Unauthenticated => "UNAUTHENTICATED",
        ErrorKind::PermissionDenied => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::Conflict => "ABORTED",
        ErrorKind::RateLimited => "RESOURCE_EXHAUSTED",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
        ErrorKind::Cancelled => "CANCELLED",
        ErrorKind::Unavailable | ErrorKind::ProviderFailed => "UNAVAILABLE",
        ErrorKind::Internal => "INTERNAL",
    }
}

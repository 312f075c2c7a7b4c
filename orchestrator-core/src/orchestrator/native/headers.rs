//! The heads of answers: status, the gateway's own headers, and what is passed on of the provider's.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use super::framing::Framing;
use crate::{
    attempt::Job,
    call::{Head, Served},
    error::{Error, ErrorKind},
    ledger::Entry,
    orchestrator::keyed::Reading,
    recording::Opening,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
pub(in crate::orchestrator) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Headers of a provider's answer that its caller may want: what is left of the provider's limits.
const PROVIDERS_LIMITS: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];
/// Vendors' SDKs wait no longer than this before they ask again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A body that no provider had a part in.
pub(super) fn plain(request_id: &str) -> Head {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    insert_text(&mut headers, REQUEST_ID, request_id);
    Head { status: StatusCode::OK, headers, failure: None, limits: None }
}

/// A provider has answered.
pub(in crate::orchestrator) fn answered(
    status: StatusCode,
    upstream: &HeaderMap,
    dropped: &[String],
    job: &Job,
    entry: &Entry,
) -> Head {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, content_type(job));
    insert_text(&mut headers, REQUEST_ID, &job.request_id);
    insert_served(&mut headers, &entry.served());
    if !dropped.is_empty() {
        insert_text(&mut headers, HeaderName::from_static("x-orchestrator-dropped"), &dropped.join(","));
    }
    // A caller under limits of its own is told of those: the provider's are not its.
    let limits = job.limits.get().copied();
    for (name, value) in upstream.iter().filter(|_| limits.is_none()) {
        if is_passed(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    Head { status, headers, failure: None, limits }
}

fn is_passed(name: &HeaderName) -> bool {
    PROVIDERS_LIMITS.iter().any(|prefix| name.as_str().starts_with(prefix))
}

fn content_type(job: &Job) -> HeaderValue {
    if job.facts.stream && Framing::of(job) == Framing::Events { EVENT_STREAM } else { JSON }
}

/// A stream whose provider is not known yet.
pub(in crate::orchestrator) fn early(job: &Job) -> Head {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type(job));
    insert_text(&mut headers, REQUEST_ID, &job.request_id);
    Head { status: StatusCode::OK, headers, failure: None, limits: job.limits.get().copied() }
}

/// The head of an answer that lies in a recording, for one of those who read it.
pub(in crate::orchestrator) fn told(opening: &Opening, reading: &Reading) -> Head {
    let mut headers = opening.headers.clone();
    insert_text(&mut headers, REQUEST_ID, &reading.job.request_id);
    if reading.again().is_some() {
        // What was left of the provider's limits then says nothing now.
        let stale: Vec<HeaderName> = headers.keys().filter(|name| is_passed(name)).cloned().collect();
        for name in stale {
            headers.remove(name);
        }
        let original = HeaderName::from_static("x-orchestrator-original-request-id");
        insert_text(&mut headers, original, &opening.request_id);
    }
    let status = StatusCode::from_u16(opening.status).unwrap_or(StatusCode::OK);
    Head { status, headers, failure: None, limits: reading.job.limits.get().copied() }
}

/// The answer was made for another request.
pub(in crate::orchestrator) fn again(head: &mut Head, reading: &Reading) {
    if let Some(again) = reading.again() {
        let name = HeaderName::from_static("x-orchestrator-idempotency");
        head.headers.insert(name, HeaderValue::from_static(again.name()));
    }
}

/// A failure. `served`: how far it got, where a provider may have been asked.
pub(in crate::orchestrator) fn failed(error: &Error, request_id: &str, served: Option<Served>) -> Head {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, JSON);
    insert_text(&mut headers, REQUEST_ID, request_id);
    if let Some(after) = error.retry_after {
        // Whole seconds, rounded up: a client that comes back a moment too early is refused again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let asked = served.filter(|served| served.attempts > 0);
    if let Some(served) = &asked {
        insert_served(&mut headers, served);
    }
    // Nothing changes by asking again with the same key, and the attempts that might have helped were made already.
    let refused = matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied);
    let reused = error.code.as_deref() == Some("idempotency_key_reused");
    if asked.is_some() || refused || reused || is_spent(error) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    Head { status, headers, failure: Some(error.kind), limits: None }
}

/// Whether it is a limit of the gateway's own that has no room for longer than a client waits.
fn is_spent(error: &Error) -> bool {
    let waits = error.retry_after.is_some_and(|wait| wait <= LONGEST_WAIT);
    error.kind == ErrorKind::RateLimited && error.upstream.is_none() && !waits
}

/// The answer's number is an estimate of the gateway's.
pub(super) fn estimated(head: &mut Head) {
    head.headers
        .insert(HeaderName::from_static("x-orchestrator-estimated"), HeaderValue::from_static("true"));
}

fn insert_served(headers: &mut HeaderMap, served: &Served) {
    if !served.provider.is_empty() {
        insert_text(headers, HeaderName::from_static("x-orchestrator-provider"), &served.provider);
        insert_text(headers, HeaderName::from_static("x-orchestrator-model"), &served.upstream_model);
    }
    headers.insert(HeaderName::from_static("x-orchestrator-attempts"), HeaderValue::from(served.attempts));
    headers
        .insert(HeaderName::from_static("x-orchestrator-overhead-us"), HeaderValue::from(served.overhead_us));
}

/// Names may hold any text; what a header cannot hold is left out rather than mangled.
fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

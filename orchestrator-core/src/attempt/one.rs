//! One attempt at one provider, up to the commit point.

use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{
    Asker, Job,
    request::{self, Prepared},
    sooner,
    upstream::{Reader, UpstreamStream},
};
use crate::{
    call::Signals,
    catalog::route::Target,
    condition::Lease,
    dialect::{Dialect, ErrorAnswer, HubReply},
    error::{Error, ErrorKind, Result, Upstream},
    ledger::trail::{self, Asked, Trail},
    origins::Keeper,
    provider::{
        self,
        http::{Answer, Ask, AskFailure, BodyFailure},
    },
    routing::Candidate,
};

/// The largest error body that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// An answer that the caller will get: fail-over is closed.
#[derive(Debug)]
pub struct Committed {
    /// Remembers the answer's id where its provider stores it: only what passes as it came.
    pub keeper: Option<Keeper>,
    /// When the request for the provider was written.
    pub sent: Instant,
    /// The provider's status, 2xx.
    pub status: StatusCode,
    /// The provider's headers.
    pub headers: HeaderMap,
    /// What translation could not carry.
    pub dropped: Vec<String>,
    /// The answer.
    pub answer: CommittedAnswer,
    /// The span of asking for it.
    pub call: Span,
}

impl Committed {
    /// The provider did what it should, so far; a stream may still break.
    pub(super) fn hold_lease(&mut self, mut lease: Lease) {
        match &mut self.answer {
            CommittedAnswer::Whole(..) => lease.finished(self.status),
            CommittedAnswer::Stream(stream) => {
                lease.answered(self.status);
                stream.hold_lease(lease);
            }
        }
    }
}

/// An answer, whole or beginning.
#[derive(Debug)]
pub enum CommittedAnswer {
    /// All of it.
    Whole(WholeAnswer, Signals),
    /// A stream whose first content is here.
    Stream(UpstreamStream),
}

/// All of an answer.
#[derive(Debug)]
pub enum WholeAnswer {
    /// In the caller's own dialect, as the provider sent it.
    Raw(Bytes),
    /// In the hub's words.
    Hub(Box<HubReply>),
}

/// Asks one candidate. `last`: nobody else is left to ask, so a late first token is waited for.
///
/// Errors: whatever failed, with whose fault it is.
pub(crate) async fn try_one(
    asker: &Asker,
    job: &Job,
    candidate: &Candidate,
    last: bool,
    trail: &Trail,
) -> Result<Box<Committed>> {
    let target = candidate.target();
    let kind = provider::kind(&target.kind).ok_or_else(|| {
        Error::internal("the catalog holds a provider of a kind that this build does not know")
    })?;
    let mut prepared = request::prepare(job, target, kind)?;
    let dialect = prepared.dialect;
    let secret = candidate.key().map(|key| &key.secret);
    kind.authorize(&mut prepared.headers, &prepared.body, secret).await?;
    let call = trail.call(&Asked {
        target,
        dialect,
        operation: trail::operation(dialect),
        uri: Some(&prepared.uri).filter(|uri| uri.host().is_some()),
        facts: Some(&job.facts),
    });
    trail.tell(&target.provider_name, &call, &mut prepared.headers);

    let now = Instant::now();
    let total =
        now + if job.facts.stream { target.timeouts.total_stream } else { target.timeouts.total_whole };
    let limit = if job.facts.stream && !last { total.min(now + target.timeouts.first_token) } else { total };
    // Lent to the time limit, not moved into it: it is large.
    let asking = pin!(async {
        let answer = match kind.answer_locally(prepared.dialect, &prepared.body) {
            Some(answer) => answer?,
            None => ask(asker, target, &mut prepared).await?,
        };
        commit(asker, job, target, &mut prepared, answer, (now, total)).await
    });
    let failing = call.clone();
    let tried = match timeout_at(sooner(limit, job.deadline), asking).await {
        Ok(Ok(mut committed)) => {
            let key_id = candidate.key().map(|key| &*key.id).unwrap_or_default();
            committed.keeper = committed.keeper.map(|keeper| keeper.at(&target.provider_id, key_id));
            committed.call = call;
            Ok(committed)
        }
        Ok(Err(error)) => Err(without_secret(error, &target.provider_name, secret)),
        Err(_) => Err(too_late(job, target, dialect)),
    };
    tried.inspect_err(|error| trail::failed(&failing, error))
}

/// Sends what was prepared, and takes it out.
async fn ask(asker: &Asker, target: &Target, prepared: &mut Prepared) -> Result<Answer> {
    let ask = Ask {
        method: Method::POST,
        uri: std::mem::take(&mut prepared.uri),
        headers: std::mem::take(&mut prepared.headers),
        body: std::mem::take(&mut prepared.body),
        connect_timeout: target.timeouts.connect,
    };
    let sent = asker.http.send(ask).await;
    sent.map_err(|failure| unreachable_provider(target, prepared.dialect, &failure))
}

/// Reads the answer up to the point from which the caller may have it.
async fn commit(
    asker: &Asker,
    job: &Job,
    target: &Target,
    prepared: &mut Prepared,
    mut answer: Answer,
    (sent, total): (Instant, Instant),
) -> Result<Box<Committed>> {
    if !answer.status.is_success() {
        let body = answer.body.collect(MAX_ERROR_BYTES).await.unwrap_or_default();
        return Err(said_no(asker, target, prepared, &answer, &body));
    }
    let (status, headers) = (answer.status, std::mem::take(&mut answer.headers));
    let answer = if job.facts.stream {
        expect_event_stream(target, prepared.dialect, &headers)?;
        let deadline = sooner(total, job.deadline);
        let reader = Reader::new(prepared);
        let max_event = asker.max_event_bytes;
        let mut stream = UpstreamStream::new(
            answer.body,
            reader,
            max_event,
            target.timeouts.idle,
            deadline,
            asker.curfew.watch(),
        );
        hold_until_content(&mut stream, asker.max_event_bytes, target, prepared.dialect).await?;
        CommittedAnswer::Stream(stream)
    } else {
        let body = answer.body.collect(asker.max_answer_bytes).await;
        let body = body.map_err(|failure| broken(target, prepared.dialect, &failure))?;
        let (whole, signals) = read_whole(target, prepared, body)?;
        CommittedAnswer::Whole(whole, signals)
    };
    let keeper = job.keeper.clone().filter(|_| prepared.same);
    let dropped = std::mem::take(&mut prepared.dropped);
    Ok(Box::new(Committed { keeper, sent, status, headers, dropped, answer, call: Span::none() }))
}

/// Reads a stream until it says something that is content, or is over. What was read is held in the stream.
async fn hold_until_content(
    stream: &mut UpstreamStream,
    most: usize,
    target: &Target,
    dialect: Dialect,
) -> Result<()> {
    loop {
        match stream.hold_next(most).await {
            Some(Ok(signals)) => {
                if signals.commits() {
                    return Ok(());
                }
                if let Some(error) = signals.error {
                    return Err(named(error, target, dialect));
                }
            }
            Some(Err(failure)) => return Err(named(failure, target, dialect)),
            None => return Err(failed(target, dialect, "ended the stream before it said anything")),
        }
    }
}

/// Reads a whole answer. An error under a 200 is a failure like any other, and so is an answer that is none.
fn read_whole(target: &Target, prepared: &Prepared, body: Bytes) -> Result<(WholeAnswer, Signals)> {
    let wire = prepared.dialect.wire();
    let signals = wire.inspect(&body);
    if let Some(error) = signals.error {
        return Err(named(error, target, prepared.dialect));
    }
    if !looks_like_json(&body) {
        return Err(failed(target, prepared.dialect, "answered 200 with something that is not JSON"));
    }
    if prepared.same {
        return Ok((WholeAnswer::Raw(body), signals));
    }
    let reply = wire.decode_reply(&body).map_err(|error| {
        failed(target, prepared.dialect, &format!("gave an answer that cannot be read: {}", error.message))
    })?;
    Ok((WholeAnswer::Hub(Box::new(reply)), signals))
}

fn looks_like_json(body: &Bytes) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn expect_event_stream(target: &Target, dialect: Dialect, headers: &HeaderMap) -> Result<()> {
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/event-stream");
    if content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream") {
        return Ok(());
    }
    Err(failed(target, dialect, &format!("answered a request for a stream with {content_type}")))
}

fn said_no(asker: &Asker, target: &Target, prepared: &Prepared, answer: &Answer, body: &Bytes) -> Error {
    prepared.dialect.wire().read_error(&ErrorAnswer {
        provider: &target.provider_name,
        status: answer.status,
        headers: &answer.headers,
        body,
        now: asker.clock.now().as_seconds(),
    })
}

fn unreachable_provider(target: &Target, dialect: Dialect, failure: &AskFailure) -> Error {
    failed(target, dialect, &format!("cannot be reached: {failure}"))
}

fn broken(target: &Target, dialect: Dialect, failure: &BodyFailure) -> Error {
    failed(target, dialect, &failure.to_string())
}

/// The provider was asked and did not do what it should.
fn failed(target: &Target, dialect: Dialect, what: &str) -> Error {
    let message = format!("the provider `{}`: {what}", target.provider_name);
    named(Error::new(ErrorKind::ProviderFailed, message), target, dialect)
}

/// Says which provider an error came from, where it does not say so yet.
fn named(mut error: Error, target: &Target, dialect: Dialect) -> Error {
    let upstream = error.upstream.get_or_insert_with(Box::default);
    if upstream.provider.is_empty() {
        upstream.provider = target.provider_name.to_string();
        upstream.dialect = dialect.name();
    }
    error
}

/// What a provider says of a key that it refuses reaches the caller. Vendors mask the key in it; where one does not, nothing of what
/// it said is kept.
pub(crate) fn without_secret(mut error: Error, provider: &str, secret: Option<&SecretString>) -> Error {
    let Some(secret) = secret.map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()) else {
        return error;
    };
    let Some(upstream) = &mut error.upstream else { return error };
    let quoted = memmem::find(&upstream.body, secret.as_bytes()).is_some();
    if quoted || error.message.contains(secret) {
        upstream.body = Bytes::new();
        error.message = format!("the provider `{provider}` refused ({})", upstream.status);
        error.param = None;
        error.code = None;
    }
    error
}

/// The caller's own deadline is the caller's; a provider's time-out is the provider's.
fn too_late(job: &Job, target: &Target, dialect: Dialect) -> Error {
    if job.time_left().is_some_and(|left| left.is_zero()) {
        return Error::new(ErrorKind::Timeout, "the request's own time limit ran out");
    }
    let message = format!("the provider `{}` took too long", target.provider_name);
    let upstream = Upstream {
        provider: target.provider_name.to_string(),
        dialect: dialect.name(),
        ..Upstream::default()
    };
    Error::new(ErrorKind::Timeout, message).with_upstream(upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_provider_quotes_goes_no_further() {
        let said = |text: &str| {
            let upstream =
                Upstream { status: 401, body: Bytes::from(text.to_owned()), ..Upstream::default() };
            let error = Error::new(ErrorKind::ProviderFailed, text).with_upstream(upstream);
            without_secret(error, "acme", Some(&"sk-live-1234".into()))
        };
        let masked = said(r#"{"error":{"message":"wrong key: sk-l***1234"}}"#);
        assert_eq!(
            (masked.status(), &*masked.message),
            (401, r#"{"error":{"message":"wrong key: sk-l***1234"}}"#)
        );
        let quoted = said(r#"{"error":{"message":"wrong key: sk-live-1234"}}"#);
        assert_eq!(quoted.status(), 502);
        assert!(!format!("{quoted:?}").contains("sk-live-1234"));
    }
}

//! Responses that a provider stores: handed out, listed, cancelled and deleted by the provider and with the key that made them.
//!
//! There is nothing to choose and nobody else to turn to: one attempt, whose answer passes as it is, events of a stream included
//! (`GET /v1/responses/{id}?stream=true&starting_after=N`). Its tokens were accounted for when it was made.

use std::pin::pin;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, USER_AGENT},
};
use tokio::time::{Instant, timeout};

use super::{
    Orchestrator,
    leaving::{Open, Stay},
    native, prepare,
};
use crate::{
    admission,
    attempt::{Job, UpstreamStream, upstream::Reader, without_secret},
    call::{Call, Facts, Input, StoredVerb},
    catalog::route::{Target, TargetKey},
    dialect::{Dialect, ErrorAnswer, Operation},
    error::{Error, ErrorKind, Result},
    ledger::{Entry, trail},
    origins::Origin,
    provider::{
        self, Asked,
        http::{Ask, USER_AGENT as OWN_NAME},
    },
};

/// The dialect that has stored responses.
const DIALECT: Dialect = Dialect::OpenAiResponses;

/// What is asked of which response.
struct Wish<'a> {
    verb: StoredVerb,
    id: &'a str,
    query: &'a str,
}

impl Wish<'_> {
    /// Whether the answer is asked for as a stream, which only what is handed out can be.
    fn streams(&self) -> bool {
        self.verb == StoredVerb::Get && self.query.split('&').any(|pair| pair == "stream=true")
    }
}

/// A provider's answer, whatever its status.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

/// What a provider hands out.
enum Body {
    Whole(Bytes),
    /// The events of a response, said again or as they are made.
    Stream(Box<UpstreamStream>),
}

/// Does what is asked with a stored response.
pub(super) async fn stored(core: &Orchestrator, call: Call) -> native::NativeReply {
    let Input::Stored { verb, id, query } = call.input.clone() else {
        let error = Error::internal("this is no request for a stored response");
        return native::refusal(&error, &call.request_id, DIALECT.wire());
    };
    let mut entry = core.shared.ledger.begin(&call, None, DIALECT.name(), Operation::Responses);
    let wish = Wish { verb, id: &id, query: &query };
    let answered = match locate(core, &call, &wish, &mut entry) {
        Ok((target, key)) => {
            let deadline = call.timeout.map(|timeout| call.received + timeout);
            entry.admission_begins();
            entry.queued();
            match core.until_curfew(core.shared.gate.enter(deadline)).await {
                Ok(place) => {
                    entry.admitted();
                    let asking = pin!(ask(core, &call, &wish, &target, key.as_ref(), &mut entry));
                    core.until_curfew(asking).await.map(|answered| (answered, place))
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok((Answered { status, headers, body }, place)) => {
            if verb == StoredVerb::Delete {
                core.shared.origins.forget(&id);
            }
            let facts = Facts { stream: matches!(body, Body::Stream(_)), ..Facts::default() };
            let job = Job::new(call.request_id, call.input, facts, Operation::Responses);
            match body {
                Body::Whole(body) => native::passed(status, &headers, body, &job, &mut entry),
                Body::Stream(upstream) => {
                    let stay = Stay { place, drains: None };
                    let open = Open { upstream: *upstream, entry: Box::new(entry), keeper: None, stay };
                    native::passed_stream((status, &headers), open, job, core.idle_bytes())
                }
            }
        }
        Err(error) => {
            let error = Error { attempts: entry.attempts(), ..error };
            native::failed(&error, &call.request_id, DIALECT.wire(), &mut entry)
        }
    }
}

/// Finds the provider and the key that the response was made with, for the caller it was made for.
///
/// Errors: 404 for an id that is unknown or somebody else's.
fn locate(
    core: &Orchestrator,
    call: &Call,
    wish: &Wish<'_>,
    entry: &mut Entry,
) -> Result<(Target, Option<TargetKey>)> {
    let shared = &core.shared;
    let view = shared.catalog.load();
    let caller = admission::authenticate(&call.keys, &view.keys, shared.clock.now())?;
    entry.caller(caller);
    admission::may_do(caller, Operation::Responses)?;
    let origin = shared.origins.find(wish.id, shared.clock.now());
    let origin = origin.filter(|origin| origin.api_key_id == caller.id).ok_or_else(|| unknown(wish.id))?;
    admission::authorize(caller, Operation::Responses, &origin.model)?;
    let route = prepare::route(&view.catalog, caller, &origin.model).map_err(|_| unknown(wish.id))?;
    let target = route.targets.iter().find(|target| *target.provider_id == *origin.provider_id);
    let target = target.ok_or_else(|| unknown(wish.id))?;
    Ok((target.clone(), key_of(target, &origin)?))
}

fn key_of(target: &Target, origin: &Origin) -> Result<Option<TargetKey>> {
    if origin.key_id.is_empty() {
        return Ok(None);
    }
    match target.keys.iter().find(|key| key.id == origin.key_id) {
        Some(key) => Ok(Some(key.clone())),
        None => Err(Error::new(ErrorKind::NotFound, "the key that the response was made with is gone")),
    }
}

/// No such response, in OpenAI's words.
fn unknown(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Response with id '{id}' not found.")).with_param("response_id")
}

async fn ask(
    core: &Orchestrator,
    call: &Call,
    wish: &Wish<'_>,
    target: &Target,
    key: Option<&TargetKey>,
    entry: &mut Entry,
) -> Result<Answered> {
    let kind = provider::kind(&target.kind)
        .ok_or_else(|| Error::internal("the catalog holds a provider of an unknown kind"))?;
    let mut headers = HeaderMap::new();
    let accept = if wish.streams() { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, OWN_NAME);
    if let Ok(id) = HeaderValue::from_str(&call.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for &(name, value) in kind.headers(DIALECT) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.extend(call.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers.extend(target.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    let secret = key.map(|key| &key.secret);
    kind.authorize(&mut headers, &Bytes::new(), secret).await?;

    let (method, uri) = place(wish, target, kind)?;
    entry.attempt(target, key);
    let operation = Operation::Responses.name();
    let span = entry.trail().call(&trail::Asked {
        target,
        dialect: DIALECT,
        operation,
        uri: Some(&uri),
        facts: None,
    });
    entry.trail().tell(&target.provider_name, &span, &mut headers);
    let ask = Ask { method, uri, headers, body: Bytes::new(), connect_timeout: target.timeouts.connect };
    let total = if wish.streams() { target.timeouts.total_stream } else { target.timeouts.total_whole };
    let ends = Instant::now() + total;
    let ends = call.timeout.map_or(ends, |left| ends.min(call.received + left));
    let asking = send(core, ask, target, ends);
    let answered = timeout(ends.saturating_duration_since(Instant::now()), asking);
    let answered = answered.await.unwrap_or_else(|_| {
        let message = format!("the provider `{}` took too long", target.provider_name);
        Err(Error::new(ErrorKind::Timeout, message))
    });
    match answered {
        Ok(answered) => {
            entry.answering(answered.status.as_u16(), matches!(answered.body, Body::Stream(_)), span);
            Ok(answered)
        }
        Err(error) => {
            let error = without_secret(error, &target.provider_name, secret);
            trail::failed(&span, &error);
            entry.attempt_failed(&error);
            Err(error)
        }
    }
}

/// The method and the address.
fn place(wish: &Wish<'_>, target: &Target, kind: &dyn provider::ProviderKind) -> Result<(Method, Uri)> {
    let asked = Asked {
        dialect: DIALECT,
        model: &target.upstream_model,
        stream: false,
        api_version: target.api_version.as_deref(),
    };
    let path = kind.path(&asked);
    // Some kinds have a query of their own.
    let (path, own_query) = path.split_once('?').unwrap_or((&path, ""));
    let (method, rest) = match wish.verb {
        StoredVerb::Get => (Method::GET, ""),
        StoredVerb::Delete => (Method::DELETE, ""),
        StoredVerb::Cancel => (Method::POST, "/cancel"),
        StoredVerb::InputItems => (Method::GET, "/input_items"),
    };
    let queries: Vec<&str> = [own_query, wish.query].into_iter().filter(|query| !query.is_empty()).collect();
    let mark = if queries.is_empty() { "" } else { "?" };
    let text = format!("{}{path}/{}{rest}{mark}{}", target.base_url, wish.id, queries.join("&"));
    let wrong = |_| Error::invalid("query".to_owned(), "the query cannot be passed on");
    Ok((method, text.parse::<Uri>().map_err(wrong)?))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

async fn send(core: &Orchestrator, ask: Ask, target: &Target, ends: Instant) -> Result<Answered> {
    let failed = |what: String| {
        Error::new(ErrorKind::ProviderFailed, format!("the provider `{}`: {what}", target.provider_name))
    };
    let asker = &core.asker;
    let mut answer =
        asker.http.send(ask).await.map_err(|failure| failed(format!("cannot be reached: {failure}")))?;
    if answer.status.is_success() && is_event_stream(&answer.headers) {
        let reader = Reader::Tap(DIALECT.wire().tap(false));
        let max_event = asker.max_event_bytes;
        let stream = UpstreamStream::new(
            answer.body,
            reader,
            max_event,
            target.timeouts.idle,
            ends,
            asker.curfew.watch(),
        );
        let body = Body::Stream(Box::new(stream));
        return Ok(Answered { status: answer.status, headers: answer.headers, body });
    }
    let body =
        answer.body.collect(asker.max_answer_bytes).await.map_err(|failure| failed(failure.to_string()))?;
    if answer.status.is_success() {
        let body = Body::Whole(body);
        return Ok(Answered { status: answer.status, headers: answer.headers, body });
    }
    Err(DIALECT.wire().read_error(&ErrorAnswer {
        provider: &target.provider_name,
        status: answer.status,
        headers: &answer.headers,
        body: &body,
        now: asker.clock.now().as_seconds(),
    }))
}

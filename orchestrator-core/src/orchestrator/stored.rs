//! Responses that a provider stores: handed out, listed, cancelled and deleted by the provider and with the key that made them.
//!
//! There is nothing to choose and nobody else to turn to: one attempt, whose answer passes as it is.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, USER_AGENT},
};
use tokio::time::{Instant, timeout};

use super::{Orchestrator, native, prepare};
use crate::{
    admission,
    attempt::{Job, without_secret},
    call::{Call, Facts, Input, StoredVerb},
    catalog::route::{Target, TargetKey},
    dialect::{Dialect, ErrorAnswer, Operation},
    error::{Error, ErrorKind, Result},
    ledger::{Entry, Outcome},
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

/// A provider's answer, whatever its status.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
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
            match core.shared.gate.enter(deadline).await {
                Ok(_place) => ask(core, &call, &wish, &target, key.as_ref(), &mut entry).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok(Answered { status, headers, body }) => {
            if verb == StoredVerb::Delete {
                core.shared.origins.forget(&id);
            }
            let job = Job::new(call.request_id, call.input, Facts::default(), Operation::Responses);
            native::passed(status, &headers, body, &job, &mut entry)
        }
        Err(error) => {
            let error = Error { attempts: entry.attempts(), ..error };
            entry.close(Outcome::Failed(&error));
            native::failure(&error, &call.request_id, DIALECT.wire(), Some(&entry))
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
    entry.caller(&caller);
    admission::may_do(&caller, Operation::Responses)?;
    if wish.query.split('&').any(|pair| pair == "stream=true") {
        let message = "a stored response is handed out whole: `stream` is not supported here";
        return Err(Error::invalid("stream".to_owned(), message));
    }
    let origin = shared.origins.find(wish.id, shared.clock.now());
    let origin = origin.filter(|origin| origin.api_key_id == caller.id).ok_or_else(|| unknown(wish.id))?;
    admission::authorize(&caller, Operation::Responses, &origin.model)?;
    let route = prepare::route(&view.catalog, &caller, &origin.model).map_err(|_| unknown(wish.id))?;
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
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
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
    let ask = Ask { method, uri, headers, body: Bytes::new(), connect_timeout: target.timeouts.connect };
    entry.attempt(target, key);
    let ends = Instant::now() + target.timeouts.total_whole;
    let ends = call.timeout.map_or(ends, |left| ends.min(call.received + left));
    let asking = send(core, ask, target);
    let answered = timeout(ends.saturating_duration_since(Instant::now()), asking);
    let answered = answered.await.unwrap_or_else(|_| {
        let message = format!("the provider `{}` took too long", target.provider_name);
        Err(Error::new(ErrorKind::Timeout, message))
    });
    answered.map_err(|error| without_secret(error, &target.provider_name, secret))
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

async fn send(core: &Orchestrator, ask: Ask, target: &Target) -> Result<Answered> {
    let failed = |what: String| {
        Error::new(ErrorKind::ProviderFailed, format!("the provider `{}`: {what}", target.provider_name))
    };
    let asker = &core.asker;
    let mut answer =
        asker.http.send(ask).await.map_err(|failure| failed(format!("cannot be reached: {failure}")))?;
    let body =
        answer.body.collect(asker.max_answer_bytes).await.map_err(|failure| failed(failure.to_string()))?;
    if answer.status.is_success() {
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

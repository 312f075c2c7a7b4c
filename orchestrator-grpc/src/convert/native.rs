//! The native plane: a public dialect's request into a call, and the answer's head into the contract's. Bodies pass unread.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use orchestrator_base::config::Limits;
use orchestrator_core::{
    call::{About, Call, Head, Idempotency, Input, Meter, PathFacts, Standing, StoredVerb},
    dialect::Dialect,
    error::{Error, ErrorKind, Result},
};
use orchestrator_proto::{in_process, v1};
use tonic::Request;

use super::{
    call::{Envelope, shorter, trace_id},
    field::{Wrong, required},
};
use crate::{layers::trace::RequestId, status::reason};

/// Never passed on to a provider, whoever asks for it: what frames the caller's own connection (RFC 9110, section 7.6.1), what
/// describes its body, and what proves who it is.
const OWN_HEADERS: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
];

/// A request in a public dialect.
///
/// `method` and `content_type` are not looked at, and of `query` only `alt` and what is asked of stored responses: every dialect so
/// far is a POST of JSON, and a body that is none is refused by the dialect itself, in its own words.
pub fn call(request: Request<v1::InvokeRequest>, limits: &Limits) -> Result<Call> {
    let (_, extensions, message) = request.into_parts();
    let envelope = Envelope::open(&extensions)?;
    if message.body.len() > limits.max_body_bytes {
        let (size, most) = (message.body.len(), limits.max_body_bytes);
        let problem = format!("the body has {size} bytes; MAX_BODY_BYTES allows {most}");
        return Err(Error::new(ErrorKind::TooLarge, problem).with_param("body"));
    }
    let timeout = timeout(message.timeout_ms)?;
    let key = Some(&message.idempotency_key).filter(|key| !key.is_empty());
    let idempotency = key.map(|key| Box::new(Idempotency { key: key.clone(), asked: None }));
    let input = decode_input(&message)?;
    let headers = decode_headers(message.headers)?;
    Ok(Call {
        request_id: envelope.request_id,
        keys: envelope.keys,
        input,
        received: envelope.received,
        timeout: shorter(timeout, envelope.timeout),
        about: About {
            trace_id: trace_id(&envelope.trace),
            trace: envelope.trace,
            session_id: message.session_id,
            tags: message.tags,
            strict: message.strict,
            providers: message.providers,
            // Of a body it is read where the body is.
            retry_count: None,
            client_address: message.client_address,
            user_agent: message.user_agent,
            idempotency,
        },
        headers,
    })
}

fn timeout(millis: Option<u64>) -> Result<Option<Duration>, Wrong> {
    match millis {
        Some(0) => Err(Wrong::new("timeout_ms", "must be at least 1")),
        millis => Ok(millis.map(Duration::from_millis)),
    }
}

/// The message's id wins over the one that the layers found; one that cannot be used is left aside, as theirs would be.
pub fn adopt_request_id(request: &mut Request<v1::InvokeRequest>) {
    let said = HeaderValue::from_str(&request.get_ref().request_id);
    if let Some(id) = said.ok().as_ref().and_then(RequestId::from_caller) {
        request.extensions_mut().insert(id);
    }
}

fn decode_input(message: &v1::InvokeRequest) -> Result<Input, Wrong> {
    let Some(dialect) = Dialect::from_name(&message.dialect) else {
        let names = Dialect::ALL.map(Dialect::name).join(", ");
        return Err(Wrong::new("dialect", format!("must be one of {names}")));
    };
    let path_arg = |name: &str| message.path_args.get(name).map(String::as_str).unwrap_or_default();
    let id = || required("path_args[\"id\"]", path_arg("id")).map(|()| path_arg("id").to_owned());
    if dialect == Dialect::OpenAiResponses
        && let Some(verb) = stored_verb(&message.operation)
    {
        return Ok(Input::Stored { verb, id: id()?, query: message.query.clone() });
    }
    match message.operation.as_str() {
        "models.list" => Ok(Input::Models { dialect, id: None }),
        "models.get" => Ok(Input::Models { dialect, id: Some(id()?) }),
        own if own.is_empty() || own == dialect.operation().name() => {
            let stream = dialect == Dialect::Gemini && path_arg("verb") == "streamGenerateContent";
            let path = PathFacts {
                model: Some(path_arg("model")).filter(|model| !model.is_empty()).map(str::to_owned),
                stream,
                json_array: stream && !asks_for_events(&message.query),
            };
            if is_in_path(dialect) {
                required("path_args[\"model\"]", path_arg("model"))?;
            }
            Ok(Input::Native { dialect, body: message.body.clone(), path })
        }
        _ => {
            let (own, name) = (dialect.operation().name(), dialect.name());
            Err(Wrong::new(
                "operation",
                format!("must be empty, {own}, models.list or models.get for {name}"),
            ))
        }
    }
}

/// Whether the dialect's requests name their model in the path.
fn is_in_path(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::Gemini | Dialect::GeminiEmbeddings | Dialect::GeminiEmbedContent | Dialect::GeminiCount
    )
}

/// Whether a query asks for server-sent events, in one of Google's two spellings.
fn asks_for_events(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "alt=sse" | "$alt=sse" | "%24alt=sse"))
}

/// What is to be done with a stored response.
fn stored_verb(operation: &str) -> Option<StoredVerb> {
    match operation {
        "responses.get" => Some(StoredVerb::Get),
        "responses.delete" => Some(StoredVerb::Delete),
        "responses.cancel" => Some(StoredVerb::Cancel),
        "responses.input_items" => Some(StoredVerb::InputItems),
        _ => None,
    }
}

fn decode_headers(said: BTreeMap<String, String>) -> Result<HeaderMap, Wrong> {
    let mut headers = HeaderMap::with_capacity(said.len());
    for (name, value) in said {
        let wrong = |problem| Wrong::new(format!("headers[\"{name}\"]"), problem);
        let key = HeaderName::try_from(&name).map_err(|_| wrong("is not the name of a header"))?;
        if OWN_HEADERS.contains(&key.as_str()) {
            continue;
        }
        let value = HeaderValue::try_from(value).map_err(|_| wrong("is not a header's value"))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// How an answer begins. The content type stands in its own field alone; values of one name are joined as RFC 9110, section
/// 5.3, allows.
pub fn encode_head(head: &Head) -> v1::Head {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &head.headers {
        if name == CONTENT_TYPE {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.entry(name.as_str().to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(value.into_owned());
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().push_str(", ");
                entry.get_mut().push_str(&value);
            }
        }
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    v1::Head {
        status: head.status.as_u16().into(),
        headers,
        content_type: String::from_utf8_lossy(content_type).into_owned(),
        reason: head.failure.map_or(v1::ErrorReason::Unspecified, reason).into(),
        limits: head.limits.map(encode_limits),
    }
}

/// The same for a caller in this process: nothing is encoded.
pub fn hand_over(head: Head) -> in_process::Head {
    let Head { status, headers, failure: _, limits } = head;
    in_process::Head { status, headers, limits: limits.map(encode_limits) }
}

fn encode_limits(standing: Standing) -> v1::RateLimits {
    let meter = |meter: Meter| v1::RateMeter {
        limit: meter.limit,
        remaining: meter.remaining,
        reset_micros: u64::try_from(meter.reset.as_micros()).unwrap_or(u64::MAX),
    };
    v1::RateLimits { requests: standing.requests.map(meter), tokens: standing.tokens.map(meter) }
}

#[cfg(test)]
mod tests;

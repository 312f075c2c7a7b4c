//! Puts a call of the typed plane together: what the layers found, what the metadata and the options say, and what is asked.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderMap;
use orchestrator_base::telemetry::traces::Trace;
use orchestrator_core::{
    call::{About, Call, Idempotency, Input},
    error::{Error, Result},
};
use orchestrator_proto::v1;
use secrecy::SecretString;
use tokio::time::Instant;
use tonic::{Extensions, Request, metadata::MetadataMap, transport::server::TcpConnectInfo};

use super::{chat_request, embed, field::Wrong, recorded};
use crate::layers::{deadline::Deadline, key::Keys, trace::RequestId};

const SESSION_ID: &str = "x-session-id";
const TIMEOUT_MS: &str = "x-orchestrator-timeout-ms";
const TAGS: &str = "x-orchestrator-tags";
const STRICT: &str = "x-orchestrator-strict";
const PROVIDERS: &str = "x-orchestrator-providers";

/// What a model's `max_retry` may be at most.
const MOST_RETRIES: u32 = 10;

/// What the layers have found out about a request, whichever plane it came by.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) request_id: String,
    pub(super) trace: Trace,
    pub(super) keys: Vec<SecretString>,
    pub(super) received: Instant,
    /// The gRPC client's own deadline, if it has one.
    pub(super) timeout: Option<Duration>,
}

impl Envelope {
    pub(super) fn open(extensions: &Extensions) -> Result<Self> {
        let layers = (extensions.get::<RequestId>(), extensions.get::<Keys>(), extensions.get::<Deadline>());
        let (Some(id), Some(Keys(keys)), Some(deadline)) = layers else {
            return Err(Error::internal("the service was called without its layers"));
        };
        Ok(Self {
            request_id: id.as_str().to_owned(),
            trace: extensions.get::<Trace>().cloned().unwrap_or_default(),
            keys: keys.clone(),
            received: deadline.received,
            timeout: deadline.timeout.clone()?,
        })
    }
}

/// A chat. JSON in it may nest `max_depth` deep.
pub fn chat(request: Request<v1::ChatRequest>, stream: bool, max_depth: usize) -> Result<Call> {
    let (metadata, extensions, mut message) = request.into_parts();
    let options = message.options.take();
    let method = if stream { "StreamChat" } else { "Chat" };
    let idempotency = recorded::idempotency(options.as_ref(), method, &message);
    let input = chat_request::decode_request(message, stream, max_depth)?;
    typed(&metadata, &extensions, (options, idempotency), Input::Chat(Box::new(input)))
}

/// Embeddings. JSON in it may nest `max_depth` deep.
pub fn embed(request: Request<v1::EmbedRequest>, max_depth: usize) -> Result<Call> {
    let (metadata, extensions, mut message) = request.into_parts();
    let options = message.options.take();
    let idempotency = recorded::idempotency(options.as_ref(), "Embed", &message);
    let input = embed::decode_request(message, max_depth)?;
    typed(&metadata, &extensions, (options, idempotency), Input::Embed(Box::new(input)))
}

/// A prompt to count the tokens of. JSON in it may nest `max_depth` deep.
pub fn count_tokens(request: Request<v1::CountTokensRequest>, max_depth: usize) -> Result<Call> {
    let (metadata, extensions, message) = request.into_parts();
    let Some(mut prompt) = message.request else {
        return Err(Wrong::new("request", "must be given").into());
    };
    let options = prompt.options.take();
    let idempotency = recorded::idempotency(options.as_ref(), "CountTokens", &prompt);
    let input =
        chat_request::decode_request(prompt, false, max_depth).map_err(|wrong| wrong.inside("request"))?;
    typed(&metadata, &extensions, (options, idempotency), Input::Count(Box::new(input)))
}

/// The keys of a request that asks for nothing else.
pub fn keys<T>(request: &Request<T>) -> Result<Vec<SecretString>> {
    Envelope::open(request.extensions()).map(|envelope| envelope.keys)
}

fn typed(
    metadata: &MetadataMap,
    extensions: &Extensions,
    (options, idempotency): (Option<v1::CallOptions>, Option<Box<Idempotency>>),
    input: Input,
) -> Result<Call> {
    let envelope = Envelope::open(extensions)?;
    let asked = timeout(metadata)?;
    let mut about = about(metadata, extensions, options.unwrap_or_default())?;
    about.trace_id = trace_id(&envelope.trace);
    about.trace = envelope.trace;
    about.idempotency = idempotency;
    Ok(Call {
        request_id: envelope.request_id,
        keys: envelope.keys,
        input,
        received: envelope.received,
        timeout: shorter(asked, envelope.timeout),
        about,
        // Headers for a provider are a matter of public dialects, and the typed plane has none.
        headers: HeaderMap::new(),
    })
}

/// As the ledger has it: empty where the call belongs to no trace.
pub(super) fn trace_id(trace: &Trace) -> String {
    trace.id().map(|id| id.to_string()).unwrap_or_default()
}

/// The earlier of two deadlines, either of which may not be set.
pub(super) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The options in the message win over the metadata.
fn about(metadata: &MetadataMap, extensions: &Extensions, options: v1::CallOptions) -> Result<About> {
    let session_id = match options.session_id {
        said if !said.is_empty() => said,
        _ => text(metadata, SESSION_ID)?.unwrap_or_default().to_owned(),
    };
    let providers = if options.providers.is_empty() { providers(metadata)? } else { options.providers };
    let mut tags = tags(metadata)?;
    tags.extend(options.tags);
    let peer = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    Ok(About {
        trace_id: String::new(),
        trace: Trace::default(),
        session_id,
        tags,
        // A bool of proto3 cannot say "not said": either place can ask for it.
        strict: strict(metadata)? || options.strict,
        providers,
        retry_count: retry_count(options.retry_count)?,
        client_address: peer.map(|address| address.ip().to_string()).unwrap_or_default(),
        user_agent: text(metadata, "user-agent")?.unwrap_or_default().to_owned(),
        idempotency: None,
    })
}

fn text<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>> {
    let Some(value) = metadata.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Wrong::new(name, "must be ASCII"))?;
    Ok(Some(text))
}

fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>> {
    let Some(said) = text(metadata, TIMEOUT_MS)? else { return Ok(None) };
    match said.parse() {
        Ok(millis) if millis > 0 => Ok(Some(Duration::from_millis(millis))),
        Ok(_) | Err(_) => {
            Err(Wrong::new(TIMEOUT_MS, "must be a whole number of milliseconds, at least 1").into())
        }
    }
}

fn tags(metadata: &MetadataMap) -> Result<BTreeMap<String, String>> {
    let Some(said) = text(metadata, TAGS)? else { return Ok(BTreeMap::new()) };
    let tags = serde_json::from_str(said);
    tags.map_err(|_| Wrong::new(TAGS, "must be a JSON object of strings").into())
}

fn strict(metadata: &MetadataMap) -> Result<bool> {
    match text(metadata, STRICT)? {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(Wrong::new(STRICT, "must be true or false").into()),
    }
}

fn retry_count(said: Option<u32>) -> Result<Option<u32>> {
    if said.is_some_and(|retries| retries > MOST_RETRIES) {
        return Err(Wrong::new("options.retry_count", "must be at most 10").into());
    }
    Ok(said)
}

fn providers(metadata: &MetadataMap) -> Result<Vec<String>> {
    let Some(said) = text(metadata, PROVIDERS)? else { return Ok(Vec::new()) };
    let names: Vec<_> = said.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(Wrong::new(PROVIDERS, "must be names of providers, separated by commas").into());
    }
    Ok(names)
}

#[cfg(test)]
mod tests;

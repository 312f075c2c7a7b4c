//! From the head of an HTTP request to an `InvokeRequest`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use orchestrator_proto::v1::InvokeRequest;
use tonic::metadata::MetadataMap;

use super::Target;
use crate::{
    error::EdgeError,
    layers::{RequestId, trace},
    listener::PeerAddress,
};

/// Headers that carry a caller's key. All that are present go to the core, which refuses two that differ.
pub(crate) const KEY_HEADERS: [HeaderName; 3] =
    [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("x-goog-api-key")];

/// Headers that providers are shown, besides `x-goog-*`.
const SHOWN_TO_PROVIDERS: [&str; 3] = ["anthropic-beta", "anthropic-version", "openai-beta"];

/// The longest value that is taken for a name: of a session.
const MAX_NAME_BYTES: usize = 256;

/// Everything but the body.
pub(super) fn describe(
    target: Target,
    path_args: &[(&'static str, String)],
    head: &Parts,
) -> Result<InvokeRequest, EdgeError> {
    let headers = &head.headers;
    let request_id = head.extensions.get::<RequestId>().map(RequestId::to_string);
    let client_address = head.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_string());
    let session_id = match name(headers, "x-session-id")? {
        Some(session_id) => Some(session_id),
        None => name(headers, "session_id")?,
    };
    Ok(InvokeRequest {
        dialect: target.dialect.to_owned(),
        operation: target.operation.to_owned(),
        method: head.method.as_str().to_owned(),
        path_args: path_args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        query: head.uri.query().map(without_keys).unwrap_or_default(),
        headers: shown_to_providers(headers),
        content_type: text(headers, "content-type")?.unwrap_or_default().to_owned(),
        body: bytes::Bytes::new(),
        timeout_ms: timeout_ms(headers)?,
        idempotency_key: idempotency_key(headers)?.unwrap_or_default(),
        session_id: session_id.unwrap_or_default(),
        tags: tags(headers)?,
        strict: strict(headers)?,
        client_address: client_address.unwrap_or_default(),
        user_agent: headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        providers: providers(headers)?,
        request_id: request_id.unwrap_or_default(),
    })
}

/// Copies every key that the caller presents.
pub(super) fn present_keys(headers: &HeaderMap, metadata: &mut MetadataMap) {
    for key_header in &KEY_HEADERS {
        for key in headers.get_all(key_header) {
            metadata.as_mut().append(key_header, key.clone());
        }
    }
}

/// Gives the call the request's id and trace too, so that the core's log speaks of it by the same names.
pub(super) fn present_id(head: &Parts, metadata: &mut MetadataMap) {
    // A request's id is visible ASCII, which metadata takes.
    let id = head.extensions.get::<RequestId>().and_then(|id| id.to_string().parse().ok());
    if let Some(id) = id {
        metadata.insert("x-request-id", id);
    }
    trace::present(head, metadata.as_mut());
}

/// Copies the keys of a query, where vendors let them stand.
pub(super) fn present_query_key(query: &str, metadata: &mut MetadataMap) -> Result<(), EdgeError> {
    let [_, _, name] = KEY_HEADERS;
    for (_, key) in url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "key") {
        let mut value =
            HeaderValue::from_str(&key).map_err(|_| EdgeError::bad_header("key", "visible ASCII"))?;
        value.set_sensitive(true);
        metadata.as_mut().append(&name, value);
    }
    Ok(())
}

fn shown_to_providers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let is_shown = SHOWN_TO_PROVIDERS.contains(&name) || name.starts_with("x-goog-");
        if !is_shown || name == "x-goog-api-key" {
            continue;
        }
        let Ok(value) = value.to_str() else { continue };
        // A header that comes twice is a list (RFC 9110, section 5.3).
        shown
            .entry(name.to_owned())
            .and_modify(|list| {
                list.push(',');
                list.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    shown
}

/// The query as it came, less every `key`, however it is written.
fn without_keys(query: &str) -> String {
    let is_key = |pair: &&str| {
        url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == "key")
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    kept.join("&")
}

/// The value of a header that is text, if there is one.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, EdgeError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| EdgeError::bad_header(name, "visible ASCII"))
}

/// The value of a header that is somebody's name for something.
fn name(headers: &HeaderMap, header: &'static str) -> Result<Option<String>, EdgeError> {
    let value = text(headers, header)?;
    if value.is_some_and(|value| value.len() > MAX_NAME_BYTES) {
        return Err(EdgeError::bad_header(header, "at most 256 bytes"));
    }
    Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
}

/// The name of a request that is to be made once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, EdgeError> {
    const NAME: &str = "idempotency-key";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    match key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(EdgeError::bad_header(NAME, "1 to 255 visible ASCII characters")),
    }
}

fn timeout_ms(headers: &HeaderMap) -> Result<Option<u64>, EdgeError> {
    const NAME: &str = "x-orchestrator-timeout-ms";
    let Some(value) = text(headers, NAME)? else { return Ok(None) };
    match value.trim().parse() {
        Ok(millis) if millis > 0 => Ok(Some(millis)),
        _ => Err(EdgeError::bad_header(NAME, "a positive whole number of milliseconds")),
    }
}

fn tags(headers: &HeaderMap) -> Result<BTreeMap<String, String>, EdgeError> {
    const NAME: &str = "x-orchestrator-tags";
    let Some(value) = text(headers, NAME)? else { return Ok(BTreeMap::new()) };
    serde_json::from_str(value)
        .map_err(|_| EdgeError::bad_header(NAME, "a JSON object whose values are strings"))
}

fn strict(headers: &HeaderMap) -> Result<bool, EdgeError> {
    const NAME: &str = "x-orchestrator-strict";
    match text(headers, NAME)?.map(str::trim) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(EdgeError::bad_header(NAME, "`true` or `false`")),
    }
}

fn providers(headers: &HeaderMap) -> Result<Vec<String>, EdgeError> {
    const NAME: &str = "x-orchestrator-providers";
    let Some(value) = text(headers, NAME)? else { return Ok(Vec::new()) };
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut names = Vec::new();
    for name in value.split(',').map(str::trim) {
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_name_char) {
            return Err(EdgeError::bad_header(NAME, "names of providers, comma-separated"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_loses_its_keys_and_nothing_else() {
        assert_eq!(without_keys("beta=true&key=s3cret&%6bey=x&monkey=1&a=%20b"), "beta=true&monkey=1&a=%20b");
        assert_eq!(without_keys("key=s3cret"), "");
    }

    #[test]
    fn only_allowed_headers_are_shown_to_providers() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer k"),
            ("cookie", "c"),
            ("x-goog-api-key", "k"),
            ("x-goog-user-project", "p"),
            ("openai-beta", "assistants=v2"),
            ("openai-organization", "o"),
            ("anthropic-beta", "a"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers.append("anthropic-beta", "b".parse().unwrap());
        let mut shown: Vec<_> = shown_to_providers(&headers).into_iter().collect();
        shown.sort();
        let shown: Vec<_> = shown.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(shown, ["anthropic-beta: a,b", "openai-beta: assistants=v2", "x-goog-user-project: p"]);
    }
}

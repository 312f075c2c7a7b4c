//! Errors, both ways: what a provider of OpenAI's family says becomes one of the closed list of kinds, and an error of ours, or
//! the provider's own body, becomes what OpenAI's SDKs expect.
//!
//! What a provider says in JSON reaches a caller of this family with its status, byte for byte; only an answer that is none (an HTML
//! page, nothing) becomes a 502 of ours. Its 401, 402 and 403 are about the gateway's key, not about the caller's: they count as the
//! provider's failure, and the message says so before the provider's own words. The caller, once nobody else is left to ask, gets
//! the provider's own answer like any other.

use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;
use serde_json::Value;

use crate::{
    dialect::{Dialect, ErrorAnswer, json::ObjectWriter, retry_after, scan::Object, told},
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
    code: Option<String>,
    param: Option<String>,
    /// It is an object, or a list of them, that says something, in whatever words.
    says_something: bool,
    /// It is `{"error":{…}}`: what a client of OpenAI's understands as it is.
    enveloped: bool,
}

/// Reads an error answer.
pub(crate) fn read_error(answer: &ErrorAnswer<'_>, dialect: Dialect) -> Error {
    if answer.status == StatusCode::OK {
        let mut error = stream_error(answer.body, dialect);
        if let Some(upstream) = &mut error.upstream {
            answer.provider.clone_into(&mut upstream.provider);
        }
        return error;
    }
    let status = answer.status.as_u16();
    let said = Said::read(answer.body);
    // Gemini's compatible endpoint says 400 when the key is wrong.
    let about_our_key =
        matches!(status, 401..=403) || memmem::find(answer.body, b"API_KEY_INVALID").is_some();
    let kind = if about_our_key { ErrorKind::ProviderFailed } else { kind_of(status) };
    let message = match said.message {
        // Where its words quote the key, whoever asked it takes them out.
        message if about_our_key => {
            let refused =
                format!("provider {} refused the gateway's access to it ({status})", answer.provider);
            message.map_or(refused.clone(), |message| format!("{refused}: {message}"))
        }
        Some(message) => message,
        None => {
            let page = if is_html(answer) { " with an HTML page" } else { "" };
            format!("provider {} answered {status}{page}", answer.provider)
        }
    };
    let keep_body = said.says_something && answer.body.len() <= MAX_BODY;
    let upstream = Upstream {
        provider: answer.provider.to_owned(),
        dialect: dialect.name(),
        status,
        body: if keep_body { answer.body.clone() } else { Bytes::new() },
        kind: said.kind,
    };
    Error {
        param: said.param,
        code: said.code,
        retry_after: retry_after::read(answer.headers, answer.now),
        upstream: Some(Box::new(upstream)),
        ..Error::new(kind, message)
    }
}

/// The kind that a status stands for. What is about the request is the caller's fault; a model that one provider lacks, another
/// may have; the rest is the provider's failure. 409 and 425 mean that asking again may help, as OpenAI's own SDKs take them.
fn kind_of(status: u16) -> ErrorKind {
    match status {
        413 => ErrorKind::TooLarge,
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::RateLimited,
        401..=403 | 405 | 408 | 409 | 425 => ErrorKind::ProviderFailed,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::ProviderFailed,
    }
}

/// Reads an error that came under a 200, in a stream or as the whole body: always the provider's failure. A status inside the
/// error object is only informative. The provider's name is not known here.
pub(crate) fn stream_error(data: &[u8], dialect: Dialect) -> Error {
    let said = Said::read(data);
    let message = said.message.unwrap_or_else(|| "the provider sent something that is no answer".to_owned());
    let upstream = Upstream {
        provider: String::new(),
        dialect: dialect.name(),
        status: 200,
        body: if said.enveloped { envelope_of(data) } else { Bytes::new() },
        kind: said.kind,
    };
    Error { param: said.param, code: said.code, ..Error::new(ErrorKind::ProviderFailed, message) }
        .with_upstream(upstream)
}

/// The envelope alone: OpenRouter puts `error` into a chunk among a chunk's other fields.
fn envelope_of(data: &[u8]) -> Bytes {
    let Ok(object) = Object::scan(data, usize::MAX) else { return Bytes::new() };
    let envelope = match object.get("error") {
        Some(error) if object.members().len() > 1 => [b"{\"error\":", error, b"}"].concat(),
        _ => data.to_vec(),
    };
    if envelope.len() > MAX_BODY { Bytes::new() } else { Bytes::from(envelope) }
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let says = |json: &Value| json.as_object().is_some_and(|object| !object.is_empty());
        let says_something = says(&json) || json.get(0).is_some_and(says);
        let mut wrapped = false;
        // Gemini's OpenAI-compatible endpoint wraps its errors in an array.
        if let Some(first) = json.as_array_mut().and_then(|list| list.first_mut()) {
            wrapped = true;
            json = first.take();
        }
        let inner = json.get("error").filter(|error| error.is_object()).unwrap_or(&json);
        Self {
            message: message(inner).or_else(|| message(&json)),
            kind: word(inner.get("type")).or_else(|| word(inner.get("status"))),
            code: word(inner.get("code")),
            param: word(inner.get("param")),
            says_something,
            enveloped: !wrapped && json.get("error").is_some_and(Value::is_object),
        }
    }
}

/// The message in any of its places: `message`, `error` as a string, `detail` as a string or as FastAPI's list.
fn message(json: &Value) -> Option<String> {
    let detail = json.get("detail");
    let listed = detail.and_then(|detail| detail.get(0)?.get("msg"));
    let places = [json.get("message"), json.get("error"), detail, listed];
    let text = places.into_iter().flatten().find_map(Value::as_str).map(str::trim)?;
    (!text.is_empty()).then(|| text.chars().take(MAX_MESSAGE).collect())
}

fn word(json: Option<&Value>) -> Option<String> {
    match json? {
        Value::String(word) if !word.is_empty() => Some(word.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_html(answer: &ErrorAnswer<'_>) -> bool {
    let declared = answer.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    declared.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
        || answer.body.trim_ascii_start().first() == Some(&b'<')
}

/// An error for a caller: the provider's own body byte for byte where it came in a dialect of this family, else our envelope.
pub(crate) fn render_error(error: &Error) -> Bytes {
    match provider_body(error) {
        Some(body) => body.clone(),
        None => Bytes::from(envelope(error)),
    }
}

/// The same for a caller of another dialect of this family than the provider's: what imitates OpenAI leaves out `type`, which
/// clients of the published interface look for.
pub(crate) fn render_error_of(error: &Error, caller: Dialect) -> Bytes {
    let body = provider_body(error).and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let typed = body.is_none_or(|body| body["error"]["type"].is_string());
    let own = error.upstream.as_ref().is_some_and(|upstream| upstream.dialect == caller.name());
    if own || typed { render_error(error) } else { Bytes::from(envelope(error)) }
}

/// An error for a caller whose stream has begun. No `[DONE]` follows, for that would look like success.
pub(crate) fn render_error_event(error: &Error) -> Bytes {
    let json = match provider_body(error) {
        // Line breaks between JSON's tokens would end the event's data; inside strings they are escaped anyway.
        Some(body) => String::from_utf8_lossy(body).trim().replace(['\n', '\r'], " "),
        None => envelope(error),
    };
    Bytes::from(format!("data: {json}\n\n"))
}

fn provider_body(error: &Error) -> Option<&Bytes> {
    let upstream = error.upstream.as_ref()?;
    Dialect::from_name(upstream.dialect).filter(|dialect| match dialect {
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiResponsesCount => true,
        Dialect::Anthropic
        | Dialect::AnthropicCount
        | Dialect::Gemini
        | Dialect::GeminiEmbeddings
        | Dialect::GeminiEmbedContent
        | Dialect::GeminiCount => false,
    })?;
    Some(&upstream.body).filter(|body| !body.is_empty())
}

fn envelope(error: &Error) -> String {
    let mut inner = ObjectWriter::new();
    inner.string("message", &told::message(error));
    // What OpenAI says of an account without money: type and code are one word.
    let spent = error.code.as_deref().filter(|code| *code == "insufficient_quota");
    inner.string("type", spent.unwrap_or_else(|| type_of(error.kind)));
    for (name, word) in [("param", &error.param), ("code", &error.code)] {
        match word {
            Some(word) => inner.string(name, word),
            None => inner.raw(name, "null"),
        }
    }
    let mut out = ObjectWriter::new();
    out.raw("error", &inner.finish());
    out.finish()
}

/// OpenAI's `type` of a kind of error.
fn type_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::Unauthenticated
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::TooLarge
        | ErrorKind::Cancelled => "invalid_request_error",
        ErrorKind::PermissionDenied => "permission_error",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Unavailable | ErrorKind::ProviderFailed | ErrorKind::Internal => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn read(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = ErrorAnswer { provider: "acme", status, headers: &map, body: &body, now: 0 };
        read_error(&answer, Dialect::OpenAiChat)
    }

    /// One line: kind, the caller's status, message, code, param, the provider's type, whether the body is kept.
    fn line(status: u16, body: &str) -> String {
        let error = read(status, &[], body);
        let upstream = error.upstream.as_ref().unwrap();
        format!(
            "{status} {body:.60} -> {} {} {:?} code={:?} param={:?} type={:?} kept={}",
            error.kind.name(),
            error.status(),
            error.message,
            error.code,
            error.param,
            upstream.kind,
            !upstream.body.is_empty()
        )
    }

    #[test]
    fn every_shape_of_error_is_understood() {
        let openai =
            r#"{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":null}}"#;
        let lines = [
            line(400, openai),
            line(422, r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#),
            line(413, ""),
            line(404, r#"{"error":{"message":"no such model","type":"x","code":"model_not_found"}}"#),
            line(401, r#"{"error":{"message":"Incorrect API key provided: sk-ab***yz"}}"#),
            line(402, r#"{"error":{"message":"pay"}}"#),
            line(403, "<html>"),
            line(
                429,
                r#"{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ),
            line(429, r#"{"error":{"code":"RateLimitReached","message":"slow down","details":"x"}}"#),
            line(500, r#"{"error":{"code":500,"message":"tools need jinja","type":"server_error"}}"#),
            line(400, r#"[{"error":{"code":400,"message":"wrapped","status":"INVALID_ARGUMENT"}}]"#),
            line(
                400,
                r#"[{"error":{"code":400,"message":"bad key","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            ),
            line(400, r#"{"object":"error","message":"mistral","type":"bad","param":null,"code":"3000"}"#),
            line(503, r#"{"detail":"busy"}"#),
            line(400, r#"{"error":"ollama"}"#),
            line(502, "<!DOCTYPE html><html>secret</html>"),
            line(529, ""),
            line(408, "{}"),
            line(200, r#"{"id":"x","error":{"code":400,"message":"Token limit reached"},"choices":[]}"#),
            line(200, "garbage"),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_providers_own_body_passes_byte_for_byte() {
        let body = "{\n  \"error\": {\"message\": \"bad n\", \"innererror\": {}}\n}\n";
        let error = read(400, &[], body);
        assert_eq!(render_error(&error), body);
        let event = render_error_event(&error);
        assert_eq!(event, "data: {   \"error\": {\"message\": \"bad n\", \"innererror\": {}} }\n\n");
    }

    #[test]
    fn a_body_of_another_family_is_rendered_anew() {
        let mut error = read(400, &[], r#"{"error":{"message":"bad n","param":"n"}}"#);
        error.upstream.as_mut().unwrap().dialect = "anthropic";
        insta::assert_snapshot!(
            String::from_utf8(render_error(&error).to_vec()).unwrap(),
            @r#"{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":null}}"#
        );
    }

    #[test]
    fn our_own_errors_have_openais_envelope() {
        let error = Error::new(ErrorKind::RateLimited, "slow \"down\"\n").with_code("rate_limit_exceeded");
        insta::assert_snapshot!(
            String::from_utf8(render_error_event(&error).to_vec()).unwrap(),
            @r#"data: {"error":{"message":"slow \"down\"\n","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#
        );
    }

    #[test]
    fn an_oversized_body_is_not_kept_but_its_message_is_within_bounds() {
        let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(MAX_BODY));
        let error = read(400, &[("retry-after", "3")], &body);
        assert_eq!(error.message.len(), MAX_MESSAGE);
        assert!(error.upstream.unwrap().body.is_empty());
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(3)));
    }
}

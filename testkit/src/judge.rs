//! Reads what a provider is asked as strictly as the vendor would, and more strictly where the vendor could not know.
//!
//! A judge stands before a route ([`crate::provider::Endpoint::judge`]) and holds every request to: the right method, path,
//! content type and key; no header that was not meant for the provider; and a body that is either a recorded request but for
//! the rewrites that a gateway owes ([`Body::recorded`]), or of the vendor's published shape ([`Body::published`]).

mod anthropic;
mod compare;
mod gemini;
mod json_text;
mod openai_shape;
mod strict;
mod turns;

use serde_json::{Value, json};

pub(crate) use self::turns::turns;
use crate::provider::Seen;

/// What the texts begin with that only the gateway itself may read: base64 of `orc-seal:`.
const SEAL: &str = "b3JjLXNlYWw6";

/// Headers that say something about another connection or to another server. `te`, `trailer` and the rest of the hop-by-hop
/// list: RFC 9110, section 7.6.1. The last ones carry keys, which only the gateway's own `authorization` may.
const NEVER_FORWARDED: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "cookie",
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
];

/// An operation, by what its path ends with and by its published shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST …/chat/completions`
    ChatCompletions,
    /// `POST …/completions`
    Completions,
    /// `POST …/embeddings`
    Embeddings,
    /// Gemini's `POST …/models/{model}:generateContent`
    GenerateContent,
    /// Gemini's `POST …/models/{model}:streamGenerateContent?alt=sse`
    StreamGenerateContent,
    /// Gemini's `POST …/models/{model}:embedContent`
    EmbedContent,
    /// Gemini's `POST …/models/{model}:batchEmbedContents`
    BatchEmbedContents,
    /// `POST …/responses`
    Responses,
    /// Anthropic's `POST …/v1/messages`
    Messages,
    /// Anthropic's `POST …/v1/messages/count_tokens`
    CountMessages,
    /// Gemini's `POST …/models/{model}:countTokens`
    CountContent,
    /// OpenAI's `POST …/responses/input_tokens`
    CountInput,
}

impl Operation {
    /// The end of the path; empty for Gemini's, whose last segment begins with the model.
    pub fn path(self) -> &'static str {
        match self {
            Self::GenerateContent
            | Self::StreamGenerateContent
            | Self::EmbedContent
            | Self::BatchEmbedContents
            | Self::CountContent => "",
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
            Self::Messages => "/v1/messages",
            Self::CountMessages => "/v1/messages/count_tokens",
            Self::CountInput => "/responses/input_tokens",
        }
    }

    /// Whether it is one of Anthropic's.
    pub fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountMessages)
    }

    /// Whether it is one of Gemini's.
    pub fn is_gemini(self) -> bool {
        self.path().is_empty()
    }

    /// The header in which its vendor wants the key; in `authorization` as a bearer.
    pub fn key_header(self) -> &'static str {
        match self {
            operation if operation.is_anthropic() => "x-api-key",
            operation if operation.is_gemini() => "x-goog-api-key",
            _ => "authorization",
        }
    }

    /// The operation of a recording's `endpoint`, of OpenAI's family.
    pub fn from_endpoint(endpoint: &str) -> Option<Self> {
        match endpoint {
            "chat_completions" => Some(Self::ChatCompletions),
            "completions" => Some(Self::Completions),
            "embeddings" => Some(Self::Embeddings),
            "responses" => Some(Self::Responses),
            _ => None,
        }
    }
}

/// What a body is held against.
#[derive(Clone, Debug)]
pub struct Body(Expected);

#[derive(Clone, Debug)]
enum Expected {
    Recorded { text: String, byte_for_byte: bool },
    Published,
}

impl Body {
    /// Equal to a recorded body as JSON: numbers by their text, strings by their meaning, whatever the order of keys.
    /// `model` must be the provider's name of it, and a stream may have been given `stream_options.include_usage`.
    pub fn recorded(text: &str) -> Self {
        Self(Expected::Recorded { text: text.to_owned(), byte_for_byte: false })
    }

    /// Equal to a recorded body byte for byte, but for the value of `model` and an added `stream_options.include_usage`.
    pub fn recorded_bytes(text: &str) -> Self {
        Self(Expected::Recorded { text: text.to_owned(), byte_for_byte: true })
    }

    /// Of the shape that the vendor publishes for the operation.
    pub fn published() -> Self {
        Self(Expected::Published)
    }
}

/// Judges requests of one operation for one provider key and one model.
#[derive(Clone, Debug)]
pub struct Judge {
    operation: Operation,
    model: String,
    body: Body,
    provider_key: Option<String>,
    secrets: Vec<String>,
    may_add_usage: bool,
    overrides: Vec<(String, String)>,
    said: Option<SaidIn>,
    openai_only: bool,
}

/// What was said in the n-th turn that made calls (from 0), as the request that brings it back must hold it.
pub type SaidIn = fn(usize, &Value) -> Vec<Value>;

impl Judge {
    /// Expects `provider_key` as the bearer token and `model` as the provider knows it.
    pub fn new(operation: Operation, provider_key: &str, model: &str, body: Body) -> Self {
        Self {
            operation,
            model: model.to_owned(),
            body,
            provider_key: Some(provider_key.to_owned()),
            secrets: Vec::new(),
            may_add_usage: true,
            overrides: Vec::new(),
            said: None,
            openai_only: false,
        }
    }

    /// Expects no `authorization` at all, as for a local server.
    pub fn without_key(mut self) -> Self {
        self.provider_key = None;
        self
    }

    /// Refuses a request in whose headers, query or body this text stands: the caller's own key.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// Refuses an added `stream_options.include_usage`, as a provider would that does not know it.
    pub fn without_added_usage(mut self) -> Self {
        self.may_add_usage = false;
        self
    }

    /// Expects that a top-level field was set to this JSON text, whatever was recorded.
    pub fn expects(mut self, field: &str, json: &str) -> Self {
        self.overrides.push((field.to_owned(), json.to_owned()));
        self
    }

    /// Demands what was said in earlier turns back as it was said: ids, arguments, reasoning and signatures.
    pub fn said(mut self, said: SaidIn) -> Self {
        self.said = Some(said);
        self
    }

    /// Refuses members of messages that only servers that imitate OpenAI know.
    pub fn openai_only(mut self) -> Self {
        self.openai_only = true;
        self
    }

    /// The refusal in the vendor's envelope.
    pub fn refusal(&self, reason: &str) -> Value {
        match self.operation {
            operation if operation.is_anthropic() => {
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": reason}})
            }
            operation if operation.is_gemini() => {
                json!({"error": {"code": 400, "message": reason, "status": "INVALID_ARGUMENT"}})
            }
            _ => {
                json!({"error": {"message": reason, "type": "refused_by_judge", "param": null, "code": null}})
            }
        }
    }

    /// Everything that is wrong with the request; empty when nothing is.
    pub fn complaints(&self, seen: &Seen) -> Vec<String> {
        if self.operation.is_gemini() {
            let mut complaints = gemini::complaints(self, seen);
            complaints.extend(self.memory_complaints(&String::from_utf8_lossy(&seen.body)));
            return complaints;
        }
        let mut complaints = self.envelope_complaints(seen);
        match std::str::from_utf8(&seen.body) {
            Ok(body) => complaints.extend(self.body_complaints(body)),
            Err(_) => complaints.push("the body is not UTF-8".to_owned()),
        }
        complaints
    }

    /// Everything that is wrong with a body alone.
    pub fn body_complaints(&self, body: &str) -> Vec<String> {
        let mut complaints = self.shape_complaints(body);
        complaints.extend(self.memory_complaints(body));
        complaints
    }

    fn memory_complaints(&self, body: &str) -> Vec<String> {
        let (Some(said), Ok(request)) = (self.said, serde_json::from_str::<Value>(body)) else {
            return Vec::new();
        };
        let request = as_published(self.operation, request);
        let calling = turns(self.operation, &request).calling;
        let missing = |(round, turn): (usize, &Vec<Value>)| turns::missing(&said(round, &request), turn);
        calling.iter().enumerate().flat_map(missing).collect()
    }

    fn shape_complaints(&self, body: &str) -> Vec<String> {
        if self.operation.is_gemini() {
            return gemini::body_complaints(self, body);
        }
        let allowed =
            Rewrites { model: &self.model, may_add_usage: self.may_add_usage, overrides: &self.overrides };
        match &self.body.0 {
            Expected::Recorded { text, byte_for_byte: false } => compare::complaints(text, body, &allowed),
            Expected::Recorded { text, byte_for_byte: true } => strict::complaints(text, body, &allowed),
            Expected::Published if self.operation.is_anthropic() => {
                anthropic::complaints(&self.model, body, self.operation == Operation::CountMessages)
            }
            Expected::Published => {
                openai_shape::complaints(self.operation, &self.model, body, self.openai_only)
            }
        }
    }

    fn envelope_complaints(&self, seen: &Seen) -> Vec<String> {
        let mut complaints = Vec::new();
        if seen.method != "POST" {
            complaints.push(format!("method {}", seen.method));
        }
        let chat = self.operation != Operation::ChatCompletions
            && seen.path.ends_with(Operation::ChatCompletions.path());
        if chat || !seen.path.ends_with(self.operation.path()) {
            complaints.push(format!("path {:?} does not end with {:?}", seen.path, self.operation.path()));
        }
        let media_type =
            seen.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
        if media_type.trim() != "application/json" {
            complaints.push(format!("content-type {media_type:?}"));
        }
        complaints.extend(self.key_complaint(seen));
        let own = self.operation.key_header();
        for (name, value) in &seen.headers {
            let foreign = NEVER_FORWARDED.iter().any(|never| name.eq_ignore_ascii_case(never));
            if foreign && !name.eq_ignore_ascii_case(own) {
                complaints.push(format!("header {name} was passed on"));
            }
            if self.secrets.iter().any(|secret| value.contains(secret)) {
                complaints.push(format!("header {name} holds a secret of the caller"));
            }
        }
        let body = String::from_utf8_lossy(&seen.body);
        if self.secrets.iter().any(|secret| body.contains(secret) || seen.query.contains(secret)) {
            complaints.push("the body or the query holds a secret of the caller".to_owned());
        }
        complaints
    }

    /// Keys are compared, never quoted.
    fn key_complaint(&self, seen: &Seen) -> Option<String> {
        let sent = |wanted: &str| -> Vec<&str> {
            let named = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| value.as_str()).collect()
        };
        let bearer = sent("authorization");
        if self.operation.is_anthropic() {
            let keyed = sent("x-api-key") == self.provider_key.as_deref().into_iter().collect::<Vec<_>>();
            let version = sent("anthropic-version").len() == 1;
            return (!keyed || !version || !bearer.is_empty())
                .then(|| "x-api-key: not the provider's key alone, or no anthropic-version".to_owned());
        }
        let right = match &self.provider_key {
            Some(key) => bearer == [format!("Bearer {key}")],
            None => bearer.is_empty(),
        };
        (!right).then(|| format!("authorization: {} headers, not the one that was expected", bearer.len()))
    }
}

/// A request with its fields spelled as the vendor's reference spells them.
pub(crate) fn as_published(operation: Operation, request: Value) -> Value {
    if operation.is_gemini() { gemini::in_camel_case(&request) } else { request }
}

/// In what a body may, and must, differ from the recorded one.
struct Rewrites<'a> {
    model: &'a str,
    may_add_usage: bool,
    overrides: &'a [(String, String)],
}

impl Rewrites<'_> {
    /// What a top-level field must be in place of what was recorded, as JSON text.
    fn expected(&self, field: &str) -> Option<String> {
        if field == "model" {
            return Some(Value::from(self.model).to_string());
        }
        self.overrides.iter().find(|(name, _)| name == field).map(|(_, json)| json.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = r#"{ "model": "m-1", "temperature": 1.0, "stream": true,
        "messages": [{"role": "user", "content": "gr\u00fc\u00dfe 👋"}], "vendor_field": {"seed": 12345678901234567890} }"#;

    fn both() -> [Judge; 2] {
        [Body::recorded(RECORDED), Body::recorded_bytes(RECORDED)]
            .map(|body| Judge::new(Operation::ChatCompletions, "key", "up-1", body))
    }

    #[track_caller]
    fn accepted(body: &str) {
        for judge in both() {
            assert_eq!(judge.body_complaints(body), Vec::<String>::new(), "{judge:?}");
        }
    }

    #[track_caller]
    fn refused(body: &str, complaint: &str) {
        for judge in both() {
            let complaints = judge.body_complaints(body).join("; ");
            assert!(complaints.contains(complaint), "{complaints:?} does not speak of {complaint:?}");
        }
    }

    fn right() -> String {
        RECORDED.replace("m-1", "up-1")
    }

    #[test]
    fn a_good_splice_is_accepted_with_and_without_added_usage() {
        accepted(&right());
        let usage = r#""stream_options":{"include_usage":true}"#;
        let end = right().rfind('}').unwrap();
        accepted(&format!("{},{usage}{}", &right()[..end].trim_end(), " }"));
        accepted(&format!("{{{usage},{}", &right()[1..]));
        accepted(&right().replace(r#""stream": true,"#, &format!(r#""stream": true,{usage},"#)));
    }

    #[test]
    fn each_broken_splice_is_refused() {
        refused(RECORDED, "model");
        refused(&right().replace("1.0", "1"), "temperature");
        refused(&right().replace("12345678901234567890", "12345678901234567000"), "vendor_field");
        refused(&right().replace(r#", "vendor_field": {"seed": 12345678901234567890}"#, ""), "vendor_field");
        refused(&right().replace(r#""stream": true,"#, r#""stream": true, "user": "x","#), "user");
        refused(&right().replace("👋", "?"), "messages");
        refused(&right().replace(r#""stream": true,"#, r#""stream": true, "stream": true,"#), "stream");
        refused(
            &right()
                .replace(r#""stream": true,"#, r#""stream": true,"stream_options":{"include_usage":false},"#),
            "stream_options",
        );
        refused(&right()[..40], "JSON");
    }

    #[test]
    fn only_the_strict_judge_minds_the_order_of_keys_the_escapes_and_the_white_space() {
        let changed = [
            right().replace(r#""temperature": 1.0, "stream": true"#, r#""stream": true, "temperature": 1.0"#),
            right().replace("gr\\u00fc\\u00dfe", "grüße"),
            right().replace(r#""stream": true"#, r#""stream":true"#),
            right().trim_end_matches(" }").to_owned() + "}",
        ];
        let [by_json, by_bytes] = both();
        for body in changed {
            assert_ne!(body, right());
            assert_eq!(by_json.body_complaints(&body), Vec::<String>::new());
            assert!(!by_bytes.body_complaints(&body).is_empty(), "{body}");
        }
    }

    #[test]
    fn usage_may_only_be_added_to_a_stream_and_where_it_is_allowed() {
        let usage = r#""stream_options":{"include_usage":true},"#;
        for body in [Body::recorded, Body::recorded_bytes] {
            let whole = r#"{"model":"m","messages":[]}"#;
            let judge = Judge::new(Operation::ChatCompletions, "key", "m", body(whole));
            assert_eq!(judge.body_complaints(whole), Vec::<String>::new());
            assert!(!judge.body_complaints(&format!("{{{usage}{}", &whole[1..])).is_empty());

            let stream = r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}"#;
            let merged = r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#;
            let judge = Judge::new(Operation::ChatCompletions, "key", "m", body(stream));
            assert_eq!(judge.body_complaints(merged), Vec::<String>::new());
            assert!(!judge.clone().without_added_usage().body_complaints(merged).is_empty());
            assert!(
                !judge.body_complaints(&merged.replace(r#""include_obfuscation":false,"#, "")).is_empty()
            );
        }
    }

    #[test]
    fn a_configured_override_is_owed() {
        for body in [Body::recorded, Body::recorded_bytes] {
            let judge =
                Judge::new(Operation::Completions, "key", "m", body(r#"{"model":"m","temperature":1}"#))
                    .expects("temperature", "0.5")
                    .expects("user", "\"u\"");
            assert_eq!(
                judge.body_complaints(r#"{"model":"m","temperature":0.5,"user":"u"}"#),
                Vec::<String>::new()
            );
            assert!(!judge.body_complaints(r#"{"model":"m","temperature":1,"user":"u"}"#).is_empty());
            assert!(!judge.body_complaints(r#"{"model":"m","temperature":0.5}"#).is_empty());
        }
    }
}

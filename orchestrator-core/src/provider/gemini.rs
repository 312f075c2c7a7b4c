//! Google's Gemini API, and servers that imitate it.
//!
//! Model and operation stand in the path: `/v1beta/models/{model}:generateContent`
//! (<https://ai.google.dev/api/generate-content>). A stream is always asked for as server-sent events (`alt=sse`), whatever the
//! caller wants to read.

use std::borrow::Cow;

use ::http::HeaderName;

use super::{Asked, ProviderKind};
use crate::dialect::Dialect;

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// `generativelanguage.googleapis.com`.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

impl ProviderKind for Gemini {
    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://generativelanguage.googleapis.com")
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::Gemini, Dialect::GeminiEmbeddings, Dialect::GeminiEmbedContent, Dialect::GeminiCount]
    }

    /// Gemini counts in every chunk, unasked.
    fn takes_include_usage(&self) -> bool {
        false
    }

    fn path(&self, asked: &Asked<'_>) -> Cow<'static, str> {
        Cow::Owned(path(asked))
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/v1beta/models?pageSize=1000")
    }

    fn key_header(&self) -> (HeaderName, &'static str) {
        (API_KEY, "")
    }
}

/// The path of a request, behind the base URL.
pub(super) fn path(asked: &Asked<'_>) -> String {
    let verb = match asked.dialect {
        Dialect::GeminiEmbeddings => "batchEmbedContents",
        Dialect::GeminiEmbedContent => "embedContent",
        Dialect::GeminiCount => "countTokens",
        _ if asked.stream => "streamGenerateContent?alt=sse",
        _ => "generateContent",
    };
    let (collection, name) = match asked.model.split_once('/') {
        Some((collection @ ("models" | "tunedModels"), name)) => (collection, name),
        _ => ("models", asked.model),
    };
    format!("/v1beta/{collection}/{}:{verb}", encoded(name))
}

/// A name as one segment of a path: what is neither a letter nor a digit nor one of `-._~` is percent-encoded, so that no name
/// can reach another path or become a query.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;
    use bytes::Bytes;

    use super::*;

    fn path_of(dialect: Dialect, model: &str, stream: bool) -> String {
        Gemini.path(&Asked { dialect, model, stream, api_version: None }).into_owned()
    }

    #[test]
    fn the_path_names_model_and_operation() {
        let flash = "gemini-2.5-flash";
        assert_eq!(path_of(Dialect::Gemini, flash, false), "/v1beta/models/gemini-2.5-flash:generateContent");
        assert_eq!(
            path_of(Dialect::Gemini, "models/gemini-2.5-flash", true),
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
        );
        assert_eq!(path_of(Dialect::GeminiEmbeddings, "e", false), "/v1beta/models/e:batchEmbedContents");
        assert_eq!(
            path_of(Dialect::GeminiEmbedContent, "tunedModels/e", false),
            "/v1beta/tunedModels/e:embedContent"
        );
    }

    #[test]
    fn no_name_leaves_its_segment() {
        assert_eq!(
            path_of(Dialect::Gemini, "../x?key=1#ä %2f:y", false),
            "/v1beta/models/..%2Fx%3Fkey%3D1%23%C3%A4%20%252f%3Ay:generateContent"
        );
    }

    #[tokio::test]
    async fn the_key_travels_in_googles_header_and_prints_nowhere() {
        let mut headers = HeaderMap::new();
        Gemini.authorize(&mut headers, &Bytes::new(), Some(&"AIza-1".into())).await.unwrap();
        assert_eq!(headers["x-goog-api-key"], "AIza-1");
        assert!(!format!("{headers:?}").contains("AIza"));
    }
}

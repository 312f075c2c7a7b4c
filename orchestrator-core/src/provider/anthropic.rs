//! Anthropic's API, and servers that imitate it.

use std::borrow::Cow;

use ::http::HeaderName;

use super::{Asked, ProviderKind};
use crate::dialect::Dialect;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The version that every request must name (<https://docs.anthropic.com/en/api/versioning>), where the caller names none.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// `api.anthropic.com`.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl ProviderKind for Anthropic {
    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.anthropic.com")
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::Anthropic, Dialect::AnthropicCount]
    }

    /// Anthropic counts in every stream, unasked.
    fn takes_include_usage(&self) -> bool {
        false
    }

    fn path(&self, asked: &Asked<'_>) -> Cow<'static, str> {
        path(asked)
    }

    fn headers(&self, _dialect: Dialect) -> &'static [(&'static str, &'static str)] {
        &[VERSION]
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/v1/models?limit=1000")
    }

    fn key_header(&self) -> (HeaderName, &'static str) {
        (API_KEY, "")
    }
}

/// The path of a request, behind the base URL.
pub(super) fn path(asked: &Asked<'_>) -> Cow<'static, str> {
    Cow::Borrowed(match asked.dialect {
        Dialect::AnthropicCount => "/v1/messages/count_tokens",
        _ => "/v1/messages",
    })
}

//! Anthropic's API, and servers that imitate it.

use std::borrow::Cow;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Asked, ProviderKind};
use crate::{
    dialect::Dialect,
    error::{Error, ErrorKind, Result},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The version that every request must name (<https://docs.anthropic.com/en/api/versioning>), where the caller names none.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// `api.anthropic.com`.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

#[async_trait]
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

    async fn authorize(
        &self,
        headers: &mut HeaderMap,
        _body: &Bytes,
        secret: Option<&SecretString>,
    ) -> Result<()> {
        let Some(secret) = secret else { return Ok(()) };
        let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
            Error::new(
                ErrorKind::ProviderFailed,
                "the provider's key holds characters that no header may hold",
            )
        })?;
        value.set_sensitive(true);
        headers.insert(API_KEY, value);
        Ok(())
    }
}

/// The path of a request, behind the base URL.
pub(super) fn path(asked: &Asked<'_>) -> Cow<'static, str> {
    Cow::Borrowed(match asked.dialect {
        Dialect::AnthropicCount => "/v1/messages/count_tokens",
        _ => "/v1/messages",
    })
}

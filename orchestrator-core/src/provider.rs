//! What a provider kind is: the little that differs between vendors once the dialect is known.
//!
//! # Adding a kind
//!
//! 1. `provider/<name>.rs`: a unit struct that implements [`ProviderKind`], 60 to 120 lines.
//! 2. Its arm in [`kind`], its name in [`KINDS`].
//! 3. Fixtures: what it is asked and how it answers.

pub mod http;
pub mod sse;

pub mod anthropic;
pub mod azure_openai;
pub mod echo;
pub mod gemini;
pub mod openai;
pub mod openai_compatible;
pub mod preset;

use std::borrow::Cow;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    dialect::{Dialect, Quirks},
    error::{Error, ErrorKind, Result},
};

/// The names of all kinds, as Admin takes them.
pub const KINDS: [&str; 6] = ["openai", "anthropic", "gemini", "azure_openai", "openai_compatible", "echo"];

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static dyn ProviderKind> {
    match name {
        "openai" => Some(&openai::OpenAi),
        "anthropic" => Some(&anthropic::Anthropic),
        "gemini" => Some(&gemini::Gemini),
        "azure_openai" => Some(&azure_openai::AzureOpenAi),
        "openai_compatible" => Some(&openai_compatible::OpenAiCompatible),
        "echo" => Some(&echo::Echo),
        _ => None,
    }
}

/// What a path may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The dialect of the request.
    pub dialect: Dialect,
    /// The model's name at the provider.
    pub model: &'a str,
    /// A stream is asked for.
    pub stream: bool,
    /// The version of its interface that the provider's options name.
    pub api_version: Option<&'a str>,
}

/// OpenAI's path of a dialect, behind the version.
fn openai_path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "/chat/completions",
        Dialect::OpenAiCompletions => "/completions",
        Dialect::OpenAiEmbeddings => "/embeddings",
        Dialect::OpenAiResponses => "/responses",
        Dialect::OpenAiResponsesCount => "/responses/input_tokens",
        _ => "",
    }
}

/// Text as one segment of a path, or one value of a query (RFC 3986, section 2).
fn path_segment(text: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out
}

/// What differs between vendors once the dialect is known.
#[async_trait]
pub trait ProviderKind: Send + Sync {
    /// Where the vendor's own SDK goes, if there is one place.
    fn default_base_url(&self) -> Option<&'static str>;

    /// The dialects that it speaks unless a provider's options say otherwise.
    fn dialects(&self) -> &'static [Dialect];

    /// Whether usage may be asked for at the end of a stream (`stream_options.include_usage`).
    fn takes_include_usage(&self) -> bool {
        true
    }

    /// Whether it knows only the older names of fields (`max_tokens`).
    fn legacy_names(&self) -> bool {
        false
    }

    /// How its Chat differs from what OpenAI publishes, unless a preset says it.
    fn quirks(&self) -> Quirks {
        Quirks::default()
    }

    /// The path behind the base URL, and the query if there is one.
    fn path(&self, asked: &Asked<'_>) -> Cow<'static, str> {
        Cow::Borrowed(match asked.dialect {
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiResponses
            | Dialect::OpenAiResponsesCount => openai_path(asked.dialect),
            Dialect::Anthropic | Dialect::AnthropicCount => return anthropic::path(asked),
            Dialect::Gemini
            | Dialect::GeminiEmbeddings
            | Dialect::GeminiEmbedContent
            | Dialect::GeminiCount => return Cow::Owned(gemini::path(asked)),
        })
    }

    /// Headers that every request in `dialect` needs beside its credential. What callers and providers' options set wins.
    fn headers(&self, _dialect: Dialect) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The path behind the base URL where it lists its models, if it does.
    fn models_path(&self) -> Option<&'static str> {
        Some("/models")
    }

    /// The header that a key goes into, and what stands before the key there.
    fn key_header(&self) -> (HeaderName, &'static str) {
        (::http::header::AUTHORIZATION, "Bearer ")
    }

    /// Puts the credential on a request that is otherwise finished. Async: some vendors need a token or a signature over the
    /// body first.
    async fn authorize(
        &self,
        headers: &mut HeaderMap,
        _body: &Bytes,
        secret: Option<&SecretString>,
    ) -> Result<()> {
        if let Some(secret) = secret {
            let (name, scheme) = self.key_header();
            headers.insert(name, credential(scheme, secret)?);
        }
        Ok(())
    }

    /// The answer of a provider that lives in this process, instead of one over the network.
    fn answer_locally(&self, _dialect: Dialect, _body: &Bytes) -> Option<Result<http::Answer>> {
        None
    }
}

/// A secret as a header's value, marked so that no log shows it.
fn credential(scheme: &str, secret: &SecretString) -> Result<HeaderValue> {
    let text = format!("{scheme}{}", secret.expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::new(ErrorKind::ProviderFailed, "the provider's key holds characters that no header may hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

//! Azure OpenAI: OpenAI's dialects at a resource of one's own, where a model's name is a deployment's.
//!
//! Two ways in (<https://learn.microsoft.com/azure/ai-foundry/openai/reference>): `/openai/v1/…`, which wants no version, and the
//! older `/openai/deployments/DEPLOYMENT/…?api-version=…`, which a provider's `options.api_version` chooses. The base URL is the
//! resource's, `https://NAME.openai.azure.com`.

use std::borrow::Cow;

use http::HeaderName;

use super::{Asked, ProviderKind};
use crate::dialect::{Dialect, Quirks, Thinking};

/// A resource at Azure.
#[derive(Clone, Copy, Debug)]
pub struct AzureOpenAi;

impl ProviderKind for AzureOpenAi {
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[
            Dialect::OpenAiChat,
            Dialect::OpenAiCompletions,
            Dialect::OpenAiEmbeddings,
            Dialect::OpenAiResponses,
        ]
    }

    fn quirks(&self) -> Quirks {
        Quirks { thinking: Thinking::Nowhere, no_cache_marks: true, ..Quirks::default() }
    }

    fn path(&self, asked: &Asked<'_>) -> Cow<'static, str> {
        let operation = super::openai_path(asked.dialect);
        Cow::Owned(match asked.api_version {
            None => format!("/openai/v1{operation}"),
            // Responses name their deployment in the body.
            Some(version) if asked.dialect == Dialect::OpenAiResponses => {
                format!("/openai{operation}?api-version={}", super::path_segment(version))
            }
            Some(version) => {
                let deployment = super::path_segment(asked.model);
                format!(
                    "/openai/deployments/{deployment}{operation}?api-version={}",
                    super::path_segment(version)
                )
            }
        })
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/openai/v1/models")
    }

    fn key_header(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("api-key"), "")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_version_chooses_the_path_of_the_deployment() {
        let asked = |dialect, api_version| Asked { dialect, model: "gpt 4o/eu", stream: true, api_version };
        let path = |asked: Asked<'_>| AzureOpenAi.path(&asked).into_owned();
        assert_eq!(path(asked(Dialect::OpenAiChat, None)), "/openai/v1/chat/completions");
        assert_eq!(
            path(asked(Dialect::OpenAiEmbeddings, Some("2024-10-21"))),
            "/openai/deployments/gpt%204o%2Feu/embeddings?api-version=2024-10-21"
        );
        let responses = asked(Dialect::OpenAiResponses, Some("preview"));
        assert_eq!(path(responses), "/openai/responses?api-version=preview");
    }

    #[tokio::test]
    async fn the_key_goes_into_its_own_header() {
        let mut headers = HeaderMap::new();
        let secret = SecretString::from("s3cret");
        AzureOpenAi.authorize(&mut headers, &Bytes::new(), Some(&secret)).await.unwrap();
        assert_eq!(headers["api-key"], "s3cret");
        assert!(headers["api-key"].is_sensitive() && headers.len() == 1);
    }
}

//! OpenAI itself.

use super::ProviderKind;
use crate::dialect::{Dialect, Quirks, Thinking};

/// `api.openai.com`, and servers that are the same in every respect.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl ProviderKind for OpenAi {
    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[
            Dialect::OpenAiChat,
            Dialect::OpenAiResponses,
            Dialect::OpenAiCompletions,
            Dialect::OpenAiEmbeddings,
            Dialect::OpenAiResponsesCount,
        ]
    }

    /// Its models never show their reasoning on Chat, and it refuses fields that it does not know.
    fn quirks(&self) -> Quirks {
        Quirks { thinking: Thinking::Nowhere, ..Quirks::default() }
    }
}

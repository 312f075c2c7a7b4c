//! Servers that imitate OpenAI: vLLM, llama.cpp, Ollama, DeepSeek, Groq, Mistral, OpenRouter and many more.
//!
//! They know the older names of fields, and not each of them takes `stream_options`: a provider's `options.include_usage`
//! says so where one does not.

use super::ProviderKind;
use crate::dialect::Dialect;

/// Anything that speaks OpenAI's dialects somewhere else.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiCompatible;

impl ProviderKind for OpenAiCompatible {
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::OpenAiChat, Dialect::OpenAiCompletions, Dialect::OpenAiEmbeddings]
    }

    fn legacy_names(&self) -> bool {
        true
    }
}

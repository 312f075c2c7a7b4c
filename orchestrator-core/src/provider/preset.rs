//! Servers that imitate OpenAI, by name: where they are, and how they differ. `options.preset` of a provider of the kind
//! `openai_compatible` names one.
//!
//! One row a server. What a row says is only what has an effect on a request that is translated, and on the base URL; a caller that
//! speaks Chat itself is taken at its word.

use crate::dialect::{Quirks, Thinking};

/// A server that imitates OpenAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What `options.preset` calls it.
    pub name: &'static str,
    /// Where it is unless the provider says otherwise: the vendor's address, or a local server's port.
    pub base_url: &'static str,
    /// Usage may be asked for at the end of a stream.
    pub include_usage: bool,
    /// How its Chat differs.
    pub quirks: Quirks,
}

const REASONING: Quirks = Quirks { thinking: Thinking::Reasoning, ..Quirks::NONE };

/// All of them.
pub const PRESETS: [Preset; 8] = [
    // Its reasoning models want their `reasoning_content` back while they call tools.
    row("deepseek", "https://api.deepseek.com/v1", Quirks::NONE),
    row("groq", "https://api.groq.com/openai/v1", REASONING),
    // Sends usage unasked, and refuses fields that it does not know.
    Preset {
        include_usage: false,
        ..row(
            "mistral",
            "https://api.mistral.ai/v1",
            Quirks {
                thinking: Thinking::Parts,
                any_tool: true,
                random_seed: true,
                short_ids: true,
                ..Quirks::NONE
            },
        )
    },
    row("openrouter", "https://openrouter.ai/api/v1", Quirks { top_k: true, ..REASONING }),
    row("xai", "https://api.x.ai/v1", Quirks::NONE),
    row("ollama", "http://127.0.0.1:11434/v1", REASONING),
    row("vllm", "http://127.0.0.1:8000/v1", Quirks { top_k: true, ..Quirks::NONE }),
    row("llamacpp", "http://127.0.0.1:8080/v1", Quirks { top_k: true, ..Quirks::NONE }),
];

const fn row(name: &'static str, base_url: &'static str, quirks: Quirks) -> Preset {
    Preset { name, base_url, include_usage: true, quirks }
}

/// The preset of that name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

//! Token usage. Anthropic's `input_tokens` excludes what was read from or written to the cache, which the hub's prompt includes;
//! `output_tokens` includes thinking, as the hub's completion does. A stream says it twice: a beginning with a placeholder for the
//! output, and cumulative counts at the end, of which `null` and absent ones leave the beginning's as they are.

use serde::Deserialize;

use crate::{chat::Usage, dialect::json::ObjectWriter};

/// The counts as they stand on the wire.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
    pub(super) service_tier: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Reads `usage`; `None` when it is no object of counts.
    pub(super) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Takes in what is said later.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details.take());
        self.service_tier = later.service_tier.or(self.service_tier.take());
    }

    /// In the hub's words; `None` when the output was not counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        let completion = self.output_tokens?;
        let cached_read = self.cache_read_input_tokens.unwrap_or_default();
        let cache_write = self.cache_creation_input_tokens.unwrap_or_default();
        let input = self.input_tokens.unwrap_or_default();
        let details = self.output_tokens_details.as_ref();
        Some(Usage {
            prompt: input.saturating_add(cached_read).saturating_add(cache_write),
            completion,
            cached_read,
            cache_write,
            reasoning: details.and_then(|details| details.thinking_tokens).unwrap_or_default(),
            ..Usage::default()
        })
    }
}

/// The hub's word for a service tier: what Anthropic calls `standard` is `default` elsewhere.
pub(super) fn read_tier(tier: &str) -> &str {
    if tier == "standard" { "default" } else { tier }
}

/// Writes `usage`.
pub(super) fn write(usage: &Usage, tier: Option<&str>) -> String {
    let cached = usage.cached_read.saturating_add(usage.cache_write);
    let mut out = ObjectWriter::new();
    out.plain("input_tokens", usage.prompt.saturating_sub(cached));
    out.plain("cache_creation_input_tokens", usage.cache_write);
    out.plain("cache_read_input_tokens", usage.cached_read);
    out.plain("output_tokens", usage.completion);
    if usage.reasoning > 0 {
        out.raw("output_tokens_details", &format!(r#"{{"thinking_tokens":{}}}"#, usage.reasoning));
    }
    out.optional_string("service_tier", tier.map(|tier| if tier == "default" { "standard" } else { tier }));
    out.finish()
}

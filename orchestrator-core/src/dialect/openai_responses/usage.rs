//! Token usage. As in Chat, input includes what was cached and output includes reasoning, which is the hub's habit too.

use serde::Deserialize;

use crate::{chat::Usage, dialect::json::ObjectWriter};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    total_tokens: Option<f64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<f64>,
    cache_write_tokens: Option<f64>,
    audio_tokens: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<f64>,
    audio_tokens: Option<f64>,
}

/// Reads a `usage` object; `None` when it counts nothing.
pub(super) fn read(json: &str) -> Option<Usage> {
    let fields: Fields = serde_json::from_str(json).ok()?;
    let count = |value: Option<f64>| value.map(|float| float.max(0.0) as u64);
    let total = count(fields.total_tokens);
    let prompt = count(fields.input_tokens);
    let completion = count(fields.output_tokens);
    total.or(prompt).or(completion)?;
    let prompt = prompt.unwrap_or_default();
    let input = fields.input_tokens_details.unwrap_or_default();
    let output = fields.output_tokens_details.unwrap_or_default();
    Some(Usage {
        prompt,
        completion: completion.unwrap_or_else(|| total.unwrap_or_default().saturating_sub(prompt)),
        cached_read: count(input.cached_tokens).unwrap_or_default(),
        cache_write: count(input.cache_write_tokens).unwrap_or_default(),
        reasoning: count(output.reasoning_tokens).unwrap_or_default(),
        prompt_audio: count(input.audio_tokens).unwrap_or_default(),
        completion_audio: count(output.audio_tokens).unwrap_or_default(),
    })
}

/// Writes a `usage` object.
pub(super) fn write(usage: &Usage) -> String {
    let mut input = ObjectWriter::new();
    input.plain("cached_tokens", usage.cached_read);
    input.plain("cache_write_tokens", usage.cache_write);
    let mut output = ObjectWriter::new();
    output.plain("reasoning_tokens", usage.reasoning);
    let mut out = ObjectWriter::new();
    out.plain("input_tokens", usage.prompt);
    out.raw("input_tokens_details", &input.finish());
    out.plain("output_tokens", usage.completion);
    out.raw("output_tokens_details", &output.finish());
    out.plain("total_tokens", usage.prompt + usage.completion);
    out.finish()
}

//! Token usage as OpenAI and those who imitate it report it. `prompt_tokens` includes what was cached, and `completion_tokens`
//! includes reasoning, which is the hub's habit too.

use serde::Deserialize;
use serde_json::Value;

use crate::chat::Usage;
use crate::dialect::json::ObjectWriter;

/// Counts are read leniently: some servers write floats or `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    prompt_tokens: Value,
    completion_tokens: Value,
    total_tokens: Value,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Value,
    /// Together, Moonshot.
    cached_tokens: Value,
}

#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Value,
    audio_tokens: Value,
    /// OpenRouter.
    cache_write_tokens: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Value,
    audio_tokens: Value,
}

/// Reads a `usage` object; `None` when it counts nothing.
pub(crate) fn read(json: &[u8]) -> Option<Usage> {
    let fields: Fields = serde_json::from_str(std::str::from_utf8(json).ok()?).ok()?;
    let total = count(&fields.total_tokens);
    let prompt = count(&fields.prompt_tokens);
    let completion = count(&fields.completion_tokens);
    total.or(prompt).or(completion)?;
    let prompt = prompt.unwrap_or_default();
    let prompt_details = fields.prompt_tokens_details.unwrap_or_default();
    let completion_details = fields.completion_tokens_details.unwrap_or_default();
    let cached = count(&prompt_details.cached_tokens)
        .or_else(|| count(&fields.prompt_cache_hit_tokens))
        .or_else(|| count(&fields.cached_tokens));
    // xAI and Gemini's compatible endpoint leave reasoning out of `completion_tokens`, and only the total tells.
    let behind_prompt = total.unwrap_or_default().saturating_sub(prompt);
    Some(Usage {
        prompt,
        completion: completion.unwrap_or_default().max(behind_prompt),
        // More than there was cannot have been cached; xAI at Azure says so at times.
        cached_read: cached.unwrap_or_default().min(prompt),
        cache_write: count(&prompt_details.cache_write_tokens).unwrap_or_default(),
        reasoning: count(&completion_details.reasoning_tokens).unwrap_or_default(),
        prompt_audio: count(&prompt_details.audio_tokens).unwrap_or_default(),
        completion_audio: count(&completion_details.audio_tokens).unwrap_or_default(),
    })
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|float| float.max(0.0) as u64))
}

/// Writes a `usage` object. What was written to a cache is only said where it happened: OpenAI itself has no such field.
pub(crate) fn write(usage: &Usage) -> String {
    let mut prompt = ObjectWriter::new();
    prompt.plain("cached_tokens", usage.cached_read);
    prompt.plain("audio_tokens", usage.prompt_audio);
    if usage.cache_write > 0 {
        prompt.plain("cache_write_tokens", usage.cache_write);
    }
    let mut completion = ObjectWriter::new();
    completion.plain("reasoning_tokens", usage.reasoning);
    completion.plain("audio_tokens", usage.completion_audio);
    let mut out = ObjectWriter::new();
    out.plain("prompt_tokens", usage.prompt);
    out.plain("completion_tokens", usage.completion);
    out.plain("total_tokens", usage.prompt.saturating_add(usage.completion));
    out.raw("prompt_tokens_details", &prompt.finish());
    out.raw("completion_tokens_details", &completion.finish());
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_counting_is_read() {
        let openai = br#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
            "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1,"cache_write_tokens":2},
            "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":null}}"#;
        let expected = Usage {
            prompt: 10,
            completion: 5,
            cached_read: 4,
            cache_write: 2,
            reasoning: 3,
            prompt_audio: 1,
            completion_audio: 0,
        };
        assert_eq!(read(openai), Some(expected));
        assert_eq!(read(write(&expected).as_bytes()), Some(expected));

        let deepseek = br#"{"prompt_tokens":10.0,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_tokens_details":null}"#;
        assert_eq!(
            read(deepseek),
            Some(Usage { prompt: 10, completion: 5, cached_read: 8, ..Usage::default() })
        );
        let embedding = br#"{"prompt_tokens":8,"total_tokens":8}"#;
        assert_eq!(read(embedding), Some(Usage { prompt: 8, ..Usage::default() }));
        let apart = br#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"prompt_tokens_details":{"cached_tokens":11}}"#;
        assert_eq!(
            read(apart),
            Some(Usage { prompt: 10, completion: 12, cached_read: 10, ..Usage::default() })
        );
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(br#"{"prompt_tokens":null}"#), None);
        assert_eq!(read(b"[]"), None);
    }
}

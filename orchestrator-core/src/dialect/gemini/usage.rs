//! Token usage. Gemini's `promptTokenCount` includes what was cached; its `candidatesTokenCount` excludes thoughts, and the prompts of
//! server tools stand apart (`total = prompt + toolUsePrompt + candidates + thoughts`). The hub's prompt and completion include
//! all of these.

use serde::Deserialize;
use serde_json::Value;

use crate::{chat::Usage, dialect::json::ObjectWriter};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    total_token_count: Option<u64>,
    prompt_tokens_details: Value,
    candidates_tokens_details: Value,
}

/// Reads `usageMetadata`; `None` when it counts nothing.
pub(super) fn read(json: &[u8]) -> Option<Usage> {
    let fields: Fields = serde_json::from_slice(json).ok()?;
    let counts = [fields.prompt_token_count, fields.candidates_token_count, fields.total_token_count];
    counts.into_iter().flatten().next()?;
    let reasoning = fields.thoughts_token_count.unwrap_or_default();
    Some(Usage {
        prompt: fields.prompt_token_count.unwrap_or_default()
            + fields.tool_use_prompt_token_count.unwrap_or_default(),
        completion: fields.candidates_token_count.unwrap_or_default() + reasoning,
        cached_read: fields.cached_content_token_count.unwrap_or_default(),
        cache_write: 0,
        reasoning,
        prompt_audio: audio(&fields.prompt_tokens_details),
        completion_audio: audio(&fields.candidates_tokens_details),
    })
}

/// The tokens of modality `AUDIO`, which old clients of Vertex number as 5.
fn audio(details: &Value) -> u64 {
    let is_audio = |entry: &&Value| entry["modality"] == "AUDIO" || entry["modality"] == 5;
    let audio = details.as_array().into_iter().flatten().filter(is_audio);
    audio.filter_map(|entry| entry["tokenCount"].as_u64()).sum()
}

/// Writes `usageMetadata`.
pub(super) fn write(usage: &Usage) -> String {
    let mut out = ObjectWriter::new();
    out.plain("promptTokenCount", usage.prompt);
    out.plain("candidatesTokenCount", usage.completion.saturating_sub(usage.reasoning));
    out.plain("totalTokenCount", usage.prompt.saturating_add(usage.completion));
    if usage.cached_read > 0 {
        out.plain("cachedContentTokenCount", usage.cached_read);
    }
    if usage.reasoning > 0 {
        out.plain("thoughtsTokenCount", usage.reasoning.min(usage.completion));
    }
    write_details("promptTokensDetails", usage.prompt, usage.prompt_audio, &mut out);
    write_details(
        "candidatesTokensDetails",
        usage.completion.saturating_sub(usage.reasoning),
        usage.completion_audio,
        &mut out,
    );
    out.finish()
}

/// By modality, where there is more than text.
fn write_details(name: &str, all: u64, audio: u64, out: &mut ObjectWriter) {
    if audio > 0 {
        let text = all.saturating_sub(audio);
        let details = format!(
            r#"[{{"modality":"TEXT","tokenCount":{text}}},{{"modality":"AUDIO","tokenCount":{audio}}}]"#
        );
        out.raw(name, &details);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gemini_counts_apart_the_hub_counts_together_and_back() {
        let json = br#"{"promptTokenCount":70,"toolUsePromptTokenCount":30,"candidatesTokenCount":31,"thoughtsTokenCount":175,
            "cachedContentTokenCount":64,"totalTokenCount":306,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":9}]}"#;
        let usage = read(json).unwrap();
        let expected = Usage {
            prompt: 100,
            completion: 206,
            cached_read: 64,
            reasoning: 175,
            prompt_audio: 9,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        assert_eq!(read(write(&usage).as_bytes()), Some(expected));
    }

    #[test]
    fn no_count_is_no_usage() {
        assert_eq!(read(br#"{"trafficType":"ON_DEMAND"}"#), None);
        assert_eq!(read(b"null"), None);
    }
}

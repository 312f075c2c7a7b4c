//! What a recorded answer says was used: an oracle that shares no code with the product.

use serde_json::Value;

use super::Recording;

/// Token counts as the provider stated them; `None` is what it did not state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens`, cached ones included.
    pub prompt: Option<u64>,
    /// `completion_tokens`, reasoning included.
    pub completion: Option<u64>,
    /// `total_tokens`
    pub total: Option<u64>,
    /// `prompt_tokens_details.cached_tokens`, or DeepSeek's `prompt_cache_hit_tokens`.
    pub cached: Option<u64>,
    /// `completion_tokens_details.reasoning_tokens`
    pub reasoning: Option<u64>,
}

/// The usage of a whole body, or the last one of a stream (some providers repeat it, cumulatively, on every chunk).
pub fn usage_of(recording: &Recording) -> Option<Usage> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    if !recording.is_event_stream() {
        let body = parsed(&String::from_utf8_lossy(&recording.body))?;
        return usage_in(&body);
    }
    data_events(recording).iter().rev().filter_map(|data| parsed(data)).find_map(|event| usage_in(&event))
}

/// The data of each event of a recorded stream, in order, by the letter of the HTML standard's section on server-sent events;
/// data that no blank line ends counts too.
pub fn data_events(recording: &Recording) -> Vec<String> {
    let text = String::from_utf8_lossy(&recording.body);
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split('\n').chain([""]) {
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        } else if line.is_empty() && !data.is_empty() {
            events.push(data.join("\n"));
            data.clear();
        }
    }
    events
}

fn usage_in(body: &Value) -> Option<Usage> {
    // Groq states it in `x_groq` on streams whose caller did not ask for it.
    let places = [&body["usage"], &body["x_groq"]["usage"], &body["response"]["usage"]];
    let usage = places.into_iter().find(|usage| usage.is_object())?;
    if usage["input_tokens"].is_u64() {
        // Responses.
        return Some(Usage {
            prompt: usage["input_tokens"].as_u64(),
            completion: usage["output_tokens"].as_u64(),
            total: usage["total_tokens"].as_u64(),
            cached: usage["input_tokens_details"]["cached_tokens"].as_u64(),
            reasoning: usage["output_tokens_details"]["reasoning_tokens"].as_u64(),
        });
    }
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
    let [prompt, completion, total] =
        ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64());
    // xAI leaves reasoning out of the completion; only its total tells. It also reports more cached than there was.
    let behind_prompt = total.zip(prompt).map(|(total, prompt)| total.saturating_sub(prompt));
    let cached = cached.or_else(|| usage["prompt_cache_hit_tokens"].as_u64());
    Some(Usage {
        prompt,
        completion: completion.max(behind_prompt),
        total,
        cached: cached.map(|cached| cached.min(prompt.unwrap_or(cached))),
        reasoning: usage["completion_tokens_details"]["reasoning_tokens"].as_u64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn the_last_usage_of_a_stream_counts_and_none_is_none() {
        let usage = |name: &str| usage_of(&fixtures::named(name));
        let reasoning = Usage {
            prompt: Some(20),
            completion: Some(30),
            total: Some(50),
            cached: Some(16),
            reasoning: Some(24),
        };
        assert_eq!(usage("chat_stream_reasoning"), Some(reasoning));
        assert_eq!(usage("chat_reasoning"), Some(reasoning));
        assert_eq!(usage("chat_stream_usage").unwrap().total, Some(18));
        assert_eq!(usage("chat_stream"), None);
        assert_eq!(usage("error_502_html"), None);
    }

    #[test]
    fn every_spelling_of_a_stream_holds_the_same_events() {
        let plain = data_events(&fixtures::named("chat_stream_crlf"));
        assert_eq!(plain.len(), 5);
        for name in ["cr", "comments", "bom", "no_space", "unterminated"] {
            assert_eq!(data_events(&fixtures::named(&format!("chat_stream_{name}"))), plain, "{name}");
        }
    }
}

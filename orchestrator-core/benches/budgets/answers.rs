//! Answers of a provider, in the shapes that OpenAI sends.

use bytes::Bytes;

fn event(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-CBmB3sXqkTt4yZpQ1vWfJ7LrNe2Hd\",\"object\":\"chat.completion.chunk\",\"created\":1757000000,\
         \"model\":\"gpt-4.1-mini-2025-04-14\",\"system_fingerprint\":\"fp_4fce0778af\",\"choices\":[{choices}],\
         \"usage\":{usage}}}\n\n"
    )
}

/// Who speaks: no content yet.
pub(crate) fn first() -> Bytes {
    let delta =
        r#"{"index":0,"delta":{"role":"assistant","content":"I"},"logprobs":null,"finish_reason":null}"#;
    event(delta, "null").into()
}

/// A piece of text.
pub(crate) fn chunk() -> Bytes {
    chunk_text().into()
}

/// What one read brings when the provider is fast.
pub(crate) fn ten_chunks() -> Bytes {
    chunk_text().repeat(10).into()
}

/// As `ten_chunks`, where the read ends inside the eleventh.
pub(crate) fn ten_and_a_half() -> Bytes {
    format!("{}{}", chunk_text().repeat(10), &chunk_text()[..140]).into()
}

/// The last three events.
pub(crate) fn finish() -> Bytes {
    let finished = event(r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#, "null");
    let usage = r#"{"prompt_tokens":120,"completion_tokens":34,"total_tokens":154,
        "prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;
    let counted = event("", &usage.replace('\n', ""));
    format!("{finished}{counted}data: [DONE]\n\n").into()
}

/// An answer that does not stream.
pub(crate) fn whole() -> Bytes {
    let said = "A gateway stands between its callers and many providers. ".repeat(10);
    format!(
        r#"{{"id":"chatcmpl-CBmB3sXqkTt4yZpQ1vWfJ7LrNe2Hd","object":"chat.completion","created":1757000000,
        "model":"gpt-4.1-mini-2025-04-14","choices":[{{"index":0,"message":{{"role":"assistant","content":"{said}",
        "refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":120,
        "completion_tokens":34,"total_tokens":154,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},
        "completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default",
        "system_fingerprint":"fp_4fce0778af"}}"#
    )
    .into()
}

fn chunk_text() -> String {
    event(r#"{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}"#, "null")
}

//! The conversation in Gemini's words. Its calls have no ids, and the first one of a turn bears the turn's signature.

use serde_json::{Value, json};

use super::{CACHED, COMPLETION, PROMPT, THOUGHT, THOUGHTS, Turn, calls, halves, signature};

/// What must come back: the calls, signed as they were.
pub(super) fn said(round: usize, _: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for call in calls(round) {
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if parts.is_empty() {
            part["thoughtSignature"] = signature(round).into();
        }
        parts.push(part);
    }
    parts
}

/// Texts in as many pieces as they are cut into; a call is always whole.
fn parts(turn: &Turn<'_>, cut: bool) -> Vec<Value> {
    let pieces = |text: &'static str| if cut { halves(text).to_vec() } else { vec![text] };
    let mut parts = Vec::new();
    if turn.request["generationConfig"]["thinkingConfig"]["includeThoughts"] == true {
        parts.extend(pieces(THOUGHT).iter().map(|piece| json!({"text": piece, "thought": true})));
    }
    parts.extend(pieces(turn.text).iter().map(|piece| json!({"text": piece})));
    if turn.calls {
        parts.extend(said(turn.round, turn.request));
    }
    parts
}

/// Thoughts are not among the candidates' tokens.
fn usage() -> Value {
    json!({
        "promptTokenCount": PROMPT, "cachedContentTokenCount": CACHED, "candidatesTokenCount": COMPLETION - THOUGHTS,
        "thoughtsTokenCount": THOUGHTS, "totalTokenCount": PROMPT + COMPLETION,
    })
}

fn answer(parts: &[Value], ends: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if ends {
        candidate["finishReason"] = "STOP".into();
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage(), "modelVersion": "gemini-3-flash-preview",
        "responseId": "gemini-1",
    })
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    answer(&parts(turn, false), true)
}

pub(super) fn stream(turn: &Turn<'_>) -> String {
    let parts = parts(turn, true);
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        let chunk = answer(std::slice::from_ref(part), at + 1 == parts.len());
        text.extend(["data: ", &chunk.to_string(), "\r\n\r\n"]);
    }
    text
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let word = if status == 429 { "RESOURCE_EXHAUSTED" } else { "INVALID_ARGUMENT" };
    json!({"error": {"code": status, "message": message, "status": word}})
}

//! The conversation in Anthropic's words.

use serde_json::{Value, json};

use super::{
    ASIDE, CACHED, COMPLETION, Call, PROMPT, THOUGHT, THOUGHTS, Turn, calls, halves, named_event, signature,
};

fn thinks(request: &Value) -> bool {
    !request["thinking"].is_null() && request["thinking"]["type"] != "disabled"
}

fn call(call: &Call) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": call.arguments})
}

fn thinking(round: usize) -> Value {
    json!({"type": "thinking", "thinking": THOUGHT, "signature": signature(round)})
}

fn blocks_of(text: &str, made: &[Call], round: usize, request: &Value) -> Vec<Value> {
    let mut blocks = Vec::new();
    if thinks(request) {
        blocks.push(thinking(round));
    }
    blocks.push(json!({"type": "text", "text": text}));
    blocks.extend(made.iter().map(call));
    blocks
}

/// What must come back: thinking with its signature first, then what was said, then the calls.
pub(super) fn said(round: usize, request: &Value) -> Vec<Value> {
    blocks_of(ASIDE, &calls(round), round, request)
}

fn blocks(turn: &Turn<'_>) -> Vec<Value> {
    blocks_of(turn.text, &turn.calls(), turn.round, turn.request)
}

/// Tokens read from the cache are not among those of the input.
fn usage() -> Value {
    json!({
        "input_tokens": PROMPT - CACHED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": CACHED,
        "output_tokens": COMPLETION, "output_tokens_details": {"thinking_tokens": THOUGHTS},
    })
}

fn stop_reason(turn: &Turn<'_>) -> &'static str {
    if turn.calls { "tool_use" } else { "end_turn" }
}

fn message(turn: &Turn<'_>, content: Value, stop_reason: Value) -> Value {
    json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": turn.request["model"], "content": content,
        "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(),
    })
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    message(turn, blocks(turn).into(), stop_reason(turn).into())
}

pub(super) fn stream(turn: &Turn<'_>) -> String {
    let mut start = message(turn, json!([]), Value::Null);
    // A guess: what the stream ends with counts.
    start["usage"]["output_tokens"] = 1.into();
    let mut events = vec![json!({"type": "message_start", "message": start}), json!({"type": "ping"})];
    for (index, block) in blocks(turn).iter().enumerate() {
        let (empty, deltas) = opened(block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let end = json!({"stop_reason": stop_reason(turn), "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": usage()}));
    events.push(json!({"type": "message_stop"}));
    let mut text = String::new();
    for event in events {
        text += &named_event(&event);
    }
    text
}

/// A block as it begins, and what fills it.
fn opened(block: &Value) -> (Value, Vec<Value>) {
    let pieces = |kind: &str, name: &str, text: &str| -> Vec<Value> {
        halves(text).iter().map(|piece| json!({"type": kind, name: piece})).collect()
    };
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    match text("type") {
        "thinking" => {
            let mut deltas = pieces("thinking_delta", "thinking", text("thinking"));
            deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
        }
        "tool_use" => {
            let mut empty = block.clone();
            empty["input"] = json!({});
            let mut deltas = vec![json!({"type": "input_json_delta", "partial_json": ""})];
            deltas.extend(pieces("input_json_delta", "partial_json", &block["input"].to_string()));
            (empty, deltas)
        }
        _ => (json!({"type": "text", "text": ""}), pieces("text_delta", "text", text("text"))),
    }
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = if status == 429 { "rate_limit_error" } else { "invalid_request_error" };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"})
}

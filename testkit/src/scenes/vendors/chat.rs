//! The conversation in Chat's words: OpenAI's own, which shows no reasoning there, and a server's that imitates it and signs what it
//! reasoned (`reasoning_details`, as OpenRouter publishes them).

use serde_json::{Value, json};

use super::{ASIDE, CACHED, COMPLETION, Call, PROMPT, THOUGHT, THOUGHTS, Turn, calls, halves, signature};

fn call(call: &Call) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
    json!({"id": format!("call_{}", call.id), "type": "function", "function": function})
}

/// The message with the calls, as it must come back.
pub(super) fn said(round: usize, _: &Value) -> Vec<Value> {
    let calls: Vec<Value> = calls(round).iter().map(call).collect();
    vec![json!({"role": "assistant", "content": ASIDE, "tool_calls": calls})]
}

pub(super) fn compatible_said(round: usize, request: &Value) -> Vec<Value> {
    let mut messages = said(round, request);
    messages[0]["reasoning_details"] = details(round);
    messages
}

fn details(round: usize) -> Value {
    json!([{
        "type": "reasoning.text", "text": THOUGHT, "signature": signature(round), "id": "reasoning-1",
        "format": "anthropic-claude-v1", "index": 0,
    }])
}

fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT, "completion_tokens": COMPLETION, "total_tokens": PROMPT + COMPLETION,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": THOUGHTS},
    })
}

fn finish_reason(turn: &Turn<'_>) -> &'static str {
    if turn.calls { "tool_calls" } else { "stop" }
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    let mut message = json!({"role": "assistant", "content": turn.text, "refusal": null, "annotations": []});
    let calls: Vec<Value> = turn.calls().iter().map(call).collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_735_689_600, "model": turn.request["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(turn)}],
        "usage": usage(), "service_tier": "default",
    })
}

pub(super) fn compatible_whole(turn: &Turn<'_>) -> Value {
    let mut body = whole(turn);
    body["choices"][0]["message"]["reasoning"] = THOUGHT.into();
    body["choices"][0]["message"]["reasoning_details"] = details(turn.round);
    body
}

pub(super) fn stream(turn: &Turn<'_>) -> String {
    streamed(turn, &[])
}

pub(super) fn compatible_stream(turn: &Turn<'_>) -> String {
    let detail = |piece: &str| {
        let entry = json!({"type": "reasoning.text", "text": piece, "index": 0});
        json!({"reasoning": piece, "reasoning_details": [entry]})
    };
    let mut deltas: Vec<Value> = halves(THOUGHT).into_iter().map(detail).collect();
    // What is no piece of a text stands in one entry alone: SDKs add up the texts of entries with one index.
    let signed = json!({
        "type": "reasoning.text", "signature": signature(turn.round), "id": "reasoning-1",
        "format": "anthropic-claude-v1", "index": 0,
    });
    deltas.push(json!({"reasoning_details": [signed]}));
    streamed(turn, &deltas)
}

/// Chunks: the role, what is thought, the text, the calls piece by piece, the end, the usage if it was asked for.
fn streamed(turn: &Turn<'_>, thought: &[Value]) -> String {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    deltas.extend(thought.iter().cloned());
    deltas.extend(halves(turn.text).iter().map(|piece| json!({"content": piece})));
    for (index, made) in turn.calls().iter().enumerate() {
        let mut opened = call(made);
        opened["index"] = index.into();
        opened["function"]["arguments"] = "".into();
        deltas.push(json!({"tool_calls": [opened]}));
        for piece in halves(&made.arguments.to_string()) {
            deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
        }
    }
    let wants_usage = turn.request["stream_options"]["include_usage"] == true;
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_735_689_600,
            "model": turn.request["model"], "choices": choices,
        });
        if wants_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut text = String::new();
    for delta in deltas {
        text += &chunk(choice(delta, Value::Null), Value::Null);
    }
    text += &chunk(choice(json!({}), finish_reason(turn).into()), Value::Null);
    if wants_usage {
        text += &chunk(json!([]), usage());
    }
    text + "data: [DONE]\n\n"
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = if status == 429 {
        ("requests", json!("rate_limit_exceeded"))
    } else {
        ("invalid_request_error", Value::Null)
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

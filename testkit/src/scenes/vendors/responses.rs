//! The conversation in the words of Responses.

use serde_json::{Value, json};

use super::{
    ASIDE, CACHED, COMPLETION, Call, PROMPT, THOUGHT, THOUGHTS, Turn, calls, halves, named_event, signature,
};

fn reasoning(round: usize, sealed: bool) -> Value {
    let summary = json!([{"type": "summary_text", "text": THOUGHT}]);
    let mut item = json!({"type": "reasoning", "id": format!("rs_r{round}"), "summary": summary});
    if sealed {
        item["encrypted_content"] = signature(round).into();
    }
    item
}

fn call(call: &Call) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{}", call.id), "call_id": format!("call_{}", call.id),
        "name": call.name, "arguments": call.arguments.to_string(), "status": "completed",
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message(text: &str) -> Value {
    let content = [text_part(text)];
    json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
}

/// Whether the reasoning is wanted in a form that can be handed back.
fn seals(request: &Value) -> bool {
    request["include"].to_string().contains("reasoning.encrypted_content")
}

/// What must come back: the reasoning as it was encrypted, the text, the calls. Ids of items may change, those of calls may not.
pub(super) fn said(round: usize, request: &Value) -> Vec<Value> {
    let mut items = Vec::new();
    if seals(request) {
        items.push(json!({"type": "reasoning", "encrypted_content": signature(round)}));
    }
    let text = json!([{"type": "output_text", "text": ASIDE}]);
    items.push(json!({"role": "assistant", "content": text}));
    for made in calls(round) {
        let made = call(&made);
        items.push(json!({
            "type": "function_call", "call_id": made["call_id"], "name": made["name"], "arguments": made["arguments"],
        }));
    }
    items
}

fn output(turn: &Turn<'_>) -> Vec<Value> {
    let mut items = vec![reasoning(turn.round, seals(turn.request)), message(turn.text)];
    items.extend(turn.calls().iter().map(call));
    items
}

fn response(turn: &Turn<'_>, status: &str, output: Value, usage: Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_735_689_600, "status": status, "background": false,
        "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "model": turn.request["model"], "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": "low", "summary": null}, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage, "metadata": {},
    })
}

fn usage() -> Value {
    json!({
        "input_tokens": PROMPT, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": COMPLETION,
        "output_tokens_details": {"reasoning_tokens": THOUGHTS}, "total_tokens": PROMPT + COMPLETION,
    })
}

pub(super) fn whole(turn: &Turn<'_>) -> Value {
    response(turn, "completed", output(turn).into(), usage())
}

pub(super) fn stream(turn: &Turn<'_>) -> String {
    let running = response(turn, "in_progress", json!([]), Value::Null);
    let mut events = vec![
        json!({"type": "response.created", "response": running}),
        json!({"type": "response.in_progress", "response": running}),
    ];
    for (at, item) in output(turn).into_iter().enumerate() {
        let (empty, inner) = opened(&item);
        events.push(json!({"type": "response.output_item.added", "output_index": at, "item": empty}));
        for mut event in inner {
            event["output_index"] = at.into();
            event["item_id"] = item["id"].clone();
            events.push(event);
        }
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole(turn)}));
    let mut text = String::new();
    for (number, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = number.into();
        text += &named_event(&event);
    }
    text
}

/// An item as it begins, and what fills it.
fn opened(item: &Value) -> (Value, Vec<Value>) {
    let mut empty = item.clone();
    let events = match item["type"].as_str() {
        Some("reasoning") => {
            empty["summary"] = json!([]);
            summary_events()
        }
        Some("function_call") => {
            empty["arguments"] = "".into();
            empty["status"] = "in_progress".into();
            call_events(item)
        }
        _ => {
            empty["content"] = json!([]);
            empty["status"] = "in_progress".into();
            text_events(item["content"][0]["text"].as_str().unwrap_or_default())
        }
    };
    (empty, events)
}

fn summary_events() -> Vec<Value> {
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let event = |kind: &str, name: &str, value: Value| json!({"type": format!("response.reasoning_summary_{kind}"), "summary_index": 0, name: value});
    let mut events = vec![event("part.added", "part", part(""))];
    events.extend(halves(THOUGHT).iter().map(|piece| event("text.delta", "delta", json!(piece))));
    events.push(event("text.done", "text", THOUGHT.into()));
    events.push(event("part.done", "part", part(THOUGHT)));
    events
}

fn call_events(item: &Value) -> Vec<Value> {
    let arguments = item["arguments"].as_str().unwrap_or_default();
    let delta = "response.function_call_arguments.delta";
    let mut events: Vec<Value> =
        halves(arguments).iter().map(|piece| json!({"type": delta, "delta": piece})).collect();
    let done = "response.function_call_arguments.done";
    events.push(json!({"type": done, "name": item["name"], "arguments": arguments}));
    events
}

fn text_events(text: &str) -> Vec<Value> {
    let event = |kind: &str, name: &str, value: Value| json!({"type": format!("response.{kind}"), "content_index": 0, name: value});
    let mut events = vec![event("content_part.added", "part", text_part(""))];
    for piece in halves(text) {
        let mut delta = event("output_text.delta", "delta", piece.into());
        delta["logprobs"] = json!([]);
        events.push(delta);
    }
    let mut done = event("output_text.done", "text", text.into());
    done["logprobs"] = json!([]);
    events.push(done);
    events.push(event("content_part.done", "part", text_part(text)));
    events
}

//! What providers say, word by word, in each of the four dialects; and how to tell what a caller of each was told.

use serde_json::{Value, json};

use crate::dialect::Dialect;

/// The dialects of the scenes.
pub(super) const FOUR: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini];

/// A piece of a stream, whatever the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Who speaks, and what about: no content.
    Head,
    /// A delta without anything in it.
    Empty,
    /// Content.
    Text(&'static str),
    /// An error under the 200.
    Failure,
    /// Why it ended.
    Stop,
    /// The dialect's own end of stream.
    Done,
}

/// The event, or events, of one word.
pub(super) fn events(dialect: Dialect, word: Word) -> String {
    match dialect {
        Dialect::OpenAiChat => chat(word),
        Dialect::OpenAiResponses => responses(word),
        Dialect::Anthropic => anthropic(word),
        Dialect::Gemini => gemini(word),
        other => panic!("no scene speaks {}", other.name()),
    }
}

fn data(json: &Value) -> String {
    format!("data: {json}\n\n")
}

/// An event whose name is its type.
fn named(json: &Value) -> String {
    format!("event: {}\n{}", json["type"].as_str().unwrap(), data(json))
}

fn chat(word: Word) -> String {
    let chunk = |delta: Value, finish: Value| {
        data(&json!({
            "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }))
    };
    match word {
        Word::Head => chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        Word::Empty => chunk(json!({"content": ""}), Value::Null),
        Word::Text(text) => chunk(json!({"content": text}), Value::Null),
        Word::Failure => data(&json!({"error": {"message": "overloaded", "type": "server_error"}})),
        Word::Stop => chunk(json!({}), json!("stop")),
        Word::Done => "data: [DONE]\n\n".to_owned(),
    }
}

fn responses(word: Word) -> String {
    let response = |kind: &str, status: &str, output: Value| {
        named(&json!({"type": kind, "sequence_number": 0, "response": {
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": null, "model": "up",
            "output": output,
        }}))
    };
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let item = |status: &str, content: Value| json!({"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content});
    let delta = |text: &str| {
        named(&json!({
            "type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text, "logprobs": [],
        }))
    };
    match word {
        Word::Head => [
            response("response.created", "in_progress", json!([])),
            named(&json!({
                "type": "response.output_item.added", "sequence_number": 2, "output_index": 0,
                "item": item("in_progress", json!([])),
            })),
            named(&json!({
                "type": "response.content_part.added", "sequence_number": 3, "item_id": "msg_1", "output_index": 0,
                "content_index": 0, "part": part(""),
            })),
        ]
        .concat(),
        Word::Empty => delta(""),
        Word::Text(text) => delta(text),
        Word::Failure => named(&json!({
            "type": "error", "sequence_number": 5, "code": "server_error", "message": "overloaded", "param": null,
        })),
        Word::Stop => named(&json!({
            "type": "response.output_item.done", "sequence_number": 6, "output_index": 0,
            "item": item("completed", json!([part("whole")])),
        })),
        Word::Done => response("response.completed", "completed", json!([item("completed", json!([part("whole")]))])),
    }
}

fn anthropic(word: Word) -> String {
    let delta = |text: &str| {
        named(&json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text},
        }))
    };
    match word {
        Word::Head => [
            named(&json!({"type": "message_start", "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1},
            }})),
            named(&json!({
                "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
            })),
            named(&json!({"type": "ping"})),
        ]
        .concat(),
        Word::Empty => delta(""),
        Word::Text(text) => delta(text),
        Word::Failure => {
            named(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}))
        }
        Word::Stop => [
            named(&json!({"type": "content_block_stop", "index": 0})),
            named(&json!({
                "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": 2},
            })),
        ]
        .concat(),
        Word::Done => named(&json!({"type": "message_stop"})),
    }
}

fn gemini(word: Word) -> String {
    let candidate = |text: &str| json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
    let chunk = |candidate: Value| {
        data(&json!({"candidates": [candidate], "modelVersion": "up", "responseId": "r1"}))
    };
    match word {
        Word::Head | Word::Empty => chunk(candidate("")),
        Word::Text(text) => chunk(candidate(text)),
        Word::Failure => {
            data(&json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}))
        }
        Word::Stop => {
            let mut last = candidate("");
            last["finishReason"] = json!("STOP");
            chunk(last)
        }
        Word::Done => String::new(),
    }
}

/// A whole answer.
pub(super) fn whole(dialect: Dialect, text: &str) -> String {
    let answer = match dialect {
        Dialect::OpenAiChat => json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "up",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }),
        Dialect::OpenAiResponses => json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null, "model": "up",
            "output": [{
                "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }],
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        }),
        Dialect::Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "up",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 3, "output_tokens": 2},
        }),
        Dialect::Gemini => json!({
            "candidates": [{
                "content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            "modelVersion": "up",
        }),
        other => panic!("no scene speaks {}", other.name()),
    };
    answer.to_string()
}

/// An error's body.
pub(super) fn failure(dialect: Dialect, status: u16) -> String {
    let message = format!("scripted {status}");
    match dialect {
        Dialect::Anthropic => json!({"type": "error", "error": {"type": "scripted", "message": message}}),
        Dialect::Gemini => json!({"error": {"code": status, "message": message, "status": "SCRIPTED"}}),
        _ => json!({"error": {"message": message, "type": "scripted", "code": null, "param": null}}),
    }
    .to_string()
}

/// Whether a caller was told that its answer is whole.
pub(super) fn claims_success(dialect: Dialect, text: &str) -> bool {
    let marks: &[&str] = match dialect {
        Dialect::OpenAiChat => &["[DONE]", "\"finish_reason\":\"stop\""],
        Dialect::OpenAiResponses => &["response.completed"],
        Dialect::Anthropic => &["message_stop", "end_turn"],
        Dialect::Gemini => &["finishReason"],
        other => panic!("no scene speaks {}", other.name()),
    };
    marks.iter().any(|mark| text.contains(mark))
}

/// How often a caller was told that something went wrong. Responses have a null where there is no error.
pub(super) fn errors_told(text: &str) -> usize {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| {
            let Ok(json) = serde_json::from_str::<Value>(data) else { return false };
            json["error"].is_object() || json["type"] == "error" || json["response"]["error"].is_object()
        })
        .count()
}

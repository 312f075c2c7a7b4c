//! What a caller must get for a recorded exchange, read off the recording by code that shares nothing with the product.

use bytes::Bytes;
use orchestrator_testkit::recorded::{self, Recording};
use serde_json::Value;

use crate::client::Answer;

/// What a caller must get.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Exactly this: what the provider sent.
    Bytes { status: u16, body: Bytes },
    /// A 502 whose body is the error that the provider sent under a 200.
    ErrorUnderOk(String),
    /// A 502 in the gateway's own words: the provider gave no usable answer.
    NoAnswer,
}

impl Expected {
    /// What the caller who sent the recorded request gets. `asked`: it asked for usage itself.
    pub(super) fn of(recording: &Recording, asked: bool) -> Self {
        let json = serde_json::from_slice::<Value>(&recording.body).ok();
        if recording.status >= 400 {
            return match json {
                Some(_) => Self::Bytes { status: recording.status, body: recording.body.clone() },
                None => Self::NoAnswer,
            };
        }
        let error = if recording.is_event_stream() {
            error_before_content(recording)
        } else {
            json.filter(|json| json["error"].is_object()).map(|json| json["error"].to_string())
        };
        match error {
            Some(error) => Self::ErrorUnderOk(error),
            None => Self::Bytes { status: recording.status, body: passed(recording, asked) },
        }
    }

    /// Panics, naming `case`, when the answer is another one.
    pub(super) fn check(&self, answer: &Answer, case: &str) {
        assert_eq!(answer.status, self.status(), "{case}: {}", answer.text());
        match self {
            Self::Bytes { body, .. } => {
                assert_eq!(answer.text(), String::from_utf8_lossy(body), "{case}");
                assert_eq!(answer.body, *body, "{case}");
            }
            Self::ErrorUnderOk(error) => {
                assert_eq!(answer.json()["error"].to_string(), *error, "{case}");
            }
            Self::NoAnswer => {
                let (_, _, message) = crate::gateway::openai_error(answer);
                assert!(!message.is_empty() && !message.contains('<'), "{case}: {message}");
            }
        }
    }

    /// The status that the caller gets.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Bytes { status, .. } => *status,
            Self::ErrorUnderOk(_) | Self::NoAnswer => 502,
        }
    }
}

/// The error that a stream begins with, before anything was said.
fn error_before_content(recording: &Recording) -> Option<String> {
    for data in recorded::data_events(recording) {
        let event: Value = serde_json::from_str(&data).ok()?;
        if event["error"].is_object() {
            return Some(event["error"].to_string());
        }
        if event["choices"].as_array().into_iter().flatten().any(says_something) {
            return None;
        }
    }
    None
}

fn says_something(choice: &Value) -> bool {
    let filled = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
        _ => false,
    };
    let delta = &choice["delta"];
    let fields =
        ["content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "audio"];
    filled(&choice["text"])
        || filled(&choice["finish_reason"])
        || fields.iter().any(|name| filled(&delta[name]))
}

/// The recorded body, less the usage event that only the gateway's own wish can have caused.
fn passed(recording: &Recording, asked: bool) -> Bytes {
    if !recording.is_event_stream() || asked {
        return recording.body.clone();
    }
    let text = String::from_utf8(recording.body.to_vec()).unwrap();
    let mut kept = String::new();
    for event in events(&text) {
        // No recording spreads such an event over several lines.
        let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or_default();
        let data: Value = serde_json::from_str(data.trim()).unwrap_or_default();
        let extra = data["usage"].is_object() && data["choices"].as_array().is_some_and(Vec::is_empty);
        if !extra {
            kept.push_str(event);
        }
    }
    Bytes::from(kept)
}

/// The stream cut behind each blank line. A stream of other line ends comes in one piece: none of them needs more.
fn events(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" })
}

//! The small values inside chunks and answers, read leniently: servers that imitate OpenAI differ in detail.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Finish, FinishReason},
    dialect::{
        Dialect, scan,
        seal::{self, Opened},
        splice::quoted,
    },
};

/// For whom something is written: what a vendor sealed is shown to callers, and told to no other vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A provider, in a request.
    Provider,
    /// A caller, in an answer.
    Caller,
}

/// `google.thought_signature` of a tool call's `extra_content`, sealed: Gemini's signature, where its OpenAI-compatible endpoint
/// puts it (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
pub(crate) fn signature(extra_content: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Extra {
        google: Google,
    }
    #[derive(Deserialize)]
    struct Google {
        thought_signature: String,
    }
    let extra = serde_json::from_str::<Extra>(extra_content).ok()?;
    Some(seal::seal(Dialect::OpenAiChat, &extra.google.thought_signature))
}

/// The same `extra_content` for a reader; `None` when this provider cannot be told.
pub(crate) fn extra_content(signature: &str, reader: Reader) -> Option<String> {
    let shown = match (seal::open(Dialect::OpenAiChat, signature), reader) {
        (Opened::Own(own), _) => own,
        (Opened::Foreign, Reader::Caller) => signature.to_owned(),
        (Opened::Foreign, Reader::Provider) => return None,
    };
    Some(format!(r#"{{"google":{{"thought_signature":{}}}}}"#, quoted(&shown)))
}

/// A piece of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text.
    Text(String),
    /// Reasoning: Mistral sends it inside the content.
    Reasoning(String),
}

impl Piece {
    /// What it says.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Reasoning(text) => text,
        }
    }
}

/// What `content` holds: a string, or Mistral's array of `text` and `thinking` parts. Nothing empty.
pub(crate) fn pieces(content: Option<&RawValue>) -> Vec<Piece> {
    #[derive(Deserialize)]
    struct Part {
        text: Option<String>,
        thinking: Option<Vec<Part>>,
    }
    let Some(json) = content else { return Vec::new() };
    if let Some(text) = text(Some(json)) {
        return vec![Piece::Text(text)];
    }
    let mut pieces = Vec::new();
    for part in serde_json::from_str::<Vec<Part>>(json.get()).unwrap_or_default() {
        let thoughts = part.thinking.unwrap_or_default();
        pieces.extend(thoughts.into_iter().filter_map(|thought| thought.text).map(Piece::Reasoning));
        pieces.extend(part.text.map(Piece::Text));
    }
    pieces.retain(|piece| !piece.text().is_empty());
    pieces
}

/// A string that is not empty.
pub(crate) fn text(json: Option<&RawValue>) -> Option<String> {
    let text = scan::string(json?.get().as_bytes())?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// How many bytes a string has; 0 for what is none.
pub(crate) fn length(json: Option<&RawValue>) -> usize {
    json.and_then(|json| scan::string(json.get().as_bytes())).map_or(0, |text| text.len())
}

/// How many bytes all [`pieces`] have.
pub(crate) fn pieces_length(content: Option<&RawValue>) -> usize {
    match content {
        Some(json) if !json.get().starts_with('"') => {
            pieces(content).iter().map(|piece| piece.text().len()).sum()
        }
        // Nearly always. Nothing has to be copied to be measured.
        text => length(text),
    }
}

/// A tool call's arguments: a string; some servers send the object itself.
pub(crate) fn arguments(json: Option<&RawValue>) -> String {
    json.map(|json| scan::string(json.get().as_bytes()).map_or_else(|| json.get().to_owned(), Into::into))
        .unwrap_or_default()
}

/// How many bytes [`arguments`] have.
pub(crate) fn arguments_length(json: Option<&RawValue>) -> usize {
    json.map_or(0, |json| scan::string(json.get().as_bytes()).map_or(json.get().len(), |text| text.len()))
}

/// The hub's word for a finish reason.
pub(crate) fn finish(native: String) -> Finish {
    let reason = match native.as_str() {
        // `eos` is Together's on legacy Completions.
        "stop" | "eos" => FinishReason::Stop,
        // `model_length` is Mistral's.
        "length" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    };
    Finish { reason: Some(reason), native }
}

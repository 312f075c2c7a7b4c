//! Why an answer ended: `stop_reason`, both ways.

use crate::chat::{Finish, FinishReason};

/// Reads a stop reason.
pub(super) fn read(native: &str) -> Finish {
    let reason = match native {
        "end_turn" | "stop_sequence" | "pause_turn" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    };
    Finish { reason: Some(reason), native: native.to_owned() }
}

/// Writes a stop reason: Anthropic's own word where it is one and still means the same, else the nearest.
pub(super) fn write(finish: &Finish) -> &str {
    let native = finish.native.as_str();
    let known = read(native).reason;
    if known != Some(FinishReason::Other) && known == finish.reason {
        return native;
    }
    match finish.reason {
        Some(FinishReason::Length) => "max_tokens",
        Some(FinishReason::ToolCalls) => "tool_use",
        Some(FinishReason::ContentFilter) => "refusal",
        Some(FinishReason::Stop | FinishReason::Other) | None => "end_turn",
    }
}

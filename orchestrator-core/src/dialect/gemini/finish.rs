//! Why a candidate ended: <https://ai.google.dev/api/generate-content#FinishReason>. Old clients of Vertex ask for numbers in place of
//! names (`$alt=json;enum-encoding=int`), so both are read.

use crate::{
    chat::{Finish, FinishReason},
    dialect::scan,
};

/// The names in the order of their numbers, from 0.
const NUMBERED: [&str; 10] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
];

/// Reads `finishReason`; `None` when it says nothing. `called`: the candidate calls a function, for which Gemini has no reason of
/// its own.
pub(super) fn read(json: &str, called: bool) -> Option<Finish> {
    let native = match json.parse::<usize>() {
        Ok(number) => NUMBERED.get(number).copied().unwrap_or("OTHER").to_owned(),
        Err(_) => scan::string(json.as_bytes())?.into_owned(),
    };
    let reason = match native.as_str() {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" if called => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        word if is_filter(word) => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    };
    Some(Finish { reason: Some(reason), native })
}

fn is_filter(word: &str) -> bool {
    const FILTERS: [&str; 8] = [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "JAILBREAK",
    ];
    const IMAGES: [&str; 3] = ["IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"];
    FILTERS.contains(&word) || IMAGES.contains(&word)
}

/// The end of an answer that the prompt did not get: `promptFeedback.blockReason`.
pub(super) fn blocked(prompt_feedback: &str) -> Option<Finish> {
    let feedback: serde_json::Value = serde_json::from_str(prompt_feedback).ok()?;
    let native = match &feedback["blockReason"] {
        serde_json::Value::String(word) if word != "BLOCK_REASON_UNSPECIFIED" => word.clone(),
        serde_json::Value::Number(number) if number.as_u64() != Some(0) => "SAFETY".to_owned(),
        _ => return None,
    };
    Some(Finish { reason: Some(FinishReason::ContentFilter), native })
}

/// Gemini's word; its own where the answer came from it.
pub(super) fn write(finish: &Finish) -> &str {
    let own = !finish.native.is_empty()
        && finish.native.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    match finish.reason {
        _ if own => &finish.native,
        None | Some(FinishReason::Stop | FinishReason::ToolCalls) => "STOP",
        Some(FinishReason::Length) => "MAX_TOKENS",
        Some(FinishReason::ContentFilter) => "SAFETY",
        Some(FinishReason::Other) => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_an_unknown_one_is_kept() {
        let table = [
            (r#""STOP""#, false, "stop STOP"),
            (r#""STOP""#, true, "tool_calls STOP"),
            ("1", false, "stop STOP"),
            ("2", true, "length MAX_TOKENS"),
            (r#""MAX_TOKENS""#, false, "length MAX_TOKENS"),
            (r#""SAFETY""#, false, "content_filter SAFETY"),
            (r#""IMAGE_RECITATION""#, false, "content_filter IMAGE_RECITATION"),
            ("9", false, "other MALFORMED_FUNCTION_CALL"),
            ("99", false, "other OTHER"),
            (r#""UNEXPECTED_TOOL_CALL""#, true, "other UNEXPECTED_TOOL_CALL"),
            (r#""TOMORROW""#, false, "other TOMORROW"),
            (r#""FINISH_REASON_UNSPECIFIED""#, false, ""),
            ("0", false, ""),
            ("{}", false, ""),
        ];
        for (json, called, expected) in table {
            let said = read(json, called).map(|finish| {
                assert_eq!(write(&finish), finish.native);
                format!("{} {}", finish.reason.map_or("", FinishReason::name), finish.native)
            });
            assert_eq!(said.unwrap_or_default(), expected, "{json}");
        }
        assert_eq!(blocked(r#"{"blockReason":"MODEL_ARMOR"}"#).unwrap().native, "MODEL_ARMOR");
        assert_eq!(blocked(r#"{"safetyRatings":[]}"#), None);
    }
}

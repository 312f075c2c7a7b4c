//! How a call ended: an answer, an honest end after some content, or a failure. Read as each dialect's own clients read it.

use serde_json::Value;

use crate::caller::{Dialect, Got};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer, to its end; its text.
    Complete(String),
    /// A stream that broke off after some content and says so; its text.
    Cut(String),
    /// A stream that told all of its text and why it ended, and then an error instead of its last word; its text.
    Unended(String),
    /// A stream that broke off after some content and does not say so, or claims to be whole.
    Dishonest(String),
    /// No answer; what there was instead.
    Failed(String),
}

/// What a stream said.
#[derive(Debug, Default)]
struct Said {
    text: String,
    /// The dialect's own word for an end that is none: `stop`.
    finish: bool,
    /// The dialect's last word of a stream: `[DONE]`, `message_stop`.
    terminator: bool,
    error: bool,
    /// Something came after the error.
    after_error: bool,
}

/// Reads what a caller got who asked in that dialect, for a stream or not.
pub(crate) fn read(dialect: Dialect, stream: bool, got: &Got) -> Outcome {
    let shown = || {
        let text = String::from_utf8_lossy(&got.body);
        let end: Vec<char> = text.chars().rev().take(400).collect();
        let end: String = end.into_iter().rev().collect();
        format!(
            "{} {end}{}",
            got.status,
            got.broken.as_ref().map(|why| format!(" <{why}>")).unwrap_or_default()
        )
    };
    if got.status != 200 {
        return Outcome::Failed(shown());
    }
    if !stream {
        let whole = serde_json::from_slice(&got.body).ok().and_then(|body| whole_text(dialect, &body));
        return whole.map_or_else(|| Outcome::Failed(shown()), Outcome::Complete);
    }
    let Ok(text) = std::str::from_utf8(&got.body) else { return Outcome::Dishonest(shown()) };
    let Some(said) = listen(dialect, text) else { return Outcome::Dishonest(shown()) };
    let has_terminator = said.terminator || dialect == Dialect::Gemini;
    match (said.error, got.broken.is_some()) {
        (false, false) if said.finish && has_terminator => Outcome::Complete(said.text),
        (true, false) if said.text.is_empty() => Outcome::Failed(shown()),
        (true, false) if said.terminator || said.after_error => Outcome::Dishonest(shown()),
        // Where an end has no last word, the reason is one.
        (true, false) if said.finish && dialect == Dialect::Gemini => Outcome::Dishonest(shown()),
        (true, false) if said.finish => Outcome::Unended(said.text),
        (true, false) => Outcome::Cut(said.text),
        _ => Outcome::Dishonest(shown()),
    }
}

fn whole_text(dialect: Dialect, body: &Value) -> Option<String> {
    let (text, finish) = match dialect {
        Dialect::OpenAi => {
            let choice = &body["choices"][0];
            (&choice["message"]["content"], choice["finish_reason"] == "stop")
        }
        Dialect::Anthropic => (&body["content"][0]["text"], body["stop_reason"] == "end_turn"),
        Dialect::Gemini => {
            let candidate = &body["candidates"][0];
            (&candidate["content"]["parts"][0]["text"], candidate["finishReason"] == "STOP")
        }
    };
    text.as_str().filter(|_| finish).map(str::to_owned)
}

/// Reads a stream's events. `None`: one is not JSON.
fn listen(dialect: Dialect, stream: &str) -> Option<Said> {
    let mut said = Said::default();
    for data in events(stream) {
        said.after_error |= said.error;
        if dialect == Dialect::OpenAi && data == "[DONE]" {
            said.terminator = true;
            continue;
        }
        let event: Value = serde_json::from_str(&data).ok()?;
        said.error |= !event["error"].is_null();
        let text = match dialect {
            Dialect::OpenAi => {
                said.finish |= event["choices"][0]["finish_reason"].is_string();
                &event["choices"][0]["delta"]["content"]
            }
            Dialect::Anthropic => {
                said.finish |= event["delta"]["stop_reason"].is_string();
                said.terminator |= event["type"] == "message_stop";
                &event["delta"]["text"]
            }
            Dialect::Gemini => {
                said.finish |= event["candidates"][0]["finishReason"].is_string();
                &event["candidates"][0]["content"]["parts"][0]["text"]
            }
        };
        said.text.push_str(text.as_str().unwrap_or_default());
    }
    Some(said)
}

/// The `data` of each event of a stream (HTML Living Standard §9.2.6): lines end with CR LF, LF or CR, a byte order mark is passed
/// over, and an event without the blank line after it is none.
fn events(stream: &str) -> Vec<String> {
    let stream = stream.strip_prefix('\u{FEFF}').unwrap_or(stream).replace("\r\n", "\n").replace('\r', "\n");
    let Some((whole, _)) = stream.rsplit_once("\n\n") else { return Vec::new() };
    let data_of = |block: &str| {
        let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        data.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    };
    whole.split("\n\n").map(data_of).filter(|data| !data.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openai(body: &str, broken: bool) -> Outcome {
        let broken = broken.then(|| "reset".to_owned());
        let headers = http::HeaderMap::new();
        read(Dialect::OpenAi, true, &Got { status: 200, headers, body: body.to_owned().into(), broken })
    }

    const CONTENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const DONE: &str = "data: [DONE]\n\n";
    const ERROR: &str = "data: {\"error\":{\"message\":\"oh\"}}\n\n";

    #[test]
    fn a_stream_is_complete_only_with_both_ends_whatever_its_lines_end_with() {
        let whole = [CONTENT, STOP, DONE].concat();
        for stream in [whole.clone(), whole.replace('\n', "\r"), format!("\u{FEFF}{whole}")] {
            assert_eq!(openai(&stream, false), Outcome::Complete("hi".to_owned()), "{stream:?}");
        }
        for cut in [[CONTENT, STOP], [CONTENT, DONE], [CONTENT, ""]] {
            assert!(matches!(openai(&cut.concat(), false), Outcome::Dishonest(_)), "{cut:?}");
        }
        assert!(matches!(openai(&whole, true), Outcome::Dishonest(_)));
    }

    #[test]
    fn a_cut_stream_says_so_last_and_claims_no_success() {
        assert_eq!(openai(&[CONTENT, ERROR].concat(), false), Outcome::Cut("hi".to_owned()));
        assert_eq!(openai(&[CONTENT, STOP, ERROR].concat(), false), Outcome::Unended("hi".to_owned()));
        for lie in
            [vec![CONTENT, ERROR, DONE], vec![CONTENT, STOP, DONE, ERROR], vec![CONTENT, ERROR, CONTENT]]
        {
            assert!(matches!(openai(&lie.concat(), false), Outcome::Dishonest(_)), "{lie:?}");
        }
        assert!(matches!(openai(&[CONTENT, ERROR].concat(), true), Outcome::Dishonest(_)));
    }

    #[test]
    fn an_error_before_any_content_is_a_failure() {
        assert!(matches!(openai(ERROR, false), Outcome::Failed(_)));
    }
}

//! Watches a stream on its way through.
//!
//! Until the first content every event is parsed, for the commit point needs to be exact. After it an event is parsed only when it
//! does not have the shape of one that was harmless, and a substring search says that it may carry a signal. A quote inside a
//! JSON string is escaped, so `"usage"` as a key cannot be faked by what the model writes.
//!
//! How much of an answer passed is known of events that were parsed. Of the others the length of `"content"` is taken where it is a
//! string, and any other event is taken for one token, as OpenAI sends arguments, refusals and legacy text.

use std::{ops::Range, sync::LazyLock};

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{chunk::Reading, shape::Shape};
use crate::{
    call::{Batch, Signals},
    dialect::{
        Dialect, Tap,
        events::{Event, Events},
        scan::closing_quote,
    },
};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"content\""));

/// The tap of Chat Completions and of legacy Completions.
#[derive(Debug)]
pub(crate) struct OpenAiTap {
    dialect: Dialect,
    drop_injected_usage: bool,
    first: bool,
    content_seen: bool,
    /// Of the last event that was searched, and carried no signal.
    shape: Shape,
}

impl OpenAiTap {
    /// A tap at the beginning of a stream. `drop_injected_usage`: the extra usage chunk was our wish, not the caller's.
    pub(crate) fn new(dialect: Dialect, drop_injected_usage: bool) -> Self {
        Self { dialect, drop_injected_usage, first: true, content_seen: false, shape: Shape::default() }
    }
}

impl Tap for OpenAiTap {
    fn pass(&mut self, events: Bytes) -> Batch {
        let mut signals = Signals::default();
        let mut dropped: Vec<Range<usize>> = Vec::new();
        let first = std::mem::replace(&mut self.first, false);
        for event in Events::new(&events, first) {
            if self.content_seen
                && let Some(length) = self.silent_length(&event)
            {
                signals.output_bytes += length;
                continue;
            }
            let reading = Reading::of(&event, self.dialect);
            signals.merge(reading.signals());
            self.content_seen |= signals.content;
            if let Reading::Chunk(chunk) = &reading
                && self.drop_injected_usage
                && chunk.is_usage_only()
            {
                dropped.push(event.range.clone());
            }
        }
        Batch { raw: without(events, &dropped), events: Vec::new(), signals }
    }
}

impl OpenAiTap {
    /// How many bytes of answer are in an event, unless it may carry a signal.
    fn silent_length(&mut self, event: &Event<'_>) -> Option<usize> {
        if event.named_error {
            return None;
        }
        let Some(data) = event.data.as_deref() else { return Some(0) };
        let length = match self.shape.content_length(data) {
            Some(length) => length,
            None if may_signal(data) => return None,
            None => {
                self.shape.learn(data);
                content_length(data)
            }
        };
        Some(if length == 0 { TOKEN_BYTES } else { length })
    }
}

/// Whether an event may hold usage, a finish reason, an error or the end. Says yes too often rather than too rarely.
fn may_signal(data: &[u8]) -> bool {
    data.trim_ascii_end().ends_with(b"[DONE]")
        || has_member(&USAGE, data, b'{')
        || has_member(&FINISH, data, b'"')
        || ERROR.find(data).is_some()
}

/// Whether a member of that name has a value that begins with `begin`; Perplexity and vLLM write a space after the colon.
fn has_member(name: &Finder<'_>, bytes: &[u8], begin: u8) -> bool {
    name.find_iter(bytes).any(|at| {
        let rest = bytes[at + name.needle().len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().first() == Some(&begin))
    })
}

/// What one token is in text, roughly (OpenAI's help pages on tokens).
const TOKEN_BYTES: usize = 4;

/// How many bytes the strings named `content` have, escapes as they stand.
fn content_length(data: &[u8]) -> usize {
    CONTENT.find_iter(data).map(|at| string_length(&data[at + CONTENT.needle().len()..])).sum()
}

/// The length of the string behind a key, escapes as they stand; 0 for any other value.
pub(crate) fn string_length(behind_key: &[u8]) -> usize {
    let value = behind_key.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    value.and_then(|value| value.strip_prefix(b"\"")).and_then(closing_quote).unwrap_or_default()
}

/// The stretch less the dropped ranges; a slice of it wherever that is enough.
fn without(stretch: Bytes, dropped: &[Range<usize>]) -> Bytes {
    if dropped.is_empty() {
        return stretch;
    }
    let mut kept: Vec<Bytes> = Vec::new();
    let mut at = 0;
    for range in dropped {
        kept.push(stretch.slice(at..range.start));
        at = range.end;
    }
    kept.push(stretch.slice(at..));
    kept.retain(|piece| !piece.is_empty());
    match kept.len() {
        0 => Bytes::new(),
        1 => kept.remove(0),
        _ => kept
            .iter()
            .fold(BytesMut::new(), |mut out, piece| {
                out.extend_from_slice(piece);
                out
            })
            .freeze(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_parsed_is_measured_by_its_content_or_taken_for_a_token() {
        let lengths = [
            (r#"data: {"choices":[{"delta":{"content":"four"}}]}"#, 4),
            (r#"data:{"choices": [{"delta": {"content" : "a \"b\" c"}}]}"#, 9),
            (r#"data: {"choices":[{"delta":{"content":"","reasoning_content":"hm"}}]}"#, 4),
            (r#"data: {"choices":[{"delta":{"content":null},"logprobs":{"content":[]}}]}"#, 4),
            (r#"data: {"choices":[{"text":" data: more"}]}"#, 4),
            (r#"data: {"choices":[{"delta":{"content":"cut"#, 4),
            (": a comment", 0),
        ];
        for (event, length) in lengths {
            let mut tap = OpenAiTap::new(Dialect::OpenAiChat, false);
            for event in Events::new(event.as_bytes(), false) {
                assert_eq!(tap.silent_length(&event), Some(length), "{event:?}");
                assert_eq!(tap.silent_length(&event), Some(length), "{event:?}, whose shape is known now");
            }
        }
    }
}

//! Watches a stream on its way through.
//!
//! Until the first content every event is parsed, for the commit point needs to be exact. After it an event is parsed only when
//! a substring search says that it may carry a signal; most stretches are one text delta and cost seven searches. A quote inside
//! a JSON string is escaped, so `"usage"` as a key cannot be faked by what the model writes.
//!
//! How much of an answer passed is known of events that were parsed. Of the others the length of `"content"` is taken where it is a
//! string, and any other event is taken for one token, as OpenAI sends arguments, refusals and legacy text.

use std::{ops::Range, sync::LazyLock};

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memmem::Finder};

use super::chunk::Reading;
use crate::{
    call::{Batch, Signals},
    dialect::{Dialect, Tap, events::Events},
};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"content\""));
static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("data:"));
static NAMED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("event:"));
static DONE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("[DONE]"));

/// The tap of Chat Completions and of legacy Completions.
#[derive(Debug)]
pub(crate) struct OpenAiTap {
    dialect: Dialect,
    drop_injected_usage: bool,
    first: bool,
    content_seen: bool,
}

impl OpenAiTap {
    /// A tap at the beginning of a stream. `drop_injected_usage`: the extra usage chunk was our wish, not the caller's.
    pub(crate) fn new(dialect: Dialect, drop_injected_usage: bool) -> Self {
        Self { dialect, drop_injected_usage, first: true, content_seen: false }
    }
}

impl Tap for OpenAiTap {
    fn pass(&mut self, events: Bytes) -> Batch {
        let mut signals = Signals::default();
        let mut dropped: Vec<Range<usize>> = Vec::new();
        let first = std::mem::replace(&mut self.first, false);
        if self.content_seen && !may_signal(&events) {
            signals.output_bytes = estimated_length(&events);
        } else {
            for event in Events::new(&events, first) {
                let bytes = &events[event.range.clone()];
                if self.content_seen && !may_signal(bytes) {
                    signals.output_bytes += estimated_length(bytes);
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
        }
        Batch { raw: without(events, &dropped), events: Vec::new(), signals }
    }
}

/// Whether a stretch may hold usage, a finish reason, an error or the end. Says yes too often rather than too rarely.
fn may_signal(bytes: &[u8]) -> bool {
    has_member(&USAGE, bytes, b'{')
        || has_member(&FINISH, bytes, b'"')
        || ERROR.find(bytes).is_some()
        || NAMED.find(bytes).is_some()
        || DONE.find(bytes).is_some()
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

/// How many bytes of answer are in events that nobody parses.
fn estimated_length(events: &[u8]) -> usize {
    let at_line_start = |at: &usize| *at == 0 || matches!(events[at - 1], b'\n' | b'\r');
    let count = DATA.find_iter(events).filter(at_line_start).count();
    let (mut known, mut bytes) = (0, 0);
    for at in CONTENT.find_iter(events) {
        let length = string_length(&events[at + CONTENT.needle().len()..]);
        known += usize::from(length > 0);
        bytes += length;
    }
    bytes + count.saturating_sub(known) * TOKEN_BYTES
}

/// The length of the string behind a key, escapes as they stand; 0 for any other value.
pub(crate) fn string_length(behind_key: &[u8]) -> usize {
    let value = behind_key.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let Some(text) = value.and_then(|value| value.strip_prefix(b"\"")) else { return 0 };
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        // A backslash takes the next byte with it.
        at = (at + 2).min(text.len());
    }
    0
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
            assert_eq!(estimated_length(event.as_bytes()), length, "{event}");
        }
        let all = lengths.map(|(event, _)| event).join("\r\n\r\n");
        assert_eq!(estimated_length(all.as_bytes()), lengths.iter().map(|(_, length)| length).sum::<usize>());
    }
}

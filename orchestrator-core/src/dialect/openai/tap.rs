//! Watches a stream on its way through.
//!
//! Until the first content every event is parsed, for the commit point needs to be exact. After it an event is parsed only when
//! a substring search says that it may carry a signal; most stretches are one text delta and cost five searches. A quote inside
//! a JSON string is escaped, so `"usage"` as a key cannot be faked by what the model writes.

use std::{ops::Range, sync::LazyLock};

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{chunk::Reading, events::Events};
use crate::{
    call::{Batch, Signals},
    dialect::{Dialect, Tap},
};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
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
        let mut signals = Signals { output_bytes: events.len(), ..Signals::default() };
        let mut dropped: Vec<Range<usize>> = Vec::new();
        let first = std::mem::replace(&mut self.first, false);
        if !self.content_seen || may_signal(&events) {
            for event in Events::new(&events, first) {
                if self.content_seen && !may_signal(&events[event.range.clone()]) {
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

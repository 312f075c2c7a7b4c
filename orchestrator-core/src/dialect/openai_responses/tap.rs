//! Watches a stream on its way through.
//!
//! Until the first content every event is parsed, for the commit point needs to be exact. After it an event is parsed only when a
//! substring search says that it may end the answer. Such words may stand in a text as well: then an event is parsed for nothing.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::event::Reading;
use crate::{
    call::{Batch, Signals},
    dialect::{Tap, events::Events, openai::tap::string_length},
};

/// What the events that end an answer hold.
static ENDS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
    ["response.completed", "response.incomplete", "response.failed", "error"].map(Finder::new)
});
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"delta\""));

/// The tap of Responses.
#[derive(Debug)]
pub(super) struct ResponsesTap {
    first: bool,
    content_seen: bool,
}

impl ResponsesTap {
    /// A tap at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { first: true, content_seen: false }
    }
}

impl Tap for ResponsesTap {
    fn pass(&mut self, events: Bytes) -> Batch {
        let mut signals = Signals::default();
        let first = std::mem::replace(&mut self.first, false);
        if self.content_seen && !may_end(&events) {
            signals.output_bytes = deltas_length(&events);
        } else {
            for event in Events::new(&events, first) {
                let bytes = &events[event.range.clone()];
                if self.content_seen && !may_end(bytes) {
                    signals.output_bytes += deltas_length(bytes);
                    continue;
                }
                signals.merge(Reading::of(&event).signals());
                self.content_seen |= signals.content;
            }
        }
        Batch { raw: events, events: Vec::new(), signals }
    }
}

fn may_end(bytes: &[u8]) -> bool {
    ENDS.iter().any(|end| end.find(bytes).is_some())
}

/// How many bytes of answer are in events that nobody parses: a text is said in deltas, and again when it is done.
fn deltas_length(events: &[u8]) -> usize {
    DELTA.find_iter(events).map(|at| string_length(&events[at + DELTA.needle().len()..])).sum()
}

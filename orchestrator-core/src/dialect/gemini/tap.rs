//! Watches a stream on its way through, and reads a whole answer's signals. Every event is parsed: each has usage, and none is
//! smaller than the rest of what it says.

use bytes::{Bytes, BytesMut};

use super::{chunk::Reading, error::stream_error};
use crate::{
    call::{Batch, Signals},
    dialect::{Dialect, Tap, events::Events},
};

/// The tap of generateContent.
#[derive(Debug)]
pub(in crate::dialect) struct GeminiTap {
    first: bool,
}

impl GeminiTap {
    /// A tap at the beginning of a stream.
    pub(in crate::dialect) fn new() -> Self {
        Self { first: true }
    }
}

impl Tap for GeminiTap {
    fn pass(&mut self, events: Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        for event in Events::new(&events, first) {
            signals.merge(Reading::of(&event).signals());
        }
        let raw = if signals.finish.is_none() { ended(events) } else { events };
        Batch { raw, events: Vec::new(), signals }
    }
}

/// An event that the connection's end cut off behind its data gets its blank line: an error has to follow it.
fn ended(events: Bytes) -> Bytes {
    if events.is_empty() || events.ends_with(b"\n") || events.ends_with(b"\r") {
        return events;
    }
    let mut whole = BytesMut::from(events.as_ref());
    whole.extend_from_slice(b"\r\n\r\n");
    whole.freeze()
}

/// Reads the signals of a whole answer. An answer without candidates and without a reason is a failure under a 200.
pub(super) fn inspect(body: &Bytes) -> Signals {
    let reading = Reading::of_json(body);
    let mut signals = reading.signals();
    if let Reading::Chunk(chunk) = &reading
        && !chunk.answers()
    {
        signals.error = Some(stream_error(body, Dialect::Gemini));
    }
    signals
}

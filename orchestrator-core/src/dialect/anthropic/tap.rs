//! Watches a stream on its way through.

use bytes::Bytes;

use super::event::Reader;
use crate::{
    call::{Batch, Signals},
    dialect::{Tap, events::Events},
};

/// The tap of Messages.
#[derive(Debug)]
pub(super) struct AnthropicTap {
    first: bool,
    reader: Reader,
}

impl AnthropicTap {
    /// A tap at the beginning of a stream.
    pub(super) fn new() -> Self {
        Self { first: true, reader: Reader::default() }
    }
}

impl Tap for AnthropicTap {
    fn pass(&mut self, events: Bytes) -> Batch {
        let first = std::mem::replace(&mut self.first, false);
        let mut signals = Signals::default();
        for event in Events::new(&events, first) {
            let (_, said) = self.reader.read(&event);
            signals.merge(said);
        }
        // Only decoders tell the tier: here it passes with the bytes.
        signals.service_tier = None;
        Batch { raw: events, events: Vec::new(), signals }
    }
}

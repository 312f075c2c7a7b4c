//! Cuts a provider's byte stream at the borders of its server-sent events.
//!
//! Only the borders matter here: what an event says is the dialect's business. A read that holds whole events, the ordinary
//! case, is handed on as it came, without a copy. Line ends may be LF, CRLF or CR (WHATWG HTML, "Server-sent events"), and a
//! read may end anywhere, also between a CR and its LF.

use bytes::{Bytes, BytesMut};
use memchr::memrchr2;

/// Cuts one stream.
#[derive(Debug)]
pub struct Framer {
    /// An event's beginning, when a read ended inside it.
    carry: BytesMut,
    max_event: usize,
}

/// An event is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge;

impl Framer {
    /// For events of at most `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self { carry: BytesMut::new(), max_event }
    }

    /// Takes what was read and gives back all whole events so far, or nothing.
    pub fn push(&mut self, chunk: Bytes) -> Result<Option<Bytes>, EventTooLarge> {
        if self.carry.is_empty() {
            return self.push_fresh(chunk);
        }
        let searched = self.carry.len();
        self.carry.extend_from_slice(&chunk);
        // A border may begin in what was there: at most two of its bytes.
        let from = searched.saturating_sub(2);
        let Some(end) = last_border(&self.carry, from) else {
            return self.check_carry().map(|()| None);
        };
        let events = self.carry.split_to(end).freeze();
        self.check_events(&events)?;
        self.check_carry()?;
        Ok(Some(events))
    }

    /// The end of the stream: an event without its blank line, if one is left.
    pub fn finish(&mut self) -> Option<Bytes> {
        let rest = self.carry.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }

    fn push_fresh(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>, EventTooLarge> {
        let Some(end) = last_border(&chunk, 0) else {
            self.carry.extend_from_slice(&chunk);
            return self.check_carry().map(|()| None);
        };
        if end < chunk.len() {
            let rest = chunk.split_off(end);
            self.carry.extend_from_slice(&rest);
            self.check_carry()?;
        }
        self.check_events(&chunk)?;
        Ok(Some(chunk))
    }

    /// Looks for the events' sizes only where one could be too large: the limit must not depend on how reads were cut.
    fn check_events(&self, events: &[u8]) -> Result<(), EventTooLarge> {
        let mut end = events.len();
        while end > self.max_event {
            let start = last_border(&events[..end - 1], 0).unwrap_or(0);
            if end - start > self.max_event {
                return Err(EventTooLarge);
            }
            end = start;
        }
        Ok(())
    }

    fn check_carry(&self) -> Result<(), EventTooLarge> {
        if self.carry.len() > self.max_event { Err(EventTooLarge) } else { Ok(()) }
    }
}

/// The byte after the last blank line at or behind `from`.
fn last_border(text: &[u8], from: usize) -> Option<usize> {
    let mut end = text.len();
    while let Some(found) = memrchr2(b'\n', b'\r', &text[from..end]) {
        let at = from + found;
        let before = &text[..at];
        let blank = match text[at] {
            b'\n' => before.ends_with(b"\n") || before.ends_with(b"\n\r") || before.ends_with(b"\r\r"),
            _ => before.ends_with(b"\r"),
        };
        if blank {
            return Some(at + 1);
        }
        end = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(text: &[u8], cuts: &[usize]) -> Vec<Bytes> {
        let mut framer = Framer::new(1 << 20);
        let mut stretches = Vec::new();
        let mut at = 0;
        for &cut in cuts.iter().chain([&text.len()]) {
            let cut = cut.clamp(at, text.len());
            stretches.extend(framer.push(Bytes::copy_from_slice(&text[at..cut])).unwrap());
            at = cut;
        }
        stretches.extend(framer.finish());
        stretches
    }

    #[test]
    fn a_read_of_whole_events_passes_without_a_copy() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let passed = Framer::new(100).push(chunk.clone()).unwrap().unwrap();
        assert_eq!(passed.as_ptr(), chunk.as_ptr());
        assert_eq!(passed, chunk);
    }

    #[test]
    fn an_event_is_handed_on_only_when_its_blank_line_has_come() {
        for line_end in ["\n", "\r\n", "\r"] {
            let text = format!("data: a{line_end}{line_end}data: b");
            let stretches = feed(text.as_bytes(), &[]);
            assert_eq!(stretches, [text.replace("data: b", ""), "data: b".into()], "{line_end:?}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut framer = Framer::new(10);
        assert_eq!(framer.push(Bytes::from_static(b"data: 0123456789")), Err(EventTooLarge));
    }

    #[test]
    fn the_limit_holds_for_each_event_of_a_read_and_not_for_the_read() {
        for line_end in ["\n", "\r\n", "\r"] {
            let events = |texts: [&str; 3]| {
                Bytes::from(texts.map(|text| format!("data: {text}{line_end}{line_end}")).concat())
            };
            let within = events(["a", "0123456", "b"]);
            assert_eq!(Framer::new(17).push(within.clone()), Ok(Some(within)), "{line_end:?}");
            let beyond = events(["a", "0123456789abcdef", "b"]);
            assert_eq!(Framer::new(17).push(beyond), Err(EventTooLarge), "{line_end:?}");
        }
    }

    proptest! {
        #[test]
        fn wherever_reads_end_no_byte_is_lost_and_each_stretch_ends_on_a_border(
            lines in prop::collection::vec("(data: [a-zé]{0,9})?", 0..20),
            line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            mut cuts in prop::collection::vec(0_usize..200, 0..30),
        ) {
            let text = lines.join(line_end);
            cuts.sort_unstable();
            let stretches = feed(text.as_bytes(), &cuts);
            prop_assert_eq!(stretches.concat(), text.as_bytes());
            for stretch in stretches.iter().rev().skip(1) {
                prop_assert!(stretch.ends_with(b"\n") || stretch.ends_with(b"\r"));
            }
        }
    }
}

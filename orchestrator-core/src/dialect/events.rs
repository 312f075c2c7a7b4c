//! Server-sent events inside a stretch of whole ones, as
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation> reads them: lines end in LF, CRLF
//! or CR, comments start with a colon, several `data` lines are one text, a byte order mark may open the stream.

use std::{borrow::Cow, ops::Range};

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Where it stands in the stretch, with the blank line that ends it and comments before it.
    pub(crate) range: Range<usize>,
    /// Its `event` field is `error`.
    pub(crate) named_error: bool,
    /// Its data; `None` for a block of comments.
    pub(crate) data: Option<Cow<'a, [u8]>>,
}

/// The events of one stretch. What follows the last blank line counts as an event too: some servers forget the blank line at
/// the end of their stream.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    stretch: &'a [u8],
    at: usize,
}

impl<'a> Events<'a> {
    /// The events of `stretch`; `first`: it opens the stream.
    pub(crate) fn new(stretch: &'a [u8], first: bool) -> Self {
        let marked = first && stretch.starts_with(BYTE_ORDER_MARK);
        Self { stretch, at: if marked { BYTE_ORDER_MARK.len() } else { 0 } }
    }

    /// The next line without its end; moves behind its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.stretch[self.at..];
        if rest.is_empty() {
            return None;
        }
        let Some(length) = memchr2(b'\n', b'\r', rest) else {
            self.at = self.stretch.len();
            return Some(rest);
        };
        let crlf = rest[length..].starts_with(b"\r\n");
        self.at += length + if crlf { 2 } else { 1 };
        Some(&rest[..length])
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let start = self.at;
        let mut event = Event { range: start..start, named_error: false, data: None };
        while let Some(line) = self.line() {
            if line.is_empty() {
                break;
            }
            if let Some(data) = field(line, b"data") {
                event.data = Some(match event.data.take() {
                    None => Cow::Borrowed(data),
                    Some(before) => Cow::Owned([&before, &b"\n"[..], data].concat()),
                });
            } else if let Some(name) = field(line, b"event") {
                event.named_error = name == b"error";
            }
        }
        event.range.end = self.at;
        (self.at > start).then_some(event)
    }
}

/// The value of a line `NAME:VALUE`, less the one space that may stand before it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(stretch: &str) -> Vec<String> {
        let events = Events::new(stretch.as_bytes(), true);
        events.filter_map(|event| Some(String::from_utf8(event.data?.into_owned()).unwrap())).collect()
    }

    #[test]
    fn every_legal_framing_is_read_alike() {
        for end in ["\n", "\r\n", "\r"] {
            let text =
                "\u{feff}: hi||data: a||:x|data:b|id: 1|data:  c||event: error|data: d".replace('|', end);
            assert_eq!(data(&text), ["a", "b\n c", "d"], "{end:?}");
        }
    }

    #[test]
    fn ranges_cover_the_stretch_without_a_gap() {
        let stretch = b": c\n\ndata: a\r\n\r\n\nevent: error\ndata: b";
        let events: Vec<Event<'_>> = Events::new(stretch, true).collect();
        let ranges: Vec<Range<usize>> = events.iter().map(|event| event.range.clone()).collect();
        assert_eq!(ranges, [0..5, 5..16, 16..17, 17..37]);
        assert_eq!(
            events.iter().map(|event| event.named_error).collect::<Vec<_>>(),
            [false, false, false, true]
        );
    }
}

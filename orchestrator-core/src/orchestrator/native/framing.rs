//! How a stream's events are laid on the wire. Dialects write server-sent events; a caller of Gemini who did not ask for them
//! (`alt=sse`) gets the same events as the elements of one JSON array, each as soon as it is there.

use bytes::Bytes;

use crate::{
    attempt::Job,
    call::Input,
    dialect::{Wire, events::Events},
};

/// One stream's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As the dialect writes them.
    Events,
    /// An array, of which nothing was written yet.
    Array,
    /// An array that holds something.
    OpenArray,
    /// An array that is over.
    Closed,
}

impl Framing {
    /// What the request's path asks for.
    pub(super) fn of(job: &Job) -> Self {
        match &job.input {
            Input::Native { path, .. } if path.json_array => Self::Array,
            _ => Self::Events,
        }
    }

    /// Whole events as they go out. Comments have no place in an array.
    pub(super) fn frame(&mut self, events: Bytes) -> Bytes {
        if *self == Self::Events {
            return events;
        }
        let mut out: Vec<u8> = Vec::with_capacity(events.len());
        for data in Events::new(&events, *self == Self::Array).filter_map(|event| event.data) {
            let begin: &[u8] = if *self == Self::Array { b"[" } else { b",\r\n" };
            out.extend_from_slice(begin);
            out.extend_from_slice(&data);
            *self = Self::OpenArray;
        }
        Bytes::from(out)
    }

    /// What closes the stream; `None` when all is said.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        let end: &'static [u8] = match self {
            Self::Events | Self::Closed => return None,
            Self::Array => b"[]",
            Self::OpenArray => b"]",
        };
        *self = Self::Closed;
        Some(Bytes::from_static(end))
    }

    /// What keeps a silent stream's connection open: between the elements of an array white space means nothing.
    pub(super) fn idle_bytes(self, wire: &dyn Wire) -> Option<Bytes> {
        match self {
            Self::Events => wire.idle_bytes(),
            Self::Array | Self::OpenArray => Some(Bytes::from_static(b"\n")),
            Self::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(stretches: &[&'static str]) -> String {
        let mut framing = Framing::Array;
        let mut out = Vec::new();
        for stretch in stretches {
            out.extend_from_slice(&framing.frame(Bytes::from_static(stretch.as_bytes())));
            out.extend(framing.idle_bytes(crate::dialect::Dialect::Gemini.wire()).unwrap());
        }
        out.extend(framing.end().unwrap());
        assert_eq!(framing.end(), None);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_become_the_elements_of_an_array_however_they_come() {
        let whole = framed(&["data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n"]);
        let split = framed(&["data: {\"a\":1}\r\n\r\n", ": quiet\n\n", "data: {\"b\":2}\r\n\r\n"]);
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&whole), json(&split));
        assert_eq!(json(&whole), serde_json::json!([{"a": 1}, {"b": 2}]));
        assert_eq!(json(&framed(&[])), serde_json::json!([]));
    }
}

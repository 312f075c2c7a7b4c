//! W3C Trace Context: how a trace crosses the border between two programs (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

/// The header, or the metadata, that carries a [`TraceParent`].
pub const TRACEPARENT: &str = "traceparent";
/// The header that carries what tracing systems say to themselves along the way. It is passed on as it came.
pub const TRACESTATE: &str = "tracestate";

/// The longest `tracestate` that is passed on: what every participant should be able to carry
/// (<https://www.w3.org/TR/trace-context/#tracestate-limits>).
const LONGEST_STATE: usize = 512;
/// The flag that says that the caller records its part.
const SAMPLED: u8 = 1;

/// A trace's id: 32 lower-case hexadecimal digits, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub(super) u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where in which trace a request comes from. Prints as version 00 of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    flags: u8,
}

impl TraceParent {
    pub(super) fn new(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self { trace_id, span_id, flags: u8::from(sampled) }
    }

    /// Reads `VERSION-TRACE-PARENT-FLAGS`; a later version may say more behind it. `None` for what is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        let is_known = version != 0 || parts.next().is_none();
        let trace_id = hex(trace, 32).filter(|id| *id != 0)?;
        let span_id = u64::try_from(hex(parent, 16)?).ok().filter(|id| *id != 0)?;
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        (is_known && version != 0xff).then_some(Self { trace_id, span_id, flags })
    }

    /// The trace.
    pub fn trace_id(self) -> TraceId {
        TraceId(self.trace_id)
    }

    /// Whether the caller records its part.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// So many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// A `tracestate` as it is passed on: visible ASCII and spaces, of a bounded length.
pub(super) fn state(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_fit =
        (1..=LONGEST_STATE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_fit.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_is_taken_from_a_well_formed_parent_alone() {
        let id = |text: &str| TraceParent::parse(text).map(|parent| parent.trace_id().to_string());
        assert_eq!(id(&format!("00-{ID}-00f067aa0ba902b7-01")).as_deref(), Some(ID));
        let later = format!("cc-{ID}-00f067aa0ba902b7-01-later-versions-say-more");
        assert_eq!(id(&later).as_deref(), Some(ID));
        let zeros = "0".repeat(32);
        for wrong in [
            "",
            ID,
            &format!("ff-{ID}-00f067aa0ba902b7-01"),
            &format!("00-{ID}-00f067aa0ba902b7-01-more"),
            &format!("00-{ID}-00f067aa0ba902b7-1"),
            &format!("00-{ID}-00f067aa0ba902b7"),
            &format!("00-{ID}-0000000000000000-01"),
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            &format!("00-{ID}-00f067aa-01"),
        ] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_passed_on_is_what_came() {
        for text in [format!("00-{ID}-00f067aa0ba902b7-01"), format!("00-{ID}-00f067aa0ba902b7-02")] {
            let parent = TraceParent::parse(&text).unwrap();
            assert_eq!(parent.to_string(), text);
            assert_eq!(parent.is_sampled(), text.ends_with("01"));
        }
        assert_eq!(state(" vendor=a,other=b "), Some("vendor=a,other=b"));
        let long = "a".repeat(513);
        for wrong in ["", " ", "a\u{e9}", &*long] {
            assert_eq!(state(wrong), None, "{wrong}");
        }
    }
}

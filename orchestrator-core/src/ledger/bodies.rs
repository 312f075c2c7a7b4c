//! A request's body and its answer's, kept with the record where the caller's key or a setting wants it, each up to a size.
//!
//! The request is kept as it was received, the answer as it was sent, in the caller's dialect. The typed plane has no bodies. Where
//! nothing is kept nothing is copied.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use orchestrator_base::config;

use super::record::{BodiesRecord, BodyRecord};
use crate::{call::Input, catalog::ApiKey};

/// Whose bodies are kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyRules {
    /// Everybody's, whatever their keys say.
    all: bool,
    /// The most bytes of each body.
    max_bytes: usize,
}

impl BodyRules {
    /// As configured.
    pub fn new(settings: &config::Bodies) -> Self {
        Self { all: settings.keep, max_bytes: settings.max_bytes }
    }

    /// What is to be kept of a request with this key; `None`: nothing. `traced`: so much of each body goes onto its span.
    pub(super) fn begin(self, key: &ApiKey, input: &Input, traced: Option<usize>) -> Option<Box<Bodies>> {
        let logged = (self.all || key.log_bodies).then_some(self.max_bytes);
        let Input::Native { body, .. } = input else { return None };
        let max = logged.max(traced)?;
        let request = body.clone();
        Some(Box::new(Bodies { request, answer: Vec::new(), answer_bytes: 0, max, logged, traced }))
    }
}

/// The bodies of a request that runs.
#[derive(Debug)]
pub(super) struct Bodies {
    request: Bytes,
    /// The answer's beginning.
    answer: Vec<u8>,
    /// How long it is so far.
    answer_bytes: u64,
    /// How much of it is kept.
    max: usize,
    /// How much of each is written down; `None`: nothing.
    logged: Option<usize>,
    /// How much of each goes onto the request's span; `None`: nothing.
    traced: Option<usize>,
}

impl Bodies {
    /// A part of the answer is sent.
    pub(super) fn sent(&mut self, part: &[u8]) {
        self.answer_bytes += part.len() as u64;
        let room = self.max.saturating_sub(self.answer.len()).min(part.len());
        self.answer.extend_from_slice(&part[..room]);
    }

    /// As they are written down.
    pub(super) fn record(&self) -> Option<BodiesRecord> {
        self.logged.map(|max| self.up_to(max))
    }

    /// As they go onto the request's span.
    pub(super) fn traced(&self) -> Option<BodiesRecord> {
        self.traced.map(|max| self.up_to(max))
    }

    fn up_to(&self, max: usize) -> BodiesRecord {
        let (request, answer) = (&self.request, &self.answer);
        BodiesRecord {
            request: body(&request[..request.len().min(max)], request.len() as u64),
            response: body(&answer[..answer.len().min(max)], self.answer_bytes),
        }
    }
}

/// The beginning of a body of so many bytes: as text if it is one, for a character that was cut does not matter.
fn body(kept: &[u8], bytes: u64) -> BodyRecord {
    let text = match std::str::from_utf8(kept) {
        Ok(text) => Some(text),
        Err(cut) if cut.error_len().is_none() && bytes > kept.len() as u64 => {
            std::str::from_utf8(&kept[..cut.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    // Not every database's texts can hold a NUL.
    match text.filter(|text| !text.contains('\0')) {
        Some(text) => BodyRecord { text: text.to_owned(), base64: false, bytes },
        None => BodyRecord { text: STANDARD.encode(kept), base64: true, bytes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_up_to_its_bound_as_text_if_it_is_one() {
        let kept = |bytes: &[u8], all: u64| {
            let BodyRecord { text, base64, bytes } = body(bytes, all);
            (text, base64, bytes)
        };
        assert_eq!(kept("née".as_bytes(), 4), ("née".to_owned(), false, 4));
        assert_eq!(kept(b"n\xc3", 9), ("n".to_owned(), false, 9), "a character was cut");
        assert_eq!(kept(b"n\xc3", 2), ("bsM=".to_owned(), true, 2), "it never was a character");
        assert_eq!(kept(b"\xff", 1), ("/w==".to_owned(), true, 1));
        assert_eq!(kept(b"\0", 1), ("AA==".to_owned(), true, 1));
    }

    #[test]
    fn an_answer_is_counted_whole_and_kept_in_part() {
        let (request, logged, traced) = (Bytes::from_static(b"abcdef"), Some(4), Some(2));
        let mut bodies = Bodies { request, answer: Vec::new(), answer_bytes: 0, max: 4, logged, traced };
        for part in ["12", "345", "6789"] {
            bodies.sent(part.as_bytes());
        }
        let BodiesRecord { request, response } = bodies.traced().unwrap();
        assert_eq!((&*request.text, &*response.text, response.bytes), ("ab", "12", 9));
        let BodiesRecord { request, response } = bodies.record().unwrap();
        assert_eq!((&*request.text, request.bytes), ("abcd", 6));
        assert_eq!((&*response.text, response.bytes), ("1234", 9));
    }
}

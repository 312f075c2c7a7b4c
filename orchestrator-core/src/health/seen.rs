//! What one attempt at a provider has shown of it.

use std::time::Duration;

use crate::error::{Blame, Error, ErrorKind};

/// The longest message that is kept, in bytes.
const LONGEST_MESSAGE: usize = 500;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It is alive: it answered, even if only that we ask too much, or that the request is wrong.
    pub good: bool,
    /// Its HTTP status; 0: there was no answer.
    pub status: u16,
    /// How long the answer took, to its first content.
    pub latency_ms: u64,
    /// What went wrong.
    pub error: Option<String>,
    /// A probe saw it, not a request.
    pub probe: bool,
    /// It was counted as good when it began to answer, and was not.
    pub revoked: bool,
}

impl Seen {
    /// It did what it was asked.
    pub fn answer(status: u16, latency: Duration) -> Self {
        Self { good: true, status, latency_ms: millis(latency), ..Self::default() }
    }

    /// It failed without a word.
    pub fn silence(why: &str, latency: Duration) -> Self {
        Self { latency_ms: millis(latency), error: Some(why.to_owned()), ..Self::default() }
    }

    /// Its stream broke off after it had begun.
    pub fn broken_stream(latency: Duration) -> Self {
        let broken = Self::silence("the provider broke off in the middle of its answer", latency);
        Self { status: 200, revoked: true, ..broken }
    }

    /// What a failed attempt shows; `None`: nothing, for the failure is our own or the caller's.
    ///
    /// A provider that says 429, or that the request is wrong, is alive. One that does not know the model is too, if it says so in
    /// its dialect: a 404 page comes from whatever stands at a wrong address.
    pub fn failure(error: &Error, latency: Duration) -> Option<Self> {
        let Some(upstream) = error.upstream.as_deref() else {
            return (error.blame() == Blame::Provider).then(|| Self::silence(&error.message, latency));
        };
        let status = upstream.status;
        let refusal = error.rejects_key();
        let alive = match error.kind {
            ErrorKind::RateLimited => true,
            ErrorKind::NotFound => !upstream.body.is_empty(),
            _ if refusal => false,
            _ => error.blame() == Blame::Caller && status >= 400,
        };
        if !alive && !refusal && error.blame() != Blame::Provider {
            return None;
        }
        // Vendors quote keys, more or less masked, in what they say of them.
        let message = if refusal { "the provider does not take the key" } else { &error.message };
        // Gemini says 400 of a key that it does not take.
        let status = if refusal && !matches!(status, 401..=403) { 401 } else { status };
        Some(Self { good: alive, status, ..Self::silence(message, latency) })
    }

    /// The same, as a probe saw it.
    pub fn by_probe(self) -> Self {
        Self { probe: true, ..self }
    }

    /// It does not take the key.
    pub fn is_refusal(&self) -> bool {
        !self.good && matches!(self.status, 401..=403)
    }

    /// It did what it was asked, so that its time says something.
    pub fn answered(&self) -> bool {
        self.good && (200..300).contains(&self.status)
    }
}

fn millis(latency: Duration) -> u64 {
    u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)
}

/// A message that can be kept and shown: on one line, and not too long.
pub(super) fn bounded(message: &str) -> String {
    let mut kept = String::with_capacity(message.len().min(LONGEST_MESSAGE));
    for letter in message.chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        if kept.len() + letter.len_utf8() > LONGEST_MESSAGE {
            break;
        }
        kept.push(letter);
    }
    kept
}

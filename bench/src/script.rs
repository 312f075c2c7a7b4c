//! What travels between the load generator and the upstream, made so that every loss is seen.
//!
//! A request's first message begins with a script that says what to answer: `[[bench 7 1024 100 280 20000]] …`. It travels
//! through whatever is measured as part of an ordinary Chat Completions body. What comes back repeats the request's number,
//! counts its chunks and carries checksums, so that an answer that was lost, altered, doubled or handed to the wrong caller is
//! an error and not a fast request. Chunks carry the time at which they were made, for one machine has one clock.

pub(crate) mod answer;
pub(crate) mod check;
pub(crate) mod request;

use std::fmt;

/// What a request tells the upstream to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// The request's number.
    pub(crate) seq: u64,
    /// About how many bytes a whole answer has.
    pub(crate) answer_bytes: usize,
    /// How many chunks of content a streamed answer has; 0: the answer is whole.
    pub(crate) chunks: u64,
    /// About how many bytes the event of a chunk has.
    pub(crate) chunk_bytes: usize,
    /// Microseconds between two chunks; 0: as fast as they are taken.
    pub(crate) pace_us: u64,
}

const OPENING: &str = "[[bench ";
const CLOSING: &str = "]] ";

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, answer_bytes, chunks, chunk_bytes, pace_us } = self;
        // The number has one width, so that bodies of one size stay of one size.
        write!(f, "{OPENING}{seq:012} {answer_bytes} {chunks} {chunk_bytes} {pace_us}{CLOSING}")
    }
}

impl Script {
    /// Finds the script in a request's body, and the text that follows it in the same string. `None`: there is none.
    pub(crate) fn find(body: &[u8]) -> Option<(Self, &[u8])> {
        let from = memchr::memmem::find(body, OPENING.as_bytes())? + OPENING.len();
        let to = from + memchr::memmem::find(&body[from..], CLOSING.as_bytes())?;
        let mut numbers = std::str::from_utf8(&body[from..to]).ok()?.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let script = Self {
            seq: next()?,
            answer_bytes: next()? as usize,
            chunks: next()?,
            chunk_bytes: next()? as usize,
            pace_us: next()?,
        };
        let text = &body[to + CLOSING.len()..];
        let text = &text[..memchr::memchr(b'"', text)?];
        Some((script, text))
    }
}

/// `length` bytes of text for a JSON string: words, and a line break's escape now and then. No quotes and no `;`.
pub(crate) fn filler(length: usize) -> String {
    const SENTENCE: &str = "It was the best of times and it was the worst of benchmarks. \\n";
    let mut text = SENTENCE.repeat(length / SENTENCE.len());
    // What is left over has no escape that could be cut in half.
    text.extend(std::iter::repeat_n('x', length - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_in_a_body_with_the_text_behind_it() {
        let script = Script { seq: 7, answer_bytes: 1024, chunks: 3, chunk_bytes: 280, pace_us: 20_000 };
        let body = format!("{{\"model\":\"m\",\"messages\":[{{\"content\":\"{script}some text\"}}]}}");
        assert_eq!(Script::find(body.as_bytes()), Some((script, &b"some text"[..])));
        assert_eq!(Script::find(b"{\"content\":\"[[bench 7 x 3]] \"}"), None);
        assert_eq!(Script::find(b"{}"), None);
    }

    #[test]
    fn filler_has_the_length_that_was_asked_for_and_is_json_text() {
        for length in [0, 1, 62, 63, 64, 1000] {
            let text = filler(length);
            assert_eq!(text.len(), length);
            assert!(serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok());
        }
    }
}

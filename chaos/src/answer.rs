//! What a provider says: an answer in OpenAI's words that carries its own number, and each way to spoil it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use orchestrator_base::clock::Clock;
use orchestrator_testkit::provider::{Answer, Cut, Piece};
use serde_json::{Value, json};

use crate::{gateway::MAX_EVENT_BYTES, kind::Kind};

/// Between two pieces of a stream.
const PACE: Duration = Duration::from_millis(10);
/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(100);
/// How many zeros a gzip bomb unpacks to.
const BOMB_BYTES: usize = 1 << 20;

/// What is asked for, and the number under which it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// Unique over all providers.
    pub(crate) number: u64,
    /// Whether a stream is wanted.
    pub(crate) stream: bool,
    /// Whether the stream should say what was used.
    pub(crate) with_usage: bool,
    /// Tokens that the answer says were read.
    pub(crate) prompt: u64,
    /// Tokens that the answer says were written.
    pub(crate) completion: u64,
}

impl Told {
    /// With as many tokens as its number makes.
    pub(crate) fn numbered(number: u64, stream: bool, with_usage: bool) -> Self {
        Self { number, stream, with_usage, prompt: 100 + number % 911, completion: 5 + number % 577 }
    }

    /// The answer as it should be.
    pub(crate) fn in_order(self) -> Answer {
        if self.stream { Answer::sse(self.chunks()).pace(PACE) } else { Answer::json(200, &self.whole()) }
    }

    fn usage(self) -> Value {
        let Self { prompt, completion, .. } = self;
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    }

    fn id(self) -> String {
        format!("chatcmpl-{}", self.number)
    }

    fn whole(self) -> Value {
        let message = json!({"role": "assistant", "content": text(self.number), "refusal": null});
        json!({
            "id": self.id(), "object": "chat.completion", "created": 1, "model": "chaos-1",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
            "usage": self.usage(),
        })
    }

    /// The payloads of the stream's events: who speaks, four pieces of text, why it stops, what was used.
    fn chunks(self) -> Vec<String> {
        let chunk = |choices: Value, usage: Value| {
            let mut chunk = json!({
                "id": self.id(), "object": "chat.completion.chunk", "created": 1, "model": "chaos-1", "choices": choices,
            });
            if self.with_usage {
                chunk["usage"] = usage;
            }
            chunk.to_string()
        };
        let choice = |delta: Value, finish: Value| {
            chunk(
                json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
                Value::Null,
            )
        };
        let mut chunks =
            vec![choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)];
        chunks.extend(pieces(self.number).iter().map(|piece| choice(json!({"content": piece}), Value::Null)));
        chunks.push(choice(json!({}), json!("stop")));
        if self.with_usage {
            chunks.push(chunk(json!([]), self.usage()));
        }
        chunks
    }

    /// How many bytes of the stream come before the end of its first event's half, or of its second piece of text's half.
    fn bytes_until(self, after_content: bool) -> usize {
        let chunks = self.chunks();
        let event = |chunk: &String| "data: \n\n".len() + chunk.len();
        let before: usize = if after_content { chunks.iter().take(2).map(event).sum() } else { 0 };
        before + chunks[0].len() / 2
    }

    /// The answer in order, and how many of its bytes are sent before something happens to it.
    fn broken(self, after_content: bool) -> (Answer, usize) {
        let answer = self.in_order();
        let bytes = if self.stream { self.bytes_until(after_content) } else { answer.body_bytes().len() / 2 };
        (answer, bytes)
    }

    /// The answer of a provider with whom something is wrong, and whether it is told to its end all the same.
    pub(crate) fn spoiled(self, kind: Kind, clock: &Clock) -> (Answer, bool) {
        let (before, early) = self.broken(false);
        let (after, late) = self.broken(true);
        let answer = match kind {
            Kind::Status500 => Answer::error(500),
            Kind::Status502 => Answer::html(),
            Kind::Status503 => Answer::error(503),
            Kind::Status529 => Answer::error(529),
            Kind::WaitSeconds => throttled("1"),
            Kind::WaitDate => throttled(&date(clock)),
            Kind::WaitNegative => throttled("-5"),
            Kind::KeyWaitHuge => throttled("1000000000"),
            Kind::Key401 => Answer::error(401),
            Kind::Key402 => Answer::error(402),
            Kind::Key403 => Answer::error(403),
            Kind::NotFound => Answer::error(404),
            Kind::DownReset | Kind::ResetBeforeHead => Answer::reset_before_headers(),
            Kind::DownSilent | Kind::SilentBeforeHead => Answer::silence(),
            Kind::ResetAfterHead => before.reset_after(0),
            Kind::ResetBeforeContent => before.reset_after(early),
            Kind::ResetAfterContent => after.reset_after(late),
            Kind::FinBeforeContent => before.fin_after(early),
            Kind::FinAfterContent => after.fin_after(late),
            Kind::WrongLength => self.wrong_length(),
            Kind::BadChunk if self.stream => before.bad_chunk_after(early),
            Kind::BadChunk => Answer::stream("application/json", before.body_bytes()).bad_chunk_after(early),
            Kind::SilentAfterHead => before.stall_after(0),
            Kind::StallAfterContent => after.stall_after(late),
            Kind::Drip => before.cut(&Cut::EveryByte).pace(DRIP),
            Kind::Malformed => self.malformed(),
            Kind::TooLarge => self.too_large(),
            Kind::GzipBomb => {
                Answer::whole(200, self.content_type(), gzip_of_zeros()).header("content-encoding", "gzip")
            }
            Kind::ErrorUnder200 => Answer::error(500).status(200),
            Kind::ErrorBeforeContent if self.stream => Answer::sse_error_first(),
            Kind::ErrorBeforeContent => Answer::error(503).status(200),
            Kind::ErrorAfterContent => self.error_after_content(),
            Kind::Html200 => Answer::html().status(200),
            Kind::CrOnly | Kind::Bom | Kind::SplitCodePoints => return (self.odd(kind), true),
        };
        (answer, false)
    }

    fn content_type(self) -> &'static str {
        if self.stream { "text/event-stream; charset=utf-8" } else { "application/json" }
    }

    /// More than there is, or, of every other whole answer, less: half a JSON object that ends as it was announced.
    fn wrong_length(self) -> Answer {
        let bytes = self.in_order().body_bytes();
        let length = bytes.len() as u64;
        if self.stream {
            let begun = bytes.slice(..self.bytes_until(false));
            return Answer::whole(200, self.content_type(), begun).claiming_length(length);
        }
        let claimed = if self.number.is_multiple_of(2) { length + 100 } else { length / 2 };
        Answer::whole(200, self.content_type(), bytes).claiming_length(claimed)
    }

    fn malformed(self) -> Answer {
        let half = format!(r#"{{"id":"{}","choices":[{{"index":0,"delta":{{"content":"gr"#, self.id());
        let body = if self.stream { format!("data: {half}\n\n") } else { half };
        Answer::whole(200, self.content_type(), body)
    }

    fn too_large(self) -> Answer {
        let filler = "x".repeat(2 * MAX_EVENT_BYTES);
        let body = format!(r#"{{"id":"{}","choices":[],"filler":"{filler}"}}"#, self.id());
        let body = if self.stream { format!("data: {body}\n\n") } else { body };
        Answer::stream(self.content_type(), body)
    }

    fn error_after_content(self) -> Answer {
        if !self.stream {
            return Answer::error(500).status(200);
        }
        let error = r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#;
        let told = self.chunks().into_iter().take(3).chain([error.to_owned()]);
        let pieces = told.map(|payload| Piece::Data(format!("data: {payload}\n\n").into()));
        Answer::pieces(pieces.collect()).pace(PACE)
    }

    /// As the standards allow and hardly anybody does.
    fn odd(self, kind: Kind) -> Answer {
        let bytes = self.in_order().body_bytes();
        let of_bytes = |bytes: Vec<u8>| Answer::stream(self.content_type(), bytes).cut(&Cut::Sizes(vec![97]));
        match kind {
            Kind::CrOnly => {
                of_bytes(bytes.iter().map(|byte| if *byte == b'\n' { b'\r' } else { *byte }).collect())
            }
            // A mark is the streams' affair: JSON has none (RFC 8259 §8.1).
            Kind::Bom if self.stream => of_bytes([b"\xEF\xBB\xBF", &*bytes].concat()),
            _ => Answer::stream(self.content_type(), bytes).cut(&Cut::Seeded(self.number)),
        }
    }
}

/// What the answer with that number says.
pub(crate) fn text(number: u64) -> String {
    pieces(number).concat()
}

/// The number of the answer that a text begins.
pub(crate) fn number_in(text: &str) -> Option<u64> {
    text.strip_prefix("answer ")?.split_once(':')?.0.parse().ok()
}

fn pieces(number: u64) -> [String; 4] {
    [
        format!("answer {number}:"),
        " grüße 👋".to_owned(),
        format!(" — {} —", number % 97),
        " 次 end".to_owned(),
    ]
}

fn throttled(retry_after: &str) -> Answer {
    Answer::error(429).header("retry-after", retry_after)
}

/// Two seconds from now, as HTTP writes it (RFC 9110 §5.6.7).
fn date(clock: &Clock) -> String {
    let seconds = clock.now().as_seconds() + 2;
    let moment = Timestamp::from_second(seconds).unwrap_or_default();
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// [`BOMB_BYTES`] zeros as gzip (RFC 1952): one block with the fixed codes of RFC 1951 §3.2.6, a zero and then repetitions of it.
fn gzip_of_zeros() -> Bytes {
    const LONGEST: usize = 258;
    let mut bits = Bits::default();
    // The last block, with the fixed codes; lowest bits first.
    bits.push(&[1, 1, 0]);
    // The literal 0 is 00110000.
    bits.push(&[0, 0, 1, 1, 0, 0, 0, 0]);
    for _ in 0..(BOMB_BYTES - 1) / LONGEST {
        // Length 258 is 11000101, and distance 1 is 00000.
        bits.push(&[1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
    bits.push(&[0; 7]);
    // The sums at the end are left out: whoever unpacks it has unpacked it by then.
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    [&head[..], &bits.bytes].concat().into()
}

/// Bits in deflate's order: the first is a byte's lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, bits: &[u8]) {
        for bit in bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (self.used % 8);
            }
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_which_answer_it_is() {
        assert_eq!(number_in(&text(1234)), Some(1234));
        assert_eq!(number_in("something else"), None);
    }

    #[test]
    fn the_bomb_begins_as_gzip_does_and_is_small() {
        let bomb = gzip_of_zeros();
        assert!(bomb.starts_with(&[0x1f, 0x8b, 8]));
        assert!(bomb.len() < BOMB_BYTES / 100, "{}", bomb.len());
    }

    #[test]
    fn what_breaks_before_content_has_none_and_what_breaks_after_it_has_some() {
        let told = Told::numbered(7, true, true);
        let sent = |kind| told.spoiled(kind, &Clock::system()).0.body_bytes();
        let has_text = |bytes: Bytes| String::from_utf8_lossy(&bytes).contains("answer 7:");
        assert!(!has_text(sent(Kind::ResetBeforeContent)) && has_text(sent(Kind::ResetAfterContent)));
        assert!(!has_text(sent(Kind::ErrorBeforeContent)) && has_text(sent(Kind::ErrorAfterContent)));
    }
}

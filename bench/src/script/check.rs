//! Reads answers as strictly as they were made: every chunk once, in order, unaltered, for the right request, and the end.

use super::Script;

/// What is wrong with an answer. One is enough for the request to count as an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// An event or a body that the upstream did not make.
    #[error("an answer that was not made by the upstream")]
    Foreign,
    /// The checksum does not fit.
    #[error("altered content")]
    Altered,
    /// The content of another request.
    #[error("another request's content")]
    Misdirected,
    /// A prompt that did not arrive as it was sent.
    #[error("the prompt was altered on the way")]
    PromptAltered,
    /// A chunk is missing, doubled, or out of order.
    #[error("chunk {found} where {expected} was due")]
    OutOfOrder {
        /// The index that was due.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// The stream ended before its terminator, or went on behind it.
    #[error("the stream did not end where it should")]
    Ended,
}

const CONTENT: &[u8] = b"\"content\":\"";

/// Checks a whole answer.
pub(crate) fn whole(body: &[u8], script: &Script, prompt_crc: u32) -> Result<(), Fault> {
    let mut fields = content_of(body)?;
    let (seq, prompt) = (fields.next(), fields.next());
    if seq.and_then(number) != Some(script.seq) {
        return Err(Fault::Misdirected);
    }
    if prompt != Some(format!("{prompt_crc:08x}").as_bytes()) {
        return Err(Fault::PromptAltered);
    }
    Ok(())
}

/// Checks a stream as it comes.
#[derive(Debug)]
pub(crate) struct StreamCheck {
    seq: u64,
    chunks: u64,
    next: u64,
    finished: bool,
    done: bool,
    /// The beginning of an event whose end has not come yet.
    partial: Vec<u8>,
}

impl StreamCheck {
    /// For the answer to `script`.
    pub(crate) fn new(script: &Script) -> Self {
        Self {
            seq: script.seq,
            chunks: script.chunks,
            next: 0,
            finished: false,
            done: false,
            partial: Vec::new(),
        }
    }

    /// Takes the next bytes, cut anywhere; tells `on_chunk` when each whole chunk in them was made.
    pub(crate) fn push(&mut self, bytes: &[u8], mut on_chunk: impl FnMut(i64)) -> Result<(), Fault> {
        if !self.partial.is_empty() {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            return self.events(&joined, &mut on_chunk);
        }
        self.events(bytes, &mut on_chunk)
    }

    /// Whether the stream, which is over, was whole.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.done && self.partial.is_empty() { Ok(()) } else { Err(Fault::Ended) }
    }

    fn events(&mut self, mut bytes: &[u8], on_chunk: &mut impl FnMut(i64)) -> Result<(), Fault> {
        while let Some(length) = memchr::memmem::find(bytes, b"\n\n") {
            self.event(&bytes[..length], on_chunk)?;
            bytes = &bytes[length + 2..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn event(&mut self, event: &[u8], on_chunk: &mut impl FnMut(i64)) -> Result<(), Fault> {
        // Server-sent events may carry comments, which say nothing.
        if event.starts_with(b":") {
            return Ok(());
        }
        let data = event.strip_prefix(b"data: ").ok_or(Fault::Foreign)?;
        if self.done {
            return Err(Fault::Ended);
        }
        if data == b"[DONE]" {
            self.done = true;
            return if self.finished { Ok(()) } else { Err(Fault::Ended) };
        }
        if memchr::memmem::find(data, b"\"delta\":{},\"finish_reason\":\"stop\"").is_some() {
            let due = self.next == self.chunks && !self.finished;
            self.finished = true;
            return if due {
                Ok(())
            } else {
                Err(Fault::OutOfOrder { expected: self.next, found: self.chunks })
            };
        }
        self.chunk(data, on_chunk)
    }

    fn chunk(&mut self, data: &[u8], on_chunk: &mut impl FnMut(i64)) -> Result<(), Fault> {
        let mut fields = content_of(data)?;
        if fields.next().and_then(number) != Some(self.seq) {
            return Err(Fault::Misdirected);
        }
        let found = fields.next().and_then(number).ok_or(Fault::Foreign)?;
        let made_at = fields.next().and_then(number).ok_or(Fault::Foreign)?;
        if found != self.next || self.finished {
            return Err(Fault::OutOfOrder { expected: self.next, found });
        }
        self.next += 1;
        on_chunk(made_at as i64);
        Ok(())
    }
}

/// The fields of a content whose checksum fits, from the second on.
fn content_of(json: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Fault> {
    let from = memchr::memmem::find(json, CONTENT).ok_or(Fault::Foreign)? + CONTENT.len();
    let to = from + memchr::memchr(b'"', &json[from..]).ok_or(Fault::Foreign)?;
    let content = &json[from..to];
    let seal = content.len().checked_sub(8).ok_or(Fault::Foreign)?;
    let (sealed, crc) = content.split_at(seal);
    if format!("{:08x}", crc32fast::hash(sealed)).as_bytes() != crc {
        return Err(Fault::Altered);
    }
    Ok(content.split(|byte| *byte == b';').skip(1))
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::answer;

    const SCRIPT: Script = Script { seq: 9, answer_bytes: 1024, chunks: 3, chunk_bytes: 280, pace_us: 0 };

    fn events() -> Vec<String> {
        let filler = answer::chunk_filler(&SCRIPT);
        let mut events: Vec<String> =
            (0..3).map(|index| answer::chunk(SCRIPT.seq, index, 1000 + index as i64, &filler)).collect();
        events.push(answer::end(false));
        events
    }

    fn check(events: &[String]) -> Result<Vec<i64>, Fault> {
        let mut made = Vec::new();
        let mut check = StreamCheck::new(&SCRIPT);
        check.push(events.concat().as_bytes(), |at| made.push(at))?;
        check.end().map(|()| made)
    }

    #[test]
    fn a_whole_stream_passes_however_it_is_cut() {
        assert!((240..=280).contains(&events()[0].len()), "{}", events()[0].len());
        let text = events().concat();
        for size in [1, 7, 100, 10_000] {
            let mut made = Vec::new();
            let mut check = StreamCheck::new(&SCRIPT);
            for piece in text.as_bytes().chunks(size) {
                check.push(piece, |at| made.push(at)).unwrap();
            }
            assert_eq!((check.end(), made), (Ok(()), vec![1000, 1001, 1002]), "pieces of {size}");
        }
    }

    #[test]
    fn a_lost_an_altered_a_doubled_and_a_foreign_chunk_are_caught() {
        let whole = events();
        assert_eq!(check(&whole), Ok(vec![1000, 1001, 1002]));

        let lost = [&whole[..1], &whole[2..]].concat();
        assert_eq!(check(&lost), Err(Fault::OutOfOrder { expected: 1, found: 2 }));
        let last_lost = [&whole[..2], &whole[3..]].concat();
        assert_eq!(check(&last_lost), Err(Fault::OutOfOrder { expected: 2, found: 3 }));
        let doubled = [&whole[..2], &whole[1..]].concat();
        assert_eq!(check(&doubled), Err(Fault::OutOfOrder { expected: 2, found: 1 }));

        let mut altered = whole.clone();
        altered[1] = altered[1].replacen(";1;", ";7;", 1);
        assert_eq!(check(&altered), Err(Fault::Altered));

        let mut misdirected = whole.clone();
        misdirected[1] = answer::chunk(8, 1, 1001, "");
        assert_eq!(check(&misdirected), Err(Fault::Misdirected));

        let unasked_usage = [&whole[..3], &[answer::end(true)]].concat();
        assert_eq!(check(&unasked_usage), Err(Fault::Foreign));
    }

    #[test]
    fn a_stream_that_does_not_end_is_caught_and_so_is_one_that_goes_on() {
        let mut cut = events();
        cut[3] = cut[3].replace("data: [DONE]\n\n", "");
        assert_eq!(check(&cut), Err(Fault::Ended));
        let goes_on = [events(), events()].concat();
        assert_eq!(check(&goes_on), Err(Fault::Ended));
    }

    #[test]
    fn a_whole_answer_is_checked_for_its_request_and_its_prompt() {
        let body = answer::whole(&SCRIPT, 0xabcd);
        assert!((980..=1024).contains(&body.len()), "{}", body.len());
        assert_eq!(whole(body.as_bytes(), &SCRIPT, 0xabcd), Ok(()));
        assert_eq!(whole(body.as_bytes(), &SCRIPT, 0xabce), Err(Fault::PromptAltered));
        assert_eq!(whole(body.as_bytes(), &Script { seq: 10, ..SCRIPT }, 0xabcd), Err(Fault::Misdirected));
        assert_eq!(whole(body.replace("best", "BEST").as_bytes(), &SCRIPT, 0xabcd), Err(Fault::Altered));
    }
}

//! What the events of one stream have in common.
//!
//! A provider writes one chunk like the next: the same members in the same order, and only a few texts differ. An event that
//! is, outside those texts, byte for byte an earlier one that carried no signal, carries none either. To see that takes a few
//! comparisons, a fifth of what it takes to search for each signal.

use memchr::memchr_iter;

use crate::dialect::scan::closing_quote;

/// The answer's text, whose length is wanted.
const CONTENT: &[u8] = b"content";

/// The members whose texts differ from chunk to chunk.
const VARYING: [&[u8]; 7] =
    [CONTENT, b"arguments", b"obfuscation", b"reasoning", b"reasoning_content", b"refusal", b"text"];

/// How many events a stream may teach. One whose events are all different (log probabilities) learns in vain.
const LESSONS: u32 = 16;

/// The largest event whose shape is kept, for every stream keeps one. Pictures and sound come in larger ones.
const LARGEST: usize = 4096;

/// The shape of one event.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// What stands before each text, its opening quote included, and whether the text is the answer's.
    before: Vec<(Vec<u8>, bool)>,
    /// What stands behind the last one.
    rest: Vec<u8>,
    lessons: u32,
}

impl Shape {
    /// The length of the answer's text in an event of this shape, escapes as they stand; `None` for any other event.
    pub(crate) fn content_length(&self, data: &[u8]) -> Option<usize> {
        let mut data = data;
        let mut length = 0;
        for (before, is_content) in &self.before {
            data = data.strip_prefix(before.as_slice())?;
            let text = closing_quote(data)?;
            length += if *is_content { text } else { 0 };
            data = &data[text..];
        }
        (data == self.rest).then_some(length)
    }

    /// Takes the shape of an event that carries no signal.
    pub(crate) fn learn(&mut self, data: &[u8]) {
        if self.lessons == LESSONS || data.len() > LARGEST {
            return;
        }
        self.lessons += 1;
        self.before.clear();
        let mut at = 0;
        for colon in memchr_iter(b':', data) {
            let Some((begin, is_content)) = varying_text(data, colon) else { continue };
            let (true, Some(length)) = (begin >= at, closing_quote(&data[begin..])) else { continue };
            self.before.push((data[at..begin].to_vec(), is_content));
            at = begin + length;
        }
        self.rest = data[at..].to_vec();
    }
}

/// Where the text begins behind the colon of a varying member, and whether it is the answer's.
fn varying_text(data: &[u8], colon: usize) -> Option<(usize, bool)> {
    let name = data[..colon].trim_ascii_end().strip_suffix(b"\"")?;
    let name = VARYING
        .into_iter()
        .find(|varying| name.strip_suffix(*varying).is_some_and(|before| before.ends_with(b"\"")))?;
    let text = data[colon + 1..].trim_ascii_start().strip_prefix(b"\"")?;
    Some((data.len() - text.len(), name == CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(data: &str) -> Shape {
        let mut shape = Shape::default();
        shape.learn(data.as_bytes());
        shape
    }

    #[test]
    fn an_event_of_the_same_shape_is_measured() {
        let shape = shape(
            r#"{"id":"x","choices":[{"delta":{"content": "a"},"finish_reason":null}],"obfuscation":"b"}"#,
        );
        let length = |data: &str| shape.content_length(data.as_bytes());
        for (text, expected) in [("", 0), ("four", 4), (r#"a \"b\" c"#, 9), (r"\\", 2)] {
            let data = format!(
                r#"{{"id":"x","choices":[{{"delta":{{"content": "{text}"}},"finish_reason":null}}],"obfuscation":"longer"}}"#
            );
            assert_eq!(length(&data), Some(expected), "{data}");
        }
    }

    #[test]
    fn any_other_event_is_not() {
        let shape = shape(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#);
        for data in [
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":{"total_tokens":1}}"#,
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null,"error":{}}"#,
            r#"{"choices":[{"delta":{"content":"a","refusal":"b"},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"a"#,
            "",
        ] {
            assert_eq!(shape.content_length(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn text_that_looks_like_a_member_is_text() {
        let data = r#"{"content":"say \"content\":\"x\", please","text":"y"}"#;
        assert_eq!(shape(data).content_length(data.as_bytes()), Some(29));
    }
}

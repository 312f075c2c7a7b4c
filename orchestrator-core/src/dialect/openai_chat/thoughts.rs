//! Reasoning out of the hub's words: its text, and the entries that sign it.

use crate::{
    chat::ReasoningPart,
    dialect::{
        Thinking,
        json::{ObjectWriter, array},
        openai::{
            content::Reader,
            details::{self, Written},
        },
        splice::quoted,
    },
};

/// The reasoning of one message.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// Text that is not in an entry of a provider's own, where the reader is a provider; else all of it.
    text: String,
    /// Entries, texts alone among them.
    entries: Vec<String>,
    /// Some entry is more than text.
    opaque: bool,
    count: usize,
}

impl Thoughts {
    /// Takes a part. What another vendor signed goes to no provider; its text does.
    pub(super) fn add(
        &mut self,
        thought: &ReasoningPart,
        reader: Reader,
        path: &str,
        dropped: &mut Vec<String>,
    ) {
        let mut signed = false;
        for written in details::write(thought, reader, self.count) {
            match written {
                Written::Entry(json) => {
                    self.entries.push(json);
                    signed = true;
                }
                Written::Foreign => dropped.push(format!("{path}.reasoning.signature")),
            }
        }
        let in_entry = signed && thought.signature.is_some();
        self.opaque |= signed;
        if !in_entry && !thought.text.is_empty() {
            self.entries.push(details::text_entry(&thought.text, self.count));
        }
        if reader == Reader::Caller || !in_entry {
            self.text.push_str(&thought.text);
        }
        self.count += 1;
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.entries.is_empty()
    }

    /// The content part that holds it, for providers that want one.
    pub(super) fn part(&self, thinking: Thinking) -> Option<String> {
        let wanted = thinking == Thinking::Parts && !self.text.is_empty();
        let text = || format!(r#"{{"type":"text","text":{}}}"#, quoted(&self.text));
        wanted.then(|| format!(r#"{{"type":"thinking","thinking":[{}]}}"#, text()))
    }

    /// The fields that hold it.
    pub(super) fn write(&self, thinking: Thinking, out: &mut ObjectWriter) {
        let field = match thinking {
            Thinking::Content => Some("reasoning_content"),
            Thinking::Reasoning => Some("reasoning"),
            Thinking::Parts | Thinking::Nowhere => None,
        };
        if let Some(field) = field.filter(|_| !self.text.is_empty()) {
            out.string(field, &self.text);
        }
        if self.opaque && thinking != Thinking::Nowhere {
            out.raw("reasoning_details", &array(&self.entries));
        }
    }
}

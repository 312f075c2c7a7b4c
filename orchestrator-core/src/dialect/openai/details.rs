//! `reasoning_details`: signed and encrypted reasoning on Chat, in the shape that OpenRouter publishes
//! (<https://openrouter.ai/docs/guides/best-practices/reasoning-tokens>), which is the only one that clients of Chat know.
//!
//! A provider's own entry is sealed whole, without its text: its `id`, `format` and `index` have to come back with it. Another
//! vendor's signature stands, sealed, in an entry that is made here. Pieces of one entry have one index, so a caller
//! that only collects entries hands back what it got.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::Reader;
use crate::{
    chat::ReasoningPart,
    dialect::{
        Dialect,
        json::ObjectWriter,
        seal::{self, Opened},
        splice::{Edit, quoted, splice},
    },
};

const OWN: Dialect = Dialect::OpenAiChat;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    summary: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    index: Option<u64>,
}

/// Reads the entries of an array. What is no entry says nothing: servers and clients differ in detail.
pub(crate) fn read(json: &str) -> Vec<ReasoningPart> {
    let mut parts: Vec<ReasoningPart> = Vec::new();
    // The index of the text that a later entry may continue or sign: streams come in pieces, and some callers only collect them.
    let mut open: Option<Option<u64>> = None;
    for raw in serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default() {
        let Ok(entry) = serde_json::from_str::<Entry>(raw.get()) else { continue };
        if let Some(data) = entry.data.filter(|data| !data.is_empty()) {
            open = None;
            let encrypted = Some(sealed(&data, raw.get()));
            parts.push(ReasoningPart { encrypted, ..ReasoningPart::default() });
            continue;
        }
        let text = entry.text.or(entry.summary).unwrap_or_default();
        let signature = entry.signature.filter(|signature| !signature.is_empty());
        let signature = signature.map(|signature| sealed(&signature, raw.get()));
        if text.is_empty() && signature.is_none() {
            continue;
        }
        let signed = signature.is_some();
        let continues = open == Some(entry.index) && entry.kind != "reasoning.summary";
        match parts.last_mut().filter(|_| continues) {
            Some(last) => {
                last.text.push_str(&text);
                last.signature = signature;
            }
            None => parts.push(ReasoningPart { text, signature, encrypted: None }),
        }
        open = (!signed).then_some(entry.index);
    }
    parts
}

/// Whether any of the parts holds more than text.
pub(crate) fn opaque(parts: &[ReasoningPart]) -> bool {
    parts.iter().any(|part| part.signature.is_some() || part.encrypted.is_some())
}

/// An opaque text as the hub has it: one that was sealed here comes back as it is.
fn sealed(opaque: &str, entry: &str) -> String {
    if seal::is_sealed(opaque) {
        return opaque.to_owned();
    }
    let kept = splice(entry.as_bytes(), &[Edit::Remove("text".to_owned())]);
    let kept = kept.ok().and_then(|kept| String::from_utf8(kept.to_vec()).ok());
    seal::seal(OWN, &kept.unwrap_or_else(|| opaque.to_owned()))
}

/// One entry to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Its JSON.
    Entry(String),
    /// Another vendor made it, and this provider cannot be told.
    Foreign,
}

/// The entries of one part of reasoning: none when it is nothing but text.
pub(crate) fn write(thought: &ReasoningPart, reader: Reader, index: usize) -> Vec<Written> {
    let mut entries = Vec::new();
    if let Some(signature) = &thought.signature {
        entries.push(entry(signature, &Plain::signed(&thought.text), reader, index));
    }
    if let Some(data) = &thought.encrypted {
        entries.push(entry(data, &Plain::ENCRYPTED, reader, index));
    }
    entries
}

/// An entry of text alone, beside others that are signed.
pub(crate) fn text_entry(text: &str, index: usize) -> String {
    let mut out = ObjectWriter::new();
    out.string("type", "reasoning.text");
    out.string("text", text);
    out.plain("index", index);
    out.finish()
}

/// What an entry that is made here looks like.
struct Plain<'a> {
    kind: &'static str,
    field: &'static str,
    text: Option<&'a str>,
}

impl<'a> Plain<'a> {
    const ENCRYPTED: Plain<'static> = Plain { kind: "reasoning.encrypted", field: "data", text: None };

    fn signed(text: &'a str) -> Self {
        Self { kind: "reasoning.text", field: "signature", text: Some(text) }
    }

    fn write(&self, opaque: &str, index: usize) -> String {
        let mut out = ObjectWriter::new();
        out.string("type", self.kind);
        out.optional_string("text", self.text);
        out.string(self.field, opaque);
        out.raw("id", "null");
        out.raw("format", "null");
        out.plain("index", index);
        out.finish()
    }
}

fn entry(opaque: &str, plain: &Plain<'_>, reader: Reader, index: usize) -> Written {
    match seal::open(OWN, opaque) {
        Opened::Own(own) => {
            Written::Entry(own_entry(&own, plain).unwrap_or_else(|| plain.write(&own, index)))
        }
        Opened::Foreign if reader == Reader::Caller => Written::Entry(plain.write(opaque, index)),
        Opened::Foreign => Written::Foreign,
    }
}

/// The provider's own entry with its text put back; `None` when what was sealed is no entry.
fn own_entry(own: &str, plain: &Plain<'_>) -> Option<String> {
    serde_json::from_str::<Entry>(own).ok()?;
    let edits: Vec<Edit> =
        plain.text.map(|text| Edit::Set("text".to_owned(), quoted(text))).into_iter().collect();
    String::from_utf8(splice(own.as_bytes(), &edits).ok()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[ReasoningPart], reader: Reader) -> Vec<Written> {
        parts.iter().enumerate().flat_map(|(at, part)| write(part, reader, at)).collect()
    }

    fn array(entries: &[Written]) -> String {
        let texts = entries.iter().map(|entry| match entry {
            Written::Entry(json) => json.clone(),
            Written::Foreign => "\"foreign\"".to_owned(),
        });
        format!("[{}]", texts.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_providers_entries_come_back_to_it_with_every_field() {
        let entries = r#"[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0,"x":1.0,"text":"hm"},{"type":"reasoning.encrypted","data":"d","id":"r1","format":"openai-responses-v1","index":1}]"#;
        let parts = read(entries);
        assert_eq!(parts[0].text, "hm");
        assert!(opaque(&parts) && seal::is_sealed(parts[1].encrypted.as_deref().unwrap()));
        for reader in [Reader::Provider, Reader::Caller] {
            assert_eq!(array(&written(&parts, reader)), entries);
        }
    }

    #[test]
    fn pieces_of_one_text_and_its_signature_are_one_part() {
        let parts = read(
            r#"[{"type":"reasoning.text","text":"a","index":0},{"type":"reasoning.text","text":"b","index":0},
                {"type":"reasoning.text","signature":"s","index":0},{"type":"reasoning.text","text":"c","index":1},
                {"type":"reasoning.summary","summary":"d"},{"type":"reasoning.tomorrow"},7]"#,
        );
        let texts: Vec<_> = parts.iter().map(|part| (part.text.as_str(), part.signature.is_some())).collect();
        assert_eq!(texts, [("ab", true), ("c", false), ("d", false)]);
    }

    #[test]
    fn another_vendors_signature_goes_to_the_caller_sealed_and_to_no_provider() {
        let seal = |text| Some(seal::seal(Dialect::OpenAiEmbeddings, text));
        let parts = [ReasoningPart { text: "hm".into(), signature: seal("s"), encrypted: seal("e") }];
        let shown = written(&parts, Reader::Caller);
        let read_again = read(&array(&shown));
        assert_eq!(read_again[0], ReasoningPart { encrypted: None, ..parts[0].clone() });
        assert_eq!(read_again[1].encrypted, parts[0].encrypted);
        assert_eq!(written(&read_again, Reader::Provider), [Written::Foreign, Written::Foreign]);
    }
}

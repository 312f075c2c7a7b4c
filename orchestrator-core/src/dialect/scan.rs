//! The top level of a JSON object, as slices.
//!
//! A request of 100 KB is mostly strings that nobody here reads. A full parse would cost more than all the rest of the request
//! path, so the body is walked once ([`walk`]), and only where each member of the outermost object stands is remembered.

mod walk;

use std::borrow::Cow;

use self::walk::Scanner;
pub(super) use self::walk::closing_quote;
use crate::{
    call::{Member, Outline},
    error::Result,
};

/// A JSON object whose members' places are known.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    body: &'a [u8],
    outline: Cow<'a, Outline>,
}

impl<'a> Object<'a> {
    /// Scans `body`. The outermost object is at depth 1; anything deeper than `max_depth` is refused.
    pub fn scan(body: &'a [u8], max_depth: usize) -> Result<Self> {
        Self::scan_for(&[], body, max_depth)
    }

    /// As [`Self::scan`], and notes which of these words, at most eight, begin a string at whatever depth: see [`Self::has`]. The scan
    /// stops at every string anyway, while a search of its own would read the whole body once more. A word that ends in a quotation
    /// mark is a whole string.
    pub fn scan_for(words: &[&str], body: &'a [u8], max_depth: usize) -> Result<Self> {
        let outline = Scanner::new(words, body, max_depth).object()?;
        Ok(Self { body, outline: Cow::Owned(outline) })
    }

    /// Whether a string begins with the word at this place of those that were looked for.
    pub fn has(&self, place: usize) -> bool {
        self.outline.words & (1 << place) != 0
    }

    /// The object of a body that was scanned before. An outline that cannot be this body's is not used: the body is scanned.
    pub fn outlined(body: &'a [u8], outline: Option<&'a Outline>) -> Result<Self> {
        match outline {
            Some(outline) if outline.length == body.len() => {
                Ok(Self { body, outline: Cow::Borrowed(outline) })
            }
            _ => Self::scan(body, usize::MAX),
        }
    }

    /// What the scan has found.
    pub fn into_outline(self) -> Outline {
        self.outline.into_owned()
    }

    /// The text that was scanned.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Every member in its order, repeated keys included.
    pub fn members(&self) -> &[Member] {
        &self.outline.members
    }

    /// Just behind the opening brace.
    pub fn inside(&self) -> usize {
        self.outline.inside
    }

    /// A member's key, unescaped, as UTF-8.
    pub fn key<'b>(&'b self, member: &'b Member) -> &'b [u8] {
        match &member.escaped {
            Some(key) => key.as_bytes(),
            None => &self.body[member.key.clone()],
        }
    }

    /// The text of a member's value. Where a key is repeated its last value counts, as it does for most parsers.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        let member = self.members().iter().rev().find(|member| self.key(member) == key.as_bytes())?;
        self.body.get(member.value.clone())
    }

    /// As [`Self::get`], where `null` is the same as absent.
    pub fn get_non_null(&self, key: &str) -> Option<&'a [u8]> {
        self.get(key).filter(|value| *value != b"null")
    }
}

/// The members of an object that is text: keys unescaped, values as they stand.
pub fn entries(json: &str) -> Result<Vec<(Cow<'_, str>, &str)>> {
    let object = Object::scan(json.as_bytes(), usize::MAX)?;
    let entry = |member: &Member| {
        let key = match &member.escaped {
            Some(key) => Cow::Owned(key.to_string()),
            None => Cow::Borrowed(json.get(member.key.clone())?),
        };
        Some((key, json.get(member.value.clone())?))
    };
    Ok(object.members().iter().filter_map(entry).collect())
}

/// The text of a JSON string, unescaped; `None` when `json` is no valid string.
pub fn string(json: &[u8]) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if is_plain(inner) {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(json).ok().map(Cow::Owned)
}

/// Whether a string's inside needs no unescaping. It does not stop at the first byte that does, so that many are looked at at once.
fn is_plain(inner: &[u8]) -> bool {
    let special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    inner.iter().fold(0, |seen, byte| seen | special(*byte)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{walk::MAX_MEMBERS, *};

    fn key(object: &Object<'_>, member: &Member) -> String {
        String::from_utf8(object.key(member).to_vec()).unwrap()
    }

    fn message(body: &str) -> String {
        Object::scan(body.as_bytes(), 128).map_or_else(|error| error.message, |_| "accepted".to_owned())
    }

    #[test]
    fn words_are_seen_where_a_string_begins_with_them_at_whatever_depth() {
        let has = |body: &str| {
            let object = Object::scan_for(&["url\"", "data:"], body.as_bytes(), 128).unwrap();
            (object.has(0), object.has(1))
        };
        assert_eq!(has(r#"{"a":[{"url":"data:x"}]}"#), (true, true));
        assert_eq!(has(r#"{"a":["urls","x data: \"url\""]}"#), (false, false));
        assert_eq!(has(r#"{"data:":1}"#), (false, true));
    }

    #[test]
    fn members_are_found_with_their_places() {
        let body = br#" { "mo\u0064el" : "a" ,"n":-1.50e+3, "m":[{"x":"]}\""}] ,"e":{}, "z":null } "#;
        let object = Object::scan(body, 128).unwrap();
        let seen: Vec<(String, &str)> = object
            .members()
            .iter()
            .map(|member| (key(&object, member), std::str::from_utf8(&body[member.value.clone()]).unwrap()))
            .collect();
        insta::assert_debug_snapshot!(seen, @r#"
        [
            (
                "model",
                "\"a\"",
            ),
            (
                "n",
                "-1.50e+3",
            ),
            (
                "m",
                "[{\"x\":\"]}\\\"\"}]",
            ),
            (
                "e",
                "{}",
            ),
            (
                "z",
                "null",
            ),
        ]
        "#);
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        let object = Object::scan(br#"{"a":1,"\u0061":2}"#, 128).unwrap();
        assert_eq!(object.get("a"), Some(&b"2"[..]));
    }

    #[test]
    fn broken_bodies_are_refused_with_a_reason() {
        let bodies = [
            "",
            "[]",
            "null",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":tru}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":\"b}",
            "{\"a\":[}]}",
            "{\"a\":[1}",
            "{\"a\":\"\\",
            "{\"\\ud800\":1}",
        ];
        let answers: Vec<String> = bodies.iter().map(|body| format!("{body} -> {}", message(body))).collect();
        insta::assert_snapshot!(answers.join("\n"));
    }

    #[test]
    fn depth_is_bounded_and_does_not_recurse() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(message(&nested(127)), "accepted");
        assert_eq!(message(&nested(128)), "the body is nested deeper than 128 levels");
        assert_eq!(message(&nested(100_000)), "the body is nested deeper than 128 levels");
        assert!(Object::scan(nested(100_000).as_bytes(), usize::MAX).is_ok());
    }

    #[test]
    fn thousands_of_tiny_fields_are_refused() {
        let fields: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"{n}\":0")).collect();
        assert_eq!(message(&format!("{{{}}}", fields.join(","))), "the body has more than 4096 fields");
    }

    #[test]
    fn a_string_is_read_as_a_parser_reads_it() {
        assert_eq!(string(br#""a\nb""#).unwrap(), "a\nb");
        assert_eq!(string(br#""\ud800""#), None);
        assert_eq!(string(b"\"\xff\""), None);
        assert_eq!(string(b"\"a\nb\""), None);
        assert_eq!(string(b"\"a\"b\""), None);
        assert_eq!(string(b"\""), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "\\PC{0,8}|[\"\\\\{}\\[\\],:\n\u{1F600}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(crate::dialect::fixed_cases())]

        #[test]
        fn members_are_what_serde_json_sees(
            map in prop::collection::btree_map("\\PC{0,6}|[\"\\\\{}]{0,3}", any_json(), 0..8),
            pretty in any::<bool>(),
        ) {
            let whole = Value::Object(map.into_iter().collect());
            let text = if pretty { format!("{whole:#}") } else { whole.to_string() };
            let expected: Value = serde_json::from_str(&text).unwrap();
            let object = Object::scan(text.as_bytes(), 128).unwrap();
            let seen: serde_json::Map<String, Value> = object
                .members()
                .iter()
                .map(|member| {
                    let value = serde_json::from_str(&text[member.value.clone()]).unwrap();
                    (key(&object, member), value)
                })
                .collect();
            prop_assert_eq!(Value::Object(seen), expected);
        }

        #[test]
        fn nothing_makes_it_panic_and_what_a_parser_takes_it_takes(text in "[{}\\[\\]\",:\\\\a01.e \u{e9}-]{0,24}") {
            let scanned = Object::scan(text.as_bytes(), 128);
            if serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok() {
                prop_assert!(scanned.is_ok());
            }
        }
    }
}

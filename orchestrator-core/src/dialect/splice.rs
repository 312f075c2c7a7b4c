//! Edits of raw JSON: a few members of an object are rewritten, everything else is copied byte for byte, white space, key
//! order, `1.0000000000000000001` and fields that nobody here knows included.
//!
//! A repeated key is cut down to its last value on the way, the one that was read: authorisation must read the same `model` as
//! the provider does.

use std::ops::Range;

use bytes::Bytes;

use super::{Edits, scan::Object};
use crate::{
    call::Member,
    error::{Error, Result},
};

/// One change of an object's top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The member has this JSON text as its value from now on, wherever it stands; it is added at the end if there is none.
    Set(String, String),
    /// The member goes.
    Remove(String),
}

impl Edit {
    fn key(&self) -> &str {
        match self {
            Self::Set(key, _) | Self::Remove(key) => key,
        }
    }
}

/// Applies `edits` to a JSON object. Of two edits of one key the later one counts. Errors: `body` is no JSON object.
pub fn splice(body: &[u8], edits: &[Edit]) -> Result<Bytes> {
    Ok(edited(&Object::scan(body, usize::MAX)?, edits))
}

fn edited(object: &Object<'_>, edits: &[Edit]) -> Bytes {
    let members = object.members();
    let edits = last_of_each(edits);
    let mut removed = shadowed(object);
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    for edit in edits {
        let last = members.iter().rposition(|member| object.key(member) == edit.key().as_bytes());
        match (edit, last) {
            (Edit::Set(_, json), Some(index)) => changes.push((members[index].value.clone(), json.clone())),
            (Edit::Set(key, json), None) => added.extend([",", quoted(key).as_str(), ":", json.as_str()]),
            (Edit::Remove(_), Some(index)) => removed[index] = true,
            (Edit::Remove(_), None) => {}
        }
    }
    changes.extend(removals(members, &removed).into_iter().map(|range| (range, String::new())));
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    if !added.is_empty() {
        let end = members.last().map_or(object.inside(), |member| member.value.end);
        if removed.iter().all(|gone| *gone) {
            added.remove(0);
        }
        changes.push((end..end, added));
    }
    apply(object.body(), &changes)
}

/// The edits that every dialect of OpenAI's family needs on the lossless path.
pub fn splice_openai(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
    let object = Object::outlined(body, edits.outline)?;
    let mut list: Vec<Edit> = Vec::with_capacity(edits.taken.len() + edits.overrides.len() + 2);
    list.extend(edits.taken.iter().map(|name| Edit::Remove((*name).to_owned())));
    list.extend(edits.overrides.iter().map(|(key, json)| Edit::Set(key.clone(), json.clone())));
    list.push(Edit::Set("model".to_owned(), quoted(edits.model)));
    if edits.include_usage {
        let overridden = edits.overrides.iter().rev().find(|(key, _)| key == "stream_options");
        let options = match overridden {
            // An override that is no object is the provider's owner's wish, however strange.
            Some((_, json)) => with_include_usage(Some(json.as_bytes())).unwrap_or_else(|_| json.clone()),
            None => with_include_usage(object.get_non_null("stream_options"))?,
        };
        list.push(Edit::Set("stream_options".to_owned(), options));
    }
    Ok(edited(&object, &list))
}

/// `stream_options` with `include_usage` set and all else as it was.
pub fn with_include_usage(options: Option<&[u8]>) -> Result<String> {
    let Some(options) = options.filter(|options| *options != b"null") else {
        return Ok(r#"{"include_usage":true}"#.to_owned());
    };
    let wrong = || Error::invalid("stream_options".to_owned(), "`stream_options` must be an object");
    let spliced = splice(options, &[Edit::Set("include_usage".to_owned(), "true".to_owned())]);
    let spliced = spliced.map_err(|_| wrong())?;
    String::from_utf8(spliced.to_vec()).map_err(|_| wrong())
}

/// Text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    // Writing a string into memory has no way to fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn last_of_each(edits: &[Edit]) -> Vec<&Edit> {
    let later = |at: usize, key: &str| edits[at + 1..].iter().any(|edit| edit.key() == key);
    edits.iter().enumerate().filter(|(at, edit)| !later(*at, edit.key())).map(|(_, edit)| edit).collect()
}

/// Which members are hidden behind a later one of the same key.
fn shadowed(object: &Object<'_>) -> Vec<bool> {
    let members = object.members();
    let key = |place: usize| object.key(&members[place]);
    let mut hidden = vec![false; members.len()];
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|left, right| key(*left).cmp(key(*right)).then(left.cmp(right)));
    for pair in order.windows(2) {
        if key(pair[0]) == key(pair[1]) {
            hidden[pair[0]] = true;
        }
    }
    hidden
}

/// The stretches to cut out, each with the one comma that goes with it: the comma before a member when some member before it
/// stays, else the comma behind it.
fn removals(members: &[Member], removed: &[bool]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut something_stays = false;
    for (index, member) in members.iter().enumerate() {
        if !removed[index] {
            something_stays = true;
            continue;
        }
        let cut = if something_stays {
            members[index - 1].value.end..member.value.end
        } else {
            let begin = |member: &Member| member.key.start - 1;
            begin(member)..members.get(index + 1).map_or(member.value.end, begin)
        };
        cuts.push(cut);
    }
    cuts
}

/// Copies `body` with the stretches in `changes`, which are in order and do not overlap, replaced.
fn apply(body: &[u8], changes: &[(Range<usize>, String)]) -> Bytes {
    let grown: usize = changes.iter().map(|(_, text)| text.len()).sum();
    let cut: usize = changes.iter().map(|(range, _)| range.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown - cut);
    let mut copied = 0;
    for (range, text) in changes {
        out.extend_from_slice(&body[copied..range.start]);
        out.extend_from_slice(text.as_bytes());
        copied = range.end;
    }
    out.extend_from_slice(&body[copied..]);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn check(body: &str, edits: &[Edit], expected: &str) {
        let out = splice(body.as_bytes(), edits).unwrap();
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    fn set(key: &str, json: &str) -> Edit {
        Edit::Set(key.to_owned(), json.to_owned())
    }

    fn remove(key: &str) -> Edit {
        Edit::Remove(key.to_owned())
    }

    #[test]
    fn only_the_edited_members_change() {
        check(
            "{ \"x\" : 1.0000000000000000001,\n \"model\":\"a\" , \"tomorrow\":{\"b\": [ ] } }",
            &[set("model", "\"b\"")],
            "{ \"x\" : 1.0000000000000000001,\n \"model\":\"b\" , \"tomorrow\":{\"b\": [ ] } }",
        );
    }

    #[test]
    fn members_are_added_at_the_end() {
        check("{\"a\":1 }", &[set("b", "2"), set("c", "3")], "{\"a\":1,\"b\":2,\"c\":3 }");
        check("{ }", &[set("b", "2")], "{\"b\":2 }");
        check("{\"a\":1}", &[remove("a"), set("b", "2")], "{\"b\":2}");
        check("{\"a\":1}", &[set("a", "2"), set("a", "3")], "{\"a\":3}");
    }

    #[test]
    fn a_removed_member_takes_one_comma_along() {
        check("{ \"a\":1 , \"b\":2 , \"c\":3 }", &[remove("a")], "{ \"b\":2 , \"c\":3 }");
        check("{ \"a\":1 , \"b\":2 , \"c\":3 }", &[remove("b")], "{ \"a\":1 , \"c\":3 }");
        check("{ \"a\":1 , \"b\":2 , \"c\":3 }", &[remove("c")], "{ \"a\":1 , \"b\":2 }");
        check("{\"a\":1,\"b\":2,\"c\":3}", &[remove("a"), remove("b"), remove("c")], "{}");
        check("{\"a\":1,\"b\":2,\"c\":3}", &[remove("b"), remove("c"), set("d", "4")], "{\"a\":1,\"d\":4}");
    }

    #[test]
    fn only_the_last_of_repeated_keys_is_left() {
        check(
            r#"{"model":"free","x":1,"mo\u0064el":"paid","x":2}"#,
            &[set("model", "\"m\"")],
            r#"{"mo\u0064el":"m","x":2}"#,
        );
    }

    #[test]
    fn usage_is_asked_for_beside_the_callers_own_options() {
        let edit = |body: &str, overrides: &[(String, String)]| {
            let outline = Object::scan(body.as_bytes(), 128).unwrap().into_outline();
            let edits = Edits { model: "m\"2", include_usage: true, overrides, taken: &[], outline: None };
            let body = Bytes::copy_from_slice(body.as_bytes());
            let out = splice_openai(&body, &edits).unwrap();
            let outlined = splice_openai(&body, &Edits { outline: Some(&outline), ..edits }).unwrap();
            assert_eq!(outlined, out, "scanned before or now");
            String::from_utf8(out.to_vec()).unwrap()
        };
        let overrides = [
            ("stream_options".to_owned(), r#"{"x":1}"#.to_owned()),
            ("store".to_owned(), "false".to_owned()),
            ("model".to_owned(), "\"other\"".to_owned()),
        ];
        insta::assert_snapshot!(
            [
                edit(r#"{"model":"m"}"#, &[]),
                edit(r#"{"model":"m","stream_options":null}"#, &[]),
                edit(r#"{"model":"m","stream_options":{"include_usage":false, "include_obfuscation":false}}"#, &[]),
                edit(r#"{"model":"m","store":true}"#, &overrides),
            ]
            .join("\n"),
            @r#"
        {"model":"m\"2","stream_options":{"include_usage":true}}
        {"model":"m\"2","stream_options":{"include_usage":true}}
        {"model":"m\"2","stream_options":{"include_usage":true, "include_obfuscation":false}}
        {"model":"m\"2","store":false,"stream_options":{"x":1,"include_usage":true}}
        "#
        );
    }

    proptest! {
        #![proptest_config(crate::dialect::fixed_cases())]

        #[test]
        fn splicing_is_editing_the_parsed_object(
            body in prop::collection::btree_map("[a-d]|\\PC{0,2}", any::<Option<i32>>(), 0..6),
            edits in prop::collection::vec(("[a-f]", any::<Option<i32>>()), 0..6),
            pretty in any::<bool>(),
        ) {
            let mut expected: Map<String, Value> = body.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
            let text = Value::Object(expected.clone());
            let text = if pretty { format!("{text:#}") } else { text.to_string() };
            let edits: Vec<Edit> = edits
                .into_iter()
                .map(|(key, value)| value.map_or(Edit::Remove(key.clone()), |v| Edit::Set(key, v.to_string())))
                .collect();
            for edit in &edits {
                match edit {
                    Edit::Set(key, json) => expected.insert(key.clone(), serde_json::from_str(json).unwrap()),
                    Edit::Remove(key) => expected.remove(key),
                };
            }
            let out = splice(text.as_bytes(), &edits).unwrap();
            let seen: Map<String, Value> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(seen, expected);
        }
    }
}

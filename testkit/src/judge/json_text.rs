//! JSON as text: members in their order, with duplicates, and every scalar as it was written. `serde_json::Value` keeps none
//! of that.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One level of a JSON value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Object(Vec<Member<'a>>),
    Array(Vec<&'a str>),
    /// The text's meaning, escapes resolved.
    String(String),
    /// A number or a literal, as it was written.
    Other(&'a str),
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// With quotes and escapes, as it was written.
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl Member<'_> {
    /// The key's meaning.
    pub(super) fn name(&self) -> String {
        serde_json::from_str(self.key).unwrap_or_default()
    }
}

/// Reads one level of `text`, which must be JSON through and through.
pub(super) fn read(text: &str) -> Result<Node<'_>, String> {
    let not_json = |error: serde_json::Error| format!("not JSON: {error}");
    Ok(match text.trim_start().as_bytes().first() {
        Some(b'{') => Node::Object(members(text)?),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
            Node::Array(items.into_iter().map(RawValue::get).collect())
        }
        Some(b'"') => Node::String(serde_json::from_str(text).map_err(not_json)?),
        _ => Node::Other(serde_json::from_str::<&RawValue>(text).map_err(not_json)?.get()),
    })
}

/// The members of an object, as slices of `text`.
pub(super) fn members(text: &str) -> Result<Vec<Member<'_>>, String> {
    serde_json::from_str(text)
        .map(|Members(members)| members)
        .map_err(|error| format!("not a JSON object: {error}"))
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push(Member { key: key.get(), value: value.get() });
        }
        Ok(members)
    }
}

//! Reading and writing JSON objects whose unknown parts must survive as text.
//!
//! Values stay slices of the body until somebody asks for them, so that numbers, key order and escapes of what is only passed
//! on are never touched. Every error names the path of the field, in the words of the caller's body.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    dialect::splice::quoted,
    error::{Error, Result},
};

/// A JSON object being read: each member is taken out once, what is left at the end nobody knew.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    members: BTreeMap<String, &'a str>,
    /// How the caller spelled the members that are called something else here.
    spelled: BTreeMap<String, String>,
}

impl<'a> Fields<'a> {
    /// Reads a whole body. `null` members are as if they were absent; of a repeated key the last one counts.
    pub(crate) fn body(body: &'a [u8]) -> Result<Self> {
        let members = serde_json::from_slice::<BTreeMap<String, &'a RawValue>>(body)
            .map_err(|error| Error::invalid(None, format!("the body must be a JSON object: {error}")))?;
        Ok(Self::new(String::new(), members))
    }

    /// Reads the object at `path`.
    pub(crate) fn parse(json: &'a str, path: &str) -> Result<Self> {
        let members = serde_json::from_str::<BTreeMap<String, &'a RawValue>>(json)
            .map_err(|_| must_be(path, "an object"))?;
        Ok(Self::new(path.to_owned(), members))
    }

    fn new(path: String, members: BTreeMap<String, &'a RawValue>) -> Self {
        let members = members.into_iter().map(|(key, value)| (key, value.get()));
        let members = members.filter(|(_, json)| *json != "null").collect();
        Self { path, members, spelled: BTreeMap::new() }
    }

    /// The same members by their names in camel case. Where both spellings are there, the one in camel case counts.
    pub(crate) fn camel_case(mut self) -> Self {
        let snake: Vec<String> = self.members.keys().filter(|key| key.contains('_')).cloned().collect();
        for key in snake {
            let camel = camel_case(&key);
            if camel == key || self.members.contains_key(&camel) {
                continue;
            }
            if let Some(json) = self.members.remove(&key) {
                self.members.insert(camel.clone(), json);
                self.spelled.insert(camel, key);
            }
        }
        self
    }

    /// The path of a member, as the caller spelled it: `messages[2].role`.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let name = self.spelled.get(name).map_or(name, String::as_str);
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whether the member is still there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Takes the member's text.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        self.members.remove(name)
    }

    /// The member's text, which stays.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).copied()
    }

    /// Takes a string.
    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>> {
        let path = self.path_of(name);
        self.take(name).map(|json| string_at(json, &path)).transpose()
    }

    /// Takes a string from an answer: whatever else stands there is as good as nothing.
    pub(crate) fn lenient_string(&mut self, name: &str) -> String {
        self.take(name).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Takes Unix seconds from an answer; 0 when they are unknown.
    pub(crate) fn lenient_seconds(&mut self, name: &str) -> i64 {
        self.take(name).and_then(|json| json.parse::<f64>().ok()).unwrap_or_default() as i64
    }

    /// Takes a string that must be there.
    pub(crate) fn required_string(&mut self, name: &str) -> Result<String> {
        let path = self.path_of(name);
        self.string(name)?.ok_or_else(|| Error::invalid(path.clone(), format!("`{path}` is missing")))
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        let path = self.path_of(name);
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(must_be(&path, "true or false")),
        }
    }

    /// Takes a number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let path = self.path_of(name);
        let Some(json) = self.take(name) else { return Ok(None) };
        // JSON's numbers are a subset of what Rust reads, but a string or `true` is not among them.
        let number = json.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| must_be(&path, "a number"))
    }

    /// Takes a whole number of type `T`.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>> {
        let path = self.path_of(name);
        let Some(json) = self.take(name) else { return Ok(None) };
        let number = json.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| must_be(&path, "a whole number in range"))
    }

    /// Takes an array: its elements' texts.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<&'a str>>> {
        let path = self.path_of(name);
        self.take(name).map(|json| array_at(json, &path)).transpose()
    }

    /// Takes an object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>> {
        let path = self.path_of(name);
        self.take(name).map(|json| Self::parse(json, &path)).transpose()
    }

    /// Whether something was not taken yet.
    pub(crate) fn has_more(&self) -> bool {
        !self.members.is_empty()
    }

    /// What nobody took: names and texts.
    pub(crate) fn rest(self) -> impl Iterator<Item = (String, &'a str)> {
        self.members.into_iter()
    }
}

/// `function_declarations` as `functionDeclarations`. What begins with an underscore stays as it is.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    if camel.is_empty() {
        return name.to_owned();
    }
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The string that `json` is.
pub(crate) fn string_at(json: &str, path: &str) -> Result<String> {
    serde_json::from_str(json).map_err(|_| must_be(path, "a string"))
}

/// The elements of the array that `json` is.
pub(crate) fn array_at<'a>(json: &'a str, path: &str) -> Result<Vec<&'a str>> {
    let elements = serde_json::from_str::<Vec<&'a RawValue>>(json).map_err(|_| must_be(path, "an array"))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// The error of a field of the wrong type.
pub(crate) fn must_be(path: &str, what: &str) -> Error {
    Error::invalid(path.to_owned(), format!("`{path}` must be {what}"))
}

/// Checks that text which the hub calls JSON is JSON, before it becomes part of a body.
pub(crate) fn checked<'a>(json: &'a str, path: &str) -> Result<&'a str> {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(_) => Ok(json),
        Err(_) => Err(must_be(path, "valid JSON")),
    }
}

/// A JSON object being written.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    out: String,
}

impl ObjectWriter {
    /// An empty object.
    pub(crate) fn new() -> Self {
        Self { out: String::from("{") }
    }

    /// Adds a member whose value is JSON text already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push_str(&quoted(name));
        self.out.push(':');
        self.out.push_str(json);
    }

    /// Adds a string.
    pub(crate) fn string(&mut self, name: &str, text: &str) {
        self.raw(name, &quoted(text));
    }

    /// Adds a string if there is one.
    pub(crate) fn optional_string(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(name, text);
        }
    }

    /// Adds a whole number, `true` or `false`.
    pub(crate) fn plain(&mut self, name: &str, value: impl ToString) {
        self.raw(name, &value.to_string());
    }

    /// Adds a whole number, `true` or `false` if there is one.
    pub(crate) fn optional_plain(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.plain(name, value);
        }
    }

    /// Adds a number if there is one.
    pub(crate) fn optional_number(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.raw(name, &serde_json::Value::from(value).to_string());
        }
    }

    /// The object's text.
    pub(crate) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// An array of JSON texts.
pub(crate) fn array(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

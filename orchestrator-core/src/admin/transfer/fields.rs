//! Reads an object of a document field by field. What is malformed or unknown becomes a problem, and reading goes on.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::problem::Problems;

/// An object whose fields are being taken.
pub(crate) struct Fields<'a> {
    left: Map<String, Json>,
    path: String,
    known: Vec<&'static str>,
    problems: &'a mut Problems,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which must be an object.
    pub(crate) fn of(value: Json, path: &str, problems: &'a mut Problems) -> Option<Self> {
        let Json::Object(left) = value else {
            problems.add(path, "must be an object");
            return None;
        };
        Some(Self { left, path: path.to_owned(), known: Vec::new(), problems })
    }

    /// A field's value; `None` where it is missing, `null`, or malformed.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let value = self.raw(name)?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.add(self.at(name), error.to_string());
                None
            }
        }
    }

    /// A secret: what it holds is quoted in no problem.
    pub(crate) fn secret(&mut self, name: &'static str) -> Option<String> {
        if let Json::String(text) = self.raw(name)? {
            return Some(text);
        }
        self.problems.add(self.at(name), "must be text");
        None
    }

    /// The elements of a list, each with its path.
    pub(crate) fn rows(&mut self, name: &'static str) -> Vec<(String, Json)> {
        let at = self.at(name);
        match self.raw(name) {
            None => Vec::new(),
            Some(Json::Array(rows)) => {
                let path = |index| format!("{at}[{index}]");
                rows.into_iter().enumerate().map(|(index, row)| (path(index), row)).collect()
            }
            Some(_) => {
                self.problems.add(at, "must be a list");
                Vec::new()
            }
        }
    }

    /// The fields of an object inside.
    pub(crate) fn inside(&mut self, name: &'static str) -> Option<Fields<'_>> {
        let value = self.raw(name)?;
        let path = self.at(name);
        Fields::of(value, &path, self.problems)
    }

    pub(crate) fn problem(&mut self, name: &str, message: &str) {
        self.problems.add(self.at(name), message);
    }

    /// Everything that is known was taken: what is left is not known.
    pub(crate) fn end(self) {
        for name in self.left.keys() {
            let nearest = self.known.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
            let hint = nearest.map(|nearest| format!("; the nearest is {nearest}")).unwrap_or_default();
            self.problems.add(self.at(name), format!("there is no such field{hint}"));
        }
    }

    fn raw(&mut self, name: &'static str) -> Option<Json> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

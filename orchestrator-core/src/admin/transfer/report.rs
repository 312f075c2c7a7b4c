//! What a document changed, or would change.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use orchestrator_base::mask;
use serde_json::{Value as Json, json};

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Create,
    /// It is there, and differs.
    Update,
    /// It goes.
    Delete,
}

impl Action {
    /// The public name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDifference {
    /// Its public name; of an object inside, with a dot.
    pub field: String,
    /// What it was, as JSON; `None`: nothing.
    pub before: Option<String>,
    /// What it becomes.
    pub after: Option<String>,
}

/// A row that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What becomes of it.
    pub action: Action,
    /// `provider`.
    pub noun: &'static str,
    /// What it is called, without ids.
    pub name: String,
    /// Its fields that change; secrets masked.
    pub fields: Vec<FieldDifference>,
}

/// `~ provider openai` and a line for each field.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Create => '+',
            Action::Update => '~',
            Action::Delete => '-',
        };
        writeln!(f, "{sign} {} {}", self.noun, self.name)?;
        for FieldDifference { field, before, after } in &self.fields {
            let after = after.as_deref().unwrap_or("null");
            match before {
                None => writeln!(f, "    {field}: {after}")?,
                Some(before) => writeln!(f, "    {field}: {before} -> {after}")?,
            }
        }
        Ok(())
    }
}

/// What a document changed, or would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The rows that change, in the order in which they do.
    pub differences: Vec<Difference>,
    /// Rows that are there as the document has them.
    pub unchanged: u64,
    /// Rows that are there and were left as they are, for the import was to skip them.
    pub skipped: u64,
    /// Rows that need a secret which the document does not have.
    pub left_out: u64,
    /// What is worth knowing, and is no reason to refuse.
    pub notes: Vec<String>,
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
}

impl Report {
    /// How many rows change so.
    pub fn count(&self, action: Action) -> u64 {
        self.differences.iter().filter(|difference| difference.action == action).count() as u64
    }

    /// The counts in a line.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let counts = [
            ("created", self.count(Action::Create)),
            ("replaced", self.count(Action::Update)),
            ("deleted", self.count(Action::Delete)),
            ("unchanged", self.unchanged),
            ("skipped", self.skipped),
            ("left out", self.left_out),
        ];
        for (word, count) in counts {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{count} {word}");
        }
        if self.dry_run {
            text.push_str(" (dry run: nothing was changed)");
        }
        text
    }
}

/// The fields in which two rows differ; without `before`, those that say something.
pub(super) fn fields(before: Option<&Json>, after: &Json) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    compare("", before, after, &mut differences);
    differences
}

/// Headers as JSON, without the values of those that carry secrets by their names.
fn hidden_headers(headers: &Json) -> String {
    match serde_json::from_value::<BTreeMap<String, String>>(headers.clone()) {
        Ok(headers) => json!(mask::headers(&headers)).to_string(),
        Err(_) => json!(mask::HIDDEN).to_string(),
    }
}

fn compare(path: &str, before: Option<&Json>, after: &Json, differences: &mut Vec<FieldDifference>) {
    if let Json::Object(fields) = after
        // Maps that people fill (tags, headers) are shown whole: a name in them may hold a dot.
        && !matches!(path, "tags" | "headers" | "options.body_overrides_json")
    {
        for (name, after) in fields {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            compare(&path, before.and_then(|before| before.get(name)), after, differences);
        }
        return;
    }
    let says_nothing = match after {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(elements) => elements.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    };
    let differs = match before {
        Some(before) => before != after,
        None => !says_nothing,
    };
    if differs {
        let text = |value: &Json| if path == "headers" { hidden_headers(value) } else { value.to_string() };
        let (before, after) = (before.map(text), Some(text(after)));
        differences.push(FieldDifference { field: path.to_owned(), before, after });
    }
}

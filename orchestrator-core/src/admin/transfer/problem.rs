//! What is wrong with a document: every problem at once, each with its row and field.

use std::fmt::{self, Write as _};

use crate::error::Error;

/// More than these are counted, not told.
const MOST_TOLD: usize = 100;

/// One problem: `providers[3].base_url: must begin with http:// or https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from the document's top.
    pub path: String,
    /// What is wrong, and what would be right. Quotes no secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The problems of one document, in its order.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// A refusal of a row's own field, whose message begins with the field's name.
    pub(crate) fn add_refusal(&mut self, row: &str, error: &Error) {
        let field = error.param.as_deref().unwrap_or_default();
        let message = error.message.strip_prefix(field).map_or(error.message.as_str(), str::trim_start);
        self.add(format!("{row}.{field}"), message);
    }

    /// All of them as one error: a line each.
    pub(crate) fn refuse(self) -> Result<(), Error> {
        let Some(first) = self.0.first() else { return Ok(()) };
        let param = first.path.clone();
        let mut message = String::new();
        if self.0.len() > 1 {
            let _ = writeln!(message, "{} problems:", self.0.len());
        }
        let told: Vec<String> = self.0.iter().take(MOST_TOLD).map(ToString::to_string).collect();
        message.push_str(&told.join("\n"));
        if self.0.len() > MOST_TOLD {
            let _ = write!(message, "\nand {} more", self.0.len() - MOST_TOLD);
        }
        Err(Error::invalid(param, message).with_code("invalid_document"))
    }
}

//! What is wrong with a configuration, in one line that says where to mend it.

use std::fmt;

/// One problem. Its text never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting (`edge.port`), or the file that cannot be read.
    pub subject: String,
    /// Where the value comes from: a variable, a file, the command line; for a missing value, the variable that would set it.
    pub place: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of the setting `subject`, whose value comes from `place`.
    pub fn of(subject: &str, place: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), place: Some(place.to_string()), message: message.into() }
    }

    /// A problem of a whole file.
    pub fn of_file(file: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { subject: file.to_string(), place: None, message: message.into() }
    }
}

/// `edge.port (APP_PORT): "70000" is not a port`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place}): {}", self.subject, self.message),
            None => write!(f, "{}: {}", self.subject, self.message),
        }
    }
}

impl std::error::Error for Problem {}

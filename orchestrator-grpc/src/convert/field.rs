//! How a refusal finds its field: each converter names the field that it looked at, and those around it put their own path
//! in front.

use std::fmt::Display;

use orchestrator_core::error::Error;
use serde_json::value::RawValue;

/// A field of a request that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    path: String,
    problem: String,
}

impl Wrong {
    /// The field at `path` and what is the matter with it: "must not be empty".
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The same, seen from the message that holds the field: `text` inside `parts[0]` is `parts[0].text`.
    pub fn inside(mut self, outer: impl Display) -> Self {
        self.path = format!("{outer}.{}", self.path);
        self
    }
}

impl From<Wrong> for Error {
    fn from(Wrong { path, problem }: Wrong) -> Self {
        let message = format!("{path}: {problem}");
        Self::invalid(path, message)
    }
}

/// The text must not be empty.
pub(crate) fn required(path: &str, text: &str) -> Result<(), Wrong> {
    if text.is_empty() { Err(Wrong::new(path, "must not be empty")) } else { Ok(()) }
}

/// JSON has no word for what is not a finite number.
pub(crate) fn finite(path: &str, number: Option<f64>) -> Result<(), Wrong> {
    match number {
        Some(number) if !number.is_finite() => Err(Wrong::new(path, "must be a finite number")),
        Some(_) | None => Ok(()),
    }
}

/// The text must be one JSON value that nests at most `max_depth` deep. It goes into a provider's body as it stands, so that
/// anything else would change the meaning of what is around it.
pub(crate) fn json(path: &str, text: &str, max_depth: usize) -> Result<(), Wrong> {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Err(Wrong::new(path, "must be JSON text"));
    }
    if nesting(text) > max_depth {
        return Err(Wrong::new(path, format!("must not nest deeper than {max_depth}")));
    }
    Ok(())
}

/// How deep a valid JSON text nests.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_grows_from_the_inside_out() {
        let error =
            Error::from(Wrong::new("text", "must not be empty").inside("parts[0]").inside("messages[2]"));
        assert_eq!(error.param.as_deref(), Some("messages[2].parts[0].text"));
        assert_eq!(error.message, "messages[2].parts[0].text: must not be empty");
    }

    #[test]
    fn only_whole_json_of_a_bounded_depth_is_taken() {
        for good in ["1", "null", "{\"a\":[{}]}", "\"[[[[[[\\\"[[\"", " {} "] {
            assert_eq!(json("x", good, 3), Ok(()), "{good}");
        }
        for bad in ["", "{", "{},\"admin\":true", "nul", "[[[[1]]]]"] {
            assert!(json("x", bad, 3).is_err(), "{bad}");
        }
    }
}

//! Reads `.env` files: `NAME=value` lines, nothing more.
//!
//! Written here rather than taken from a library for two reasons: loading must not depend on the process environment, and a `$`
//! in a key or a password must stay a `$`. So nothing is substituted. Quotes: `'…'` is literal; in `"…"` a backslash escapes
//! `n`, `r`, `t`, and itself or any other character. Without quotes the value ends at ` #`, and blanks around it are dropped.

use std::collections::BTreeMap;

/// The variables of a file's `text`, of equal names the last; and for each line that cannot be read, its number (from 1) and
/// why. The reasons quote nothing: the lines hold secrets.
pub(super) fn parse(text: &str) -> (BTreeMap<String, String>, Vec<(usize, &'static str)>) {
    let mut variables = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok((name, value)) => {
                variables.insert(name, value);
            }
            Err(why) => unreadable.push((index + 1, why)),
        }
    }
    (variables, unreadable)
}

fn parse_line(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("is not of the form NAME=value")?;
    let name = name.trim();
    let is_name = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("is not of the form NAME=value");
    }
    let value = value.trim();
    let value = match value.chars().next() {
        Some('\'') => single_quoted(&value[1..])?,
        Some('"') => double_quoted(&value[1..])?,
        Some('#') => String::new(),
        _ => unquoted(value),
    };
    Ok((name.to_owned(), value))
}

fn unquoted(value: &str) -> String {
    let comment = value.find(" #").or_else(|| value.find("\t#"));
    value[..comment.unwrap_or(value.len())].trim_end().to_owned()
}

fn single_quoted(rest: &str) -> Result<String, &'static str> {
    let (value, after) = rest.split_once('\'').ok_or(UNCLOSED)?;
    nothing_after(after)?;
    Ok(value.to_owned())
}

fn double_quoted(rest: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                nothing_after(characters.as_str())?;
                return Ok(value);
            }
            '\\' => match characters.next().ok_or(UNCLOSED)? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                itself => value.push(itself),
            },
            plain => value.push(plain),
        }
    }
    Err(UNCLOSED)
}

const UNCLOSED: &str = "has a quote that is not closed on the same line";

fn nothing_after(after: &str) -> Result<(), &'static str> {
    let after = after.trim();
    if after.is_empty() || after.starts_with('#') { Ok(()) } else { Err("goes on after its closing quote") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_a_line_is_understood() {
        let text = r#"
            # a comment
            PLAIN=a b  # and why
            export EXPORTED = x
            HASH=a#b
            EMPTY=
            COMMENT= # nothing
            SINGLE='a $HOME "q" \n' # literal
            DOUBLE="a \"q\" \\ \n$1"
            TWICE=1
            TWICE=2
        "#;
        let (variables, unreadable) = parse(text);
        let expected = [
            ("COMMENT", ""),
            ("DOUBLE", "a \"q\" \\ \n$1"),
            ("EMPTY", ""),
            ("EXPORTED", "x"),
            ("HASH", "a#b"),
            ("PLAIN", "a b"),
            ("SINGLE", r#"a $HOME "q" \n"#),
            ("TWICE", "2"),
        ];
        let found: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(unreadable, []);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number() {
        let (variables, unreadable) = parse("A=1\nnonsense\nB=\"x\nC='x' y\nA B=1\nD=2");
        assert_eq!(variables.len(), 2);
        assert_eq!(
            unreadable,
            [
                (2, "is not of the form NAME=value"),
                (3, UNCLOSED),
                (4, "goes on after its closing quote"),
                (5, "is not of the form NAME=value"),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_failing(text in "(?s).*") {
            parse(&text);
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was(value in "[^\r\n]*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let (variables, _) = parse(&format!("NAME=\"{escaped}\""));
            prop_assert_eq!(variables.get("NAME"), Some(&value));
        }
    }
}

//! Holds a body against a recorded one as JSON.

use std::collections::BTreeMap;

use super::{
    Rewrites,
    json_text::{self, Member, Node},
};

/// Where the bodies differ in more than what may be rewritten.
pub(super) fn complaints(recorded: &str, body: &str, allowed: &Rewrites<'_>) -> Vec<String> {
    let (expected, actual) = match (by_name(recorded), by_name(body)) {
        (Ok(expected), Ok(actual)) => (expected, actual),
        (Err(error), _) => return vec![format!("the recorded request is {error}")],
        (_, Err(error)) => return vec![error],
    };
    let expected = rewritten(expected, &actual, allowed);
    let mut complaints = Vec::new();
    compare_members("", &borrowed(&expected), &actual, &mut complaints);
    complaints
}

/// Adds to the expectation what may or must have been rewritten.
fn rewritten(
    expected: BTreeMap<String, Vec<&str>>,
    actual: &BTreeMap<String, Vec<&str>>,
    allowed: &Rewrites<'_>,
) -> BTreeMap<String, Vec<String>> {
    let mut expected: BTreeMap<String, Vec<String>> = expected
        .into_iter()
        .map(|(name, values)| (name, values.into_iter().map(str::to_owned).collect()))
        .collect();
    let overridden = allowed.overrides.iter().map(|(name, _)| name.as_str());
    for name in overridden.chain(["model"]) {
        expected.insert(name.to_owned(), allowed.expected(name).into_iter().collect());
    }
    let streams = expected.get("stream").is_some_and(|values| values == &["true"]);
    if streams
        && allowed.may_add_usage
        && let Some([options]) = actual.get("stream_options").map(Vec::as_slice)
        && usage_added(expected.get("stream_options").and_then(|values| values.first()), options)
    {
        expected.insert("stream_options".to_owned(), vec![(*options).to_owned()]);
    }
    expected
}

/// Whether the stream options are the recorded ones plus `include_usage: true`.
pub(super) fn usage_added(recorded: Option<&String>, options: &str) -> bool {
    let recorded = recorded.map_or("{}", |text| if text == "null" { "{}" } else { text });
    let (Ok(mut before), Ok(mut after)) = (by_name(recorded), by_name(options)) else { return false };
    before.remove("include_usage");
    let usage = after.remove("include_usage");
    let mut differences = Vec::new();
    compare_members("", &before, &after, &mut differences);
    usage.is_some_and(|values| values == ["true"]) && differences.is_empty()
}

/// Whether two JSON texts mean the same; each difference is named by its path.
pub(super) fn compare(path: &str, expected: &str, actual: &str, complaints: &mut Vec<String>) {
    let same = match (json_text::read(expected), json_text::read(actual)) {
        (Ok(Node::Object(expected)), Ok(Node::Object(actual))) => {
            compare_members(path, &grouped(&expected), &grouped(&actual), complaints);
            true
        }
        (Ok(Node::Array(expected)), Ok(Node::Array(actual))) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
                compare(&format!("{path}[{index}]"), expected, actual, complaints);
            }
            true
        }
        (Ok(Node::String(expected)), Ok(Node::String(actual))) => expected == actual,
        (Ok(Node::Other(expected)), Ok(Node::Other(actual))) => expected == actual,
        _ => false,
    };
    if !same {
        complaints.push(format!("{path} is {}, not {}", short(actual), short(expected)));
    }
}

fn compare_members(
    path: &str,
    expected: &BTreeMap<String, Vec<&str>>,
    actual: &BTreeMap<String, Vec<&str>>,
    complaints: &mut Vec<String>,
) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, values) in expected {
        match actual.get(name) {
            None => complaints.push(format!("{} was lost", at(name))),
            Some(found) if found.len() != values.len() => {
                complaints.push(format!(
                    "{} stands there {} times, not {}",
                    at(name),
                    found.len(),
                    values.len()
                ));
            }
            Some(found) => {
                for (expected, actual) in values.iter().zip(found) {
                    compare(&at(name), expected, actual, complaints);
                }
            }
        }
    }
    for name in actual.keys().filter(|name| !expected.contains_key(*name)) {
        complaints.push(format!("{} was added", at(name)));
    }
}

fn by_name(text: &str) -> Result<BTreeMap<String, Vec<&str>>, String> {
    Ok(grouped(&json_text::members(text)?))
}

/// Values by key, in their order where a key is repeated.
fn grouped<'a>(members: &[Member<'a>]) -> BTreeMap<String, Vec<&'a str>> {
    let mut grouped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for member in members {
        grouped.entry(member.name()).or_default().push(member.value);
    }
    grouped
}

fn borrowed(owned: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<&str>> {
    owned.iter().map(|(name, values)| (name.clone(), values.iter().map(String::as_str).collect())).collect()
}

/// As much of a text as a message can bear.
fn short(text: &str) -> String {
    if text.chars().count() <= 80 {
        text.to_owned()
    } else {
        text.chars().take(80).collect::<String>() + "…"
    }
}

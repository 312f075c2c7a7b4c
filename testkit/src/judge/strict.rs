//! Holds a body against a recorded one byte for byte, outside of what is rewritten.

use super::{
    Rewrites,
    compare::{compare, usage_added},
    json_text::{self, Member},
};

/// A top-level member with the bytes around it.
struct Placed<'a> {
    /// From the end of the member before (or from the start) to the key.
    before: &'a str,
    key: &'a str,
    /// The colon and what stands around it.
    colon: &'a str,
    value: &'a str,
    name: String,
}

/// Where the bodies differ in more than what may be rewritten.
pub(super) fn complaints(recorded: &str, body: &str, allowed: &Rewrites<'_>) -> Vec<String> {
    let ((expected, expected_end), (mut actual, actual_end)) = match (place(recorded), place(body)) {
        (Ok(expected), Ok(actual)) => (expected, actual),
        (Err(error), _) => return vec![format!("the recorded request is {error}")],
        (_, Err(error)) => return vec![error],
    };
    let mut complaints = Vec::new();
    // What stands beside an added member cannot be told from what was added with it: there only commas and white space
    // may stand, and that they do is what makes the body JSON.
    let mut loose = take_added(&expected, &mut actual, allowed, &mut complaints);

    let names = |members: &[Placed<'_>]| members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    if names(&expected) != names(&actual) {
        complaints.push(format!("the keys are {:?}, not {:?}", names(&actual), names(&expected)));
        return complaints;
    }
    let streams = expected.iter().any(|member| member.name == "stream" && member.value == "true");
    for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        let name = &expected.name;
        if (expected.key, expected.colon) != (actual.key, actual.colon)
            || (expected.before != actual.before && !loose.contains(&index))
        {
            complaints.push(format!("the bytes around the key {name} were changed"));
        }
        match allowed.expected(name) {
            Some(rewrite) => compare(name, &rewrite, actual.value, &mut complaints),
            None if expected.value == actual.value => {}
            None => {
                let may_add = name == "stream_options" && streams && allowed.may_add_usage;
                if !(may_add && usage_added(Some(&expected.value.to_owned()), actual.value)) {
                    complaints.push(format!("the bytes of {name} were changed"));
                }
            }
        }
    }
    loose.retain(|index| *index == expected.len());
    if loose.is_empty() && expected_end != actual_end {
        complaints.push("the bytes after the last member were changed".to_owned());
    }
    complaints
}

/// Takes the members out of `actual` that were rightly added, and gives the places beside them (as indexes into what is left;
/// its length stands for the end).
fn take_added(
    expected: &[Placed<'_>],
    actual: &mut Vec<Placed<'_>>,
    allowed: &Rewrites<'_>,
    complaints: &mut Vec<String>,
) -> Vec<usize> {
    let recorded = |name: &str| expected.iter().any(|member| member.name == name);
    let streams = expected.iter().any(|member| member.name == "stream" && member.value == "true");
    for (name, _) in allowed.overrides {
        if !actual.iter().any(|member| &member.name == name) {
            complaints.push(format!("{name} was not set"));
        }
    }
    let mut loose = Vec::new();
    let mut left = Vec::new();
    for member in actual.drain(..) {
        let override_for_it = allowed.expected(&member.name).filter(|_| !recorded(&member.name));
        let usage = member.name == "stream_options" && streams && allowed.may_add_usage;
        if let Some(json) = override_for_it {
            compare(&member.name, &json, member.value, complaints);
        } else if !(usage && !recorded("stream_options") && usage_added(None, member.value)) {
            left.push(member);
            continue;
        }
        // An added first member moves the recorded first one behind a comma.
        loose.push(left.len());
    }
    *actual = left;
    loose
}

/// The members with their surroundings, and what follows the last one.
fn place(text: &str) -> Result<(Vec<Placed<'_>>, &str), String> {
    let offset = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let mut placed = Vec::new();
    let mut end = 0;
    for member in json_text::members(text)? {
        let Member { key, value } = member;
        let colon = &text[offset(key) + key.len()..offset(value)];
        placed.push(Placed { before: &text[end..offset(key)], key, colon, value, name: member.name() });
        end = offset(value) + value.len();
    }
    Ok((placed, &text[end..]))
}

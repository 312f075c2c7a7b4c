//! Patterns of model names. `*` stands for any run of characters, none included; everything else for itself.

/// Whether a name is a pattern.
pub fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// How much of a pattern is literal: of two that match, the longer one says more.
pub fn literal_length(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| *byte != b'*').count()
}

/// Whether `name` matches `pattern`, case and all. Takes at most the product of the two lengths in steps.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at_pattern, mut at_name) = (0, 0);
    // Where the last star stood, and the first byte of the name that it has not swallowed yet.
    let mut star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            star = Some((at_pattern, at_name));
            at_pattern += 1;
        } else if pattern.get(at_pattern) == Some(&name[at_name]) {
            at_pattern += 1;
            at_name += 1;
        } else if let Some((star_at, swallowed)) = star {
            // The star takes one more byte, and the rest is tried again.
            star = Some((star_at, swallowed + 1));
            at_pattern = star_at + 1;
            at_name = swallowed + 1;
        } else {
            return false;
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// Whether `name` matches one of `patterns`. No patterns: everything does.
pub fn allows(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let matching = [
            ("gpt-4", "gpt-4"),
            ("claude-*", "claude-"),
            ("claude-*", "claude-opus-4"),
            ("*", ""),
            ("*-mini", "gpt-4-mini-mini"),
            ("a*b*c", "a-b-b-c"),
            ("**a", "bca"),
            ("modèle-*", "modèle-é"),
        ];
        for (pattern, name) in matching {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        let other = [("gpt-4", "gpt-4o"), ("claude-*", "Claude-x"), ("a*b", "a-b-c"), ("?", "x"), ("", "x")];
        for (pattern, name) in other {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn no_patterns_allow_everything() {
        assert!(allows(&[], "x"));
        assert!(!allows(&["y*".into()], "x"));
    }

    proptest! {
        #[test]
        fn a_name_matches_every_pattern_made_by_starring_a_part_of_it(
            name in "[ab*]{0,12}", cut in 0_usize..12, length in 0_usize..12,
        ) {
            let start = cut.min(name.len());
            let end = (start + length).min(name.len());
            let pattern = format!("{}*{}", &name[..start], &name[end..]);
            prop_assert!(matches(&pattern, &name));
        }
    }
}

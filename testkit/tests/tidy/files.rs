//! Every module says what it is, stays short, and opts out of lints in the open.

use crate::source::Source;

/// Lines before the tests.
const CEILING: usize = 500;
/// Where a file begins to ask whether it is two.
const COMFORT: usize = 300;

pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut violations = Vec::new();
    if !source.text.starts_with("//!") {
        violations.push(source.at(1, "a module begins with `//!` that says what it is"));
    }
    if source.path.ends_with("/mod.rs") {
        violations.push(source.at(1, "a folder's module is `foo.rs` beside `foo/`, never `mod.rs`"));
    }
    if source.before_tests > CEILING {
        let message = format!("{} lines before the tests; the ceiling is {CEILING}", source.before_tests);
        violations.push(source.at(CEILING, &message));
    }
    for line in &source.all {
        let code = line.code.trim_start();
        let allows = code.starts_with("#[allow(") || code.starts_with("#![allow(");
        if allows || (code.contains("cfg_attr(") && code.contains(" allow(")) {
            violations.push(
                source
                    .at(line.number, "a lint is opted out of with `#[expect(…, reason = …)]`, never `allow`"),
            );
        }
    }
    violations
}

/// A word about a file that is getting long.
pub(crate) fn length_warning(source: &Source) -> Option<String> {
    let lines = source.before_tests;
    (lines > COMFORT)
        .then(|| format!("{}: {lines} lines before the tests; {COMFORT} is comfortable", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_catches_its_violation() {
        let caught = |path: &str, text: &str| check(&Source::new(path, text)).len();
        assert_eq!(caught("a/src/x.rs", "//! Fine.\n#[expect(dead_code, reason = \"x\")]\nfn x() {}\n"), 0);
        assert_eq!(caught("a/src/x.rs", "use a;\n"), 1);
        assert_eq!(caught("a/src/x/mod.rs", "//! x\n"), 1);
        assert_eq!(caught("a/src/x.rs", "//! x\n#![allow(dead_code)]\n    #[allow(clippy::all)]\n"), 2);
        assert_eq!(caught("a/src/x.rs", "//! x\n#[cfg_attr(test, allow(dead_code))]\n"), 1);
        // In tests too.
        assert_eq!(caught("a/src/x.rs", "//! x\n#[cfg(test)]\nmod tests {\n    #[allow(dead_code)]\n}\n"), 1);
        assert_eq!(caught("a/src/x.rs", &format!("//! x\n{}", "\n".repeat(499))), 0);
        assert_eq!(caught("a/src/x.rs", &format!("//! x\n{}", "\n".repeat(500))), 1);
        let tests = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(900));
        assert_eq!(caught("a/src/x.rs", &tests), 0);
        assert!(length_warning(&Source::new("a/src/x.rs", &"\n".repeat(301))).is_some());
        assert!(length_warning(&Source::new("a/src/x.rs", &"\n".repeat(300))).is_none());
    }
}

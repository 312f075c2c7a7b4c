//! A source file as the rules read it: numbered lines without comments and strings, up to its tests; and what it imports.

/// One `.rs` file.
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Every line with comments and strings taken out, tests included.
    pub(crate) all: Vec<Line>,
    /// How many of them stand before the tests.
    pub(crate) before_tests: usize,
}

/// One line of code.
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let all: Vec<Line> = text
            .lines()
            .enumerate()
            .map(|(index, line)| Line { number: index + 1, code: without_strings_and_comments(line) })
            .collect();
        let before_tests = if is_test_file(path) { 0 } else { tests_begin(&all).unwrap_or(all.len()) };
        Self { path: path.to_owned(), text: text.to_owned(), all, before_tests }
    }

    /// The lines before the tests; none in a file that is a test.
    pub(crate) fn code(&self) -> &[Line] {
        &self.all[..self.before_tests]
    }

    /// Whether the file stands below (or is) one of these: `orchestrator-core/src/store` is `store.rs`, `store/…`, `store_x.rs`.
    pub(crate) fn is_in(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.path.starts_with(prefix))
    }

    /// Whether it is part of what is shipped, as against test equipment and generated code.
    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("orchestrator-") && self.path.contains("/src/")
    }

    /// A violation at a line.
    pub(crate) fn at(&self, line: usize, message: &str) -> String {
        format!("{}:{line}: {message}", self.path)
    }

    /// Every path that is imported or written out in code, with its line. Groups are written out:
    /// `use a::{b, c::{d, e}}` gives `a::b`, `a::c::d` and `a::c::e`.
    pub(crate) fn paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        // The import that is being read, until its semicolon.
        let mut import: Option<(usize, String)> = None;
        for line in self.code() {
            let trimmed = line.code.trim();
            let (start, tree) = match (import.take(), use_tree(trimmed)) {
                (Some((start, begun)), _) => (start, begun + trimmed),
                (None, Some(tree)) => (line.number, tree.to_owned()),
                (None, None) => {
                    found.extend(paths_in(trimmed).into_iter().map(|path| (line.number, path)));
                    continue;
                }
            };
            match tree.strip_suffix(';') {
                Some(whole) => found.extend(expand(whole).into_iter().map(|path| (start, path))),
                None => import = Some((start, tree)),
            }
        }
        found
    }
}

/// `a` or `a::b…` is named by a path that begins so.
pub(crate) fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `word` stands in the code as a word of its own.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(part_of_name) && !code[at + word.len()..].starts_with(part_of_name)
    })
}

/// Integration tests, and test modules in a file of their own.
fn is_test_file(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    segments.iter().any(|segment| *segment == "tests" || *segment == "tests.rs")
}

/// The first `#[cfg(test)]` that is followed by a module's body. Before `mod tests;` or a `use` it speaks of one line.
fn tests_begin(lines: &[Line]) -> Option<usize> {
    (0..lines.len()).find(|index| {
        let guarded = lines[index + 1..].iter().find(|line| !line.code.trim().starts_with("#["));
        lines[*index].code.trim() == "#[cfg(test)]"
            && guarded.is_some_and(|line| has_word(&line.code, "mod") && line.code.trim_end().ends_with('{'))
    })
}

/// What follows `use` in a statement, whatever its visibility.
fn use_tree(line: &str) -> Option<&str> {
    let after_visibility = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(rest, |(_, rest)| rest),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    after_visibility.strip_prefix("use ")
}

/// A use tree's paths, without its `as` names.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return if path.is_empty() { Vec::new() } else { vec![path.to_owned()] };
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let mut paths = Vec::new();
    for item in split_at_top_commas(group) {
        paths.extend(expand(item).into_iter().map(|path| format!("{}{path}", prefix.trim())));
    }
    paths
}

fn split_at_top_commas(group: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&group[start..]);
    items
}

/// Paths of two segments and more in a line of code.
fn paths_in(code: &str) -> Vec<String> {
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let paths = words.filter(|word| word.contains("::"));
    paths.map(|path| path.trim_start_matches("::").trim_end_matches(':').to_owned()).collect()
}

/// The code of one line. A string that runs over several lines is read as code: the rules look for what does not stand in
/// such strings.
fn without_strings_and_comments(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => _ = chars.next(),
            '"' => in_string = !in_string,
            _ if in_string => {}
            // A quote as a character, not as the beginning of a string.
            '\'' if chars.peek() == Some(&'"') => _ = chars.next(),
            '/' if chars.peek() == Some(&'/') => break,
            _ => code.push(c),
        }
    }
    code.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::new("orchestrator-core/src/x.rs", text).paths().into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn imports_are_written_out_and_inline_paths_found() {
        let text = "pub(crate) use crate::{\n    chat::{Usage, Part as P},\n    error::Error,\n};\nuse std::env;\nlet x = crate::store::open(&a::B::C);";
        assert_eq!(
            paths(text),
            [
                "crate::chat::Usage",
                "crate::chat::Part",
                "crate::error::Error",
                "std::env",
                "crate::store::open",
                "a::B::C"
            ]
        );
    }

    #[test]
    fn comments_strings_and_tests_are_not_code() {
        let text = "//! sqlx::x\nlet a = \"sqlx::y \\\" sqlx::z\"; // sqlx::q\nlet quote = '\"'; b::c();\n#[cfg(test)]\nmod tests {\n    use sqlx::w;\n}\n";
        assert_eq!(paths(text), ["b::c"]);
        assert!(Source::new("orchestrator-core/src/a/tests.rs", "use sqlx::w;").code().is_empty());
    }

    #[test]
    fn a_test_module_in_its_own_file_does_not_end_the_code() {
        let source = Source::new("orchestrator-core/src/x.rs", "#[cfg(test)]\nmod tests;\nuse sqlx::Row;\n");
        assert_eq!(source.paths(), [(3, "sqlx::Row".to_owned())]);
    }
}

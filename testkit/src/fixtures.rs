//! The project's own exchanges, written from the vendors' specifications: each shape once, so that every suite has something
//! to run over where the recordings are not there. They lie in `testkit/fixtures`, one JSON file each, whose `about` says what
//! it shows; a stream is a list of its events there.

use std::path::Path;

use crate::recorded::{Recording, load_fixtures};

/// All of them, sorted by file. An error names the file.
pub fn load() -> Result<Vec<Recording>, String> {
    load_fixtures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"))
}

/// The one in `fixtures/<name>.json`. Panics when there is none: the test is wrong.
pub fn named(name: &str) -> Recording {
    let file = format!("{name}.json");
    let all = load().expect("the fixtures are readable");
    all.into_iter().find(|fixture| fixture.file == file).expect("a fixture of that name")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_operation_is_covered_whole_and_streamed_and_failing() {
        let fixtures = load().unwrap();
        let covered: BTreeSet<(&str, bool, bool)> = fixtures
            .iter()
            .map(|fixture| (fixture.endpoint.as_str(), fixture.streaming, fixture.status == 200))
            .collect();
        for shape in [
            ("chat_completions", false, true),
            ("chat_completions", true, true),
            ("chat_completions", false, false),
            ("completions", false, true),
            ("completions", true, true),
            ("completions", false, false),
            ("responses", false, true),
            ("responses", true, true),
            ("responses", false, false),
            ("embeddings", false, true),
            ("embeddings", false, false),
        ] {
            assert!(covered.contains(&shape), "{shape:?}");
        }
        let statuses: BTreeSet<u16> = fixtures.iter().map(|fixture| fixture.status).collect();
        assert_eq!(
            statuses.into_iter().collect::<Vec<_>>(),
            [200, 400, 401, 403, 404, 429, 500, 502, 503, 529]
        );
    }
}

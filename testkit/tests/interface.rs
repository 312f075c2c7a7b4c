//! The admin interface's files: libraries are as they were published, and both languages say the same.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../orchestrator-edge/ui")
}

/// Every file below `folder` with this extension, with its text.
fn texts(folder: &Path, extension: &str, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, extension, found);
        } else if path.extension().is_some_and(|other| other == extension) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

fn scripts() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    texts(&folder().join("js"), "js", &mut found);
    assert!(found.len() > 15, "the walk found the scripts: {found:?}");
    found
}

/// A language's strings by their keys.
fn strings(language: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join(format!("i18n/{language}.js"))).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split_once("\": "));
    let mut strings = BTreeMap::new();
    for (key, value) in rows {
        let before = strings.insert(key.to_owned(), value.trim_end_matches(',').to_owned());
        assert!(before.is_none(), "{language}: {key} stands twice");
    }
    strings
}

/// The names in braces.
fn places(string: &str) -> BTreeSet<&str> {
    string.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// Whatever stands between `start` and a quotation mark.
fn after<'a>(text: &'a str, start: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split_once(end)).map(|(found, _)| found)
}

#[test]
fn both_languages_have_the_same_strings_with_the_same_values_in_them() {
    let (english, chinese) = (strings("en"), strings("zh-CN"));
    assert!(english.len() > 100);
    let keys = |strings: &BTreeMap<String, String>| strings.keys().cloned().collect::<BTreeSet<_>>();
    let (ours, theirs) = (keys(&english), keys(&chinese));
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&String>::new(), "not in Chinese");
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new(), "not in English");
    for (key, string) in &english {
        assert!(string.len() > 2, "{key} is empty");
        // One and more: a number may be a word in one of them.
        let named = |string: &str| {
            places(string).into_iter().filter(|name| *name != "n").map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(named(string), named(&chinese[key]), "{key}");
    }
}

#[test]
fn every_string_is_used_and_every_used_one_is_there() {
    let strings = strings("en");
    let scripts = scripts();
    let (mut missing, mut literals, mut beginnings) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (path, text) in &scripts {
        for key in after(text, "t(\"", '"').filter(|key| key.contains('.')) {
            // Another function's name may end in `t`.
            let is_ours = text.contains(&format!(" t(\"{key}"))
                || text.contains(&format!("{{t(\"{key}"))
                || text.contains(&format!("(t(\"{key}"));
            if is_ours && !strings.contains_key(key) {
                missing.push(format!("{}: {key}", path.display()));
            }
        }
        literals.extend(text.split('"').map(str::to_owned));
        beginnings.extend(
            text.split('`').filter_map(|piece| piece.split_once(".${")).map(|(start, _)| format!("{start}.")),
        );
        beginnings.extend(after(text, "word(\"", '"').map(|start| format!("{start}.")));
    }
    assert_eq!(missing, Vec::<String>::new());
    let is_used = |key: &&String| {
        !literals.contains(*key) && !beginnings.iter().any(|start| key.starts_with(start.as_str()))
    };
    assert_eq!(strings.keys().filter(is_used).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody says them");
}

#[test]
fn no_script_writes_markup_or_asks_anybody_else() {
    for (path, text) in scripts() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "dangerouslySetInnerHTML",
            "eval(",
            "new Function",
            "srcdoc",
        ] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
        for line in text.lines().filter(|line| line.contains("://")) {
            let is_sample =
                line.contains("base: \"") || line.contains("sample: \"") || line.contains("placeholder");
            assert!(is_sample || line.trim_start().starts_with("//"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn libraries_of_others_are_what_the_list_says() {
    let folder = folder().join("vendor");
    let list = fs::read_to_string(folder.join("VENDORED.md")).unwrap();
    let mut listed = BTreeSet::new();
    for row in list.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (name, licence, digest) = (cells[1], cells[4], cells[6]);
        let found = hex::encode(Sha256::digest(fs::read(folder.join(name)).unwrap()));
        assert_eq!(found, digest, "{name} was changed: testkit/ui/vendor.py makes it");
        assert!(["MIT", "Apache-2.0"].contains(&licence), "{name}: {licence}");
        listed.insert(name.to_owned());
    }
    let there: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_none_or(|extension| extension != "md"))
        .collect();
    assert_eq!(there, listed);
}

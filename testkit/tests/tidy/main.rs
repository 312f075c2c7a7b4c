//! The repository's own rules, as a test: a rule that no test holds is a wish.
//!
//! Each rule is a function from a source text (or a manifest) to its violations, with a test beside it that something is
//! caught. They read code as a person skims it, line by line with comments and strings taken out, and no deeper; they hold
//! for what stands before a file's `#[cfg(test)] mod … {`.
//!
//! * [`append_only`]: the audit log is never changed.
//! * [`files`]: every module says what it is, stays short, and opts out of lints in the open.
//! * [`manifests`]: which package may depend on which.
//! * [`walls`]: which file may name which crate; where two worlds must not meet.
//! * [`layers`]: imports of the core run downwards.
//! * [`purity`]: what decides does not wait, read a clock, or touch a file.

mod source;

mod append_only;
mod files;
mod layers;
mod manifests;
mod purity;
mod walls;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use source::Source;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", "data", "node_modules", "fixtures"];

#[test]
fn the_repository_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    walk(&root, &mut paths).unwrap();
    paths.sort();
    assert!(paths.len() > 20, "the walk found the workspace: {paths:?}");

    let mut violations = Vec::new();
    for path in &paths {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(path).unwrap();
        if name.ends_with("Cargo.toml") {
            violations.extend(manifests::check(&name, &text));
            continue;
        }
        let source = Source::new(&name, &text);
        violations.extend(append_only::check(&source));
        violations.extend(files::check(&source));
        violations.extend(walls::check(&source));
        violations.extend(layers::check(&source));
        violations.extend(purity::check(&source));
        if let Some(warning) = files::length_warning(&source) {
            println!("warning: {warning}");
        }
    }
    assert!(violations.is_empty(), "{} rules are broken:\n{}\n", violations.len(), violations.join("\n"));
}

/// Every `.rs` file and every manifest below `folder`.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_source = name == "Cargo.toml" || path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                walk(&path, paths)?;
            }
        } else if is_source {
            paths.push(path);
        }
    }
    Ok(())
}

//! What a scene has shown: lines to read, and what must not be.

use std::{fmt, time::Duration};

/// How many of what is wrong are spelled out.
const SHOWN: usize = 12;

/// A scene that was played.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    lines: Vec<String>,
    wrong: Vec<String>,
}

impl Scene {
    /// Something to read.
    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Something that must be so.
    pub(crate) fn check(&mut self, holds: bool, or_else: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(or_else());
        }
    }

    /// Whether all was as it should be.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    /// All of it, as it is printed.
    pub(crate) fn render(&self, name: &str, took: Duration) -> String {
        let verdict = if self.is_right() { "holds" } else { "FAILS" };
        let mut text = format!("{name}: {verdict} ({took:.1?})\n");
        for line in &self.lines {
            push(&mut text, format_args!("  {line}\n"));
        }
        for wrong in self.wrong.iter().take(SHOWN) {
            push(&mut text, format_args!("  wrong: {wrong}\n"));
        }
        if self.wrong.len() > SHOWN {
            push(&mut text, format_args!("  wrong: {} more\n", self.wrong.len() - SHOWN));
        }
        text
    }
}

/// After how long something happened, if it did.
pub(crate) fn shown(after: Option<Duration>) -> String {
    after.map_or_else(|| "never".to_owned(), |after| format!("{:.0} ms", after.as_secs_f64() * 1_000.0))
}

fn push(text: &mut String, line: fmt::Arguments<'_>) {
    // A string takes all that is written to it.
    let _ = fmt::Write::write_fmt(text, line);
}

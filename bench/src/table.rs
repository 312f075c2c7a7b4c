//! From raw results to the table and to the targets.

mod targets;

use std::fmt::Write as _;

use crate::{
    results::{Measure, Run},
    stats::{self, Summary},
    target::Kind,
};

/// A row: one number of every target, lower or higher being better.
struct Row {
    title: &'static str,
    measure: Measure,
    name: &'static str,
    /// What the raw number is divided by.
    unit: f64,
    /// Less what the same is without anything between.
    added: bool,
    digits: usize,
}

const MS: f64 = 1000.0;

#[rustfmt::skip]
const ROWS: [Row; 17] = [
    row("CPU µs/request, 1 KB, saturated",        Measure::Saturated1k,  "cpu_us",         1.0, 1),
    row("CPU µs/request, 50 KB",                  Measure::Saturated50k, "cpu_us",         1.0, 1),
    row("CPU µs/request, 1 MB",                   Measure::Saturated1m,  "cpu_us",         1.0, 0),
    row("requests/s, 1 KB, 32 connections",       Measure::Saturated1k,  "rate",           1.0, 0),
    row("CPU µs/request at 200/s",                Measure::Paced,        "cpu_us",         1.0, 0),
    added("added p50 at 200/s, ms",               Measure::Paced,        "p50_us"),
    added("added p99 at 200/s, ms",               Measure::Paced,        "p99_us"),
    added("added time to first token, p50, ms",   Measure::FirstToken,   "p50_us"),
    row("CPU µs/chunk, 100 streams",              Measure::Chunks,       "cpu_us",         1.0, 1),
    row("CPU µs/chunk, 1,000 streams",            Measure::Crowd,        "cpu_us",         1.0, 1),
    row("1,000 streams: delivered, %",            Measure::Crowd,        "delivered",      0.01, 1),
    row("1,000 streams: transit p50, ms",         Measure::Crowd,        "transit_p50_us", MS, 2),
    row("1,000 streams: between chunks p99, ms",  Measure::Crowd,        "gap_p99_us",     MS, 1),
    row("memory idle, MiB",                       Measure::Idle,         "memory_mib",     1.0, 1),
    row("CPU idle, ms/s",                         Measure::Idle,         "cpu_ms_per_s",   1.0, 1),
    row("memory a stream, 1,000 streams, KiB",    Measure::Crowd,        "stream_kib",     1.0, 1),
    row("memory a stream, idle streams, KiB",     Measure::IdleStreams,  "stream_kib",     1.0, 1),
];

const fn row(title: &'static str, measure: Measure, name: &'static str, unit: f64, digits: usize) -> Row {
    Row { title, measure, name, unit, added: false, digits }
}

const fn added(title: &'static str, measure: Measure, name: &'static str) -> Row {
    Row { title, measure, name, unit: MS, added: true, digits: 2 }
}

/// The last columns: one target as a multiple of another.
const RATIOS: [(&str, Kind, Kind); 4] = [
    ("1p ÷ hop-gw", Kind::Embedded, Kind::HopGateway),
    ("1p ÷ pair", Kind::Embedded, Kind::PairEmbedded),
    ("2p ÷ hop ×2", Kind::Split, Kind::HopTwice),
    ("2p ÷ pair", Kind::Split, Kind::Pair),
];

/// The table and the targets, as Markdown.
pub(crate) fn render(run: &Run) -> String {
    let rounds = run.rounds().len();
    let kind = if run.quick { "quick run (a look, not a result)" } else { "run" };
    let mut text = format!(
        "{kind} of {}, {rounds} rounds, on {}; load average before: {:.1}\n",
        run.started, run.machine, run.load_before
    );
    if !run.settings.is_empty() {
        let _ = writeln!(text, "settings of the gateway besides its defaults: {:?}", run.settings);
    }
    text.push('\n');
    text.push_str(&aligned(&cells(run)));
    text.push('\n');
    text.push_str(&targets::render(run));
    text
}

fn cells(run: &Run) -> Vec<Vec<String>> {
    let mut head = vec!["median (range)".to_owned()];
    head.extend(Kind::ALL.iter().map(Kind::to_string));
    head.extend(RATIOS.iter().map(|(title, ..)| (*title).to_owned()));
    let mut lines = vec![head];
    for row in &ROWS {
        let all = run.samples.iter().any(|sample| sample.measure == row.measure);
        if !all {
            continue;
        }
        let mut line = vec![row.title.to_owned()];
        line.extend(Kind::ALL.iter().map(|kind| row.cell(run, *kind)));
        line.extend(RATIOS.iter().map(|(_, of, to)| row.ratio(run, *of, *to)));
        lines.push(line);
    }
    let mut errors = vec!["errors".to_owned()];
    errors.extend(Kind::ALL.iter().map(|kind| run.errors(*kind).to_string()));
    errors.extend(RATIOS.iter().map(|_| String::new()));
    lines.push(errors);
    lines
}

impl Row {
    /// Round by round, in the row's unit; without the rounds that have none.
    fn values(&self, run: &Run, kind: Kind) -> Vec<f64> {
        let mut values = run.values(self.measure, kind, self.name);
        if self.added && kind != Kind::Direct {
            let direct = run.values(self.measure, Kind::Direct, self.name);
            values.iter_mut().zip(direct).for_each(|(value, direct)| *value -= direct);
        }
        values.into_iter().map(|value| value / self.unit).collect()
    }

    fn cell(&self, run: &Run, kind: Kind) -> String {
        let digits = self.digits;
        // Without processes of its own there is nothing to tell of CPU and memory.
        let own = !(kind == Kind::Direct && (self.name.starts_with("cpu") || self.name.ends_with("ib")));
        match summary(&self.values(run, kind)).filter(|_| own) {
            None => "–".to_owned(),
            Some(Summary { median, .. }) if self.added && kind == Kind::Direct => {
                format!("[{median:.digits$}]")
            }
            Some(Summary { median, min, max }) if run.rounds().len() > 1 => {
                format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
            }
            Some(Summary { median, .. }) => format!("{median:.digits$}"),
        }
    }

    /// The median of the rounds' ratios: what changed between rounds does not count.
    fn ratio(&self, run: &Run, of: Kind, to: Kind) -> String {
        match ratio(&self.values(run, of), &self.values(run, to)) {
            Some(ratio) if self.name != "delivered" => format!("{ratio:.2}"),
            _ => String::new(),
        }
    }
}

/// The median of what is a number.
fn summary(values: &[f64]) -> Option<Summary> {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    stats::summary(&finite)
}

/// The median of the ratios, round by round. None with differences that noise made negative.
fn ratio(of: &[f64], to: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = of.iter().zip(to).filter(|(_, to)| **to > 0.0).map(|(of, to)| of / to).collect();
    summary(&ratios).map(|summary| summary.median)
}

/// Markdown whose columns stand below each other in a terminal too.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Names to the left, numbers to the right.
            let (before, after) = if column == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            let _ = write!(text, "| {before}{cell}{after} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let side = if column == 0 { '-' } else { ':' };
                let _ = write!(text, "|{}{side}", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests;

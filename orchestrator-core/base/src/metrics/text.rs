//! The text format of Prometheus, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::{fmt::Write as _, sync::atomic::Ordering};

use super::{Description, Histogram};

/// The text of a scrape while it is written.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a family; its series follow. Each family once.
    pub fn family(&mut self, of: &Description) {
        let (name, kind) = (of.name, of.kind.name());
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.0, "# HELP {name} ");
        self.escaped(of.help, false);
        let _ = write!(self.0, "\n# TYPE {name} {kind}\n");
    }

    /// A series that is a whole number. `values`: of the labels, in their order.
    pub fn whole(&mut self, of: &Description, values: &[&str], value: u64) {
        self.head(of, "", values, None);
        let _ = writeln!(self.0, " {value}");
    }

    /// A series that is any number.
    pub fn number(&mut self, of: &Description, values: &[&str], value: f64) {
        self.head(of, "", values, None);
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one series without labels.
    pub fn single(&mut self, of: &Description, value: u64) {
        self.family(of);
        self.whole(of, &[], value);
    }

    /// The series of a histogram.
    pub fn histogram(&mut self, of: &Description, values: &[&str], histogram: &Histogram) {
        let mut so_far = 0;
        let bounds = histogram.bounds.iter().map(|micros| Some(*micros)).chain([None]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            so_far += count.load(Ordering::Relaxed);
            let bound = bound.map_or("+Inf".to_owned(), |micros| (micros as f64 / 1e6).to_string());
            self.head(of, "_bucket", values, Some(&bound));
            let _ = writeln!(self.0, " {so_far}");
        }
        self.head(of, "_sum", values, None);
        let _ = writeln!(self.0, " {}", histogram.nanos.load(Ordering::Relaxed) as f64 / 1e9);
        self.head(of, "_count", values, None);
        let _ = writeln!(self.0, " {so_far}");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, of: &Description, suffix: &str, values: &[&str], bound: Option<&str>) {
        let _ = write!(self.0, "{}{suffix}", of.name);
        let labels = of.labels.iter().copied().zip(values.iter().copied());
        let mut separator = '{';
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.0, "{separator}{label}=\"");
            self.escaped(value, true);
            self.0.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.0.push('}');
        }
    }

    fn escaped(&mut self, text: &str, quotes: bool) {
        for character in text.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' if quotes => self.0.push_str("\\\""),
                other => self.0.push(other),
            }
        }
    }
}

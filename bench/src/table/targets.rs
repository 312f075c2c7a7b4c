//! What the gateway is to reach, each held against the run: CPU against the floor in the same run, the rest against a number.

use std::fmt::Write as _;

use super::{ratio, summary};
use crate::{
    results::{Measure, Run},
    target::Kind,
};

/// Between the rounds' numbers and a bound.
enum Bound {
    /// At most that many times the same of another target.
    Times(f64, Kind),
    /// At most that.
    AtMost(f64),
    /// At least that.
    AtLeast(f64),
    /// At most that above the same of another target.
    Above(f64, Kind),
}

struct Target {
    title: &'static str,
    of: Kind,
    measure: Measure,
    name: &'static str,
    /// Less what there is without anything between.
    added: bool,
    unit: f64,
    bound: Bound,
}

const MS: f64 = 1000.0;

/// Of the 200 chunks of a stream that is 4 s old one or two may be under way. That none is ever lost, every stream's end shows.
const ALL: f64 = 99.0;

#[rustfmt::skip]
const TARGETS: [Target; 21] = [
    cost("CPU/request, edge + core",           Kind::Split,    Measure::Saturated1k,  Bound::Times(1.5, Kind::Pair)),
    cost("CPU/request, edge + core, then",     Kind::Split,    Measure::Saturated1k,  Bound::Times(1.25, Kind::Pair)),
    cost("CPU/request, one process",           Kind::Embedded, Measure::Saturated1k,  Bound::Times(1.5, Kind::HopGateway)),
    cost("CPU/request, one process, then",     Kind::Embedded, Measure::Saturated1k,  Bound::Times(1.25, Kind::HopGateway)),
    cost("CPU/request of 50 KB, one process",  Kind::Embedded, Measure::Saturated50k, Bound::Times(1.5, Kind::HopGateway)),
    cost("CPU/request of 1 MB, one process",   Kind::Embedded, Measure::Saturated1m,  Bound::Times(1.5, Kind::HopGateway)),
    cost("CPU µs/chunk, edge + core",          Kind::Split,    Measure::Chunks,       Bound::AtMost(20.0)),
    cost("CPU µs/chunk, one process",          Kind::Embedded, Measure::Chunks,       Bound::AtMost(15.0)),
    added("added p50 at 200/s, ms, edge + core", Kind::Split,  Measure::Paced, "p50_us", Bound::AtMost(0.4)),
    added("added p99 at 200/s, ms, edge + core", Kind::Split,  Measure::Paced, "p99_us", Bound::Above(1.0, Kind::HopTwice)),
    added("added first token, ms, edge + core",  Kind::Split,    Measure::FirstToken, "p50_us", Bound::AtMost(0.35)),
    added("added first token, ms, one process",  Kind::Embedded, Measure::FirstToken, "p50_us", Bound::AtMost(0.35)),
    plain("1,000 streams delivered, %, edge + core", Kind::Split,    Measure::Crowd, "delivered", 0.01, Bound::AtLeast(ALL)),
    plain("1,000 streams delivered, %, one process", Kind::Embedded, Measure::Crowd, "delivered", 0.01, Bound::AtLeast(ALL)),
    plain("1,000 streams, transit p50, ms, edge + core", Kind::Split,    Measure::Crowd, "transit_p50_us", MS, Bound::AtMost(2.0)),
    plain("1,000 streams, transit p50, ms, one process", Kind::Embedded, Measure::Crowd, "transit_p50_us", MS, Bound::AtMost(2.0)),
    plain("memory a stream, KiB, edge + core", Kind::Split,    Measure::Crowd, "stream_kib", 1.0, Bound::AtMost(64.0)),
    plain("memory a stream, KiB, one process", Kind::Embedded, Measure::Crowd, "stream_kib", 1.0, Bound::AtMost(64.0)),
    plain("memory a stream, KiB, idle streams, edge + core", Kind::Split, Measure::IdleStreams, "stream_kib", 1.0, Bound::AtMost(64.0)),
    plain("memory idle, MiB, edge + core",     Kind::Split,    Measure::Idle,  "memory_mib", 1.0, Bound::AtMost(40.0)),
    plain("memory idle, MiB, one process",     Kind::Embedded, Measure::Idle,  "memory_mib", 1.0, Bound::AtMost(40.0)),
];

const fn cost(title: &'static str, of: Kind, measure: Measure, bound: Bound) -> Target {
    plain(title, of, measure, "cpu_us", 1.0, bound)
}

const fn added(title: &'static str, of: Kind, measure: Measure, name: &'static str, bound: Bound) -> Target {
    Target { title, of, measure, name, added: true, unit: MS, bound }
}

const fn plain(
    title: &'static str,
    of: Kind,
    measure: Measure,
    name: &'static str,
    unit: f64,
    bound: Bound,
) -> Target {
    Target { title, of, measure, name, added: false, unit, bound }
}

/// A line for each.
pub(super) fn render(run: &Run) -> String {
    let mut text = String::from("Targets:\n\n");
    for target in &TARGETS {
        if let Some(line) = target.line(run) {
            let _ = writeln!(text, "* {line}");
        }
    }
    for kind in [Kind::Split, Kind::Embedded] {
        let errors = run.errors(kind);
        let verdict = verdict(errors == 0);
        let _ =
            writeln!(text, "* {verdict}: every answer of {kind} was whole and unaltered; errors: {errors}");
    }
    text
}

impl Target {
    /// What it is, what was measured, what was wanted, and the verdict. `None`: this was not measured.
    fn line(&self, run: &Run) -> Option<String> {
        let values = self.values(run, self.of);
        let found = summary(&values)?.median;
        let (met, text) = match &self.bound {
            Bound::Times(bound, floor) => {
                let times = ratio(&values, &self.values(run, *floor))?;
                (times <= *bound, format!("{found:.1} µs = {times:.2} × {floor}, wanted ≤ {bound} ×"))
            }
            Bound::AtMost(bound) => (found <= *bound, format!("{found:.2}, wanted ≤ {bound}")),
            Bound::AtLeast(bound) => (found >= *bound, format!("{found:.2}, wanted ≥ {bound}")),
            Bound::Above(bound, floor) => {
                let base = summary(&self.values(run, *floor))?.median;
                (found <= base + bound, format!("{found:.2}, wanted ≤ {base:.2} ({floor}) + {bound}"))
            }
        };
        Some(format!("{}: {}: {text}", verdict(met), self.title))
    }

    fn values(&self, run: &Run, kind: Kind) -> Vec<f64> {
        let mut values = run.values(self.measure, kind, self.name);
        if self.added {
            let direct = run.values(self.measure, Kind::Direct, self.name);
            values.iter_mut().zip(direct).for_each(|(value, direct)| *value -= direct);
        }
        values.into_iter().map(|value| value / self.unit).collect()
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

//! One build, one setting, two values: what does it cost?
//!
//! A gateway with each value runs beside the other, before one upstream, started anew in each round so that no accident of one
//! process's memory lasts. Load goes to the first, the second, the second, the first: what drifts evenly hits both alike. A round
//! gives one ratio; the median of the rounds has an interval that assumes nothing about their distribution.

use std::{fmt::Write as _, str::FromStr, time::Duration};

use orchestrator_base::{clock::Clock, process};
use serde::Serialize;

use crate::{
    measure::{self, Stop, StreamPlan},
    results,
    serve::AnyError,
    stats,
    target::{self, Kind, Running, Upstream, gateway::Settings},
    usage,
};

/// What costs this much more is said to cost something.
const BOUND: f64 = 1.05;

/// A setting and the two values that are compared: `NAME=A,B`, or `NAME` alone for `false` and `true`. The name is a variable
/// (`LOG_LEVEL`) or the setting's own (`log.level`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    name: String,
    values: [String; 2],
}

impl FromStr for Comparison {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').unwrap_or((text, "false,true"));
        match values.split_once(',') {
            Some((first, second)) if !name.is_empty() && !second.contains(',') => {
                Ok(Self { name: name.to_owned(), values: [first.to_owned(), second.to_owned()] })
            }
            _ => Err("wanted: NAME=A,B, or NAME for false and true".to_owned()),
        }
    }
}

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What is compared.
    pub(crate) comparison: Comparison,
    /// Which kind of gateway.
    pub(crate) kind: Kind,
    /// How many rounds.
    pub(crate) rounds: u32,
    /// Shorter measurements.
    pub(crate) quick: bool,
    /// What else is set at both.
    pub(crate) settings: Settings,
}

/// What a round gave: CPU microseconds in the order of measuring, which is first, second, second, first.
#[derive(Debug, Serialize)]
struct Round {
    request_us: [f64; 4],
    chunk_us: [f64; 4],
    errors: u64,
}

/// The raw results.
#[derive(Debug, Serialize)]
struct Compared {
    started: String,
    machine: String,
    load_before: f64,
    gateway: Kind,
    comparison: Comparison,
    settings: Settings,
    rounds: Vec<Round>,
}

/// Runs all rounds and prints the two ratios.
pub(crate) fn run(options: &Options, stop: &Stop) -> Result<(), AnyError> {
    let mut compared = Compared {
        started: Clock::system().now().to_string(),
        machine: usage::machine(),
        load_before: usage::load_average(),
        gateway: options.kind,
        comparison: options.comparison.clone(),
        settings: options.settings.clone(),
        rounds: Vec::new(),
    };
    for number in 1..=options.rounds {
        let round = one_round(options, stop)?;
        let ratios = (of_pairs(&round.request_us), of_pairs(&round.chunk_us));
        process::complain(&format!("round {number}: request {:.3}, chunk {:.3}", ratios.0, ratios.1));
        compared.rounds.push(round);
    }
    let path = results::write(&compared.started, &compared)?;
    process::print(format!("{}\nRaw results: {}\n", render(&compared), path.display()));
    Ok(())
}

fn one_round(options: &Options, stop: &Stop) -> Result<Round, AnyError> {
    let upstream = Upstream::start()?;
    let start = |value: &String| {
        let mut settings = options.settings.clone();
        settings.insert(options.comparison.name.clone(), value.clone());
        target::start(options.kind, upstream.address(), &settings)
    };
    let [first, second] = &options.comparison.values;
    let (first, second) = (start(first)?, start(second)?);
    let mut round = Round { request_us: [0.0; 4], chunk_us: [0.0; 4], errors: 0 };
    for (turn, running) in [&first, &second, &second, &first].into_iter().enumerate() {
        (round.request_us[turn], round.chunk_us[turn]) =
            costs(running, options.quick, &mut round.errors, stop)?;
    }
    Ok(round)
}

/// CPU microseconds a request and a chunk.
fn costs(running: &Running, quick: bool, errors: &mut u64, stop: &Stop) -> Result<(f64, f64), AnyError> {
    let ms = |full, quickly| Duration::from_millis(if quick { quickly } else { full });
    let requests = measure::saturated(running, 1024, (ms(500, 200), ms(2000, 500)), stop)?;
    let plan = StreamPlan { count: 100, ramp: ms(200, 100), settle: ms(300, 200), window: ms(1500, 500) };
    let chunks = measure::streams(running, plan, stop)?;
    *errors += requests.errors.values().chain(chunks.errors.values()).sum::<u64>();
    let cpu = |numbers: &measure::Numbers| numbers.values.get("cpu_us").copied();
    cpu(&requests).zip(cpu(&chunks)).ok_or_else(|| "nothing was answered".into())
}

/// The second value's cost as a multiple of the first's.
fn of_pairs(costs: &[f64; 4]) -> f64 {
    let [first, second, again, last] = costs;
    (second + again) / (first + last)
}

fn render(compared: &Compared) -> String {
    let Comparison { name, values: [first, second] } = &compared.comparison;
    let (kind, rounds) = (compared.gateway, compared.rounds.len());
    let mut text = format!("{kind}, {name}: {second} as a multiple of {first}, {rounds} rounds\n\n");
    let requests: Vec<f64> = compared.rounds.iter().map(|round| of_pairs(&round.request_us)).collect();
    let chunks: Vec<f64> = compared.rounds.iter().map(|round| of_pairs(&round.chunk_us)).collect();
    for (what, ratios) in [("CPU per request", requests), ("CPU per chunk", chunks)] {
        let _ = writeln!(text, "* {what}: {}", verdict(&ratios));
    }
    let errors: u64 = compared.rounds.iter().map(|round| round.errors).sum();
    let _ = writeln!(text, "* errors: {errors}");
    text
}

fn verdict(ratios: &[f64]) -> String {
    let Some(found) = stats::interval(ratios) else {
        let median = stats::summary(ratios).map_or(f64::NAN, |summary| summary.median);
        return format!("median {median:.3}; too few rounds for an interval");
    };
    let within = if found.upper <= BOUND {
        "its upper end is within"
    } else if found.lower > BOUND {
        "all of it is above"
    } else {
        "its upper end is not within"
    };
    format!(
        "median {:.3}, {:.1} % interval {:.3} to {:.3}: {within} {BOUND}",
        found.median,
        found.confidence * 100.0,
        found.lower,
        found.upper
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_a_name_with_two_values() {
        let of = |name: &str, first: &str, second: &str| {
            Ok(Comparison { name: name.into(), values: [first.into(), second.into()] })
        };
        assert_eq!("LOG_LEVEL=info,debug".parse(), of("LOG_LEVEL", "info", "debug"));
        assert_eq!("app.debug".parse(), of("app.debug", "false", "true"));
        for wrong in ["LOG_LEVEL=info", "LOG_LEVEL=a,b,c", "=a,b", ""] {
            assert!(wrong.parse::<Comparison>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_verdict_says_where_the_upper_end_lies() {
        let ratios = |center: f64| (0..12).map(|step| center + f64::from(step) / 1000.0).collect::<Vec<_>>();
        assert!(
            verdict(&ratios(1.0))
                .ends_with("1.006, 96.1 % interval 1.002 to 1.009: its upper end is within 1.05")
        );
        assert!(verdict(&ratios(1.045)).ends_with("its upper end is not within 1.05"));
        assert!(verdict(&ratios(1.06)).ends_with("all of it is above 1.05"));
        assert!(verdict(&[1.0; 5]).ends_with("too few rounds for an interval"));
    }

    #[test]
    fn drift_that_is_even_leaves_a_round_of_equals_at_one() {
        assert!((of_pairs(&[10.0, 11.0, 12.0, 13.0]) - 1.0).abs() < 1e-9);
        assert!((of_pairs(&[10.0, 22.0, 24.0, 13.0]) - 2.0).abs() < 1e-9);
    }
}

//! One build, one setting, two values: what does it cost?
//!
//! A gateway with each value runs beside the other, before one upstream, started anew in each round so that no accident of one
//! process's memory lasts. Both are loaded in the same windows: what the machine does besides hits both alike. A round gives one
//! ratio; the median of the rounds has an interval that assumes nothing about their distribution.

use std::{fmt::Write as _, io, str::FromStr, thread, time::Duration};

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

/// What a round gave: CPU microseconds of each window, for the first value and for the second.
#[derive(Debug, Default, Serialize)]
struct Round {
    request_us: [Vec<f64>; 2],
    chunk_us: [Vec<f64>; 2],
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
        let ratios = (ratio(&round.request_us), ratio(&round.chunk_us));
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
    let both = [start(first)?, start(second)?];
    let mut round = Round::default();
    requests(&both, options.quick, &mut round, stop)?;
    chunks(&both, options.quick, &mut round, stop)?;
    Ok(round)
}

/// Saturated connections.
fn requests(both: &[Running; 2], quick: bool, round: &mut Round, stop: &Stop) -> Result<(), AnyError> {
    const WARM_UP: Duration = Duration::from_millis(100);
    const WINDOW: Duration = Duration::from_millis(900);
    for order in [[0, 1], [1, 0]].repeat(if quick { 1 } else { 3 }) {
        let measured =
            side_by_side(order, |which| measure::saturated(&both[which], 1024, (WARM_UP, WINDOW), stop))?;
        take(&measured, &mut round.request_us, &mut round.errors)?;
    }
    Ok(())
}

/// Streams, which leave room for each other.
fn chunks(both: &[Running; 2], quick: bool, round: &mut Round, stop: &Stop) -> Result<(), AnyError> {
    let window = Duration::from_millis(if quick { 500 } else { 1500 });
    let settle = Duration::from_millis(300);
    let plan = StreamPlan { count: 50, ramp: Duration::from_millis(200), settle, window };
    for order in [[0, 1], [1, 0]] {
        let measured = side_by_side(order, |which| measure::streams(&both[which], plan, stop))?;
        take(&measured, &mut round.chunk_us, &mut round.errors)?;
    }
    Ok(())
}

/// Measures both in the same window, in which the machine is the same for both. The one that begins first is the other one the next
/// time.
fn side_by_side(
    order: [usize; 2],
    measure: impl Fn(usize) -> io::Result<measure::Numbers> + Sync,
) -> Result<[(usize, measure::Numbers); 2], AnyError> {
    let measure = &measure;
    let [one, two] = thread::scope(|scope| {
        let begun = order.map(|which| scope.spawn(move || measure(which)));
        begun.map(thread::ScopedJoinHandle::join)
    });
    let numbers = |joined: thread::Result<io::Result<measure::Numbers>>| {
        Ok::<_, AnyError>(joined.map_err(|_| "a measurement panicked")??)
    };
    Ok([(order[0], numbers(one)?), (order[1], numbers(two)?)])
}

fn take(
    measured: &[(usize, measure::Numbers); 2],
    costs: &mut [Vec<f64>; 2],
    errors: &mut u64,
) -> Result<(), AnyError> {
    for (which, numbers) in measured {
        costs[*which].push(cost(numbers)?);
        *errors += numbers.errors.values().sum::<u64>();
    }
    Ok(())
}

fn cost(numbers: &measure::Numbers) -> Result<f64, AnyError> {
    numbers.values.get("cpu_us").copied().ok_or_else(|| "nothing was answered".into())
}

/// The second value's cost as a multiple of the first's: of the windows' medians, so that one window in which the machine did
/// something else does not count.
fn ratio(costs: &[Vec<f64>; 2]) -> f64 {
    let [first, second] =
        costs.each_ref().map(|costs| stats::summary(costs).map_or(f64::NAN, |costs| costs.median));
    second / first
}

fn render(compared: &Compared) -> String {
    let Comparison { name, values: [first, second] } = &compared.comparison;
    let (kind, rounds) = (compared.gateway, compared.rounds.len());
    let mut text = format!("{kind}, {name}: {second} as a multiple of {first}, {rounds} rounds\n\n");
    let requests: Vec<f64> = compared.rounds.iter().map(|round| ratio(&round.request_us)).collect();
    let chunks: Vec<f64> = compared.rounds.iter().map(|round| ratio(&round.chunk_us)).collect();
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
    fn a_window_that_was_disturbed_leaves_a_rounds_ratio_as_it_is() {
        let costs = |second: [f64; 3]| [vec![10.0, 10.2, 9.8], second.to_vec()];
        assert!((ratio(&costs([20.0, 20.4, 19.6])) - 2.0).abs() < 1e-9);
        assert!((ratio(&costs([20.0, 20.4, 95.0])) - 2.04).abs() < 1e-9);
        assert!(ratio(&[vec![1.0], Vec::new()]).is_nan());
    }
}

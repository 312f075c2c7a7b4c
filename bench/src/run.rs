//! The full run: every target, every measurement, several rounds, one table.
//!
//! In each round all targets are started anew; then each measurement goes over all of them before the next one begins, so that
//! what changes on the machine changes for all alike. The order is another one in each round. Targets that are not measured
//! wait, which costs next to nothing.

use std::time::Duration;

use orchestrator_base::{clock::Clock, process};

use crate::{
    load::open::Ask,
    measure::{self, Numbers, Stop, StreamPlan},
    results::{self, Measure, Run, Sample},
    serve::AnyError,
    table,
    target::{self, Kind, Running, Upstream, gateway::Settings},
    usage,
};

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// A look in two minutes rather than a result.
    pub(crate) quick: bool,
    /// How many rounds; unset: 3, or 1 for a quick run.
    pub(crate) rounds: Option<u32>,
    /// So many idle streams besides; 0: none.
    pub(crate) idle_streams: usize,
    /// Which targets.
    pub(crate) targets: Vec<Kind>,
    /// Which measurements; none: all.
    pub(crate) measures: Vec<Measure>,
    /// What is set at the gateway besides its defaults.
    pub(crate) settings: Settings,
}

/// File descriptors that a process has open besides its connections.
const DESCRIPTORS_BESIDES: u64 = 500;

/// How long each measurement takes.
struct Plan {
    idle: Duration,
    paced: (Duration, u64),
    first_token: (Duration, u64),
    chunks: StreamPlan,
    crowd: StreamPlan,
    saturated: [(Measure, usize, (Duration, Duration)); 3],
    idle_streams: usize,
}

impl Plan {
    fn new(quick: bool, idle_streams: usize) -> Self {
        let ms = |full, quickly| Duration::from_millis(if quick { quickly } else { full });
        let small = (ms(500, 300), ms(2500, 1000));
        let large = (ms(300, 200), ms(1500, 600));
        Self {
            idle: ms(1000, 300),
            // 200 and 100 a second.
            paced: (Duration::from_millis(5), if quick { 400 } else { 1000 }),
            first_token: (Duration::from_millis(10), if quick { 100 } else { 300 }),
            chunks: StreamPlan {
                count: 100,
                ramp: ms(200, 200),
                settle: ms(500, 300),
                window: ms(2500, 1000),
            },
            crowd: StreamPlan {
                count: 1000,
                ramp: ms(1000, 500),
                settle: ms(700, 300),
                window: ms(3000, 1000),
            },
            saturated: [
                (Measure::Saturated1k, 1024, small),
                (Measure::Saturated50k, 50 * 1024, large),
                (Measure::Saturated1m, 1024 * 1024, large),
            ],
            idle_streams,
        }
    }

    /// In the order in which they are made: what is measured of memory comes before what leaves the most behind.
    fn measures(&self) -> Vec<Measure> {
        let mut measures =
            vec![Measure::Idle, Measure::Paced, Measure::FirstToken, Measure::Chunks, Measure::Crowd];
        if self.idle_streams > 0 {
            measures.push(Measure::IdleStreams);
        }
        measures.extend(self.saturated.iter().map(|(measure, ..)| *measure));
        measures
    }

    fn measure(&self, measure: Measure, running: &Running, stop: &Stop) -> std::io::Result<Numbers> {
        match measure {
            Measure::Idle => measure::idle(running, self.idle, stop),
            Measure::Paced => measure::paced(running, self.paced, Ask::Whole, stop),
            Measure::FirstToken => measure::paced(running, self.first_token, Ask::FirstToken, stop),
            Measure::Chunks => measure::streams(running, self.chunks, stop),
            Measure::Crowd => measure::streams(running, self.crowd, stop),
            Measure::IdleStreams => {
                measure::idle_streams(running, idle_streams_that_fit(running.kind, self.idle_streams)?, stop)
            }
            Measure::Saturated1k | Measure::Saturated50k | Measure::Saturated1m => {
                let [small, middle, large] = self.saturated;
                let (_, bytes, times) = match measure {
                    Measure::Saturated1k => small,
                    Measure::Saturated50k => middle,
                    _ => large,
                };
                measure::saturated(running, bytes, times, stop)
            }
        }
    }
}

/// A proxy needs two descriptors a stream, an edge or a core of a pair one and a few.
fn idle_streams_that_fit(kind: Kind, wanted: usize) -> std::io::Result<usize> {
    let room = usage::descriptor_limit()?.saturating_sub(DESCRIPTORS_BESIDES) as usize;
    let each = if matches!(kind, Kind::Pair | Kind::Split | Kind::Direct) { 1 } else { 2 };
    Ok(wanted.min(room / each))
}

/// Runs it all and prints the table. Results so far are kept even when it ends early.
pub(crate) fn run(options: &Options, stop: &Stop) -> Result<(), AnyError> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
    let plan = Plan::new(options.quick, options.idle_streams);
    let mut run = Run {
        started: Clock::system().now().to_string(),
        machine: usage::machine(),
        load_before: usage::load_average(),
        quick: options.quick,
        settings: options.settings.clone(),
        samples: Vec::new(),
    };
    let mut saved = None;
    for round in 1..=rounds {
        one_round(&mut run, round, &plan, options, stop)?;
        saved = Some(results::write(&run.started, &run)?);
    }
    process::print(table::render(&run));
    if let Some(path) = saved {
        process::print(format!("\nRaw results: {}\n", path.display()));
    }
    Ok(())
}

fn one_round(run: &mut Run, round: u32, plan: &Plan, options: &Options, stop: &Stop) -> Result<(), AnyError> {
    let upstream = Upstream::start()?;
    let mut targets = Vec::new();
    for kind in &options.targets {
        targets.push(target::start(*kind, upstream.address(), &options.settings)?);
    }
    let count = targets.len();
    let mut measures = plan.measures();
    measures.retain(|measure| options.measures.is_empty() || options.measures.contains(measure));
    for (turn, measure) in measures.into_iter().enumerate() {
        process::complain(&format!("round {round}: {measure:?}"));
        // Begins with another target each time, and goes backwards in every second round.
        let mut order: Vec<&Running> = targets.iter().collect();
        order.rotate_left((turn + round as usize) % count);
        if round.is_multiple_of(2) {
            order.reverse();
        }
        for running in order {
            stop.wait(Duration::from_millis(50))?;
            let numbers = plan.measure(measure, running, stop)?;
            let (values, errors) = (numbers.values, numbers.errors);
            if !errors.is_empty() {
                process::complain(&format!("  {}: errors: {errors:?}", running.kind));
            }
            run.samples.push(Sample { round, measure, target: running.kind, values, errors });
        }
    }
    Ok(())
}

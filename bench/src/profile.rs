//! One target under one load for a while: for a profiler, which wants the ids of processes and a steady state.

use std::time::Duration;

use orchestrator_base::process;

use crate::{
    measure::{self, Stop, StreamPlan},
    serve::AnyError,
    target::{self, Kind, Upstream, gateway::Settings},
};

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Which target.
    pub(crate) kind: Kind,
    /// For how long.
    pub(crate) time: Duration,
    /// So many streams with a chunk every 20 ms; 0: whole answers without a pause.
    pub(crate) streams: usize,
    /// The size of a request for a whole answer.
    pub(crate) request_bytes: usize,
    /// What is set at the gateway besides its defaults.
    pub(crate) settings: Settings,
}

/// Prints the ids, puts the load on, prints what it cost.
pub(crate) fn run(options: &Options, stop: &Stop) -> Result<(), AnyError> {
    const WARM_UP: Duration = Duration::from_millis(500);
    let upstream = Upstream::start()?;
    let running = target::start(options.kind, upstream.address(), &options.settings)?;
    process::print(format!("{}: processes {:?}\n", options.kind, running.pids()));
    let numbers = if options.streams > 0 {
        let (count, window) = (options.streams, options.time);
        let plan = StreamPlan { count, ramp: WARM_UP, settle: WARM_UP, window };
        measure::streams(&running, plan, stop)?
    } else {
        measure::saturated(&running, options.request_bytes, (WARM_UP, options.time), stop)?
    };
    for (name, value) in &numbers.values {
        process::print(format!("{name} {value:.3}\n"));
    }
    process::print(format!("errors {:?}\n", numbers.errors));
    Ok(())
}

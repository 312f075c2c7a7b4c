//! The measurements: each puts one kind of load on one target and gives its numbers.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    load::{
        client::Errors,
        closed::Closed,
        open::{Ask, Open},
        streams::Streams,
    },
    script::{Script, request::Bodies},
    target::Running,
};

/// Connections of a closed loop.
const CONNECTIONS: usize = 32;
/// About how many bytes a whole answer, and the event of a chunk, have.
const ANSWER_BYTES: usize = 1024;
const CHUNK_BYTES: usize = 280;
/// The size of a request where that is not what is varied.
const REQUEST_BYTES: usize = 1024;
/// Between two chunks of a stream.
pub(crate) const CHUNK_PACE: Duration = Duration::from_millis(20);
/// How long streams run on after the last thing that is measured, so that none ends before.
const MARGIN: Duration = Duration::from_millis(500);

/// Set when the run is to end early.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on every [`wait`](Self::wait) fails.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sleeps, unless the run is to end.
    pub(crate) fn wait(&self, time: Duration) -> io::Result<()> {
        const STEP: Duration = Duration::from_millis(50);
        let until = Instant::now() + time;
        while !self.0.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STEP));
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"))
    }
}

/// What a measurement gave: its numbers by name, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// See [`Measure`](crate::results::Measure).
    pub(crate) values: BTreeMap<String, f64>,
    /// By text.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Numbers {
    /// What is not a number (a cost of nothing) is left out.
    fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.values.insert(name.to_owned(), value);
        }
    }

    fn with_errors(mut self, errors: &Errors) -> Self {
        self.errors = errors.list();
        self
    }
}

/// CPU per request of `request_bytes` when 32 connections never pause.
pub(crate) fn saturated(
    running: &Running,
    request_bytes: usize,
    (warm_up, window): (Duration, Duration),
    stop: &Stop,
) -> io::Result<Numbers> {
    let load =
        Closed::start(&running.target, &Bodies::new(script(0, Duration::ZERO), request_bytes), CONNECTIONS)?;
    let mut numbers = Numbers::default();
    let watched = (|| {
        stop.wait(warm_up)?;
        let (from, cpu, answered) = (Instant::now(), running.cpu_ns()?, load.answered());
        stop.wait(window)?;
        let (time, cpu, answered) = (from.elapsed(), running.cpu_ns()? - cpu, load.answered() - answered);
        numbers.set("cpu_us", per(cpu, answered));
        numbers.set("rate", answered as f64 / time.as_secs_f64());
        io::Result::Ok(())
    })();
    let errors = load.stop();
    watched.map(|()| numbers.with_errors(&errors))
}

/// Latency and CPU of `count` requests at a fixed rate.
pub(crate) fn paced(
    running: &Running,
    (interval, count): (Duration, u64),
    ask: Ask,
    stop: &Stop,
) -> io::Result<Numbers> {
    let chunks = match ask {
        Ask::Whole => 0,
        Ask::FirstToken => 5,
    };
    let bodies = Bodies::new(script(chunks, Duration::ZERO), REQUEST_BYTES);
    let load = Open::start(&running.target, &bodies, (interval, count), ask)?;
    stop.wait(load.start.saturating_duration_since(Instant::now()))?;
    let cpu = running.cpu_ns()?;
    let (times, errors) = load.join();
    let cpu = running.cpu_ns()? - cpu;
    let mut numbers = Numbers::default();
    numbers.set("cpu_us", per(cpu, times.count()));
    for (name, share) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("max_us", 1.0)] {
        numbers.set(name, times.quantile_us(share));
    }
    Ok(numbers.with_errors(&errors))
}

/// How many streams, opened over how long, and watched for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPlan {
    /// How many.
    pub(crate) count: usize,
    /// Until the last is opened.
    pub(crate) ramp: Duration,
    /// Between that and what is measured.
    pub(crate) settle: Duration,
    /// How long is measured.
    pub(crate) window: Duration,
}

impl StreamPlan {
    /// How many chunks should have come in all, `after` the first stream was opened. Counted from the beginning and not in the
    /// window alone: an upstream that catches up would make up there for what was lost before.
    fn due(&self, after: Duration) -> f64 {
        // The average stream was opened in the middle of the ramp, and its first chunk came at once.
        let age = after.saturating_sub(self.ramp / 2);
        self.count as f64 * (age.as_secs_f64() / CHUNK_PACE.as_secs_f64() + 0.5)
    }
}

/// CPU per chunk, delivery, transit and memory of streams with a chunk every 20 ms.
pub(crate) fn streams(running: &Running, plan: StreamPlan, stop: &Stop) -> io::Result<Numbers> {
    let length = plan.ramp + plan.settle + plan.window + MARGIN;
    let chunks = length.as_millis() / CHUNK_PACE.as_millis();
    let bodies = Bodies::new(script(chunks as u64, CHUNK_PACE), REQUEST_BYTES);
    let memory_before = running.memory_kib()?;
    let begin = Instant::now();
    let load = Streams::start(&running.target, &bodies, plan.count, plan.ramp)?;
    let mut numbers = Numbers::default();
    let watched = (|| {
        stop.wait(plan.ramp + plan.settle)?;
        load.record(true);
        let (cpu, chunks) = (running.cpu_ns()?, load.chunks());
        stop.wait(plan.window)?;
        let delivered = load.chunks();
        let cpu = running.cpu_ns()? - cpu;
        load.record(false);
        numbers.set("cpu_us", per(cpu, delivered - chunks));
        numbers.set("delivered", (delivered as f64 / plan.due(begin.elapsed())).min(1.0));
        memory(running, &mut numbers, memory_before, plan.count)
    })();
    if watched.is_err() {
        load.leave();
    }
    let (seen, errors) = load.join();
    for (name, times, share) in [
        ("transit_p50_us", &seen.transit, 0.5),
        ("transit_p99_us", &seen.transit, 0.99),
        ("gap_p50_us", &seen.gap, 0.5),
        ("gap_p99_us", &seen.gap, 0.99),
    ] {
        numbers.set(name, times.quantile_us(share));
    }
    watched.map(|()| numbers.with_errors(&errors))
}

/// Memory of `count` streams that have begun and say nothing more.
pub(crate) fn idle_streams(running: &Running, count: usize, stop: &Stop) -> io::Result<Numbers> {
    const WITHIN: Duration = Duration::from_mins(1);
    let bodies = Bodies::new(script(2, WITHIN * 10), REQUEST_BYTES);
    let memory_before = running.memory_kib()?;
    let ramp = Duration::from_millis(count as u64 / 2);
    let load = Streams::start(&running.target, &bodies, count, ramp)?;
    let mut numbers = Numbers::default();
    let watched = (|| {
        let until = Instant::now() + WITHIN;
        let begun = || load.begun() + load.errors().total() >= count as u64;
        while !begun() && Instant::now() < until {
            stop.wait(Duration::from_millis(100))?;
        }
        stop.wait(Duration::from_secs(1))?;
        numbers.set("streams", load.begun() as f64);
        memory(running, &mut numbers, memory_before, count)
    })();
    load.leave();
    let (_, errors) = load.join();
    watched.map(|()| numbers.with_errors(&errors))
}

fn memory(running: &Running, numbers: &mut Numbers, before: u64, streams: usize) -> io::Result<()> {
    let now = running.memory_kib()?;
    numbers.set("memory_mib", now as f64 / 1024.0);
    numbers.set("stream_kib", now.saturating_sub(before) as f64 / streams as f64);
    Ok(())
}

/// Memory and CPU of a target that has nothing to do.
pub(crate) fn idle(running: &Running, window: Duration, stop: &Stop) -> io::Result<Numbers> {
    let mut numbers = Numbers::default();
    numbers.set("memory_mib", running.memory_kib()? as f64 / 1024.0);
    let (from, cpu) = (Instant::now(), running.cpu_ns()?);
    stop.wait(window)?;
    let cpu = running.cpu_ns()? - cpu;
    numbers.set("cpu_ms_per_s", cpu as f64 / 1e6 / from.elapsed().as_secs_f64());
    Ok(numbers)
}

fn script(chunks: u64, pace: Duration) -> Script {
    let pace_us = pace.as_micros() as u64;
    Script { seq: 0, answer_bytes: ANSWER_BYTES, chunks, chunk_bytes: CHUNK_BYTES, pace_us }
}

/// Nanoseconds of CPU over a count, in microseconds. Not a number when nothing was answered.
fn per(cpu_ns: u64, count: u64) -> f64 {
    if count == 0 { f64::NAN } else { cpu_ns as f64 / 1000.0 / count as f64 }
}

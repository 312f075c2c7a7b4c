//! `orchestrator-bench`: what the gateway costs, measured beside the floor. `docs/BENCHMARKS.md` says how and what it means.

mod script;
mod serve;

mod hop;
mod pair;
mod upstream;

mod load;
mod logs;
mod target;
mod usage;

mod measure;
mod results;
mod stats;

mod compare;
mod profile;
mod run;
mod table;

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use measure::Stop;
use orchestrator_base::{process, signals::Shutdown};
use serve::AnyError;
use target::{Kind, gateway::Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the gateway beside bare hops.
#[derive(Parser)]
#[command(name = "orchestrator-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure every target and print the table.
    Run {
        /// Two minutes rather than ten.
        #[arg(long)]
        quick: bool,
        /// How many rounds; 3, or 1 for a quick run.
        #[arg(long)]
        rounds: Option<u32>,
        /// So many idle streams besides; as many as the limit of file descriptors lets be.
        #[arg(long, default_value_t = 0)]
        idle_streams: usize,
        /// Only these targets, comma-separated; ratios need what they refer to.
        #[arg(long, value_delimiter = ',')]
        targets: Vec<Kind>,
        /// Only these measurements, comma-separated.
        #[arg(long, value_delimiter = ',')]
        measures: Vec<results::Measure>,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
    /// Compare two values of one setting of the gateway.
    Compare {
        /// NAME=A,B, or NAME for false and true; a variable or a setting's own name.
        comparison: compare::Comparison,
        /// Compare edge and core rather than one process.
        #[arg(long)]
        split: bool,
        /// How many rounds.
        #[arg(long, default_value_t = 12)]
        rounds: u32,
        /// Shorter measurements.
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
    /// Put one load on one target for a while, for a profiler.
    Load {
        /// Which target.
        target: Kind,
        /// For so many seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// So many streams with a chunk every 20 ms, rather than 32 connections that ask without a pause.
        #[arg(long, default_value_t = 0)]
        streams: usize,
        /// How large a request is.
        #[arg(long, default_value_t = 1024)]
        request_bytes: usize,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
    /// Fill databases with request logs, and print what lists and statistics cost.
    Logs {
        /// sqlite, mariadb, postgres, each in a temporary folder; or a URL, where what lies there is added to.
        #[arg(default_values = ["sqlite", "mariadb", "postgres"])]
        places: Vec<logs::Place>,
        /// How many rows are filled in.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// How often each query is run.
        #[arg(long, default_value_t = 50)]
        runs: usize,
        /// Write how the queries are planned into this file.
        #[arg(long)]
        plans: Option<PathBuf>,
    },
    /// Print the table of a file of raw results.
    Table {
        /// A file below `target/bench`.
        file: PathBuf,
    },
    /// Serve as a scripted upstream.
    Upstream,
    /// Serve as a bare reverse proxy.
    Hop {
        /// HOST:PORT of the next one.
        #[arg(long)]
        to: String,
        /// Check this key, parse the JSON, count usage.
        #[arg(long)]
        key: Option<String>,
    },
    /// Serve as the tonic pair in one process.
    Pair {
        /// HOST:PORT of the upstream.
        #[arg(long)]
        to: String,
    },
    /// Serve as the tonic pair's edge.
    PairEdge {
        /// HOST:PORT of its core.
        #[arg(long)]
        core: String,
    },
    /// Serve as the tonic pair's core.
    PairCore {
        /// HOST:PORT of the upstream.
        #[arg(long)]
        to: String,
    },
}

#[derive(Args)]
struct GatewayArguments {
    /// NAME=VALUE to set at the gateway; repeatable.
    #[arg(long = "set", value_parser = name_and_value)]
    settings: Vec<(String, String)>,
}

impl GatewayArguments {
    fn settings(self) -> Settings {
        self.settings.into_iter().collect()
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("wanted: NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<(), AnyError> {
    match command {
        Command::Run { quick, rounds, idle_streams, targets, measures, gateway } => {
            let targets = if targets.is_empty() { Kind::ALL.to_vec() } else { targets };
            let settings = gateway.settings();
            let options = run::Options { quick, rounds, idle_streams, targets, measures, settings };
            until_stopped(move |stop| run::run(&options, stop))
        }
        Command::Compare { comparison, split, rounds, quick, gateway } => {
            let kind = if split { Kind::Split } else { Kind::Embedded };
            let settings = gateway.settings();
            let options = compare::Options { comparison, kind, rounds, quick, settings };
            until_stopped(move |stop| compare::run(&options, stop))
        }
        Command::Load { target, seconds, streams, request_bytes, gateway } => {
            let (time, settings) = (std::time::Duration::from_secs(seconds), gateway.settings());
            let options = profile::Options { kind: target, time, streams, request_bytes, settings };
            until_stopped(move |stop| profile::run(&options, stop))
        }
        Command::Logs { places, rows, runs, plans } => {
            logs::run(&logs::Options { places, rows, runs: runs.max(1), plans })
        }
        Command::Table { file } => {
            process::print(table::render(&results::Run::read(&file)?));
            Ok(())
        }
        Command::Upstream => Ok(upstream::run()?),
        Command::Hop { to, key: None } => Ok(hop::run(to)?),
        Command::Hop { to, key: Some(key) } => Ok(hop::run_gateway(to, key)?),
        Command::Pair { to } => Ok(pair::run(to)?),
        Command::PairEdge { core } => Ok(pair::run_edge(core)?),
        Command::PairCore { to } => Ok(pair::run_core(to)?),
    }
}

/// Runs a driver on this thread. A signal makes it end at its next step, and with it the processes that it started.
fn until_stopped(driver: impl FnOnce(&Stop) -> Result<(), AnyError>) -> Result<(), AnyError> {
    let stop = Stop::default();
    let background = orchestrator_base::runtime::Background::start()?;
    let shutdown = Shutdown::new();
    background.block_on(async { shutdown.watch_signals() }).map_err(io::Error::other)?;
    let (asked, flag) = (shutdown.drain().clone(), stop.clone());
    background.spawn("stop", async move {
        asked.cancelled().await;
        flag.set();
    });
    let result = driver(&stop);
    background.stop();
    result
}

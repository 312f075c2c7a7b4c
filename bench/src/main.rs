//! `orchestrator-bench`: what the gateway costs, measured beside the floor. `docs/BENCHMARKS.md` says how and what it means.

mod hop;
mod load;
mod script;
mod serve;
mod target;
mod upstream;
mod usage;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use load::closed::Closed;
use orchestrator_base::process;
use script::{Script, request::Bodies};
use target::Kind;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the gateway beside bare hops.
#[derive(Parser)]
#[command(name = "orchestrator-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A scripted upstream.
    Upstream,
    /// A bare reverse proxy.
    Hop {
        /// HOST:PORT of the next one.
        #[arg(long)]
        to: String,
        /// Check this key, parse the JSON, count usage.
        #[arg(long)]
        key: Option<String>,
    },
    /// CPU per request, quickly.
    Cpu,
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Upstream => upstream::run(),
        Command::Hop { to, key: None } => hop::run(to),
        Command::Hop { to, key: Some(key) } => hop::run_gateway(to, key),
        Command::Cpu => cpu(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn cpu() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let upstream = target::Upstream::start().map_err(std::io::Error::other)?;
    for kind in [Kind::Hop, Kind::HopTwice, Kind::HopGateway, Kind::Embedded, Kind::Split] {
        let running = runtime
            .block_on(target::start(kind, upstream.address(), &Default::default()))
            .map_err(std::io::Error::other)?;
        let script = Script { seq: 0, answer_bytes: 1024, chunks: 0, chunk_bytes: 0, pace_us: 0 };
        let load = Closed::start(&running.target, &Bodies::new(script, 1024), 32)?;
        std::thread::sleep(Duration::from_secs(1));
        let (cpu, answered) = (running.cpu_ns()?, load.answered());
        std::thread::sleep(Duration::from_secs(3));
        let (cpu, answered) = (running.cpu_ns()? - cpu, load.answered() - answered);
        let errors = load.stop();
        process::print(format!(
            "{kind:22} {:7.1} µs/request {:8.0}/s {:?}\n",
            cpu as f64 / 1000.0 / answered as f64,
            answered as f64 / 3.0,
            errors.list()
        ));
    }
    Ok(())
}

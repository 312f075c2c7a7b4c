//! `orchestrator-chaos`: the real programs, edge and core, between failing providers and many callers; every request accounted for.
//! `make chaos` runs it. CONTRIBUTING.md says what it proves.

mod kind;
mod schedule;

mod answer;
mod providers;
mod report;

mod caller;
mod gateway;
mod outcome;
mod program;

mod accounts;
mod books;
mod database;
mod fleet;
mod kill;
mod outage;
mod run;
mod table;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use orchestrator_base::process;

/// Whatever keeps a run from its end.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Lets providers fail, and accounts for every request.
#[derive(Parser)]
#[command(name = "orchestrator-chaos", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the test and print its table; anything that must not be is a failure.
    Run(Load),
    /// Kill the core again and again under load, and compare the books.
    Kill(kill::Kills),
    /// Take the database away under load, give it back, and compare the books.
    Outage(outage::Outage),
    /// Play what two cores must keep together, through one database and one Redis.
    Fleet(fleet::Play),
    /// Start two cores anew under load, one after the other, and compare the books.
    Rolling(fleet::rolling::Rolling),
    /// Serve as the three providers.
    Providers(Load),
}

/// What is drawn and asked.
#[derive(Args, Clone, Copy, Debug)]
struct Load {
    /// Draws all faults.
    #[arg(long, default_value_t = 8)]
    seed: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Requests in a second.
    #[arg(long, default_value_t = 210)]
    rate: u64,
}

impl Load {
    fn millis(self) -> u64 {
        self.seconds * 1_000
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(load) => run::run(load),
        Command::Kill(kills) => kill::run(&kills),
        Command::Outage(outage) => outage::run(outage),
        Command::Fleet(play) => fleet::run(play),
        Command::Rolling(rolling) => fleet::rolling::run(rolling),
        Command::Providers(load) => providers::run(load.seed, load.millis()).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            process::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

//! `orchestrator-edge`: the REST edge, with a core in the same process unless it is told of others.

mod serve;

use std::process::ExitCode;

use clap::Parser as _;
use orchestrator_base::{
    config::{EdgeArgs, EdgeCommand, Loaded, Role},
    process, telemetry, tls,
};
use orchestrator_edge::probe;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = EdgeArgs::parse();
    let loaded = match process::load(args.sources(), Role::Edge) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match args.command() {
        EdgeCommand::CheckConfig => process::check_config(&loaded, Role::Edge),
        EdgeCommand::Health => ask_health(&loaded),
        EdgeCommand::Serve => serve(&loaded),
    }
}

fn ask_health(loaded: &Loaded) -> ExitCode {
    match probe::ask_ready(&loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            process::complain(&format!("unhealthy: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: &Loaded) -> ExitCode {
    process::use_small_pages();
    let config = &loaded.config;
    telemetry::otlp::prepare(config, "llm-orchestrator-edge");
    let _logs = match telemetry::install(&config.log, config.app.debug) {
        Ok(logs) => logs,
        Err(error) => return process::no_logs(&error),
    };
    tls::install_crypto();
    let served = match &config.edge.core_endpoint {
        Some(cores) => serve::before(config, cores),
        None => serve::with_core(config),
    };
    match served {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!(error = %failure.why, "the start failed");
            ExitCode::from(failure.exit_code)
        }
    }
}

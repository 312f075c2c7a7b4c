//! `orchestrator-grpc`: the core alone.

use std::{iter::repeat_with, path::Path, process::ExitCode, sync::Arc};

use clap::Parser as _;
use orchestrator_base::{
    clock::Clock,
    config::{CoreArgs, CoreCommand, Loaded, Role, init_env},
    house::House,
    process,
    runtime::{self, Workers},
    telemetry, tls,
};
use orchestrator_grpc::{
    boot::{self, FLUSH},
    commands, descriptor, health, metrics_listener,
    routes::Part,
    server,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = CoreArgs::parse();
    match args.command() {
        CoreCommand::InitEnv { .. } => return process::print(init_env::generate()),
        CoreCommand::Descriptor { out } => return write_descriptor(out.as_deref()),
        _ => {}
    }
    // Read twice, for a command may need what is no setting.
    let sources = args.sources();
    let loaded = match process::load(args.sources(), Role::Core) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match args.command() {
        CoreCommand::CheckConfig => commands::check_config(&loaded),
        CoreCommand::Health => health::ask(&loaded.config),
        CoreCommand::Stats { what } => commands::stats::run(&loaded, &what),
        CoreCommand::Migrate { status } => commands::migrate::run(&loaded, status),
        CoreCommand::Export(args) => commands::export::run(&loaded.config, sources, &args),
        CoreCommand::Import(args) => commands::import::run(&loaded.config, sources, &args),
        CoreCommand::Apply(args) => commands::apply::run(&loaded.config, sources, &args),
        CoreCommand::Backup { file } => commands::backup::run(&loaded.config, &file),
        CoreCommand::Keys(command) => commands::keys::run(&loaded.config, sources, &command),
        CoreCommand::Serve | CoreCommand::InitEnv { .. } | CoreCommand::Descriptor { .. } => serve(&loaded),
    }
}

fn write_descriptor(out: Option<&Path>) -> ExitCode {
    let Some(path) = out else { return process::print(descriptor()) };
    match std::fs::write(path, descriptor()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&format!("{}: {error}", path.display()));
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: &Loaded) -> ExitCode {
    process::use_small_pages();
    telemetry::otlp::prepare(&loaded.config, "llm-orchestrator-core");
    let _logs = match telemetry::install(&loaded.config.log, loaded.config.app.debug) {
        Ok(logs) => logs,
        Err(error) => return process::no_logs(&error),
    };
    tls::install_crypto();
    match try_serve(loaded) {
        Ok(code) => code,
        Err(Failure::Start(error)) => {
            tracing::error!(error = %error, "the start failed");
            ExitCode::from(if error.configuration { 2 } else { 1 })
        }
        Err(Failure::Tls(error)) => {
            tracing::error!(%error, "the start failed");
            ExitCode::from(2)
        }
        Err(Failure::Io(error)) => {
            tracing::error!(error = %error, "the start failed");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] boot::StartError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn try_serve(loaded: &Loaded) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let ends = tls::Ends::open(config, Role::Core)?;
    let house = House::open(config)?;
    let Some(core) = house.while_wanted(boot::start(config)) else { return Ok(house.close(Vec::new())) };
    let core = Arc::new(core?);

    tracing::info!("Starting application server");
    let threads = runtime::threads(config.runtime.threads);
    let listeners = process::listen(&config.grpc.host, config.grpc.port, threads)?;
    let shown = metrics_listener::listen(config)?;
    let first = listeners.first().ok_or_else(|| std::io::Error::other("there is no listener"))?;
    let address = first.local_addr()?;
    tracing::info!(%address, "Listening for gRPC");
    // Operators are few: one thread serves their listener.
    let operators = process::listen_for_admin(&config.admin.grpc_host, config.admin.grpc_port, "gRPC")?;
    let part = if operators.is_some() { Part::WithoutAdmin } else { Part::Whole };
    let operators =
        operators.map(|socket| ends.grpc(socket)).into_iter().map(Some).chain(repeat_with(|| None));
    let listeners: Vec<_> = listeners.into_iter().map(|socket| ends.grpc(socket)).zip(operators).collect();
    let (serving, thread) = (Arc::clone(&core), house.thread());
    let workers = Workers::start_with(listeners, move |index, (listener, operators)| {
        let (core, thread) = (Arc::clone(&serving), thread.clone());
        async move {
            let _alive = thread.begin(index);
            let (service, stages) = (core.service(), thread.stages);
            let admin = Part::ForOperators.of(service.clone());
            let admin =
                process::serve_if(operators, |listener| server::serve(listener, admin, stages.clone()));
            let calls = server::serve(listener, part.of(service), stages.clone());
            let (served, admin) = tokio::join!(calls, admin);
            served.and(admin)
        }
    })?;
    let (days, closing) = (config.tls.expiry_warning_days, house.stages.closing().clone());
    drop(house.background.block_on(async { ends.watch(days, Clock::system(), closing) }));
    if let Some(listener) = shown {
        house.background.block_on(async { core.show_at(listener) })?;
    }
    house.background.block_on(core.serve_until(&house.stages));
    process::print(process::core_greeting(config, address, &core.data_dir));
    tracing::info!("Application startup complete");
    house.ready(&format!("serving gRPC on {address}"), FLUSH);

    let results = workers.join();
    if let Some(core) = Arc::into_inner(core) {
        house.background.block_on(core.finish(house.shutdown.abort()));
    }
    Ok(house.close(results))
}

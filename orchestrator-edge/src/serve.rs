//! Starting the edge, before cores elsewhere or with one in the process, and ending it in order.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    time::Duration,
};

use orchestrator_base::{
    config::{Config, Reload},
    house::House,
    process,
    runtime::{self, Workers},
    task,
};
use orchestrator_edge::{App, core_client, follow, listener};

/// Why the edge does not serve.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In one line.
    pub(crate) why: String,
    /// 2 when the configuration is to blame, else 1.
    pub(crate) exit_code: u8,
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { why: error.to_string(), exit_code: 1 }
    }
}

/// The edge alone, before cores elsewhere.
pub(crate) fn before(config: &Config, cores: &str) -> Result<ExitCode, Failure> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), core = cores, "Starting LLM Orchestrator edge");
    let house = House::open(config)?;
    let listeners =
        process::listen(&config.edge.host, config.edge.port, runtime::threads(config.runtime.threads))?;
    let address = say_address(&listeners, "Listening for REST")?;
    let shared = App::new(config, core_client::remote(cores)?, house.stages.clone());
    let reload = Reload::new(config);
    shared.reloading(&reload);
    // Its connections are the background runtime's: a channel belongs to one.
    let core = core_client::remote(cores)?;
    let stop = house.stages.leaving().clone();
    house.background.block_on(async move {
        drop(task::spawn("log level", follow::log_level(core, stop)));
        follow::hangups(reload)
    })?;
    let (cores, thread) = (cores.to_owned(), house.thread());
    let workers = Workers::start_with(listeners, move |index, socket| {
        let (app, channel, thread) = (shared.clone(), core_client::remote(&cores), thread.clone());
        async move {
            let _alive = thread.begin(index);
            let app = app.for_thread(channel.map_err(io::Error::other)?);
            listener::serve(socket, app).await
        }
    })?;
    tracing::info!("Application startup complete");
    house.ready(&format!("serving REST on {address}"), Duration::ZERO);
    Ok(house.close(workers.join()))
}

/// The edge and a core in this process.
#[cfg(feature = "embedded")]
pub(crate) fn with_core(config: &Config) -> Result<ExitCode, Failure> {
    let house = House::open(config)?;
    let starting = core_client::embedded::EmbeddedCore::start(config);
    let Some(core) = house.while_wanted(starting) else { return Ok(house.close(Vec::new())) };
    let core = core.map_err(|error| Failure {
        why: error.to_string(),
        exit_code: if error.configuration { 2 } else { 1 },
    })?;
    tracing::info!("Starting application server");
    let threads = runtime::threads(config.runtime.threads);
    let rest = process::listen(&config.edge.host, config.edge.port, threads)?;
    let grpc = process::listen(&config.grpc.host, config.grpc.port, threads)?;
    let shown = core_client::embedded::EmbeddedCore::listen_for_metrics(config)?;
    let addresses = (say_address(&rest, "Listening for REST")?, say_address(&grpc, "Listening for gRPC")?);
    if let Some(listener) = shown {
        house.background.block_on(async { core.show_at(listener) })?;
    }
    house.background.block_on(core.serve_until(&house.stages));

    // The core knows better than the edge how an answer ends.
    let stages = house.stages.clone().without_curfew();
    let shared = App::new(config, core.for_thread().channel(), stages).showing(core.metrics());
    shared.reloading(core.reload());
    let (serving, thread) = (core.clone(), house.thread());
    let workers = Workers::start_with(rest.into_iter().zip(grpc), move |index, (rest, grpc)| {
        let (app, core, thread) = (shared.clone(), serving.clone(), thread.clone());
        async move {
            let _alive = thread.begin(index);
            let core = core.for_thread();
            let app = app.for_thread(core.channel());
            let (rest, grpc) = tokio::join!(listener::serve(rest, app), core.serve(grpc, thread.stages));
            rest.and(grpc)
        }
    })?;
    process::print(process::greeting(config, addresses.0, addresses.1, core.data_dir()));
    tracing::info!("Application startup complete");
    let status = format!("serving REST on {} and gRPC on {}", addresses.0, addresses.1);
    house.ready(&status, core_client::embedded::FLUSH);
    let results = workers.join();
    house.background.block_on(core.finish(house.shutdown.abort()));
    Ok(house.close(results))
}

/// A build without a core can only serve before others.
#[cfg(not(feature = "embedded"))]
pub(crate) fn with_core(_: &Config) -> Result<ExitCode, Failure> {
    Err(Failure { why: "this build has no core of its own: set CORE_ENDPOINT".into(), exit_code: 2 })
}

/// Logs where the listeners listen, and gives it: with port 0 only they know.
fn say_address(listeners: &[TcpListener], what: &'static str) -> io::Result<SocketAddr> {
    let first = listeners.first().ok_or_else(|| io::Error::other("there is no listener"))?;
    let address = first.local_addr()?;
    tracing::info!(%address, "{what}");
    Ok(address)
}

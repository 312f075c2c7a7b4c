//! Starting the edge, before cores elsewhere or with one in the process, and ending it in order.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use orchestrator_base::{
    config::{Config, Reload},
    process,
    runtime::{self, Background, Workers},
    signals::Shutdown,
    task,
};
use orchestrator_edge::{App, core_client, follow, listener};

/// How long streams may go on once the process was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);

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
pub(crate) fn before(config: &Config, cores: &str) -> Result<(), Failure> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), core = cores, "Starting LLM Orchestrator edge");
    let (background, shutdown) = begin()?;
    let listeners =
        process::listen(&config.edge.host, config.edge.port, runtime::threads(config.runtime.threads))?;
    say_address(&listeners, "Listening for REST")?;
    let shared = App::new(config, core_client::remote(cores)?, shutdown.drain().clone());
    let reload = Reload::new(config);
    shared.reloading(&reload);
    // Its connections are the background runtime's: a channel belongs to one.
    let core = core_client::remote(cores)?;
    let stop = shutdown.drain().clone();
    background.block_on(async move {
        drop(task::spawn("log level", follow::log_level(core, stop)));
        follow::hangups(reload)
    })?;
    let cores = cores.to_owned();
    let workers = Workers::start_with(listeners, move |_, socket| {
        let (app, channel) = (shared.clone(), core_client::remote(&cores));
        async move {
            let app = app.for_thread(channel.map_err(io::Error::other)?);
            listener::serve(socket, app, DRAIN).await
        }
    })?;
    tracing::info!("Application startup complete");
    let results = workers.join();
    background.stop();
    finish(results)
}

/// The edge and a core in this process.
#[cfg(feature = "embedded")]
pub(crate) fn with_core(config: &Config) -> Result<(), Failure> {
    let (background, shutdown) = begin()?;
    let core = core_client::embedded::EmbeddedCore::start(&background, config).map_err(|error| Failure {
        why: error.to_string(),
        exit_code: if error.configuration { 2 } else { 1 },
    })?;
    tracing::info!("Starting application server");
    let threads = runtime::threads(config.runtime.threads);
    let rest = process::listen(&config.edge.host, config.edge.port, threads)?;
    let grpc = process::listen(&config.grpc.host, config.grpc.port, threads)?;
    let addresses = (say_address(&rest, "Listening for REST")?, say_address(&grpc, "Listening for gRPC")?);
    background.block_on(core.serve_until(shutdown.drain().clone()));

    let stop = shutdown.drain().clone();
    let shared = App::new(config, core.for_thread().channel(), stop.clone());
    shared.reloading(core.reload());
    let serving = core.clone();
    let workers = Workers::start_with(rest.into_iter().zip(grpc), move |_, (rest, grpc)| {
        let (app, core, stop) = (shared.clone(), serving.clone(), stop.clone());
        async move {
            let core = core.for_thread();
            let app = app.for_thread(core.channel());
            let (rest, grpc) = tokio::join!(listener::serve(rest, app, DRAIN), core.serve(grpc, stop, DRAIN));
            rest.and(grpc)
        }
    })?;
    process::print(process::greeting(config, addresses.0, addresses.1, core.data_dir()));
    tracing::info!("Application startup complete");
    let results = workers.join();
    background.block_on(core.finish());
    background.stop();
    finish(results)
}

/// A build without a core can only serve before others.
#[cfg(not(feature = "embedded"))]
pub(crate) fn with_core(_: &Config) -> Result<(), Failure> {
    Err(Failure { why: "this build has no core of its own: set CORE_ENDPOINT".into(), exit_code: 2 })
}

fn begin() -> io::Result<(Background, Shutdown)> {
    let background = Background::start()?;
    let shutdown = Shutdown::new();
    background.block_on(async { shutdown.watch_signals() })?;
    Ok((background, shutdown))
}

fn finish(results: Vec<Result<io::Result<()>, runtime::WorkerError>>) -> Result<(), Failure> {
    tracing::info!("Stopped");
    for result in results {
        result??;
    }
    Ok(())
}

/// Logs where the listeners listen, and gives it: with port 0 only they know.
fn say_address(listeners: &[TcpListener], what: &'static str) -> io::Result<SocketAddr> {
    let first = listeners.first().ok_or_else(|| io::Error::other("there is no listener"))?;
    let address = first.local_addr()?;
    tracing::info!(%address, "{what}");
    Ok(address)
}

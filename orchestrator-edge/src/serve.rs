//! Starting the edge, before cores elsewhere or with one in the process, and ending it in order.

use std::{
    fmt, io,
    iter::{once, repeat_with},
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use orchestrator_base::{
    clock::Clock,
    config::{Config, Reload, Role},
    house::House,
    process,
    runtime::{self, Workers},
    task,
    tls::{self, Ends},
};
use orchestrator_edge::{
    App,
    core_client::{self, CoreChannel, EndpointError},
    follow, listener,
};

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
    let ends = open_ends(config)?;
    let house = House::open(config)?;
    let listeners =
        process::listen(&config.edge.host, config.edge.port, runtime::threads(config.runtime.threads))?;
    let address = say_address(&listeners, "Listening for REST")?;
    let operators = Operators::listen(config, &ends)?;
    let way =
        Way { cores: cores.to_owned(), admin: config.admin.core_endpoint.clone(), tls: ends.core.clone() };
    let shared = App::new(config, way.channel()?, house.stages.clone());
    let reload = Reload::new(config);
    shared.reloading(&reload);
    // Its connections are the background runtime's: a channel belongs to one.
    let core = way.channel()?;
    let stop = house.stages.leaving().clone();
    house.background.block_on(async move {
        drop(task::spawn("log level", follow::log_level(core, stop)));
        follow::hangups(reload)
    })?;
    let thread = house.thread();
    let listeners: Vec<_> =
        listeners.into_iter().map(|socket| ends.rest(socket)).zip(operators.of_one()).collect();
    let workers = Workers::start_with(listeners, move |index, (socket, operators)| {
        let (app, channel, thread) = (shared.clone(), way.channel(), thread.clone());
        async move {
            let _alive = thread.begin(index);
            let app = app.for_thread(channel.map_err(io::Error::other)?);
            let admin = app.for_operators();
            let admin = process::serve_if(operators.rest, |socket| listener::serve(socket, admin));
            let (served, admin) = tokio::join!(listener::serve(socket, app), admin);
            served.and(admin)
        }
    })?;
    watch(&ends, config, &house);
    tracing::info!("Application startup complete");
    house.ready(&format!("serving REST on {address}"), Duration::ZERO);
    Ok(house.close(workers.join()))
}

/// The edge and a core in this process.
#[cfg(feature = "embedded")]
pub(crate) fn with_core(config: &Config) -> Result<ExitCode, Failure> {
    use core_client::embedded::{EmbeddedCore, FLUSH, Part};

    let ends = open_ends(config)?;
    let house = House::open(config)?;
    let starting = EmbeddedCore::start(config);
    let Some(core) = house.while_wanted(starting) else { return Ok(house.close(Vec::new())) };
    let core = core.map_err(|error| Failure {
        why: error.to_string(),
        exit_code: if error.configuration { 2 } else { 1 },
    })?;
    tracing::info!("Starting application server");
    let threads = runtime::threads(config.runtime.threads);
    let rest = process::listen(&config.edge.host, config.edge.port, threads)?;
    let grpc = process::listen(&config.grpc.host, config.grpc.port, threads)?;
    let shown = EmbeddedCore::listen_for_metrics(config)?;
    let addresses = (say_address(&rest, "Listening for REST")?, say_address(&grpc, "Listening for gRPC")?);
    if let Some(listener) = shown {
        house.background.block_on(async { core.show_at(listener) })?;
    }
    house.background.block_on(core.serve_until(&house.stages));

    let operators = Operators::listen(config, &ends)?;
    let part = if operators.grpc.is_some() { Part::WithoutAdmin } else { Part::Whole };
    let rest = rest.into_iter().map(|socket| ends.rest(socket));
    let grpc = grpc.into_iter().map(|socket| ends.grpc(socket));
    let sockets: Vec<_> = rest.zip(grpc).zip(operators.of_one()).collect();

    // The core knows better than the edge how an answer ends.
    let stages = house.stages.clone().without_curfew();
    let shared = App::new(config, core.for_thread().channel(), stages).showing(core.metrics());
    shared.reloading(core.reload());
    let (serving, thread) = (core.clone(), house.thread());
    let workers = Workers::start_with(sockets, move |index, ((rest, grpc), operators)| {
        let (app, core, thread) = (shared.clone(), serving.clone(), thread.clone());
        async move {
            let _alive = thread.begin(index);
            let core = core.for_thread();
            let app = app.for_thread(core.channel());
            let (rest_admin, grpc_admin) = (app.for_operators(), core.only(Part::ForOperators));
            let stages = thread.stages;
            let admin = process::serve_if(operators.rest, |socket| listener::serve(socket, rest_admin));
            let grpc_admin =
                process::serve_if(operators.grpc, |socket| grpc_admin.serve(socket, stages.clone()));
            let grpc = core.only(part).serve(grpc, stages.clone());
            let served = tokio::join!(listener::serve(rest, app), grpc, admin, grpc_admin);
            served.0.and(served.1).and(served.2).and(served.3)
        }
    })?;
    watch(&ends, config, &house);
    process::print(process::greeting(config, addresses.0, addresses.1, core.data_dir()));
    tracing::info!("Application startup complete");
    let status = format!("serving REST on {} and gRPC on {}", addresses.0, addresses.1);
    house.ready(&status, FLUSH);
    let results = workers.join();
    house.background.block_on(core.finish(house.shutdown.abort()));
    Ok(house.close(results))
}

/// A build without a core can only serve before others.
#[cfg(not(feature = "embedded"))]
pub(crate) fn with_core(_: &Config) -> Result<ExitCode, Failure> {
    Err(Failure { why: "this build has no core of its own: set CORE_ENDPOINT".into(), exit_code: 2 })
}

/// The way to cores elsewhere, for each thread anew.
struct Way {
    cores: String,
    /// Where their service Admin is, if not beside the others.
    admin: Option<String>,
    tls: Option<Arc<tls::Client>>,
}

impl Way {
    fn channel(&self) -> Result<CoreChannel, EndpointError> {
        let cores = core_client::encrypted(&self.cores, self.tls.as_ref())?;
        let Some(admin) = &self.admin else { return Ok(cores) };
        Ok(core_client::with_admin_at(cores, core_client::encrypted(admin, self.tls.as_ref())?))
    }
}

/// The listeners for operators alone, where there are any.
#[derive(Default)]
struct Operators {
    rest: Option<tls::Listener>,
    grpc: Option<tls::Listener>,
}

impl Operators {
    fn listen(config: &Config, ends: &Ends) -> io::Result<Self> {
        let admin = &config.admin;
        let rest = process::listen_for_admin(&admin.host, admin.port, "REST")?;
        let has_core = config.edge.core_endpoint.is_none();
        let grpc_port = admin.grpc_port.filter(|_| has_core);
        let grpc = process::listen_for_admin(&admin.grpc_host, grpc_port, "gRPC")?;
        Ok(Self { rest: rest.map(|socket| ends.rest(socket)), grpc: grpc.map(|socket| ends.grpc(socket)) })
    }

    /// For each thread its share: operators are few, and the first thread serves them.
    fn of_one(self) -> impl Iterator<Item = Self> {
        once(self).chain(repeat_with(Self::default))
    }
}

fn open_ends(config: &Config) -> Result<Ends, Failure> {
    Ends::open(config, Role::Edge).map_err(|error| Failure { why: error.to_string(), exit_code: 2 })
}

/// Follows the certificates' files.
fn watch(ends: &Ends, config: &Config, house: &House) {
    let (days, closing) = (config.tls.expiry_warning_days, house.stages.closing().clone());
    // Dropping the handle detaches the task, which ends with the listeners.
    drop(house.background.block_on(async { ends.watch(days, Clock::system(), closing) }));
}

/// Logs where the listeners listen, and gives it: with port 0 only they know.
fn say_address(listeners: &[TcpListener], what: &'static str) -> io::Result<SocketAddr> {
    let first = listeners.first().ok_or_else(|| io::Error::other("there is no listener"))?;
    let address = first.local_addr()?;
    tracing::info!(%address, "{what}");
    Ok(address)
}

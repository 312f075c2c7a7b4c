//! From a configuration to a running core, step by step, each step one log line. A step that fails says which it is and why.

pub(crate) mod database;
mod declared;
mod health;
pub(crate) mod keys;
mod metrics;
mod reload;
mod retention;
mod shared_state;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use orchestrator_base::{
    clock::Clock,
    config::{AppEnv, Config, Declared, Reload},
    curfew::Curfew,
    metrics::Registry,
    random::Random,
    stopping::Stages,
    task,
};
use orchestrator_core::{
    admin::{Admin, AdminAuth, health::HealthDesk, refusals::Refusals, seed, status::StatusDesk},
    admission::gate::Gate,
    alerts::{Watch, Webhook},
    catalog::snapshot::SharedCatalog,
    condition::Conditions,
    ledger::{self, Ledger, journal::Journal, replay, writer::Writer},
    metrics::Metrics,
    model_lists::ModelListKeeper,
    orchestrator::{Drains, Orchestrator, Shared},
    origins::LocalOrigins,
    provider::http::HttpClient,
    recording::claims::Claims,
    refresher::Reloader,
    shared_state::{SharedState, Touched},
    store::Database,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    admin::AdminService,
    convert::edges::EdgeSource,
    edges::EdgesService,
    health::Health,
    metrics_listener::{self, Page},
    orchestrate::OrchestrateService,
    routes::{self, CoreService, Reflection, Services},
};

/// The name under which the one core of a `DATA_DIR` keeps its journal.
const CORE_NAME: &str = "core";

/// A start that failed: the step, and why, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct StartError {
    step: &'static str,
    reason: String,
    /// The configuration does not fit what it is to work with: trying again changes nothing.
    pub configuration: bool,
}

impl StartError {
    pub(crate) fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self { step, reason: error.to_string(), configuration: false }
    }
}

/// A core that has started: what its request threads share, and its background work.
pub struct Core {
    shared: Arc<Shared>,
    admin: Admin,
    desk: HealthDesk,
    status: StatusDesk,
    public_status: bool,
    auth: AdminAuth,
    refusals: Refusals,
    /// What load balancers are told.
    pub health: Health,
    environment: AppEnv,
    declared: Declared,
    reload: Reload,
    database: Database,
    /// What the process shows of itself.
    pub metrics: Registry,
    background: Vec<JoinHandle<Option<()>>>,
    stop: CancellationToken,
    /// What tells the other cores how requests ended: it goes on until the last of them is stored.
    together: (Vec<JoinHandle<Option<()>>>, CancellationToken),
    /// Where its files lie, absolute.
    pub data_dir: PathBuf,
}

/// Starts a core: database, migrations, catalog, journal, background work. Listeners are the caller's business.
pub async fn start(config: &Config) -> Result<Core, StartError> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), environment = ?config.app.env, "Starting LLM Orchestrator");
    tracing::info!("Configuration checked");
    let data_dir = data_dir(&config.data.dir)?;
    let keys = keys::resolve(config, &data_dir)?;
    let database = database::open_and_log(config).await?;
    let vault = Arc::new(keys::vault(config, &data_dir, &keys.master, &database).await?);

    let (clock, random, stop) = (Clock::system(), Random::system(), CancellationToken::new());
    let core = random.uuid(clock.now()).to_string();
    let together = shared_state::connect(config, &core).await?;
    let catalog = Arc::new(SharedCatalog::default());
    let store = Arc::new(database.clone());
    let reloader = Reloader::new(store.clone(), Arc::clone(&vault), Arc::clone(&catalog), config.timeouts);
    let reloader = Arc::new(reloader.with_news(together.as_ref().map(|together| together.news.clone())));
    let rules = config.providers.clone();
    let admin = Admin::new(store.clone(), vault, Arc::clone(&reloader), clock.clone(), random.clone(), rules);
    fill_catalog(config, &admin, &reloader, &catalog, &data_dir).await?;

    let settings = reload::Settings::new(config);
    let journal = open_journal(config, &data_dir, random.uuid(clock.now()))?;
    let ledger = open_ledger(config, &settings, &journal, &clock, &random);
    let elsewhere = shared_state::answers(config, together.as_ref(), &core);
    let shared_state =
        shared_state::open(config, together.as_ref(), core.clone(), store.clone(), clock.clone());
    let touched = Touched::default();
    let again = Arc::clone(&reloader);
    let mut background =
        start_background(config, &database, journal, reloader, (&shared_state, &touched), &stop).await?;
    background.push(adopt_journals(config, &data_dir, &database, &stop));
    background.push(learn_of_others(shared_state.clone(), clock.clone(), stop.clone()));
    let shared = Arc::new(Shared {
        catalog,
        ledger,
        shared_state,
        estimates: settings.estimates.clone(),
        gate: Gate::new(&config.admission),
        drains: Drains::default(),
        curfew: Curfew::new(),
        claims: Claims::new(&config.idempotency, elsewhere),
        origins: Arc::new(LocalOrigins::default()),
        conditions: Conditions::new(settings.breakers.clone(), clock.clone(), random.clone()),
        clock,
        random,
        limits: config.limits.clone(),
        stream: config.stream.clone().into(),
        deny_private: config.providers.deny_private_networks,
    });
    let redis = together.as_ref().map(|together| together.redis.clone());
    let together = tell_others(together, &shared);
    background.push(watch_alerts(config, &settings, &database, &shared, touched, &stop));
    let (reload, following) = reload::start(config, settings, again, &shared, &admin, &stop)?;
    background.extend(following);
    let watching = health::start(config, &database, &shared, &admin, &stop).await?;
    let registry = metrics::registry(&shared, &database, redis, watching.leads);
    background.extend(watching.tasks);
    background.push(retention::start(config, &database, &shared.clock, &stop).await?);
    let health = start_health(&shared, &stop, &mut background).await;
    let auth = AdminAuth::new([&keys.admin], Arc::clone(&shared.catalog), shared.clock.clone());
    let (refusals, writing) = write_refusals(&shared, store, &stop);
    background.push(writing);
    Ok(Core {
        admin,
        desk: watching.desk,
        status: status_desk(core, &shared),
        public_status: config.health.is_public(config.app.env),
        shared,
        auth,
        refusals,
        health,
        environment: config.app.env,
        declared: config.declared.clone(),
        reload,
        database,
        metrics: registry,
        background,
        stop,
        together,
        data_dir,
    })
}

fn open_ledger(
    config: &Config,
    settings: &reload::Settings,
    journal: &Arc<Journal>,
    clock: &Clock,
    random: &Random,
) -> Ledger {
    Ledger::new(Arc::clone(journal), clock.clone(), random.clone())
        .keeping_bodies(settings.bodies.clone())
        .counting(Arc::new(Metrics::new(config.metrics.max_series)))
        .charging(settings.estimates.clone())
}

impl Core {
    /// All services, for one request thread. Call it on that thread's runtime: connections to providers belong to it.
    pub fn service(&self) -> CoreService {
        let core = Orchestrator::for_thread(Arc::clone(&self.shared));
        routes::routes(Services {
            orchestrate: OrchestrateService::new(core, self.shared.limits.clone()),
            admin: AdminService::new(
                self.admin.clone(),
                self.desk.clone(),
                self.auth.clone(),
                self.refusals.clone(),
                self.status.clone(),
            )
            .with_public_status(self.public_status)
            .rereading(self.reload.clone(), self.declared.clone())
            .until(self.health.draining()),
            edges: EdgesService::new(EdgeSource::new(
                Arc::clone(&self.shared.catalog),
                self.shared.clock.clone(),
            )),
            health: self.health.clone(),
            reflection: self.reflection(),
            clock: self.shared.clock.clone(),
            random: self.shared.random.clone(),
        })
    }

    /// Shows metrics and health at this listener, until its background work ends.
    pub fn show_at(&self, listener: TcpListener) -> std::io::Result<()> {
        let page = Page {
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.shared.clock.clone(),
        };
        metrics_listener::start(listener, page, self.stop.clone())
    }

    /// Says to health checks that it takes calls, until the process leaves; and ends what still runs at the curfew.
    pub async fn serve_until(&self, stages: &Stages) {
        self.health.serve_until(stages.leaving().clone()).await;
        let (rung, curfew) = (stages.curfew().clone(), self.shared.curfew.clone());
        drop(task::spawn("curfew", async move {
            rung.rung().await;
            curfew.ring();
        }));
    }

    /// Reads settings again; whoever shares this process may have it apply more of them.
    pub fn reload(&self) -> &Reload {
        &self.reload
    }

    /// Ends the background work once the last request is over: answers that are still read for callers who left are accounted
    /// for, what is in the journal is stored, the other cores are told, then the database is closed. All of it takes at most
    /// [`FLUSH`]; the journal keeps what is not stored by then. Who does not want to wait says so with `hurry`.
    pub async fn finish(self, hurry: &CancellationToken) {
        let journal = self.shared.ledger.journal();
        let flushed = hurry.run_until_cancelled(timeout(FLUSH, self.flush())).await;
        if !matches!(flushed, Some(Ok(()))) {
            tracing::warn!(
                "what was to be stored is not stored yet; the journal keeps it for the next start"
            );
        }
        // The last word: nothing that was answered may be lost with the machine.
        let synced = tokio::task::spawn_blocking(move || journal.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::error!(error = %error, "the ledger's journal cannot be forced to the disk");
        }
    }

    async fn flush(self) {
        self.shared.drains.end().await;
        self.stop.cancel();
        for task in self.background {
            let _ = task.await;
        }
        let (telling, apart) = self.together;
        apart.cancel();
        for task in telling {
            let _ = task.await;
        }
        self.database.close().await;
    }

    fn reflection(&self) -> Reflection {
        match self.environment {
            AppEnv::Development => Reflection::Open,
            AppEnv::Production => {
                let auth = self.auth.clone();
                Reflection::ForAdmins(Arc::new(move |presented: &[SecretString]| {
                    let presented: Vec<&str> = presented.iter().map(ExposeSecret::expose_secret).collect();
                    auth.check(&presented).map(|_| ())
                }))
            }
        }
    }
}

/// How long the end waits for the journal to be stored. A database that is away must not hold it up.
pub const FLUSH: Duration = Duration::from_secs(10);

pub(crate) fn data_dir(dir: &Path) -> Result<PathBuf, StartError> {
    std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize()).map_err(StartError::at("making DATA_DIR"))
}

async fn seed(
    config: &Config,
    admin: &Admin,
    catalog: &SharedCatalog,
    data_dir: &Path,
) -> orchestrator_core::error::Result<()> {
    if config.app.env == AppEnv::Development {
        seed::seed_development(admin).await?;
    }
    if let Some(secret) = &config.vendors.openai_api_key {
        let base_url = config.vendors.openai_base_url.as_deref();
        seed::ensure_vendor(admin, "openai", "openai", base_url, secret).await?;
    }
    if let Some(secret) = &config.vendors.anthropic_api_key {
        let base_url = config.vendors.anthropic_base_url.as_deref();
        seed::ensure_vendor(admin, "anthropic", "anthropic", base_url, secret).await?;
    }
    if let Some(secret) = &config.vendors.gemini_api_key {
        let base_url = config.vendors.gemini_base_url.as_deref();
        seed::ensure_vendor(admin, "gemini", "gemini", base_url, secret).await?;
    }
    let has_keys = !catalog.peek().keys.is_empty();
    if let Some(client) = keys::first_client(config, data_dir, has_keys)? {
        seed::ensure_client_key(admin, &client).await?;
    }
    Ok(())
}

/// Loads the catalog, and makes what the configuration wants to be there.
async fn fill_catalog(
    config: &Config,
    admin: &Admin,
    reloader: &Reloader,
    catalog: &SharedCatalog,
    data_dir: &Path,
) -> Result<(), StartError> {
    reloader.reload().await.map_err(StartError::at("loading the catalog"))?;
    // Before what is only made where there is nothing.
    declared::apply(config, admin).await?;
    seed(config, admin, catalog, data_dir).await.map_err(StartError::at("filling the catalog"))?;
    let snapshot = catalog.load();
    tracing::info!(
        catalog.revision = snapshot.revision,
        catalog.models = snapshot.catalog.models_for(&[]).len(),
        catalog.keys = snapshot.keys.len(),
        "Catalog loaded"
    );
    Ok(())
}

fn open_journal(config: &Config, data_dir: &Path, id: Uuid) -> Result<Arc<Journal>, StartError> {
    let journal = Journal::open(&data_dir.join("journal"), CORE_NAME, id, &config.journal);
    journal.map(Arc::new).map_err(StartError::at("opening the journal"))
}

async fn start_background(
    config: &Config,
    database: &Database,
    journal: Arc<Journal>,
    reloader: Arc<Reloader>,
    (shared_state, touched): (&SharedState, &Touched),
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<Option<()>>>, StartError> {
    let writer = Writer::start(Arc::clone(&journal), Arc::new(database.clone())).await;
    let writer = writer.map_err(StartError::at("replaying the journal"))?;
    let writer = writer.telling(shared_state.clone(), touched.clone());
    let mut tasks = vec![task::spawn("ledger writer", writer.run(stop.clone()))];
    let lists = ModelListKeeper::new(Arc::clone(reloader.shared()), config.providers.deny_private_networks);
    tasks.push(task::spawn("model lists", lists.run(stop.clone())));
    let refreshing = stop.clone();
    tasks.push(task::spawn("catalog refresher", async move { reloader.run(refreshing).await }));
    if config.journal.fsync_ms > 0 {
        let interval = Duration::from_millis(config.journal.fsync_ms);
        tasks.push(task::spawn("journal fsync", ledger::keep_synced(journal, interval, stop.clone())));
    }
    Ok(tasks)
}

/// What the other cores are told, until the last request is stored: what tells them, and what ends it.
fn tell_others(
    together: Option<shared_state::Together>,
    shared: &Arc<Shared>,
) -> (Vec<JoinHandle<Option<()>>>, CancellationToken) {
    let apart = CancellationToken::new();
    (shared_state::start(together, shared, &apart), apart)
}

async fn start_health(
    shared: &Shared,
    stop: &CancellationToken,
    background: &mut Vec<JoinHandle<Option<()>>>,
) -> Health {
    let health = Health::starting().await;
    background.push(health::tell_of_ledger(shared.ledger.clone(), health.clone(), stop.clone()));
    background.push(shared_state::tell_health(shared.shared_state.clone(), health.clone(), stop.clone()));
    tracing::info!("Health check service started");
    health
}

fn write_refusals(
    shared: &Shared,
    store: Arc<Database>,
    stop: &CancellationToken,
) -> (Refusals, JoinHandle<Option<()>>) {
    let refusals = Refusals::default();
    let writing = refusals.clone().run(store, shared.clock.clone(), shared.random.clone(), stop.clone());
    (refusals, task::spawn("refused sign-ins", writing))
}

fn status_desk(core: String, shared: &Shared) -> StatusDesk {
    StatusDesk::new(core, Arc::clone(&shared.gate), shared.shared_state.clone())
        .with_ledger(shared.ledger.clone())
}

/// Tells operators what they should know of.
fn watch_alerts(
    config: &Config,
    settings: &reload::Settings,
    database: &Database,
    shared: &Arc<Shared>,
    touched: Touched,
    stop: &CancellationToken,
) -> JoinHandle<Option<()>> {
    let way = Arc::new(HttpClient::new(config.providers.deny_private_networks));
    let webhook = Some(Webhook::to(settings.webhook.clone(), way));
    let watch = Watch {
        catalog: Arc::clone(&shared.catalog),
        store: Arc::new(database.clone()),
        spend: Arc::new(database.clone()),
        touched,
        conditions: shared.conditions.clone(),
        percents: settings.alert_percents.clone(),
        webhook,
        clock: shared.clock.clone(),
        random: shared.random.clone(),
        metrics: Arc::clone(shared.ledger.metrics()),
    };
    task::spawn("alerts", watch.run(stop.clone()))
}

/// How often it is looked what other cores have spent.
const LEARN: Duration = Duration::from_secs(10);

/// Learns what other cores on the same database have spent.
fn learn_of_others(
    shared_state: SharedState,
    clock: Clock,
    stop: CancellationToken,
) -> JoinHandle<Option<()>> {
    task::spawn("budgets", async move {
        while stop.run_until_cancelled(tokio::time::sleep(LEARN)).await.is_some() {
            if let Err(error) = shared_state.learn(clock.now()).await {
                tracing::debug!(%error, "what other cores have spent cannot be read now");
            }
        }
    })
}

/// Stores what lies in the journals of cores that are gone.
fn adopt_journals(
    config: &Config,
    data_dir: &Path,
    database: &Database,
    stop: &CancellationToken,
) -> JoinHandle<Option<()>> {
    let (folder, settings) = (data_dir.join("journal"), config.journal.clone());
    let (store, stop) = (Arc::new(database.clone()), stop.clone());
    task::spawn("journal adoption", async move {
        replay::adopt(&folder, CORE_NAME, &settings, store, &stop).await;
    })
}

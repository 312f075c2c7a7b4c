//! From a configuration to a running core, step by step, each step one log line. A step that fails says which it is and why.

mod database;
mod declared;
mod health;
pub(crate) mod keys;
mod retention;

pub use database::{migrate, migration_status};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use orchestrator_base::{
    clock::Clock,
    config::{AppEnv, Config},
    random::Random,
    runtime::Background,
    task,
};
use orchestrator_core::{
    admin::{Admin, AdminAuth, health::HealthDesk, refusals::Refusals, seed},
    admission::gate::Gate,
    catalog::snapshot::SharedCatalog,
    condition::{ConditionRules, Conditions},
    ledger::{self, Ledger, bodies::BodyRules, journal::Journal, replay, writer::Writer},
    model_lists::ModelListKeeper,
    orchestrator::{Drains, Orchestrator, Shared},
    origins::LocalOrigins,
    policy::breaker::BreakerRules,
    refresher::Reloader,
    store::{Database, Rebuilt},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    admin::AdminService,
    health::Health,
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
    auth: AdminAuth,
    refusals: Refusals,
    /// What load balancers are told.
    pub health: Health,
    environment: AppEnv,
    database: Database,
    background: Vec<JoinHandle<Option<()>>>,
    stop: CancellationToken,
    /// Where its files lie, absolute.
    pub data_dir: PathBuf,
}

/// Starts a core: database, migrations, catalog, journal, background work. Listeners are the caller's business.
pub async fn start(config: &Config) -> Result<Core, StartError> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), environment = ?config.app.env, "Starting LLM Orchestrator");
    tracing::info!("Configuration checked");
    let data_dir = data_dir(&config.data.dir)?;
    let keys = keys::resolve(config, &data_dir)?;
    let database = database::open(config).await?;
    let vault = Arc::new(keys::vault(config, &data_dir, &keys.master, &database).await?);

    let (clock, random) = (Clock::system(), Random::system());
    let catalog = Arc::new(SharedCatalog::default());
    let store = Arc::new(database.clone());
    let reloader =
        Arc::new(Reloader::new(store.clone(), Arc::clone(&vault), Arc::clone(&catalog), config.timeouts));
    reloader.reload().await.map_err(StartError::at("loading the catalog"))?;
    let admin = Admin::new(
        store.clone(),
        vault,
        Arc::clone(&reloader),
        clock.clone(),
        random.clone(),
        config.providers.clone(),
    );
    // Before what is only made where there is nothing.
    declared::apply(config, &admin).await?;
    seed(config, &admin, &catalog, &data_dir).await.map_err(StartError::at("filling the catalog"))?;
    log_catalog(&catalog);

    let journal = open_journal(config, &data_dir, random.uuid(clock.now()))?;
    let ledger = Ledger::new(Arc::clone(&journal), clock.clone(), random.clone())
        .keeping_bodies(BodyRules::new(&config.bodies));
    let stop = CancellationToken::new();
    let mut background = start_background(config, &database, journal, reloader, &stop).await?;
    background.push(adopt_journals(config, &data_dir, &database, &stop));
    let shared = Arc::new(Shared {
        catalog,
        ledger,
        gate: Gate::new(&config.admission),
        drains: Drains::default(),
        origins: Arc::new(LocalOrigins::default()),
        conditions: Conditions::new(condition_rules(config), clock.clone(), random.clone()),
        clock,
        random,
        limits: config.limits.clone(),
        stream: config.stream.clone(),
        deny_private: config.providers.deny_private_networks,
    });
    let watching = health::start(config, &database, &shared, &admin, &stop).await?;
    background.extend(watching.tasks);
    background.push(retention::start(config, &database, &shared.clock, &stop).await?);
    let health = Health::starting().await;
    background.push(health::tell_of_ledger(shared.ledger.clone(), health.clone(), stop.clone()));
    tracing::info!("Health check service started");
    let auth = AdminAuth::new([&keys.admin], Arc::clone(&shared.catalog), shared.clock.clone());
    let refusals = Refusals::default();
    let writing = refusals.clone().run(store, shared.clock.clone(), shared.random.clone(), stop.clone());
    background.push(task::spawn("refused sign-ins", writing));
    let (environment, desk) = (config.app.env, watching.desk);
    Ok(Core {
        shared,
        admin,
        desk,
        auth,
        refusals,
        health,
        environment,
        database,
        background,
        stop,
        data_dir,
    })
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
                Arc::clone(&self.shared.gate),
            )
            .until(self.health.draining()),
            health: self.health.clone(),
            reflection: self.reflection(),
            clock: self.shared.clock.clone(),
            random: self.shared.random.clone(),
        })
    }

    /// Ends the background work once the last request is over: answers that are still read for callers who left are accounted
    /// for, what is in the journal is stored, then the database is closed.
    pub async fn finish(self) {
        if tokio::time::timeout(FLUSH, self.shared.drains.end()).await.is_err() {
            tracing::warn!("answers that were read on for callers who left did not end in time");
        }
        self.stop.cancel();
        for task in self.background {
            // A database that is away must not hold up the end: the journal keeps what is not stored.
            if tokio::time::timeout(FLUSH, task).await.is_err() {
                tracing::warn!(
                    "background work did not end in time; the journal keeps what is not stored yet"
                );
            }
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

/// How long the end waits for the journal to be stored.
const FLUSH: Duration = Duration::from_secs(10);

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

fn log_catalog(catalog: &SharedCatalog) {
    let snapshot = catalog.load();
    tracing::info!(
        catalog.revision = snapshot.revision,
        catalog.models = snapshot.catalog.models_for(&[]).len(),
        catalog.keys = snapshot.keys.len(),
        "Catalog loaded"
    );
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
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<Option<()>>>, StartError> {
    let writer = Writer::start(Arc::clone(&journal), Arc::new(database.clone())).await;
    let writer = writer.map_err(StartError::at("replaying the journal"))?;
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

fn condition_rules(config: &Config) -> ConditionRules {
    let open = Duration::from_secs(config.breaker.timeout);
    ConditionRules { breaker: BreakerRules { threshold: config.breaker.threshold, open } }
}

/// Adds statistics up anew from the logs; cores may run meanwhile. The database is one that a core has migrated.
pub async fn rebuild_stats(config: &Config) -> Result<Rebuilt, StartError> {
    let target = config.database_target().map_err(StartError::at("reading DATABASE_URL"))?;
    let database = Database::connect(&target).await.map_err(StartError::at("connecting to the database"))?;
    let rebuilt = database.rebuild_stats(Clock::system().now()).await;
    database.close().await;
    rebuilt.map_err(StartError::at("adding up the logs"))
}

/// Starts a core whose background work runs on `background`.
pub fn start_on(background: &Background, config: &Config) -> Result<Core, StartError> {
    background.block_on(start(config))
}

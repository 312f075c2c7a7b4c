//! Two cores with a data folder of their own each, one database, one Redis, one edge before both, and one before each alone: so that a
//! request can be given to either.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Method;
use orchestrator_testkit::databases::{Kind, redis::RedisServer};
use serde_json::{Value, json};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{upstream, upstream::Upstream};
use crate::{
    AnyError, caller,
    database::{Choice, Database},
    gateway::{self, ADMIN_KEY, MASTER_KEY, READY_WITHIN, free_address},
    program::Program,
};

/// What tokens cost, in nano-dollars each.
pub(crate) const PRICES: (u64, u64) = (1, 2_000);
/// The same as the gateway is told: dollars a million tokens.
const PRICES_AS_TOLD: (&str, &str) = ("0.001", "2");
/// How long a key that one core has made may be unknown to the other.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// A core and the edge that is before it alone.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) edge: SocketAddr,
    grpc: SocketAddr,
    folder: PathBuf,
    core: Option<Program>,
}

/// All of it. Dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The edge before both cores.
    pub(crate) edge: SocketAddr,
    /// The cores.
    pub(crate) sides: [Side; 2],
    pub(crate) redis: Arc<RedisServer>,
    pub(crate) upstream: Upstream,
    pub(crate) database: Database,
    edges: Vec<Program>,
    files: tempfile::TempDir,
    settings: Vec<(&'static str, u64)>,
    markers: u32,
}

/// A caller's key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Fleet {
    /// Starts everything, and makes provider, models and prices. The cores have these settings (`--set`).
    pub(crate) async fn start(choice: Choice, settings: Vec<(&'static str, u64)>) -> Result<Self, AnyError> {
        let files = tempfile::Builder::new().prefix("orchestrator-fleet-").tempdir()?;
        let database = match choice {
            Choice::Sqlite => Database::Sqlite(files.path().join("shared.db")),
            Choice::Mariadb => Database::on_server(Kind::MariaDb).await?,
            Choice::Postgres => Database::on_server(Kind::Postgres).await?,
        };
        let mut fleet = Self {
            edge: free_address()?,
            sides: [Side::new(&files.path().join("a"))?, Side::new(&files.path().join("b"))?],
            redis: Arc::new(spawn_blocking(RedisServer::start).await?),
            upstream: Upstream::start().await,
            database,
            edges: Vec::new(),
            files,
            settings,
            markers: 0,
        };
        let started = fleet.come_up().await;
        started.map_err(|why| format!("the fleet did not start: {why}\n{}", fleet.log_ends()))?;
        Ok(fleet)
    }

    async fn come_up(&mut self) -> Result<(), AnyError> {
        // One after the other: the first makes the tables.
        for side in 0..self.sides.len() {
            self.start_core(side)?;
            self.start_edge(self.sides[side].edge, &[self.sides[side].grpc])?;
            self.await_ready(self.sides[side].edge).await?;
        }
        self.start_edge(self.edge, &[self.sides[0].grpc, self.sides[1].grpc])?;
        self.await_ready(self.edge).await?;
        self.configure().await
    }

    /// Starts a core, for the first time or again, and does not wait for it.
    pub(crate) fn start_core(&mut self, side: usize) -> Result<(), AnyError> {
        let database = match &self.database {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Server(_, _, url) => url.clone(),
        };
        let here = &self.sides[side];
        let variables = [
            ("GRPC_PORT", here.grpc.port().to_string()),
            ("METRICS_PORT", "0".to_owned()),
            ("DATA_DIR", here.folder.join("data").display().to_string()),
            ("DATABASE_URL", database),
            ("REDIS_ENABLED", "true".to_owned()),
            ("REDIS_URL", self.redis.url()),
            ("ADMIN_KEY", ADMIN_KEY.to_owned()),
            ("MASTER_KEY", MASTER_KEY.to_owned()),
            ("HEALTH_CHECK_ENABLED", "false".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        let settings = self.settings.iter();
        let arguments: Vec<String> =
            settings.flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]).collect();
        self.sides[side].core =
            Some(Program::start("orchestrator-grpc", &here.folder, &variables, &arguments)?);
        Ok(())
    }

    fn start_edge(&mut self, at: SocketAddr, cores: &[SocketAddr]) -> Result<(), AnyError> {
        let folder = self.files.path().join(format!("edge-{}", at.port()));
        std::fs::create_dir_all(&folder)?;
        let cores: Vec<String> = cores.iter().map(|core| format!("http://{core}")).collect();
        let variables = [("APP_PORT", at.port().to_string()), ("LOG_FORMAT", "json".to_owned())];
        let arguments = ["--core".to_owned(), cores.join(",")];
        self.edges.push(Program::start("orchestrator-edge", &folder, &variables, &arguments)?);
        Ok(())
    }

    /// Waits until the core behind that edge serves.
    ///
    /// Errors: a program has ended, or it takes too long.
    pub(crate) async fn await_ready(&mut self, edge: SocketAddr) -> Result<(), AnyError> {
        let give_up = Instant::now() + READY_WITHIN;
        while !matches!(gateway::admin(edge, Method::GET, "/health/ready", None).await, Ok((200, _))) {
            self.all_run()?;
            if Instant::now() > give_up {
                return Err("it is not ready in time".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn configure(&mut self) -> Result<(), AnyError> {
        let provider = json!({
            "name": "upstream", "kind": "openai_compatible", "base_url": self.upstream.base_url(),
            "api_key": "sk-fleet-0123456789",
        });
        let provider = gateway::create(self.edge, "/admin/providers", &provider).await?;
        for model in upstream::MODELS {
            let price = json!({
                "kind": "openai_compatible", "upstream_model": model, "input": PRICES_AS_TOLD.0,
                "output": PRICES_AS_TOLD.1,
            });
            gateway::create(self.edge, "/admin/prices", &price).await?;
            let created = gateway::create(self.edge, "/admin/models", &json!({"name": model})).await?;
            let link =
                json!({"model_id": created["id"], "provider_id": provider["id"], "provider_model": model});
            gateway::create(self.edge, "/admin/model-providers", &link).await?;
        }
        self.await_known().await
    }

    /// Makes a team with these limits.
    pub(crate) async fn team(&self, name: &str, mut limits: Value) -> Result<String, AnyError> {
        limits["name"] = json!(name);
        let team = gateway::create(self.edge, "/admin/teams", &limits).await?;
        Ok(team["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a key with these limits. Until [`Fleet::await_known`] perhaps only one core knows it.
    pub(crate) async fn key(&self, name: &str, mut limits: Value) -> Result<Key, AnyError> {
        limits["name"] = json!(name);
        let key = gateway::create(self.edge, "/admin/keys", &limits).await?;
        let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
        Ok(Key { id: text("id"), secret: text("secret") })
    }

    /// Waits until both cores know all that was made so far: a key that is made now, last of all.
    pub(crate) async fn await_known(&mut self) -> Result<(), AnyError> {
        self.markers += 1;
        let marker = self.key(&format!("marker-{}", self.markers), json!({})).await?;
        let give_up = Instant::now() + KNOWN_WITHIN;
        for side in &self.sides {
            while knocks(side.edge, &marker).await? != 200 {
                if Instant::now() > give_up {
                    return Err(format!("a core does not know a key after {KNOWN_WITHIN:?}").into());
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Starts both cores anew, unless they have these settings.
    pub(crate) async fn reconfigure(&mut self, settings: Vec<(&'static str, u64)>) -> Result<(), AnyError> {
        if self.settings == settings {
            return Ok(());
        }
        self.settings = settings;
        for side in 0..self.sides.len() {
            self.sides[side].core.take().ok_or("there is no core")?.stop().await?;
            self.start_core(side)?;
            self.await_ready(self.sides[side].edge).await?;
        }
        self.await_known().await
    }

    /// Kills a core at once (SIGKILL).
    pub(crate) fn kill_core(&mut self, side: usize) -> Result<(), AnyError> {
        self.sides[side].core.take().ok_or("there is no core")?.kill()
    }

    /// A core, for whoever means to end it.
    pub(crate) fn take_core(&mut self, side: usize) -> Result<Program, AnyError> {
        self.sides[side].core.take().ok_or_else(|| "there is no core".into())
    }

    /// Errors: one of the programs has ended.
    pub(crate) fn all_run(&mut self) -> Result<(), AnyError> {
        let cores = self.sides.iter_mut().filter_map(|side| side.core.as_mut());
        cores.chain(&mut self.edges).try_for_each(Program::runs)
    }

    /// Asks all programs to end (SIGTERM), the edges first, and waits for it: then all that was recorded is stored.
    ///
    /// Errors: one of them did not end well, or not in time.
    pub(crate) async fn stop(&mut self) -> Result<(), AnyError> {
        let cores = self.sides.iter_mut().filter_map(|side| side.core.take());
        for mut program in self.edges.drain(..).chain(cores) {
            program.stop().await?;
        }
        Ok(())
    }

    /// Leaves the files where they are, for whoever wants to know why, and says where.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.files.disable_cleanup(true);
        self.files.path().to_owned()
    }

    fn log_ends(&self) -> String {
        let cores = self.sides.iter().filter_map(|side| side.core.as_ref());
        cores.chain(&self.edges).map(Program::log_end).collect()
    }
}

impl Side {
    fn new(folder: &Path) -> Result<Self, AnyError> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { edge: free_address()?, grpc: free_address()?, folder: folder.to_owned(), core: None })
    }
}

/// Asks for the list of models: the status. It needs a key that is known and enabled, and takes nothing of its limits.
pub(crate) async fn knocks(edge: SocketAddr, key: &Key) -> Result<u16, AnyError> {
    let bearer = format!("Bearer {}", key.secret);
    let headers = [("authorization", bearer.as_str())];
    Ok(caller::call(edge, Method::GET, "/v1/models", &headers, String::new()).await?.status)
}

//! The gateway under test: core and edge as two programs in a folder of their own, before three providers of fourteen keys each.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{AnyError, caller, kind::KEYS, program::Program, providers::secret};

/// The key of every caller.
pub(crate) const CLIENT_KEY: &str = "chaos-client-key-0123456789abcdef";
/// The largest event of a provider's stream.
pub(crate) const MAX_EVENT_BYTES: usize = 64 * 1024;
/// No attempt takes longer.
pub(crate) const TOTAL_MS: u64 = 1_500;
/// Attempts of a request in all: a model's own default.
pub(crate) const ATTEMPTS: u32 = 3;
/// The models, one for each way of choosing a provider, named after it.
pub(crate) const MODELS: [&str; 4] = ["priority", "round_robin", "least_latency", "affinity"];

pub(crate) const ADMIN_KEY: &str = "chaos-admin-key-0123456789abcdef";
pub(crate) const MASTER_KEY: &str = "chaos-master-key-0123456789abcdefghijkl";
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(20);

/// How a gateway is set up, beside what all have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// Variables of its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// `--set NAME=VALUE`.
    pub(crate) settings: Vec<(&'static str, u64)>,
}

impl Setup {
    /// With time-outs some hundred times shorter than the defaults: for providers that fail.
    pub(crate) fn hasty() -> Self {
        let settings = vec![
            ("timeouts.first_token_ms", 500),
            ("timeouts.idle_ms", 700),
            ("timeouts.total_ms", TOTAL_MS),
            ("limits.max_event_bytes", MAX_EVENT_BYTES as u64),
            ("limits.max_answer_bytes", MAX_EVENT_BYTES as u64),
        ];
        Self { variables: vec![("CIRCUIT_BREAKER_TIMEOUT", "1".to_owned())], settings }
    }
}

/// A gateway that serves. Dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where the edge listens.
    pub(crate) rest: SocketAddr,
    grpc: SocketAddr,
    setup: Setup,
    files: tempfile::TempDir,
    core: Option<Program>,
    edge: Option<Program>,
}

impl Gateway {
    /// Starts both programs before these providers, and makes providers and models through Admin.
    pub(crate) async fn start(providers: &[SocketAddr], setup: Setup) -> Result<Self, AnyError> {
        let mut gateway = Self::without_programs(setup)?;
        let started = gateway.come_up(providers).await;
        started.map_err(|why| format!("the gateway did not start: {why}\n{}", gateway.log_ends()))?;
        Ok(gateway)
    }

    /// Its folder and addresses, and nothing that runs.
    pub(crate) fn without_programs(setup: Setup) -> Result<Self, AnyError> {
        let files = tempfile::Builder::new().prefix("orchestrator-chaos-").tempdir()?;
        let (rest, grpc) = (free_address()?, free_address()?);
        Ok(Self { rest, grpc, setup, files, core: None, edge: None })
    }

    /// Starts the core, and does not wait for it.
    pub(crate) fn start_core(&mut self) -> Result<(), AnyError> {
        self.core = Some(self.program("orchestrator-grpc")?);
        Ok(())
    }

    /// Waits for the core that was started.
    ///
    /// Errors: it has ended, or does not listen in time.
    pub(crate) async fn await_core(&mut self) -> Result<(), AnyError> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(self.grpc).await.is_err() {
            self.wait_on(deadline).await?;
        }
        Ok(())
    }

    /// The core, for whoever looks at it.
    pub(crate) fn core(&self) -> Result<&Program, AnyError> {
        self.core.as_ref().ok_or_else(|| "there is no core".into())
    }

    /// The core, for whoever means to end it.
    pub(crate) fn take_core(&mut self) -> Result<Program, AnyError> {
        self.core.take().ok_or_else(|| "there is no core".into())
    }

    async fn come_up(&mut self, providers: &[SocketAddr]) -> Result<(), AnyError> {
        self.start_core()?;
        self.await_core().await?;
        self.edge = Some(self.program("orchestrator-edge")?);
        let deadline = Instant::now() + READY_WITHIN;
        while !matches!(self.admin(Method::GET, "/health/ready", None).await, Ok((200, _))) {
            self.wait_on(deadline).await?;
        }
        self.configure(providers).await
    }

    async fn wait_on(&mut self, deadline: Instant) -> Result<(), AnyError> {
        self.all_run()?;
        if Instant::now() > deadline {
            return Err("it is not ready in time".into());
        }
        sleep(Duration::from_millis(20)).await;
        Ok(())
    }

    async fn configure(&self, addresses: &[SocketAddr]) -> Result<(), AnyError> {
        let mut providers = Vec::new();
        for (number, address) in addresses.iter().enumerate() {
            let provider = json!({
                "name": format!("p{number}"), "kind": "openai_compatible", "base_url": format!("http://{address}/v1"),
                "api_key": secret(number, 0),
            });
            let id = self.create("/admin/providers", &provider).await?;
            for key in 1..KEYS {
                let key = json!({"label": format!("k{key}"), "secret": secret(number, key)});
                self.create(&format!("/admin/providers/{id}/keys"), &key).await?;
            }
            providers.push(id);
        }
        for strategy in MODELS {
            let model =
                self.create("/admin/models", &json!({"name": strategy, "strategy": strategy})).await?;
            for provider in &providers {
                let link = json!({"model_id": model, "provider_id": provider, "provider_model": "chaos-1"});
                self.create("/admin/model-providers", &link).await?;
            }
        }
        Ok(())
    }

    async fn create(&self, path: &str, body: &Value) -> Result<String, AnyError> {
        let created = create(self.rest, path, body).await?;
        Ok(created["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Asks as an administrator does: status and body.
    pub(crate) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), AnyError> {
        admin(self.rest, method, path, body).await
    }

    /// Errors: one of the programs has ended.
    pub(crate) fn all_run(&mut self) -> Result<(), AnyError> {
        let programs = [&mut self.core, &mut self.edge];
        programs.into_iter().flatten().try_for_each(Program::runs)
    }

    /// Asks both programs to end (SIGTERM), the edge first, and waits for it: then all that was recorded is stored.
    ///
    /// Errors: one of them did not end well, or not in time.
    pub(crate) async fn stop(&mut self) -> Result<(), AnyError> {
        for mut program in [self.edge.take(), self.core.take()].into_iter().flatten() {
            program.stop().await?;
        }
        Ok(())
    }

    /// Where its files lie: the core's journal is in `data/journal`.
    pub(crate) fn folder(&self) -> &Path {
        self.files.path()
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.files.path().join("data/llm_orchestrator.db")
    }

    /// Leaves the files where they are, for whoever wants to know why, and says where.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.files.disable_cleanup(true);
        self.files.path().to_owned()
    }

    /// The end of what both have logged.
    pub(crate) fn log_ends(&self) -> String {
        let programs = [&self.core, &self.edge];
        programs.into_iter().flatten().map(Program::log_end).collect()
    }

    fn program(&self, name: &'static str) -> Result<Program, AnyError> {
        let folder = self.files.path();
        let mut variables = vec![
            ("APP_PORT", self.rest.port().to_string()),
            ("GRPC_PORT", self.grpc.port().to_string()),
            ("METRICS_PORT", "0".to_owned()),
            ("DATA_DIR", folder.join("data").display().to_string()),
            ("ADMIN_KEY", ADMIN_KEY.to_owned()),
            ("MASTER_KEY", MASTER_KEY.to_owned()),
            ("CLIENT_KEY", CLIENT_KEY.to_owned()),
            // A provider that is held for sick would be left alone until a probe minutes later, and its faults would meet nobody.
            ("HEALTH_CHECK_ENABLED", "false".to_owned()),
        ];
        variables.extend(self.setup.variables.iter().cloned());
        let settings = self.setup.settings.iter();
        let mut arguments: Vec<String> =
            settings.flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]).collect();
        if name == "orchestrator-edge" {
            arguments.extend(["--core".to_owned(), format!("http://{}", self.grpc)]);
        }
        Program::start(name, folder, &variables, &arguments)
    }
}

/// Asks an edge as an administrator does: status and body.
pub(crate) async fn admin(
    edge: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), AnyError> {
    let bearer = format!("Bearer {ADMIN_KEY}");
    let body = body.map(Value::to_string).unwrap_or_default();
    let got = caller::call(edge, method, path, &[("authorization", &bearer)], body).await?;
    Ok((got.status, serde_json::from_slice(&got.body).unwrap_or(Value::Null)))
}

/// Makes something through an edge, and gives what was made.
///
/// Errors: it is refused.
pub(crate) async fn create(edge: SocketAddr, path: &str, body: &Value) -> Result<Value, AnyError> {
    match admin(edge, Method::POST, path, Some(body)).await? {
        (201, answer) => Ok(answer),
        (status, answer) => Err(format!("POST {path}: {status} {answer}").into()),
    }
}

/// A port that was free a moment ago: both programs must know both before either runs.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

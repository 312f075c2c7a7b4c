//! The gateway under test: core and edge as two programs in a folder of their own, with time-outs some hundred times shorter than
//! their defaults, before three providers of fourteen keys each.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{AnyError, caller, kind::KEYS, providers::secret};

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

const ADMIN_KEY: &str = "chaos-admin-key-0123456789abcdef";
const MASTER_KEY: &str = "chaos-master-key-0123456789abcdefghijkl";
const READY_WITHIN: Duration = Duration::from_secs(20);
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// A gateway that serves. Dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where the edge listens.
    pub(crate) rest: SocketAddr,
    files: tempfile::TempDir,
    // The edge is last: it is stopped first.
    programs: Vec<Program>,
}

/// A process that ends with whoever holds it.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts both programs before these providers, and makes providers and models through Admin.
    pub(crate) async fn start(providers: &[SocketAddr]) -> Result<Self, AnyError> {
        let files = tempfile::Builder::new().prefix("orchestrator-chaos-").tempdir()?;
        let (rest, grpc) = (free_address()?, free_address()?);
        let core = start("orchestrator-grpc", files.path(), (rest, grpc))?;
        let mut gateway = Self { rest, files, programs: vec![core] };
        let started = gateway.come_up(grpc, providers).await;
        started.map_err(|why| format!("the gateway did not start: {why}\n{}", gateway.log_ends()))?;
        Ok(gateway)
    }

    async fn come_up(&mut self, grpc: SocketAddr, providers: &[SocketAddr]) -> Result<(), AnyError> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(grpc).await.is_err() {
            self.wait_on(deadline).await?;
        }
        self.programs.push(start("orchestrator-edge", self.files.path(), (self.rest, grpc))?);
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
        let (status, answer) = self.admin(Method::POST, path, Some(body)).await?;
        match answer["id"].as_str() {
            Some(id) if status == 201 => Ok(id.to_owned()),
            _ => Err(format!("POST {path}: {status} {answer}").into()),
        }
    }

    async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), AnyError> {
        let bearer = format!("Bearer {ADMIN_KEY}");
        let body = body.map(Value::to_string).unwrap_or_default();
        let got = caller::call(self.rest, method, path, &[("authorization", &bearer)], body).await?;
        Ok((got.status, serde_json::from_slice(&got.body).unwrap_or(Value::Null)))
    }

    /// Errors: one of the programs has ended.
    pub(crate) fn all_run(&mut self) -> Result<(), AnyError> {
        for program in &mut self.programs {
            if let Some(status) = program.child.try_wait()? {
                return Err(format!("{} has ended: {status}", program.name).into());
            }
        }
        Ok(())
    }

    /// Asks both programs to end (SIGTERM), the edge first, and waits for it: then all that was recorded is stored.
    ///
    /// Errors: one of them did not end well, or not in time.
    pub(crate) async fn stop(&mut self) -> Result<(), AnyError> {
        while let Some(mut program) = self.programs.pop() {
            let kill = format!("kill -TERM {}", program.child.id());
            let asked = Command::new("/bin/sh").args(["-c", &kill]).status()?;
            if !asked.success() {
                return Err(format!("{} cannot be told to end", program.name).into());
            }
            let deadline = Instant::now() + STOPS_WITHIN;
            loop {
                match program.child.try_wait()? {
                    Some(status) if status.success() => break,
                    Some(status) => return Err(format!("{} ended with {status}", program.name).into()),
                    None if Instant::now() > deadline => {
                        return Err(format!("{} does not end", program.name).into());
                    }
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        }
        Ok(())
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

    fn log_ends(&self) -> String {
        let logs = ["orchestrator-grpc", "orchestrator-edge"].map(|name| log_of(self.files.path(), name));
        logs.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }
}

/// A port that was free a moment ago: both programs must know both before either runs.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn log_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("log")
}

fn start(
    name: &'static str,
    folder: &Path,
    (rest, grpc): (SocketAddr, SocketAddr),
) -> Result<Program, AnyError> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        return Err(format!("{} is not there: `make chaos` builds it", path.display()).into());
    }
    let mut command = Command::new(path);
    // Nothing of this machine's configuration: no variables, and no files in the working directory.
    command.env_clear().current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log_of(folder, name))?);
    command.envs([
        ("APP_PORT", rest.port().to_string()),
        ("GRPC_PORT", grpc.port().to_string()),
        ("DATA_DIR", folder.join("data").display().to_string()),
        ("ADMIN_KEY", ADMIN_KEY.to_owned()),
        ("MASTER_KEY", MASTER_KEY.to_owned()),
        ("CLIENT_KEY", CLIENT_KEY.to_owned()),
        ("CIRCUIT_BREAKER_TIMEOUT", "1".to_owned()),
        // A provider that is held for sick would be left alone until a probe minutes later, and its faults would meet nobody.
        ("HEALTH_CHECK_ENABLED", "false".to_owned()),
    ]);
    let settings = [
        ("timeouts.first_token_ms", 500),
        ("timeouts.idle_ms", 700),
        ("timeouts.total_ms", TOTAL_MS),
        ("limits.max_event_bytes", MAX_EVENT_BYTES as u64),
        ("limits.max_answer_bytes", MAX_EVENT_BYTES as u64),
    ];
    command.args(settings.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]));
    if name == "orchestrator-edge" {
        command.args(["--core", &format!("http://{grpc}")]);
    }
    Ok(Program { name, child: command.spawn()? })
}

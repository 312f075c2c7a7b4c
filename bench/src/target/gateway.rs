//! The gateway with its own defaults: keys, routing and ledger on, one provider and one model made through Admin.

use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Duration,
};

use http::Method;
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{
    KEY,
    admin::Admin,
    process::{Process, sibling},
};
use crate::{script::request::MODEL, serve::AnyError};

const ADMIN_KEY: &str = "bench-admin-key-0123456789abcdef";
const MASTER_KEY: &str = "bench-master-key-0123456789abcdefghijkl";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The setting that is none of the gateway's: the folder whose programs are run instead of those beside this one.
const BUILD: &str = "build";

/// Another: the caller's key belongs to a team. Where it is `true`, both have limits of every kind, wider than anything that is asked;
/// where it is `key`, the key alone; where it is `false`, neither.
const LIMITED: &str = "limits";

/// What is set besides the defaults: variables by their name, settings by `section.key`, [`BUILD`], [`LIMITED`].
pub(crate) type Settings = BTreeMap<String, String>;

/// A gateway that serves.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where the edge listens.
    pub(crate) rest: SocketAddr,
    /// Its processes.
    pub(crate) processes: Vec<Process>,
    /// Its data folder.
    pub(crate) files: tempfile::TempDir,
}

/// Starts it, as one process or as edge and core, before the upstream.
pub(crate) fn start(split: bool, upstream: SocketAddr, settings: &Settings) -> Result<Gateway, AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(start_and_configure(split, upstream, settings))
}

async fn start_and_configure(
    split: bool,
    upstream: SocketAddr,
    settings: &Settings,
) -> Result<Gateway, AnyError> {
    let files = tempfile::tempdir()?;
    let (rest, grpc) = (free_address()?, free_address()?);
    let command = |program: &str| command(program, files.path(), (rest, grpc), settings);
    let mut processes = Vec::new();
    if split {
        processes.push(Process::other(command("orchestrator-grpc")?, grpc)?);
        // An edge that finds no core leaves it alone for a second, and each of its threads finds out by itself.
        listens(grpc, &mut processes).await?;
        let mut edge = command("orchestrator-edge")?;
        edge.args(["--core", &format!("http://{grpc}")]);
        processes.push(Process::other(edge, rest)?);
    } else {
        processes.push(Process::other(command("orchestrator-edge")?, rest)?);
    }
    let admin = Admin::new(rest, ADMIN_KEY);
    if let Err(why) = ready(&admin, &mut processes).await {
        let logs = ["orchestrator-grpc", "orchestrator-edge"]
            .map(|name| files.path().join(name).with_extension("log"));
        let said: String = logs.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        return Err(format!("the gateway did not start: {why}\n{said}").into());
    }
    configure(&admin, upstream).await?;
    match settings.get(LIMITED).map(String::as_str) {
        None => {}
        Some("false") => limit(&admin, false, false).await?,
        Some("key") => limit(&admin, true, false).await?,
        Some("true") => limit(&admin, true, true).await?,
        Some(other) => return Err(format!("{LIMITED} is false, true or key, not {other}").into()),
    }
    Ok(Gateway { rest, processes, files })
}

/// A port that was free a moment ago. The gateway says its address only in its log, whose level may be what is compared.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn command(
    program: &str,
    folder: &Path,
    (rest, grpc): (SocketAddr, SocketAddr),
    settings: &Settings,
) -> std::io::Result<Command> {
    let program_file = match settings.get(BUILD) {
        Some(folder) => Path::new(folder).join(program),
        None => sibling(program)?,
    };
    let mut command = Command::new(program_file);
    // Nothing of this machine's configuration: no variables, and no files in the working directory.
    command.env_clear().current_dir(folder).stderr(File::create(folder.join(program).with_extension("log"))?);
    command.envs([
        ("APP_PORT", rest.port().to_string()),
        ("GRPC_PORT", grpc.port().to_string()),
        ("DATA_DIR", folder.join("data").display().to_string()),
        ("ADMIN_KEY", ADMIN_KEY.to_owned()),
        ("MASTER_KEY", MASTER_KEY.to_owned()),
        ("CLIENT_KEY", KEY.to_owned()),
        ("METRICS_PORT", "0".to_owned()),
        // The hops are asked what is measured, and nothing else.
        ("HEALTH_CHECK_ENABLED", "false".to_owned()),
    ]);
    for (name, value) in settings.iter().filter(|(name, _)| ![BUILD, LIMITED].contains(&name.as_str())) {
        if name.contains('.') {
            command.args(["--set", &format!("{name}={value}")]);
        } else {
            command.env(name, value);
        }
    }
    Ok(command)
}

async fn listens(address: SocketAddr, processes: &mut [Process]) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        still_starting(processes, deadline)?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn ready(admin: &Admin, processes: &mut [Process]) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Ok((200, _)) = admin.call(Method::GET, "/health/ready", None).await {
            return Ok(());
        }
        still_starting(processes, deadline)?;
        sleep(Duration::from_millis(20)).await;
    }
}

fn still_starting(processes: &mut [Process], deadline: Instant) -> Result<(), String> {
    if processes.iter_mut().any(Process::has_ended) {
        return Err("a process ended".to_owned());
    }
    if Instant::now() > deadline {
        return Err(format!("not ready within {} s", READY_WITHIN.as_secs()));
    }
    Ok(())
}

async fn configure(admin: &Admin, upstream: SocketAddr) -> Result<(), AnyError> {
    let provider = json!({
        "name": "upstream", "kind": "openai_compatible", "api_key": "sk-bench",
        "base_url": format!("http://{upstream}/v1"),
    });
    let provider = admin.create("/admin/providers", &provider).await?;
    let model = admin.create("/admin/models", &json!({ "name": MODEL })).await?;
    let link = json!({ "model_id": model, "provider_id": provider, "provider_model": "bench-upstream" });
    admin.create("/admin/model-providers", &link).await?;
    Ok(())
}

/// Puts the caller's key into a team, and limits the one, both or none.
async fn limit(admin: &Admin, key: bool, team: bool) -> Result<(), AnyError> {
    let limits = json!({
        "requests_per_minute": 1_000_000, "tokens_per_minute": 1_000_000_000_000_u64, "max_concurrency": 1_000_000,
        "budget_usd": 1_000_000_000, "budget_period": "month",
    });
    let limits_if = |wanted: bool| if wanted { limits.clone() } else { json!({}) };
    let (mut team, mut change) = (limits_if(team), limits_if(key));
    team["name"] = "bench".into();
    admin.create("/admin/teams", &team).await?;
    change["team"] = "bench".into();
    let (status, keys) = admin.call(Method::GET, "/admin/keys", None).await?;
    let id = keys[0]["id"].as_str().ok_or_else(|| format!("GET /admin/keys: {status} {keys}"))?;
    let (status, said) = admin.call(Method::PATCH, &format!("/admin/keys/{id}"), Some(&change)).await?;
    if status == 200 { Ok(()) } else { Err(format!("PATCH /admin/keys/{id}: {status} {said}").into()) }
}

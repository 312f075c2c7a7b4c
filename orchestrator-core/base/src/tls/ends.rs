//! Every end of a connection that this process encrypts, as the configuration says, and the check of their files.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::{
    certificate::About,
    client::{self, Client, ClientFiles},
    files::{FileError, Named},
    redis,
    server::{Listener, Server, ServerFiles},
};
use crate::{
    clock::{Clock, UnixMicros},
    config::{ClientAuth, Config, Role, Tls},
};

/// What the edge's clients speak.
const REST: &[&[u8]] = &[b"h2", b"http/1.1"];
/// What the core's clients speak.
const GRPC: &[&[u8]] = &[b"h2"];

/// The encrypted ends of a process; `None` is in the clear.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// The REST listener.
    pub edge: Option<Arc<Server>>,
    /// The gRPC listener.
    pub grpc: Option<Arc<Server>>,
    /// Towards cores at `https://` endpoints.
    pub core: Option<Arc<Client>>,
    /// What is watched for changes.
    pub(super) watched: Vec<Arc<Watched>>,
}

/// The files of an end, and whose they are.
#[derive(Debug)]
pub(super) enum Watched {
    Listener { what: &'static str, files: ServerFiles, server: Arc<Server> },
    Cores { files: ClientFiles, client: Arc<Client> },
}

impl Watched {
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Listener { what, .. } => what,
            Self::Cores { .. } => "core connections",
        }
    }

    pub(super) fn named(&self) -> Vec<&Named> {
        match self {
            Self::Listener { files, .. } => files.named().collect(),
            Self::Cores { files, .. } => files.named().collect(),
        }
    }

    /// Takes the files as they are now. What they hold is in effect for the next connection, or not at all.
    pub(super) fn reload(&self) -> Result<Option<About>, FileError> {
        match self {
            Self::Listener { files, server, .. } => {
                let (config, about) = files.build()?;
                server.config.store(Arc::new(config));
                Ok(about)
            }
            Self::Cores { files, client } => {
                let (config, about) = files.build()?;
                client.config.store(Arc::new(config));
                Ok(about)
            }
        }
    }
}

/// Everything that is wrong with the section `tls`, or with the files of Redis, a line each.
#[derive(Debug)]
pub struct TlsError(pub(super) Vec<FileError>);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(FileError::to_string).collect();
        f.write_str(&lines.join("\n  "))
    }
}

impl std::error::Error for TlsError {}

/// An end as it is configured: which files, if any.
struct Plan {
    edge: Option<ServerFiles>,
    grpc: Option<ServerFiles>,
    core: Option<ClientFiles>,
    /// Read by whoever speaks to Redis ([`redis::RedisFiles`]); here they are only checked.
    redis: Option<ClientFiles>,
}

impl Ends {
    /// Reads every file that this process needs. Blocks.
    ///
    /// # Errors
    /// All that is wrong: a file that cannot be read, a key that belongs to another certificate, a setting without its other half.
    pub fn open(config: &Config, role: Role) -> Result<Self, TlsError> {
        let (plan, mut wrong) = plan(config, role);
        let settings = &config.tls;
        let mut ends = Self::default();
        let mut listener = |what, files: Option<ServerFiles>| {
            let files = files?;
            match files.build() {
                Ok((built, about)) => {
                    say_loaded(what, about.as_ref());
                    let patience = Duration::from_millis(settings.handshake_timeout_ms);
                    let server = Arc::new(Server::new(built, settings.max_handshakes, patience));
                    ends.watched.push(Arc::new(Watched::Listener { what, files, server: server.clone() }));
                    Some(server)
                }
                Err(error) => {
                    wrong.push(error);
                    None
                }
            }
        };
        let (edge, grpc) = (listener("REST listener", plan.edge), listener("gRPC listener", plan.grpc));
        (ends.edge, ends.grpc) = (edge, grpc);
        if let Some(files) = plan.core {
            match files.build() {
                Ok((built, about)) => {
                    say_loaded("core connections", about.as_ref());
                    let client = Arc::new(Client::new(built, settings.core_server_name.clone()));
                    ends.watched.push(Arc::new(Watched::Cores { files, client: client.clone() }));
                    ends.core = Some(client);
                }
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(ends) } else { Err(TlsError(wrong)) }
    }

    /// This socket, on which TLS is spoken as on the REST listener.
    pub fn rest(&self, socket: std::net::TcpListener) -> Listener {
        Listener { socket, tls: self.edge.clone() }
    }

    /// This socket, on which TLS is spoken as on the gRPC listener.
    pub fn grpc(&self, socket: std::net::TcpListener) -> Listener {
        Listener { socket, tls: self.grpc.clone() }
    }
}

/// For `check-config`: a line for each certificate that this process would use.
///
/// # Errors
/// As [`Ends::open`]; and a certificate that is not good any more, with which a start would only warn.
pub fn check(config: &Config, role: Role, clock: &Clock) -> Result<Vec<String>, TlsError> {
    let (plan, mut wrong) = plan(config, role);
    let mut lines = Vec::new();
    let mut note = |setting: &'static str, built: Result<Option<About>, FileError>| match built {
        Ok(Some(about)) if about.has_expired(clock.now()) => {
            wrong.push(FileError { setting, why: format!("has expired: {about}") });
        }
        Ok(Some(about)) => lines.push(format!("{setting}: {about}")),
        Ok(None) => {}
        Err(error) => wrong.push(error),
    };
    for files in [&plan.edge, &plan.grpc].into_iter().flatten() {
        note(files.cert.setting, files.build().map(|(_, about)| about));
    }
    if let Some(files) = &plan.core {
        note("tls.core_cert", files.build().map(|(_, about)| about));
    }
    if let Some(files) = &plan.redis {
        note("redis.cert", files.build().map(|(_, about)| about));
    }
    if wrong.is_empty() { Ok(lines) } else { Err(TlsError(wrong)) }
}

/// How the health check of the REST listener speaks to it: `None` in the clear.
///
/// # Errors
/// The files cannot be used.
pub fn of_own_rest(config: &Config) -> Result<Option<Client>, TlsError> {
    of_own(plan(config, Role::Edge).0.edge)
}

/// How the health check of the gRPC listener speaks to it: `None` in the clear.
///
/// # Errors
/// The files cannot be used.
pub fn of_own_grpc(config: &Config) -> Result<Option<Client>, TlsError> {
    of_own(plan(config, Role::Core).0.grpc)
}

fn of_own(files: Option<ServerFiles>) -> Result<Option<Client>, TlsError> {
    files.map(|files| client::of_itself(&files)).transpose().map_err(|error| TlsError(vec![error]))
}

/// Which ends this process has, and what does not fit together.
fn plan(config: &Config, role: Role) -> (Plan, Vec<FileError>) {
    let Tls { edge_cert, edge_key, edge_client_ca, grpc_cert, grpc_key, grpc_client_ca, .. } = &config.tls;
    let mut wrong = Vec::new();
    let mut plan = Plan { edge: None, grpc: None, core: None, redis: None };
    if role == Role::Edge {
        plan.edge = server_files(
            [
                named("tls.edge_cert", edge_cert.as_ref()),
                named("tls.edge_key", edge_key.as_ref()),
                named("tls.edge_client_ca", edge_client_ca.as_ref()),
            ],
            ["tls.edge_cert", "tls.edge_key"],
            (config.tls.edge_client_auth, REST),
            &mut wrong,
        );
    }
    if role == Role::Core || config.edge.core_endpoint.is_none() {
        plan.grpc = server_files(
            [
                named("tls.grpc_cert", grpc_cert.as_ref()),
                named("tls.grpc_key", grpc_key.as_ref()),
                named("tls.grpc_client_ca", grpc_client_ca.as_ref()),
            ],
            ["tls.grpc_cert", "tls.grpc_key"],
            (config.tls.grpc_client_auth, GRPC),
            &mut wrong,
        );
        if config.redis.enabled {
            plan.redis = redis::files_of(&config.redis, &mut wrong);
        }
    } else {
        plan.core = core_files(config, &mut wrong);
    }
    (plan, wrong)
}

fn server_files(
    [cert, key, client_ca]: [Option<Named>; 3],
    [cert_setting, key_setting]: [&'static str; 2],
    (client_auth, protocols): (ClientAuth, &'static [&'static [u8]]),
    wrong: &mut Vec<FileError>,
) -> Option<ServerFiles> {
    match (cert, key, client_ca) {
        (Some(cert), Some(key), client_ca) => {
            Some(ServerFiles { cert, key, client_ca, client_auth, protocols })
        }
        (None, None, None) => None,
        (Some(_), None, _) => {
            wrong.push(FileError { setting: key_setting, why: format!("is needed beside {cert_setting}") });
            None
        }
        // Who asks for clients' certificates would take a listener in the clear for a guarded one.
        (None, key, client_ca) => {
            let given = key.or(client_ca).map_or(key_setting, |given| given.setting);
            wrong.push(FileError { setting: cert_setting, why: format!("is needed beside {given}") });
            None
        }
    }
}

fn core_files(config: &Config, wrong: &mut Vec<FileError>) -> Option<ClientFiles> {
    let Tls { core_ca, core_cert, core_key, core_server_name, .. } = &config.tls;
    let endpoints = [&config.edge.core_endpoint, &config.admin.core_endpoint];
    let is_encrypted = endpoints.into_iter().flatten().any(|endpoints| endpoints.contains("https://"));
    if !is_encrypted {
        let given = [
            ("tls.core_ca", core_ca.is_some()),
            ("tls.core_cert", core_cert.is_some()),
            ("tls.core_server_name", core_server_name.is_some()),
        ];
        if let Some((setting, _)) = given.into_iter().find(|(_, given)| *given) {
            wrong.push(FileError {
                setting,
                why: "is of no use: no endpoint of a core begins with https://".into(),
            });
        }
        return None;
    }
    let identity = identity([core_cert, core_key], ["tls.core_cert", "tls.core_key"], wrong);
    Some(ClientFiles { ca: named("tls.core_ca", core_ca.as_ref()), identity })
}

pub(super) fn named(setting: &'static str, path: Option<&PathBuf>) -> Option<Named> {
    path.cloned().map(|path| Named { setting, path })
}

/// A certificate and its key, which are of no use without each other.
pub(super) fn identity(
    [cert, key]: [&Option<PathBuf>; 2],
    [cert_setting, key_setting]: [&'static str; 2],
    wrong: &mut Vec<FileError>,
) -> Option<(Named, Named)> {
    let (missing, given) = match (named(cert_setting, cert.as_ref()), named(key_setting, key.as_ref())) {
        (Some(cert), Some(key)) => return Some((cert, key)),
        (None, None) => return None,
        (Some(cert), None) => (key_setting, cert),
        (None, Some(key)) => (cert_setting, key),
    };
    wrong.push(FileError { setting: missing, why: format!("is needed beside {}", given.setting) });
    None
}

/// Says which certificate is in use from now on.
pub(super) fn say_loaded(what: &'static str, about: Option<&About>) {
    if let Some(About { subject, not_after }) = about {
        tracing::info!(tls.end = what, certificate = %subject, certificate.until = %not_after, "certificate loaded");
    }
}

/// Warns of a certificate that ends within `days`.
pub(super) fn warn_of_end(what: &'static str, about: &About, days: u32, now: UnixMicros) {
    let (subject, until) = (&about.subject, about.not_after);
    if about.has_expired(now) {
        tracing::error!(tls.end = what, certificate = %subject, certificate.until = %until, "the certificate has expired: clients refuse it");
    } else if days > 0 && until < now.plus(Duration::from_hours(24 * u64::from(days))) {
        tracing::warn!(tls.end = what, certificate = %subject, certificate.until = %until, "the certificate ends soon");
    }
}

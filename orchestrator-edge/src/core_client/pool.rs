//! The pool over all cores that some names resolve to.
//!
//! Requests go round-robin over the addresses. A name is asked again every ten seconds, in the background, so that cores
//! come and go without a restart of the edge. An address that was slow to refuse rests for a moment; when none can be
//! reached, the call fails at once as `Unavailable`, which the caller sees as a 503 with `retry-after`.
//!
//! A request that provably never left (the connection was closed before it was written) is sent elsewhere. One that the core says it
//! has not begun is lost here and made again by whoever asks [`Again`](super::Again). Any other failure is the caller's to know: the
//! core may have begun to work.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response, Uri, uri::Authority};
use orchestrator_base::{task, tls};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tonic::{Status, body::Body};

use super::{
    begun,
    connection::{Address, Failure},
    each::{Found, Which},
};

/// How long a resolved name is trusted.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// How long a name may take to resolve.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
/// The port of the core's gRPC listener, where an endpoint names none.
const DEFAULT_PORT: u16 = 50051;

/// What is wrong with `edge.core_endpoint`.
#[derive(Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// There is no address in it.
    Empty,
    /// This part is not `http://HOST[:PORT]`, nor so with `https`.
    Malformed(String),
    /// This part is to be encrypted, and nobody said how.
    NoTls(String),
}

impl std::fmt::Display for EndpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => write!(f, "CORE_ENDPOINT: names no core"),
            Self::Malformed(part) => {
                write!(f, "CORE_ENDPOINT: `{part}` is not of the form http://HOST:PORT")
            }
            Self::NoTls(part) => write!(f, "CORE_ENDPOINT: there are no certificates for `{part}`"),
        }
    }
}

impl std::error::Error for EndpointError {}

/// One endpoint as it was configured.
struct Endpoint {
    authority: Authority,
    host: String,
    port: u16,
    tls: Option<Arc<tls::Client>>,
}

/// What the names resolved to.
struct Resolved {
    /// When the names are to be asked again; `None` when every endpoint is a plain IP address, or none was asked yet.
    until: Option<Instant>,
    addresses: Vec<Arc<Address>>,
}

/// See the module.
pub(super) struct Pool {
    endpoints: Vec<Endpoint>,
    resolved: ArcSwap<Resolved>,
    /// Held by whoever is asking the names.
    resolving: Arc<Mutex<()>>,
    turn: AtomicUsize,
}

impl Pool {
    pub(super) fn new(endpoints: &str, tls: Option<&Arc<tls::Client>>) -> Result<Arc<Self>, EndpointError> {
        let parts = endpoints.split(',').map(str::trim).filter(|part| !part.is_empty());
        let endpoints = parts.map(|part| parse_endpoint(part, tls)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(EndpointError::Empty);
        }
        let resolved = ArcSwap::from_pointee(literal_addresses(&endpoints));
        let resolving = Arc::new(Mutex::new(()));
        Ok(Arc::new(Self { endpoints, resolved, resolving, turn: AtomicUsize::new(0) }))
    }

    /// Sends a request to the next address that takes it.
    pub(super) async fn send(self: Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let resolved = self.addresses().await;
        let addresses = &resolved.addresses;
        if let Some(which) = request.extensions().get::<Which>().cloned() {
            return send_to(addresses, &which, request).await;
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        for step in 0..addresses.len() {
            let address = &addresses[start.wrapping_add(step) % addresses.len()];
            if address.rests() {
                continue;
            }
            match address.send(request).await {
                Ok(response) => return Ok(response),
                Err(Failure { unsent: Some(unsent), .. }) => request = unsent,
                Err(Failure { begun, .. }) => return Err(begun::lost(begun)),
            }
        }
        Err(Status::unavailable("no core can be reached"))
    }

    /// The addresses known; asks the names when nothing is known, and in the background when it is a while ago.
    async fn addresses(self: &Arc<Self>) -> Arc<Resolved> {
        let known = self.resolved.load_full();
        if known.addresses.is_empty() {
            let _turn = self.resolving.lock().await;
            // Who waited for the lock finds what its holder has found.
            if self.resolved.load().addresses.is_empty() {
                self.resolve().await;
            }
            return self.resolved.load_full();
        }
        let is_old = known.until.is_some_and(|until| Instant::now() >= until);
        if is_old && let Ok(turn) = self.resolving.clone().try_lock_owned() {
            let pool = self.clone();
            task::spawn("core-resolver", async move {
                pool.resolve().await;
                drop(turn);
            });
        }
        known
    }

    /// Asks every name. A name that does not answer keeps its former addresses; an address that stays keeps its connections.
    async fn resolve(&self) {
        let former = self.resolved.load_full();
        let mut addresses = Vec::new();
        for endpoint in &self.endpoints {
            let its_own = |address: &&Arc<Address>| address.authority == endpoint.authority;
            match lookup(endpoint).await {
                Ok(found) => {
                    for at in found {
                        let kept = former.addresses.iter().filter(its_own).find(|address| address.at == at);
                        let fresh = || Arc::new(endpoint.address(at));
                        addresses.push(kept.cloned().unwrap_or_else(fresh));
                    }
                }
                Err(error) => {
                    tracing::warn!(core.host = %endpoint.host, %error, "the core's name does not resolve");
                    addresses.extend(former.addresses.iter().filter(its_own).cloned());
                }
            }
        }
        self.resolved.store(Arc::new(Resolved { until: Some(Instant::now() + RESOLVE_EVERY), addresses }));
    }
}

/// Sends a request to the address that it is for, and to no other.
async fn send_to(
    addresses: &[Arc<Address>],
    which: &Which,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let address = addresses.get(which.place);
    // Nobody else has it.
    let _ = which.found.set(Found { of: addresses.len(), at: address.map(|address| address.at) });
    let Some(address) = address else { return Err(Status::unavailable("no core can be reached")) };
    address.send(request).await.map_err(|_| Status::unavailable("the core cannot be reached"))
}

#[cfg(test)]
impl Pool {
    /// How many connections stand.
    pub(super) async fn open_connections(self: &Arc<Self>) -> usize {
        self.addresses().await.addresses.iter().map(|address| address.open_connections()).sum()
    }
}

/// All addresses of a name, in a stable order and each once.
async fn lookup(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, std::io::Error> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let mut found: Vec<SocketAddr> = timeout(RESOLVE_WITHIN, found).await??.collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Plain IP addresses need no resolver and never change.
fn literal_addresses(endpoints: &[Endpoint]) -> Resolved {
    let mut addresses = Vec::new();
    for endpoint in endpoints {
        let Ok(ip) = endpoint.host.parse::<IpAddr>() else {
            return Resolved { until: None, addresses: Vec::new() };
        };
        let at = SocketAddr::new(ip, endpoint.port);
        addresses.push(Arc::new(endpoint.address(at)));
    }
    Resolved { until: None, addresses }
}

impl Endpoint {
    fn address(&self, at: SocketAddr) -> Address {
        Address::new(self.authority.clone(), at, self.tls.clone())
    }
}

fn parse_endpoint(part: &str, tls: Option<&Arc<tls::Client>>) -> Result<Endpoint, EndpointError> {
    let malformed = || EndpointError::Malformed(part.to_owned());
    let uri: Uri = part.parse().map_err(|_| malformed())?;
    let is_plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !is_plain {
        return Err(malformed());
    }
    let tls = match uri.scheme_str() {
        Some("http") => None,
        Some("https") => Some(tls.ok_or_else(|| EndpointError::NoTls(part.to_owned()))?.clone()),
        _ => return Err(malformed()),
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.cloned().ok_or_else(malformed)?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
    Ok(Endpoint { authority, host, port, tls })
}

//! What is measured: the processes of each, started for a run and ended with it.

pub(crate) mod admin;
pub(crate) mod gateway;
pub(crate) mod process;

use std::{fmt, net::SocketAddr};

use process::Process;
use serde::{Deserialize, Serialize};

use crate::{load::client::Target, serve::AnyError, usage};

/// The key that every load carries and every target with keys knows.
pub(crate) const KEY: &str = "bench-client-key-0123456789abcdef";

/// The kinds of targets, from the floor up. As text they are the names of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The upstream itself: what there is without anything between.
    Direct,
    /// One hop.
    Hop,
    /// Two hops in a row.
    HopTwice,
    /// One hop that does the least a gateway does.
    HopGateway,
    /// The tonic pair in one process.
    PairEmbedded,
    /// The tonic pair in two.
    Pair,
    /// The gateway in one process.
    Embedded,
    /// The gateway as edge and core.
    Split,
}

impl Kind {
    /// All of them, in the table's order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Direct,
        Self::Hop,
        Self::HopTwice,
        Self::HopGateway,
        Self::PairEmbedded,
        Self::Pair,
        Self::Embedded,
        Self::Split,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Hop => "hop",
            Self::HopTwice => "hop ×2",
            Self::HopGateway => "hop-gw",
            Self::PairEmbedded => "pair 1p",
            Self::Pair => "pair 2p",
            Self::Embedded => "gateway 1p",
            Self::Split => "gateway 2p",
        })
    }
}

/// A target that runs. Dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which.
    pub(crate) kind: Kind,
    /// Where the load goes.
    pub(crate) target: Target,
    processes: Vec<Process>,
    /// Where its files lie, until it ends.
    _files: Option<tempfile::TempDir>,
}

impl Running {
    /// CPU time of its processes so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> std::io::Result<u64> {
        self.processes.iter().map(|process| usage::cpu_ns(process.pid())).sum()
    }

    /// The ids of its processes; for a gateway in two the core's comes first.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }

    /// Memory of its processes, in KiB.
    pub(crate) fn memory_kib(&self) -> std::io::Result<u64> {
        self.processes.iter().map(|process| usage::memory_kib(process.pid())).sum()
    }
}

/// The servers of a run: an upstream, and what stands before it.
#[derive(Debug)]
pub(crate) struct Upstream(Process);

impl Upstream {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, AnyError> {
        Ok(Self(Process::own(&["upstream"])?))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }
}

/// Starts a target before the upstream.
pub(crate) fn start(
    kind: Kind,
    upstream: SocketAddr,
    settings: &gateway::Settings,
) -> Result<Running, AnyError> {
    let to = upstream.to_string();
    let (address, processes) = match kind {
        Kind::Direct => (upstream, Vec::new()),
        Kind::Hop => last_of(vec![Process::own(&["hop", "--to", &to])?]),
        Kind::HopTwice => {
            let second = Process::own(&["hop", "--to", &to])?;
            let first = Process::own(&["hop", "--to", &second.address.to_string()])?;
            last_of(vec![second, first])
        }
        Kind::HopGateway => last_of(vec![Process::own(&["hop", "--to", &to, "--key", KEY])?]),
        Kind::PairEmbedded => last_of(vec![Process::own(&["pair", "--to", &to])?]),
        Kind::Pair => {
            let core = Process::own(&["pair-core", "--to", &to])?;
            let edge = Process::own(&["pair-edge", "--core", &core.address.to_string()])?;
            last_of(vec![core, edge])
        }
        Kind::Embedded | Kind::Split => {
            let gateway = gateway::start(kind == Kind::Split, upstream, settings)?;
            let target = Target::new(gateway.rest, KEY);
            return Ok(Running { kind, target, processes: gateway.processes, _files: Some(gateway.files) });
        }
    };
    Ok(Running { kind, target: Target::new(address, KEY), processes, _files: None })
}

/// Processes of which the last one started is the one to ask.
fn last_of(processes: Vec<Process>) -> (SocketAddr, Vec<Process>) {
    let address = processes.last().map_or_else(|| ([127, 0, 0, 1], 0).into(), |process| process.address);
    (address, processes)
}

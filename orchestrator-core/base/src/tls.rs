//! TLS: certificates of listeners, towards cores and towards Redis, and the one place that chooses the cryptography.
//!
//! Reading order: [`Ends`] is what a `main` opens; a [`Server`] shakes hands with clients, a [`Client`] with cores, and what comes
//! of it is a [`Wire`], which may also be in the clear. [`Ends::watch`] follows the files. TLS 1.3 and 1.2 are spoken, nothing older.
//!
//! rustls wants one provider for the whole process. Every library here is built for *ring*; naming it once, at start, keeps a
//! dependency that brings another one along from making the choice ambiguous, which would be a panic at the first connection.

mod certificate;
mod client;
mod ends;
mod files;
mod itself;
mod redis;
mod server;
mod watch;
mod wire;

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};

pub use self::{
    certificate::About,
    client::Client,
    ends::{Ends, TlsError, check, of_own_grpc, of_own_rest},
    redis::RedisFiles,
    server::{Listener, Server, accept},
    wire::Wire,
};

/// What is spoken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Chooses *ring* for the process. A second call changes nothing.
pub fn install_crypto() {
    // The error only says that a provider is chosen already.
    let _ = ring::default_provider().install_default();
}

#[cfg(test)]
mod tests;

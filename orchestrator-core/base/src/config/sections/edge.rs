//! The section about the REST listener.

use serde::{Deserialize, Serialize};

use crate::network::Network;

/// Section `edge`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// `APP_HOST`, default `127.0.0.1`.
    pub host: String,
    /// `APP_PORT`, default `8000`.
    pub port: u16,
    /// `CORE_ENDPOINT`, default none: the edge embeds a core. Several are comma-separated.
    pub core_endpoint: Option<String>,
    /// `CORS_ORIGINS`, comma-separated, default none. `*` means any.
    pub cors_origins: Vec<String>,
    /// How long a client may take to send its headers, default 10 s.
    pub header_timeout_ms: u64,
    /// How long a client may take to send its body, default 30 s.
    pub body_timeout_ms: u64,
    /// How many headers a request may have, default 64.
    pub max_headers: usize,
    /// How many bytes a request's headers may take, default 32 KiB.
    pub max_header_bytes: usize,
    /// How long a client may leave an answer unread before its connection is closed, default 60 s.
    pub write_timeout_ms: u64,
    /// `TRUSTED_PROXIES`, comma-separated addresses and ranges, default none: whose word counts for where a request comes from.
    pub trusted_proxies: Vec<Network>,
    /// In which header they say it, default `x-forwarded-for`.
    pub proxy_header: ProxyHeader,
}

/// Where a proxy says for whom it speaks. One of them alone: a proxy passes the other on as its client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8000,
            core_endpoint: None,
            cors_origins: Vec::new(),
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            max_headers: 64,
            max_header_bytes: 32 * 1024,
            write_timeout_ms: 60_000,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
        }
    }
}

//! Encrypted connections, and listeners for operators alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Section `tls`: certificates of the listeners, and those towards the core. Files are PEM, and read again when they change.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// `TLS_CERT`, default none: the certificate of the REST listener, followed by its intermediates. With it the listener speaks
    /// TLS and nothing else.
    pub edge_cert: Option<PathBuf>,
    /// `TLS_KEY`, default none: the private key of that certificate.
    pub edge_key: Option<PathBuf>,
    /// `TLS_CLIENT_CA`, default none: who signs the certificates of REST clients.
    pub edge_client_ca: Option<PathBuf>,
    /// `TLS_CLIENT_AUTH`, default `required`: whether a client must have one, where `edge_client_ca` is set.
    pub edge_client_auth: ClientAuth,
    /// `GRPC_TLS_CERT`, default none: as `edge_cert`, for the core's gRPC listener.
    pub grpc_cert: Option<PathBuf>,
    /// `GRPC_TLS_KEY`, default none.
    pub grpc_key: Option<PathBuf>,
    /// `GRPC_TLS_CLIENT_CA`, default none: who signs the certificates of edges and other gRPC clients.
    pub grpc_client_ca: Option<PathBuf>,
    /// `GRPC_TLS_CLIENT_AUTH`, default `required`.
    pub grpc_client_auth: ClientAuth,
    /// `CORE_TLS_CA`, default the public authorities: who signs the certificates of cores at `https://` endpoints.
    pub core_ca: Option<PathBuf>,
    /// `CORE_TLS_CERT`, default none: the certificate that the edge shows to cores.
    pub core_cert: Option<PathBuf>,
    /// `CORE_TLS_KEY`, default none.
    pub core_key: Option<PathBuf>,
    /// `CORE_TLS_SERVER_NAME`, default the endpoint's host: the name that a core's certificate must have.
    pub core_server_name: Option<String>,
    /// How long a handshake may take, the wait for its place included, default 10 s.
    pub handshake_timeout_ms: u64,
    /// How many handshakes each listener works on at once, default 512; more wait.
    pub max_handshakes: usize,
    /// From how many days before a certificate's end the log warns of it, default 30; 0 is never.
    pub expiry_warning_days: u32,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            edge_cert: None,
            edge_key: None,
            edge_client_ca: None,
            edge_client_auth: ClientAuth::default(),
            grpc_cert: None,
            grpc_key: None,
            grpc_client_ca: None,
            grpc_client_auth: ClientAuth::default(),
            core_ca: None,
            core_cert: None,
            core_key: None,
            core_server_name: None,
            handshake_timeout_ms: 10_000,
            max_handshakes: 512,
            expiry_warning_days: 30,
        }
    }
}

/// Whether clients must have a certificate, where an authority for them is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Without a good one there is no connection.
    #[default]
    Required,
    /// None is fine; a bad one is not.
    Optional,
}

/// Section `admin`: where operators are served, if not beside everybody else.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminListener {
    /// `ADMIN_HOST`, default `127.0.0.1`.
    pub host: String,
    /// `ADMIN_PORT`, default none: the edge serves Admin's paths on this port, and no more on `edge.port`.
    pub port: Option<u16>,
    /// `ADMIN_GRPC_HOST`, default `127.0.0.1`.
    pub grpc_host: String,
    /// `ADMIN_GRPC_PORT`, default none: the core serves its service Admin on this port, and no more on `grpc.port`.
    pub grpc_port: Option<u16>,
    /// `CORE_ADMIN_ENDPOINT`, default `edge.core_endpoint`: where an edge before cores finds their service Admin.
    pub core_endpoint: Option<String>,
}

impl Default for AdminListener {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: None,
            grpc_host: "127.0.0.1".into(),
            grpc_port: None,
            core_endpoint: None,
        }
    }
}

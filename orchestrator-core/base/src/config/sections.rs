//! The sections: one struct each. Times are in the unit that the field's name says.
//!
//! They serialize for people's eyes alone: a secret becomes `****`, so what is written cannot be read back with its keys.

mod edge;
mod health;
mod log;
mod metrics;
mod money;
mod redis;
mod shutdown;
mod tls;
mod traces;

use std::{fmt, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use self::edge::{Edge, ProxyHeader};
pub use self::health::Health;
pub use self::log::{Log, LogFormat};
pub use self::metrics::Metrics;
pub use self::money::{Alerts, Budget};
pub use self::redis::{Redis, WithoutRedis};
pub use self::shutdown::ShutdownTimes;
pub use self::tls::{AdminListener, ClientAuth, Tls};
pub use self::traces::{Otlp, OtlpProtocol, Sampler, Traces};
use super::{Declared, Origin};
use crate::mask;

/// The whole configuration. One file serves both binaries; each uses its own sections.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What kind of installation this is.
    pub app: App,
    /// The REST edge.
    pub edge: Edge,
    /// The core's gRPC listener.
    pub grpc: Grpc,
    /// Certificates.
    pub tls: Tls,
    /// Listeners for operators alone.
    pub admin: AdminListener,
    /// Where metrics are shown.
    pub metrics: Metrics,
    /// Where files lie.
    pub data: Data,
    /// Keys that are given rather than generated.
    pub keys: Keys,
    /// Vendors' own variables: providers made at start.
    pub vendors: Vendors,
    /// The database.
    pub database: Database,
    /// Logs.
    pub log: Log,
    /// What a request may weigh.
    pub limits: Limits,
    /// How many requests at once.
    pub admission: Admission,
    /// What requests are taken to cost before it is known.
    pub budget: Budget,
    /// What operators are told of.
    pub alerts: Alerts,
    /// Streams to callers.
    pub stream: Stream,
    /// Default time-outs towards providers.
    pub timeouts: Timeouts,
    /// When a failing provider is left alone.
    pub breaker: Breaker,
    /// How providers' health is checked, at first.
    pub health_check: HealthCheck,
    /// Who is told how the program is.
    pub health: Health,
    /// Rules for every provider.
    pub providers: ProviderRules,
    /// Answers under an idempotency key.
    pub idempotency: Idempotency,
    /// The ledger's journal.
    pub journal: Journal,
    /// Bodies in the log of requests.
    pub bodies: Bodies,
    /// What several cores share.
    pub redis: Redis,
    /// How the process ends.
    pub shutdown: ShutdownTimes,
    /// Where traces go.
    pub otlp: Otlp,
    /// Which requests are traced.
    pub traces: Traces,
    /// Threads.
    pub runtime: Runtime,
    /// The catalog that the file declares; no setting.
    #[serde(skip)]
    pub declared: Declared,
    /// What it was read from; no setting.
    #[serde(skip)]
    pub origin: Origin,
}

/// Section `app`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// `APP_ENV`, default `development`.
    pub env: AppEnv,
    /// `APP_DEBUG`, default `false`: log level debug, whatever `log.level` says.
    pub debug: bool,
}

/// How strictly the program starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AppEnv {
    /// Missing keys are generated; an empty catalog gets `echo`.
    #[default]
    Development,
    /// Nothing is invented: missing or weak keys are refused.
    Production,
}

/// Section `grpc`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// `GRPC_HOST`, default `127.0.0.1`.
    pub host: String,
    /// `GRPC_PORT`, default `50051`.
    pub port: u16,
}

impl Default for Grpc {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: 50051 }
    }
}

/// Section `data`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// `DATA_DIR`, default `./data`: SQLite, generated keys, journal, backups.
    pub dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data") }
    }
}

/// Section `keys`. Each may be `env:NAME` or `file:/path`, and each variable also has a form ending in `_FILE`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// `ADMIN_KEY`, default generated in development: the first admin key.
    #[serde(serialize_with = "masked")]
    pub admin: Option<SecretString>,
    /// `CLIENT_KEY`, default generated in development: a first API key for a database that has none.
    #[serde(serialize_with = "masked")]
    pub client: Option<SecretString>,
    /// `MASTER_KEY`, default generated in development: encrypts provider keys at rest.
    #[serde(serialize_with = "masked")]
    pub master: Option<SecretString>,
}

/// Section `vendors`: providers that exist as soon as their variable is set.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vendors {
    /// `OPENAI_API_KEY`: at every start, an absent provider `openai` is made with it.
    #[serde(serialize_with = "masked")]
    pub openai_api_key: Option<SecretString>,
    /// `OPENAI_BASE_URL`, default the vendor's.
    pub openai_base_url: Option<String>,
    /// `ANTHROPIC_API_KEY`: at every start, an absent provider `anthropic` is made with it.
    #[serde(serialize_with = "masked")]
    pub anthropic_api_key: Option<SecretString>,
    /// `ANTHROPIC_BASE_URL`, default the vendor's.
    pub anthropic_base_url: Option<String>,
    /// `GEMINI_API_KEY`: at every start, an absent provider `gemini` is made with it.
    #[serde(serialize_with = "masked")]
    pub gemini_api_key: Option<SecretString>,
    /// `GEMINI_BASE_URL`, default the vendor's.
    pub gemini_base_url: Option<String>,
}

/// Section `database`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `DATABASE_URL`, default `sqlite://DATA_DIR/llm_orchestrator.db`. Forms such as `sqlite+aiosqlite:///./data/x.db` are understood.
    #[serde(serialize_with = "masked_url")]
    pub url: Option<SecretString>,
    /// `DATABASE_TYPE`, default the URL's: where both are given, they must agree.
    #[serde(rename = "type")]
    pub kind: Option<DatabaseType>,
    /// `DATABASE_WAIT_RETRIES`, default 30.
    pub wait_retries: u32,
    /// `DATABASE_WAIT_INTERVAL` (seconds), default 2.
    pub wait_interval: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, kind: None, wait_retries: 30, wait_interval: 2 }
    }
}

/// What kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseType {
    /// A file.
    Sqlite,
    /// A MySQL server, or a MariaDB server.
    #[serde(alias = "mariadb")]
    MySql,
    /// A PostgreSQL server.
    #[serde(alias = "postgresql")]
    Postgres,
}

impl fmt::Display for DatabaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
        })
    }
}

/// Section `limits`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// `MAX_BODY_BYTES`, default 32 MiB: a larger request body is a 413. gRPC's decode limits follow it.
    pub max_body_bytes: usize,
    /// How deep a request's JSON may nest, default 128.
    pub max_json_depth: usize,
    /// The largest event of a provider's stream, default 4 MiB.
    pub max_event_bytes: usize,
    /// The largest whole answer of a provider, default 64 MiB.
    pub max_answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_json_depth: 128,
            max_event_bytes: 4 << 20,
            max_answer_bytes: 64 << 20,
        }
    }
}

/// Section `admission`: how many requests for models a core works on at once, and what becomes of the others.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// `MAX_CONCURRENT_SESSIONS`, default 10000: so many at once; more wait.
    pub max_concurrent_sessions: usize,
    /// `MAX_QUEUE_LENGTH`, default 1000: so many wait; more are a 503.
    pub max_queue_length: usize,
    /// `MAX_QUEUE_WAIT` (seconds), default 30: nobody waits longer.
    pub max_queue_wait: u64,
}

impl Default for Admission {
    fn default() -> Self {
        Self { max_concurrent_sessions: 10_000, max_queue_length: 1_000, max_queue_wait: 30 }
    }
}

/// Section `stream`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// After how long without a first token a stream's head is sent all the same, default 10 s.
    pub early_head_ms: u64,
    /// How often a silent stream gets idle bytes once its head was sent, default 15 s.
    pub idle_bytes_ms: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self { early_head_ms: 10_000, idle_bytes_ms: 15_000 }
    }
}

/// Section `timeouts`: what holds where neither provider nor model says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands, default 3 s.
    pub connect_ms: u64,
    /// Until a stream's first content, default 120 s.
    pub first_token_ms: u64,
    /// Between two pieces of a stream, default 60 s.
    pub idle_ms: u64,
    /// For the whole answer, default 10 min.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 3_000, first_token_ms: 120_000, idle_ms: 60_000, total_ms: 600_000 }
    }
}

/// Section `breaker`: when a failing provider is left alone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// `CIRCUIT_BREAKER_THRESHOLD`: faults in a row that open it, default 5.
    pub threshold: u32,
    /// `CIRCUIT_BREAKER_TIMEOUT`: seconds that it stays open the first time, default 60; it doubles up to 300.
    pub timeout: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { threshold: 5, timeout: 60 }
    }
}

/// Section `health_check`: what the first start puts into the database. Afterwards the database holds it, and it is changed there.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// `HEALTH_CHECK_ENABLED`, default `true`: providers are probed.
    pub enabled: bool,
    /// `HEALTH_CHECK_INTERVAL`: seconds between two probes, default 300; rounded up to minutes.
    pub interval: u32,
    /// `HEALTH_CHECK_MAX_ERRORS`: faults in a row that make a provider unhealthy, default 5.
    pub max_errors: u32,
    /// `HEALTH_CHECK_RETRY_HOURS`: after how long an unhealthy provider may have live traffic without being probed first, default 1.
    pub retry_hours: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { enabled: true, interval: 300, max_errors: 5, retry_hours: 1 }
    }
}

/// Section `providers`: rules for every provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderRules {
    /// Refuse private addresses as base URLs too, default `false`. Link-local and metadata addresses are always refused.
    pub deny_private_networks: bool,
}

/// Section `idempotency`: answers that are kept for whoever asks the same again under the same key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// How long an answer is kept, default 86400 (a day); 0: only until it is made.
    pub retention_seconds: u64,
    /// The most answers that are kept, default 10000; beyond it the oldest are forgotten.
    pub max_entries: usize,
    /// The largest answer that is kept or can be joined, default 4 MiB.
    pub max_bytes: usize,
    /// The most bytes of all of them in a core, default 256 MiB; beyond it the oldest are forgotten.
    pub total_bytes: usize,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { retention_seconds: 86_400, max_entries: 10_000, max_bytes: 4 << 20, total_bytes: 256 << 20 }
    }
}

/// Section `journal`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// How long a record may wait for its fsync, default 50 ms; 0 means every write.
    pub fsync_ms: u64,
    /// At which size a segment is closed and the next begun, default 16 MiB.
    pub segment_bytes: u64,
    /// The most bytes of all segments, default 16 GiB. Records that come while as many wait for the database are lost, and
    /// counted.
    pub max_bytes: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { fsync_ms: 50, segment_bytes: 16 << 20, max_bytes: 16 << 30 }
    }
}

/// Section `bodies`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bodies {
    /// Keep every request's body and answer with its log, default `false`: only those of keys with `log_bodies`.
    pub keep: bool,
    /// The most bytes of each that are kept, default 64 KiB.
    pub max_bytes: usize,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { keep: false, max_bytes: 64 << 10 }
    }
}

/// Section `runtime`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// How many request threads, each with a runtime of its own; 0 (the default) means one a core.
    pub threads: usize,
}

/// A secret as it may be shown: whether it is set.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn masked<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|secret| mask::hidden(secret.expose_secret())).serialize(serializer)
}

/// A URL without its credentials.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn masked_url<S: Serializer>(url: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(|url| mask::url(url.expose_secret())).serialize(serializer)
}

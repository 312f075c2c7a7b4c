//! The table of settings: one row for each field of [`sections`](super::sections), in the same order.
//!
//! A row says by which conventional variable a setting is known and what shape its value has. Everything else follows from the
//! table: the variables that are read, the checks, the order of problems, what `check-config` prints.

use super::problem::Problem;

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// `section.key`, as in the file.
    pub(super) name: &'static str,
    /// The conventional variable, where there is one.
    pub(super) variable: Option<&'static str>,
    /// What a value looks like.
    pub(super) shape: Shape,
}

/// What a setting's value looks like. `value.rs` reads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `true` or `false`.
    Switch,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(i64, i64),
    /// A port; 0 lets the system choose.
    Port,
    /// A name or an IP address to listen on.
    Host,
    /// A path of a file or directory.
    Path,
    /// `http://host:port`, several comma-separated.
    Endpoints,
    /// `*` or `scheme://host[:port]`, a list.
    Origins,
    /// The base of a vendor's API.
    BaseUrl,
    /// A database's URL, which may hold a password.
    DatabaseUrl,
    /// The URL of Redis, which may hold a password.
    RedisUrl,
    /// What keys in Redis begin with.
    KeyPrefix,
    /// Dollars: decimal digits, at most nine behind the point, at most a million.
    Dollars,
    /// Percentages from 1 to 1000, a list.
    Percents,
    /// A number from 0 to 1, kept as it was written.
    Share,
    /// Names of providers, or `*`, a list.
    Names,
    /// A name for people and programs.
    Text,
    /// `name=value`, comma-separated, percent-encoded where needed.
    Pairs,
    /// The same, never shown, never quoted.
    SecretPairs,
    /// IP addresses and ranges of them, a list.
    Networks,
    /// Never shown, never quoted.
    Secret,
    /// An `http` or `https` URL that may hold a token anywhere: never shown, never quoted.
    SecretUrl,
}

impl Shape {
    /// Whether a file may give an array.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Endpoints | Self::Origins | Self::Percents | Self::Names | Self::Networks)
    }

    /// Whether the value must not be quoted, and may be given as `env:NAME`, `file:/path` or by a variable ending in `_FILE`.
    pub(super) fn is_secret(self) -> bool {
        matches!(
            self,
            Self::Secret | Self::SecretPairs | Self::SecretUrl | Self::DatabaseUrl | Self::RedisUrl
        )
    }
}

/// Sections that are called otherwise in a file: there `[[providers]]` are the declared ones, and TOML takes no name twice.
/// Where nothing is declared, `[providers]` is understood too.
pub(super) const FILE_SECTIONS: [(&str, &str); 1] = [("providers", "provider_rules")];

/// The section's name in a file.
pub(super) fn in_file(section: &str) -> &str {
    FILE_SECTIONS.iter().find(|(name, _)| *name == section).map_or(section, |(_, in_file)| in_file)
}

/// What every variable without a conventional name begins with.
pub(super) const PREFIX: &str = "ORCHESTRATOR__";

impl Setting {
    /// `ORCHESTRATOR__SECTION__KEY`.
    pub(super) fn generic_variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }
}

/// The setting of this name, or the problem that there is none, which names the nearest.
pub(super) fn find(name: &str, place: &str) -> Result<&'static Setting, Problem> {
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
        return Ok(setting);
    }
    let names = SETTINGS.iter().map(|setting| setting.name.to_owned());
    Err(Problem::of(name, place, format!("no such setting; the nearest is {}", nearest(name, names))))
}

/// Of `known` the one that takes the fewest corrections to make of `given`; of equals the first.
pub(super) fn nearest(given: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|name| strsim::damerau_levenshtein(given, name)).unwrap_or_default()
}

/// The levels of a log. `value.rs` knows a few synonyms.
pub(super) const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// Kinds of databases, by the names that people have for them.
const DATABASES: &[&str] = &["mysql", "mariadb", "postgres", "postgresql", "sqlite"];

/// A time-out above a day is a mistake in the unit.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Nobody waits longer for a process to end.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// A size above a tebibyte is a mistake too.
const TEBIBYTE: i64 = 1 << 40;

/// The samplers of the OpenTelemetry standard.
const SAMPLERS: &[&str] = &[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

const CLIENT_AUTH: Shape = Shape::Word(&["required", "optional"]);
const TIME: Shape = Shape::Number(1, DAY_MS);
const SIZE: Shape = Shape::Number(1, TEBIBYTE);

/// All settings, in the order of the sections.
pub(super) const SETTINGS: &[Setting] = &[
    known("app.env", "APP_ENV", Shape::Word(&["development", "production"])),
    known("app.debug", "APP_DEBUG", Shape::Switch),
    known("edge.host", "APP_HOST", Shape::Host),
    known("edge.port", "APP_PORT", Shape::Port),
    known("edge.core_endpoint", "CORE_ENDPOINT", Shape::Endpoints),
    known("edge.cors_origins", "CORS_ORIGINS", Shape::Origins),
    other("edge.header_timeout_ms", TIME),
    other("edge.body_timeout_ms", TIME),
    other("edge.max_headers", Shape::Number(1, 10_000)),
    other("edge.max_header_bytes", SIZE),
    other("edge.write_timeout_ms", TIME),
    known("edge.trusted_proxies", "TRUSTED_PROXIES", Shape::Networks),
    other("edge.proxy_header", Shape::Word(&["x-forwarded-for", "forwarded"])),
    known("grpc.host", "GRPC_HOST", Shape::Host),
    known("grpc.port", "GRPC_PORT", Shape::Port),
    known("tls.edge_cert", "TLS_CERT", Shape::Path),
    known("tls.edge_key", "TLS_KEY", Shape::Path),
    known("tls.edge_client_ca", "TLS_CLIENT_CA", Shape::Path),
    known("tls.edge_client_auth", "TLS_CLIENT_AUTH", CLIENT_AUTH),
    known("tls.grpc_cert", "GRPC_TLS_CERT", Shape::Path),
    known("tls.grpc_key", "GRPC_TLS_KEY", Shape::Path),
    known("tls.grpc_client_ca", "GRPC_TLS_CLIENT_CA", Shape::Path),
    known("tls.grpc_client_auth", "GRPC_TLS_CLIENT_AUTH", CLIENT_AUTH),
    known("tls.core_ca", "CORE_TLS_CA", Shape::Path),
    known("tls.core_cert", "CORE_TLS_CERT", Shape::Path),
    known("tls.core_key", "CORE_TLS_KEY", Shape::Path),
    known("tls.core_server_name", "CORE_TLS_SERVER_NAME", Shape::Host),
    other("tls.handshake_timeout_ms", TIME),
    other("tls.max_handshakes", Shape::Number(1, 100_000)),
    other("tls.expiry_warning_days", Shape::Number(0, 3650)),
    known("admin.host", "ADMIN_HOST", Shape::Host),
    known("admin.port", "ADMIN_PORT", Shape::Port),
    known("admin.grpc_host", "ADMIN_GRPC_HOST", Shape::Host),
    known("admin.grpc_port", "ADMIN_GRPC_PORT", Shape::Port),
    known("admin.core_endpoint", "CORE_ADMIN_ENDPOINT", Shape::Endpoints),
    other("metrics.enabled", Shape::Switch),
    known("metrics.host", "METRICS_HOST", Shape::Host),
    known("metrics.port", "METRICS_PORT", Shape::Port),
    other("metrics.public", Shape::Switch),
    other("metrics.max_series", Shape::Number(1, 100_000)),
    known("data.dir", "DATA_DIR", Shape::Path),
    known("keys.admin", "ADMIN_KEY", Shape::Secret),
    known("keys.client", "CLIENT_KEY", Shape::Secret),
    known("keys.master", "MASTER_KEY", Shape::Secret),
    known("vendors.openai_api_key", "OPENAI_API_KEY", Shape::Secret),
    known("vendors.openai_base_url", "OPENAI_BASE_URL", Shape::BaseUrl),
    known("vendors.anthropic_api_key", "ANTHROPIC_API_KEY", Shape::Secret),
    known("vendors.anthropic_base_url", "ANTHROPIC_BASE_URL", Shape::BaseUrl),
    known("vendors.gemini_api_key", "GEMINI_API_KEY", Shape::Secret),
    known("vendors.gemini_base_url", "GEMINI_BASE_URL", Shape::BaseUrl),
    known("database.url", "DATABASE_URL", Shape::DatabaseUrl),
    known("database.type", "DATABASE_TYPE", Shape::Word(DATABASES)),
    known("database.wait_retries", "DATABASE_WAIT_RETRIES", Shape::Number(0, 100_000)),
    known("database.wait_interval", "DATABASE_WAIT_INTERVAL", Shape::Number(0, 3600)),
    known("log.level", "LOG_LEVEL", Shape::Word(LEVELS)),
    known("log.format", "LOG_FORMAT", Shape::Word(&["json", "pretty"])),
    known("log.file", "LOG_FILE", Shape::Path),
    known("log.access_file", "ACCESS_LOG_FILE", Shape::Path),
    known("log.retention_days", "LOG_RETENTION_DAYS", Shape::Number(0, 36_500)),
    other("log.bodies_retention_days", Shape::Number(0, 36_500)),
    known("limits.max_body_bytes", "MAX_BODY_BYTES", SIZE),
    // Whoever reads nested values recursively pays for each level with stack.
    other("limits.max_json_depth", Shape::Number(1, 1024)),
    other("limits.max_event_bytes", SIZE),
    other("limits.max_answer_bytes", SIZE),
    known("admission.max_concurrent_sessions", "MAX_CONCURRENT_SESSIONS", Shape::Number(1, 1_000_000)),
    known("admission.max_queue_length", "MAX_QUEUE_LENGTH", Shape::Number(0, 100_000)),
    known("admission.max_queue_wait", "MAX_QUEUE_WAIT", Shape::Number(0, 3600)),
    other("budget.default_output_tokens", Shape::Number(1, 10_000_000)),
    other("budget.unknown_price_input_usd", Shape::Dollars),
    other("budget.unknown_price_output_usd", Shape::Dollars),
    other("budget.without_redis", Shape::Word(&["allowance", "open", "closed"])),
    other("budget.allowance_percent", Shape::Number(0, 100)),
    other("alerts.budget_percent", Shape::Percents),
    known("alerts.webhook_url", "ALERTS_WEBHOOK_URL", Shape::SecretUrl),
    other("stream.early_head_ms", TIME),
    other("stream.idle_bytes_ms", TIME),
    other("timeouts.connect_ms", TIME),
    other("timeouts.first_token_ms", TIME),
    other("timeouts.idle_ms", TIME),
    other("timeouts.total_ms", TIME),
    known("breaker.threshold", "CIRCUIT_BREAKER_THRESHOLD", Shape::Number(1, 1_000_000_000)),
    known("breaker.timeout", "CIRCUIT_BREAKER_TIMEOUT", Shape::Number(1, 300)),
    known("health_check.enabled", "HEALTH_CHECK_ENABLED", Shape::Switch),
    known("health_check.interval", "HEALTH_CHECK_INTERVAL", Shape::Number(1, 86_400)),
    known("health_check.max_errors", "HEALTH_CHECK_MAX_ERRORS", Shape::Number(1, 1000)),
    known("health_check.retry_hours", "HEALTH_CHECK_RETRY_HOURS", Shape::Number(1, 720)),
    known("health.public_details", "HEALTH_PUBLIC_DETAILS", Shape::Switch),
    other("providers.deny_private_networks", Shape::Switch),
    // Ninety days.
    other("idempotency.retention_seconds", Shape::Number(0, 7_776_000)),
    other("idempotency.max_entries", Shape::Number(0, 10_000_000)),
    other("idempotency.max_bytes", SIZE),
    other("idempotency.total_bytes", SIZE),
    other("journal.fsync_ms", Shape::Number(0, 60_000)),
    other("journal.segment_bytes", SIZE),
    other("journal.max_bytes", SIZE),
    other("bodies.keep", Shape::Switch),
    // A statement holds several, and databases bound what they take at once.
    other("bodies.max_bytes", Shape::Number(1, 1 << 20)),
    known("redis.enabled", "REDIS_ENABLED", Shape::Switch),
    known("redis.url", "REDIS_URL", Shape::RedisUrl),
    known("redis.ca", "REDIS_CA", Shape::Path),
    known("redis.cert", "REDIS_CERT", Shape::Path),
    known("redis.key", "REDIS_KEY", Shape::Path),
    other("redis.pool_size", Shape::Number(1, 1000)),
    other("redis.checkout_ms", Shape::Number(1, 10_000)),
    other("redis.command_ms", Shape::Number(1, 10_000)),
    other("redis.prefix", Shape::KeyPrefix),
    other("redis.core_expiry_ms", Shape::Number(50, 3_600_000)),
    other("shutdown.ready_delay_ms", Shape::Number(0, HOUR_MS)),
    other("shutdown.drain_ms", Shape::Number(0, HOUR_MS)),
    known("otlp.disabled", "OTEL_SDK_DISABLED", Shape::Switch),
    known("otlp.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", Shape::BaseUrl),
    known("otlp.headers", "OTEL_EXPORTER_OTLP_HEADERS", Shape::SecretPairs),
    known("otlp.protocol", "OTEL_EXPORTER_OTLP_PROTOCOL", Shape::Word(&["grpc"])),
    known("otlp.timeout_ms", "OTEL_EXPORTER_OTLP_TIMEOUT", TIME),
    known("otlp.service_name", "OTEL_SERVICE_NAME", Shape::Text),
    known("otlp.resource_attributes", "OTEL_RESOURCE_ATTRIBUTES", Shape::Pairs),
    known("traces.endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Shape::BaseUrl),
    known("traces.headers", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", Shape::SecretPairs),
    known("traces.protocol", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Shape::Word(&["grpc"])),
    known("traces.timeout_ms", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", TIME),
    known("traces.sampler", "OTEL_TRACES_SAMPLER", Shape::Word(SAMPLERS)),
    known("traces.sampler_arg", "OTEL_TRACES_SAMPLER_ARG", Shape::Share),
    known("traces.schedule_delay_ms", "OTEL_BSP_SCHEDULE_DELAY", Shape::Number(0, DAY_MS)),
    known("traces.max_queue_size", "OTEL_BSP_MAX_QUEUE_SIZE", Shape::Number(1, 1_000_000)),
    known("traces.max_export_batch_size", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Shape::Number(1, 100_000)),
    known("traces.capture_content", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", Shape::Switch),
    other("traces.max_content_bytes", Shape::Number(1, 1 << 20)),
    other("traces.providers", Shape::Names),
    other("runtime.threads", Shape::Number(0, 1024)),
];

const fn known(name: &'static str, variable: &'static str, shape: Shape) -> Setting {
    Setting { name, variable: Some(variable), shape }
}

const fn other(name: &'static str, shape: Shape) -> Setting {
    Setting { name, variable: None, shape }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Loaded, show};

    const DOCUMENT: &str = include_str!("../../../../docs/CONFIGURATION.md");

    #[test]
    fn every_field_of_every_section_has_a_row() {
        let sections = serde_json::to_value(Config::default()).unwrap();
        let mut fields = Vec::new();
        for (section, keys) in sections.as_object().unwrap() {
            fields.extend(keys.as_object().unwrap().keys().map(|key| format!("{section}.{key}")));
        }
        let mut rows: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        fields.sort();
        rows.sort_unstable();
        assert_eq!(rows, fields);
    }

    #[test]
    fn an_unknown_setting_names_the_nearest() {
        let problem = find("edge.prot", "--set").unwrap_err();
        assert_eq!(problem.to_string(), "edge.prot (--set): no such setting; the nearest is edge.port");
    }

    /// Name, variable and default of each row of the document's table.
    fn documented() -> Vec<[String; 3]> {
        let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
            [(); 3].map(|()| cells.next().unwrap())
        })
        .collect()
    }

    #[test]
    fn the_document_has_a_row_for_every_setting_and_no_other() {
        let defaults = Loaded { config: Config::default(), places: [].into(), files: Vec::new() };
        let defaults: toml::Table = show(&defaults).parse().unwrap();
        let expected = SETTINGS.iter().map(|setting| {
            let (section, key) = setting.name.split_once('.').unwrap();
            let default = match defaults[in_file(section)].get(key) {
                Some(toml::Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => "none".to_owned(),
            };
            [setting.name.to_owned(), setting.variable.unwrap_or("-").to_owned(), default]
        });
        assert_eq!(documented(), expected.collect::<Vec<_>>());
    }
}

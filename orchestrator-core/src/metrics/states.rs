//! The instruments that are looked at when somebody scrapes: their names alone. Whoever starts a core knows where to look.

use orchestrator_base::metrics::Description;

/// Requests for models that run.
pub const SESSIONS: Description =
    Description::gauge("orchestrator_sessions", &[], "Requests for models that run.");
/// As many may.
pub const SESSIONS_LIMIT: Description =
    Description::gauge("orchestrator_sessions_limit", &[], "As many requests for models may run.");
/// Requests that wait for a place.
pub const QUEUE_LENGTH: Description =
    Description::gauge("orchestrator_queue_length", &[], "Requests that wait for a place.");
/// As many may.
pub const QUEUE_LIMIT: Description =
    Description::gauge("orchestrator_queue_limit", &[], "As many requests may wait for a place.");
/// Requests that were turned away.
pub const QUEUE_SHED: Description = Description::counter(
    "orchestrator_queue_shed_total",
    &[],
    "Requests that were turned away because too many ran or waited.",
);
/// Breakers that are not closed.
pub const BREAKERS: Description = Description::gauge(
    "orchestrator_breakers",
    &["provider", "state"],
    "Breakers of a provider, one for each key and model, that are not closed.",
);
/// How providers are.
pub const PROVIDER_HEALTH: Description = Description::gauge(
    "orchestrator_provider_health",
    &["provider", "status"],
    "1 for how an enabled provider is, 0 for how it is not.",
);
/// When they were last asked.
pub const PROVIDER_LAST_SEEN: Description = Description::gauge(
    "orchestrator_provider_last_seen_timestamp_seconds",
    &["provider"],
    "When an enabled provider was last asked, in Unix seconds; 0: never.",
);
/// Keys that rest because they were refused.
pub const KEYS_REFUSED: Description = Description::gauge(
    "orchestrator_provider_keys_refused",
    &["provider"],
    "Keys that the provider does not take, and that rest therefore.",
);
/// Whether providers are to be probed.
pub const PROBER_ENABLED: Description =
    Description::gauge("orchestrator_prober_enabled", &[], "1 if providers are to be probed.");
/// Whether this core does it.
pub const PROBER_LEADER: Description =
    Description::gauge("orchestrator_prober_leader", &[], "1 if this core is the one of all that probes.");
/// The journal's size.
pub const JOURNAL_BYTES: Description =
    Description::gauge("orchestrator_journal_bytes", &[], "The size of the journal.");
/// As large may it become.
pub const JOURNAL_MAX_BYTES: Description =
    Description::gauge("orchestrator_journal_max_bytes", &[], "As large may the journal become.");
/// What the database does not have yet.
pub const JOURNAL_PENDING: Description = Description::gauge(
    "orchestrator_journal_pending_bytes",
    &[],
    "What of the journal the database does not have yet.",
);
/// Its age.
pub const JOURNAL_LAG: Description = Description::gauge(
    "orchestrator_journal_lag_seconds",
    &[],
    "For how long something in the journal has been waiting for the database.",
);
/// The disk fails.
pub const JOURNAL_DISK: Description =
    Description::gauge("orchestrator_journal_disk_failing", &[], "1 while the disk does not take records.");
/// The database fails.
pub const JOURNAL_DATABASE: Description = Description::gauge(
    "orchestrator_journal_database_failing",
    &[],
    "1 while the database does not take records.",
);
/// Records that are in no account.
pub const JOURNAL_LOST: Description = Description::counter(
    "orchestrator_journal_records_lost_total",
    &[],
    "Records that could not be written: they are in no account.",
);
/// Records that lie aside.
pub const JOURNAL_REFUSED: Description = Description::counter(
    "orchestrator_journal_records_refused_total",
    &[],
    "Records that the database refused for what is in them.",
);
/// Whether Redis answers.
pub const REDIS_UP: Description =
    Description::gauge("orchestrator_redis_up", &[], "1 while Redis answers. No sample where there is none.");
/// The catalog that requests see.
pub const CATALOG_REVISION: Description = Description::gauge(
    "orchestrator_catalog_revision",
    &[],
    "The revision of the catalog that requests see.",
);

/// All of them, in the order in which they are shown.
pub const ALL: [&Description; 21] = [
    &SESSIONS,
    &SESSIONS_LIMIT,
    &QUEUE_LENGTH,
    &QUEUE_LIMIT,
    &QUEUE_SHED,
    &BREAKERS,
    &PROVIDER_HEALTH,
    &PROVIDER_LAST_SEEN,
    &KEYS_REFUSED,
    &PROBER_ENABLED,
    &PROBER_LEADER,
    &JOURNAL_BYTES,
    &JOURNAL_MAX_BYTES,
    &JOURNAL_PENDING,
    &JOURNAL_LAG,
    &JOURNAL_DISK,
    &JOURNAL_DATABASE,
    &JOURNAL_LOST,
    &JOURNAL_REFUSED,
    &REDIS_UP,
    &CATALOG_REVISION,
];

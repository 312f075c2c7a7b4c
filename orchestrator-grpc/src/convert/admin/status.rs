//! How the core is.

use std::time::Duration;

use orchestrator_base::clock::millis;
use orchestrator_core::{
    admin::status::{CoreState, ProviderState, QueueState, RedisState},
    condition::BreakerView,
    health::Status,
    ledger::journal::JournalHealth,
    policy::queue::{Limits, Numbers},
};
use orchestrator_proto::v1;

use super::{health, timestamp};

/// Into the contract. `draining`: it is about to end.
pub(crate) fn status(state: CoreState, draining: bool) -> v1::CoreStatus {
    let status = if draining {
        "draining"
    } else if state.degraded.is_empty() {
        "healthy"
    } else {
        "degraded"
    };
    let database = if state.has_database() { "up" } else { "down" };
    let providers = providers(&state);
    let (journal, log_writer) = state.journal.map(ledger).unzip();
    v1::CoreStatus {
        status: status.to_owned(),
        database: database.to_owned(),
        database_away_since: state.database_away_since.and_then(timestamp),
        catalog_revision: state.catalog_revision,
        database_latency_ms: state.database_latency.map(millis),
        degraded: state.degraded,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        core: state.core,
        uptime_seconds: state.uptime.as_secs(),
        redis: Some(redis(state.redis)),
        providers: Some(providers),
        breakers: Some(breakers(state.breakers)),
        queue: Some(queue(state.queue)),
        journal,
        log_writer,
    }
}

/// Into the contract.
pub(crate) fn queue(state: QueueState) -> v1::Queue {
    let Numbers { running, waiting, shed } = state.numbers;
    let Limits { running: max_running, waiting: max_waiting, wait } = state.limits;
    v1::Queue {
        running: running as u64,
        waiting: waiting as u64,
        shed,
        max_concurrent_sessions: max_running as u64,
        max_queue_length: max_waiting as u64,
        max_queue_wait: wait.as_secs(),
        status: state.status().to_owned(),
    }
}

fn redis(state: Option<RedisState>) -> v1::RedisStatus {
    let status = match state {
        None => "disabled",
        Some(RedisState { up: true, .. }) => "up",
        Some(RedisState { up: false, .. }) => "down",
    };
    let latency_ms = state.and_then(|state| state.latency).map(millis);
    v1::RedisStatus { status: status.to_owned(), latency_ms }
}

fn providers(state: &CoreState) -> v1::ProvidersStatus {
    let [healthy, degraded, unhealthy, unknown] =
        [Status::Healthy, Status::Degraded, Status::Unhealthy, Status::Unknown]
            .map(|status| count(state.count(status)));
    let status = if state.providers.is_empty() {
        "none"
    } else if unhealthy as usize == state.providers.len() {
        "unhealthy"
    } else if degraded + unhealthy > 0 {
        "degraded"
    } else {
        "healthy"
    };
    let items = state.told_providers().iter().map(provider).collect();
    v1::ProvidersStatus { status: status.to_owned(), healthy, degraded, unhealthy, unknown, items }
}

fn provider(state: &ProviderState) -> v1::ProviderStatus {
    #[expect(clippy::cast_precision_loss, reason = "no answer takes 2^53 milliseconds")]
    let latency_ms = state.response_time_ms.map(|millis| millis as f64);
    v1::ProviderStatus {
        id: state.id.clone(),
        name: state.name.clone(),
        kind: state.kind.clone(),
        status: state.status.name().to_owned(),
        latency_ms,
        last_checked: state.last_checked.and_then(timestamp),
    }
}

fn breakers(views: Vec<BreakerView>) -> v1::BreakersStatus {
    let so = |state: &str| count(views.iter().filter(|view| view.state == state).count());
    let (open, half_open) = (so("open"), so("half_open"));
    let status = if open + half_open > 0 { "degraded" } else { "healthy" };
    let items = views.into_iter().map(health::breaker).collect();
    v1::BreakersStatus { status: status.to_owned(), open, half_open, items }
}

fn ledger(journal: JournalHealth) -> (v1::JournalStatus, v1::LogWriterStatus) {
    let so = |failing| if failing { "failing" } else { "healthy" }.to_owned();
    let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let writer = v1::LogWriterStatus {
        status: so(journal.failing_for.is_some()),
        lag_ms: whole(journal.lag),
        failing_for_ms: journal.failing_for.map(whole),
    };
    let journal = v1::JournalStatus {
        status: so(journal.disk_failing),
        pending_bytes: journal.pending_bytes,
        bytes: journal.bytes,
        max_bytes: journal.max_bytes,
        lost: journal.lost,
        refused: journal.refused,
    };
    (journal, writer)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

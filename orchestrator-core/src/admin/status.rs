//! How this core is, part by part, for operators and for whoever watches over it. Each dependency is asked now, and for no longer than
//! a second.

use std::{fmt, sync::Arc, time::Duration};

use orchestrator_base::clock::UnixMicros;
use tokio::time::Instant;

use super::health::HealthDesk;
use crate::{
    admission::gate::Gate,
    condition::BreakerView,
    health::Status,
    ledger::{Ledger, journal::JournalHealth},
    policy::queue::{Limits, Numbers},
    shared_state::SharedState,
};

/// The most providers and the most breakers that are told one by one.
const MOST_ITEMS: usize = 200;
/// From how many waiting requests on the queue is unhealthy, if it may be so long.
const LONG_QUEUE: usize = 500;

/// What is looked at. Clones are the same.
#[derive(Clone)]
pub struct StatusDesk {
    core: String,
    ledger: Option<Ledger>,
    shared_state: SharedState,
    gate: Arc<Gate>,
    began: Instant,
}

/// How a core is.
#[derive(Clone, Debug)]
pub struct CoreState {
    /// Since when the database has not answered; `None`: it answers.
    pub database_away_since: Option<UnixMicros>,
    /// How long it took to answer just now.
    pub database_latency: Option<Duration>,
    /// The revision of the catalog that requests see.
    pub catalog_revision: i64,
    /// What does not work, a sentence each.
    pub degraded: Vec<String>,
    /// What this core calls itself.
    pub core: String,
    /// How long it has been running.
    pub uptime: Duration,
    /// Redis; `None`: this core counts alone.
    pub redis: Option<RedisState>,
    /// The enabled providers, those that are not healthy first, then by name.
    pub providers: Vec<ProviderState>,
    /// Breakers that are not closed or have seen faults.
    pub breakers: Vec<BreakerView>,
    /// The queue.
    pub queue: QueueState,
    /// The journal and its writer; `None`: this core keeps none.
    pub journal: Option<JournalHealth>,
}

/// Redis, as this core sees it.
#[derive(Clone, Copy, Debug)]
pub struct RedisState {
    /// Whether cores count together.
    pub up: bool,
    /// How long it took to answer just now.
    pub latency: Option<Duration>,
}

/// A provider in short.
#[derive(Clone, Debug)]
pub struct ProviderState {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How it is.
    pub status: Status,
    /// How long its last answer took.
    pub response_time_ms: Option<u64>,
    /// When it was last asked.
    pub last_checked: Option<UnixMicros>,
}

/// The queue's numbers.
#[derive(Clone, Copy, Debug)]
pub struct QueueState {
    /// How many run, wait and were turned away.
    pub numbers: Numbers,
    /// How many may.
    pub limits: Limits,
}

impl QueueState {
    /// "healthy", "busy" or "unhealthy".
    pub fn status(&self) -> &'static str {
        let waiting = self.numbers.waiting;
        if waiting == 0 {
            return "healthy";
        }
        if waiting >= LONG_QUEUE || waiting >= self.limits.waiting { "unhealthy" } else { "busy" }
    }
}

impl StatusDesk {
    /// Looks at these from now on. `core`: what this core calls itself.
    pub fn new(core: String, gate: Arc<Gate>, shared_state: SharedState) -> Self {
        Self { core, ledger: None, shared_state, gate, began: Instant::now() }
    }

    /// And at this ledger.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    /// How the queue is.
    pub fn queue(&self) -> QueueState {
        QueueState { numbers: self.gate.numbers(), limits: self.gate.limits() }
    }

    /// How the core is.
    pub async fn look(&self, desk: &HealthDesk) -> CoreState {
        let (database_latency, redis) =
            tokio::join!(desk.admin.database_latency(), self.shared_state.answer_time());
        let redis = redis.map(|latency| RedisState { up: self.shared_state.is_well(), latency });
        let journal = self.ledger.as_ref().map(Ledger::health);
        let mut breakers = desk.conditions.breakers();
        breakers.truncate(MOST_ITEMS);
        let mut state = CoreState {
            database_away_since: desk.admin.database_away_since(),
            database_latency,
            catalog_revision: desk.admin.revision(),
            degraded: Vec::new(),
            core: self.core.clone(),
            uptime: self.began.elapsed(),
            redis,
            providers: providers(desk),
            breakers,
            queue: self.queue(),
            journal,
        };
        state.degraded = state.complaints();
        state
    }
}

fn providers(desk: &HealthDesk) -> Vec<ProviderState> {
    let mut providers: Vec<ProviderState> = desk
        .admin
        .reloader
        .shared()
        .load()
        .catalog
        .enabled_providers()
        .map(|target| {
            let report = desk.board.report(&target.provider_id);
            ProviderState {
                id: target.provider_id.to_string(),
                name: target.provider_name.to_string(),
                kind: target.kind.to_string(),
                status: report.status,
                response_time_ms: report.facts.response_time_ms,
                last_checked: report.facts.last_checked,
            }
        })
        .collect();
    providers.sort_by(|a, b| {
        let is_well = |state: &ProviderState| matches!(state.status, Status::Healthy | Status::Unknown);
        (is_well(a), &a.name).cmp(&(is_well(b), &b.name))
    });
    providers
}

impl CoreState {
    /// Whether the database answers, now and when it was polled last.
    pub fn has_database(&self) -> bool {
        self.database_away_since.is_none() && self.database_latency.is_some()
    }

    /// How many of the providers are so.
    pub fn count(&self, status: Status) -> usize {
        self.providers.iter().filter(|provider| provider.status == status).count()
    }

    /// The providers that are told one by one.
    pub fn told_providers(&self) -> &[ProviderState] {
        &self.providers[..self.providers.len().min(MOST_ITEMS)]
    }

    /// What does not work as it should, and what follows from it.
    fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.has_database() {
            found.push(
                "the database is away: requests are answered from the last state, changes are refused".into(),
            );
        }
        if self.redis.is_some_and(|redis| !redis.up) {
            let follows = "limits and budgets are kept by each core's share, idempotency by each core";
            found.push(format!("Redis is away: {follows}"));
        }
        if let Some(journal) = &self.journal {
            if journal.disk_failing {
                found
                    .push(format!("the journal cannot be written: {} records are lost so far", journal.lost));
            }
            if journal.failing_for.is_some() {
                found.push("records of requests are not stored: they wait in the journal".into());
            }
        }
        let down = self.count(Status::Unhealthy);
        if down > 0 {
            found.push(format!("{down} of {} providers are unhealthy", self.providers.len()));
        }
        let open = self.breakers.iter().filter(|breaker| breaker.state != "closed").count();
        if open > 0 {
            found.push(format!("{open} circuit breakers are not closed"));
        }
        if self.queue.status() == "unhealthy" {
            found.push(format!("{} requests wait for their turn", self.queue.numbers.waiting));
        }
        found
    }
}

impl fmt::Debug for StatusDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusDesk").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_unhealthy_when_it_is_long_or_full() {
        let limits = |waiting| Limits { running: 10, waiting, wait: Duration::from_secs(30) };
        let with = |waiting, most| QueueState {
            numbers: Numbers { running: 10, waiting, shed: 0 },
            limits: limits(most),
        };
        let told = [(0, 0), (0, 1000), (1, 1000), (499, 1000), (500, 1000), (3, 3)]
            .map(|(waiting, most)| with(waiting, most).status());
        assert_eq!(told, ["healthy", "healthy", "busy", "busy", "unhealthy", "unhealthy"]);
    }
}

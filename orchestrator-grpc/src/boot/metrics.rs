//! What a core shows of itself: what it counts, and what it is when somebody looks.

use std::sync::Arc;

use orchestrator_base::metrics::{Collect, Description, Registry, Text, process::Process};
use orchestrator_core::{
    catalog::{route::Target, snapshot::Snapshot},
    condition::BreakerView,
    health::Status,
    metrics::{RedisMeter, states},
    orchestrator::Shared,
    shared_state::redis::Redis,
    store::Database,
};
use tokio::sync::watch;

const STATUSES: [Status; 4] = [Status::Unknown, Status::Healthy, Status::Degraded, Status::Unhealthy];

/// All that this process shows, for whoever adds to it.
pub(super) fn registry(
    shared: &Arc<Shared>,
    database: &Database,
    redis: Option<Redis>,
    leads: watch::Receiver<bool>,
) -> Registry {
    let registry = Registry::default();
    registry.add(Arc::clone(shared.ledger.metrics()) as Arc<dyn Collect>);
    registry.add(Arc::clone(database.meter()) as Arc<dyn Collect>);
    registry.add(Arc::new(State { shared: Arc::clone(shared), redis, leads }));
    registry.add(Arc::new(Process::started(&shared.clock)));
    registry
}

/// A core as it is now.
struct State {
    shared: Arc<Shared>,
    /// `None`: it is on its own.
    redis: Option<Redis>,
    /// Whether it probes.
    leads: watch::Receiver<bool>,
}

impl Collect for State {
    fn descriptions(&self) -> Vec<&'static Description> {
        states::ALL.into_iter().chain(RedisMeter::families()).collect()
    }

    fn collect(&self, text: &mut Text) {
        self.queue(text);
        let snapshot = self.shared.catalog.load();
        self.providers(&snapshot, text);
        let enabled = self.shared.conditions.health().settings().enabled;
        text.single(&states::PROBER_ENABLED, enabled.into());
        text.single(&states::PROBER_LEADER, (*self.leads.borrow()).into());
        self.journal(text);
        text.family(&states::REDIS_UP);
        if let Some(redis) = &self.redis {
            text.whole(&states::REDIS_UP, &[], redis.is_up().into());
        }
        RedisMeter::show(self.redis.as_ref().map(Redis::meter), text);
        text.single(&states::CATALOG_REVISION, u64::try_from(snapshot.revision).unwrap_or_default());
    }
}

impl State {
    fn queue(&self, text: &mut Text) {
        let (numbers, limits) = (self.shared.gate.numbers(), self.shared.gate.limits());
        text.single(&states::SESSIONS, numbers.running as u64);
        text.single(&states::SESSIONS_LIMIT, limits.running as u64);
        text.single(&states::QUEUE_LENGTH, numbers.waiting as u64);
        text.single(&states::QUEUE_LIMIT, limits.waiting as u64);
        text.single(&states::QUEUE_SHED, numbers.shed);
    }

    fn providers(&self, snapshot: &Snapshot, text: &mut Text) {
        let (conditions, board) = (&self.shared.conditions, self.shared.conditions.health());
        let mut providers: Vec<&Target> = snapshot.catalog.enabled_providers().collect();
        providers.sort_by(|a, b| a.provider_name.cmp(&b.provider_name));
        let breakers = conditions.breakers();
        text.family(&states::BREAKERS);
        for provider in &providers {
            for state in ["open", "half_open"] {
                let is_it = |breaker: &&BreakerView| {
                    *breaker.provider_id == *provider.provider_id && breaker.state == state
                };
                let count = breakers.iter().filter(is_it).count();
                text.whole(&states::BREAKERS, &[&provider.provider_name, state], count as u64);
            }
        }
        text.family(&states::PROVIDER_HEALTH);
        for provider in &providers {
            let now = board.status(&provider.provider_id);
            for status in STATUSES {
                let labels = [&*provider.provider_name, status.name()];
                text.whole(&states::PROVIDER_HEALTH, &labels, (status == now).into());
            }
        }
        text.family(&states::PROVIDER_LAST_SEEN);
        for provider in &providers {
            let last = board.report(&provider.provider_id).facts.last_checked.unwrap_or_default();
            text.number(&states::PROVIDER_LAST_SEEN, &[&provider.provider_name], last.0 as f64 / 1e6);
        }
        text.family(&states::KEYS_REFUSED);
        for provider in &providers {
            let refused = conditions.refused_keys(&provider.provider_id);
            text.whole(&states::KEYS_REFUSED, &[&provider.provider_name], refused as u64);
        }
    }

    fn journal(&self, text: &mut Text) {
        let journal = self.shared.ledger.health();
        text.single(&states::JOURNAL_BYTES, journal.bytes);
        text.single(&states::JOURNAL_MAX_BYTES, journal.max_bytes);
        text.single(&states::JOURNAL_PENDING, journal.pending_bytes);
        text.family(&states::JOURNAL_LAG);
        text.number(&states::JOURNAL_LAG, &[], journal.lag.as_secs_f64());
        text.single(&states::JOURNAL_DISK, journal.disk_failing.into());
        text.single(&states::JOURNAL_DATABASE, journal.failing_for.is_some().into());
        text.single(&states::JOURNAL_LOST, journal.lost);
        text.single(&states::JOURNAL_REFUSED, journal.refused);
    }
}

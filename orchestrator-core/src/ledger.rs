//! The account: one record per request, never lost, never in a request's way.
//!
//! A request opens an [`Entry`]; whatever becomes of the request, the entry is closed into the [`journal`] before the last byte
//! of the answer leaves. The [`writer`] carries the journal into the database later.

pub mod bodies;
pub mod bounds;
pub mod entry;
mod fresh;
pub mod journal;
mod meter;
pub mod record;
pub mod replay;
pub mod rollup;
mod told;
pub(crate) mod trail;
pub mod usage;
pub mod writer;

use std::{sync::Arc, time::Duration};

use orchestrator_base::{clock::Clock, live::Live, random::Random};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use entry::{Entry, Outcome};
pub use record::{Origin, RequestRecord};

use crate::{
    call::{Call, Facts},
    dialect::Operation,
    metrics::Metrics,
    policy::estimate::Estimates,
};
use bodies::BodyRules;
use journal::{Journal, JournalHealth};
use meter::Meter;

/// Opens accounts.
#[derive(Clone, Debug)]
pub struct Ledger {
    journal: Arc<Journal>,
    clock: Clock,
    random: Random,
    bodies: Live<BodyRules>,
    /// What tokens cost a budget where no price is known is among them.
    estimates: Live<Estimates>,
    metrics: Arc<Metrics>,
}

impl Ledger {
    /// A ledger that writes into this journal.
    pub fn new(journal: Arc<Journal>, clock: Clock, random: Random) -> Self {
        let (bodies, estimates, metrics) = (Live::default(), Live::default(), Arc::default());
        Self { journal, clock, random, bodies, estimates, metrics }
    }

    /// Charges budgets by this where no price is known.
    pub fn charging(self, estimates: Live<Estimates>) -> Self {
        Self { estimates, ..self }
    }

    /// Keeps bodies by these rules; without them none is kept.
    pub fn keeping_bodies(self, bodies: impl Into<Live<BodyRules>>) -> Self {
        Self { bodies: bodies.into(), ..self }
    }

    /// Counts what it writes down here.
    pub fn counting(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Where is counted what it writes down.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where its records are written first.
    pub fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    /// How its journal is.
    pub fn health(&self) -> JournalHealth {
        self.journal.health()
    }

    /// Opens the account of a request. `facts` is `None` when it was refused before it was looked into.
    pub fn begin(&self, call: &Call, facts: Option<&Facts>, dialect: &str, operation: Operation) -> Entry {
        let unknown = Facts::default();
        let facts = facts.unwrap_or(&unknown);
        let started_at = self.clock.now();
        let about = &call.about;
        let session_id = if about.session_id.is_empty() {
            facts.session_id.clone().unwrap_or_default()
        } else {
            about.session_id.clone()
        };
        let record = RequestRecord {
            id: self.random.uuid(started_at).to_string(),
            request_id: call.request_id.clone(),
            trace_id: about.trace_id.clone(),
            session_id,
            started_at,
            dialect: dialect.to_owned(),
            operation: operation.name().to_owned(),
            stream: facts.stream,
            model: facts.model.clone(),
            client_address: about.client_address.clone(),
            user_agent: about.user_agent.clone(),
            end_user: facts.end_user.clone().unwrap_or_default(),
            tags: about.tags.clone(),
            ..RequestRecord::default()
        };
        let door = meter::door(&call.input, operation);
        let meter = Meter::new(Arc::clone(&self.metrics), door, false, call.received);
        self.open(record, meter, call.received, facts.body_bytes).along(&about.trace)
    }

    fn open(&self, record: RequestRecord, meter: Meter, received: Instant, request_bytes: usize) -> Entry {
        let journal = Arc::clone(&self.journal);
        Entry::new(
            record,
            journal,
            meter,
            (received, request_bytes),
            self.bodies.get(),
            self.estimates.get().ceiling,
        )
    }

    /// Opens the account of a probe. It has no caller, and its records count in no statistics.
    pub fn begin_probe(&self, request_id: &str, operation: Operation, facts: &Facts) -> Entry {
        let started_at = self.clock.now();
        let record = RequestRecord {
            id: self.random.uuid(started_at).to_string(),
            request_id: request_id.to_owned(),
            started_at,
            dialect: "typed".to_owned(),
            operation: operation.name().to_owned(),
            model: facts.model.clone(),
            origin: Origin::Probe,
            ..RequestRecord::default()
        };
        let now = Instant::now();
        let meter = Meter::new(Arc::clone(&self.metrics), meter::probes_door(operation), true, now);
        self.open(record, meter, now, facts.body_bytes)
    }
}

/// Forces the journal to the disk every `interval` until told to stop, and once more then.
pub async fn keep_synced(journal: Arc<Journal>, interval: Duration, stop: CancellationToken) {
    loop {
        let stopping = stop.is_cancelled();
        let syncing = Arc::clone(&journal);
        // fsync blocks for milliseconds.
        let synced = tokio::task::spawn_blocking(move || syncing.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::error!(error = %error, "the ledger's journal cannot be forced to the disk");
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => {}
        }
    }
}

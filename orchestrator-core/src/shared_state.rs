//! What several cores share: how much of its limits each key, team, model and provider has used.
//!
//! A request that is under limits asks once for all of its tenant's: every limit has room and all are taken,
//! or none is. What it takes is an estimate; settling says what it came to. With one core the answer comes from this process
//! ([`local`]); with several it comes from Redis, in one round trip, and from this process while Redis is away.
//!
//! # How a budget adds up
//!
//! The database has the truth of what was spent: table `budget_spend`, written with the logs in one transaction, which only grows. What
//! runs, and what is over but not stored yet, is *outstanding*: each core has its own. A budget's use is what is stored plus what is
//! outstanding in every core. Because the stored sum only grows, whoever learns of two takes the larger one, in any order: nothing is
//! counted twice or lost when a core dies between the database and the counters. A dead core's outstanding sums expire; what it had
//! answered is in its journal, and is stored when that is replayed.

#[cfg(test)]
mod contract;
pub mod local;
pub mod redis;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use self::{
    local::{Local, LocalGrant},
    redis::{Remote, RemoteGrant},
};
pub use crate::{
    call::{Meter, Standing},
    catalog::tenants::{Scope, Tenant},
};
use crate::{catalog::limits::Period, error::Result, registry::lock};

/// The shared state as a core has it. Cheap to clone.
#[derive(Clone, Debug)]
pub enum SharedState {
    /// In this process alone.
    Local(Arc<Local>),
    /// Together with other cores.
    Redis(Arc<Remote>),
}

/// The limits that a request has taken. [`Grant::settle`] says what it came to; dropped without that, all is given back: requests,
/// tokens, money and its place among those that run.
#[derive(Debug)]
pub enum Grant {
    /// From [`SharedState::Local`].
    Local(LocalGrant),
    /// From [`SharedState::Redis`].
    Redis(RemoteGrant),
}

impl SharedState {
    /// For a core on its own.
    pub fn local(spend: Arc<dyn StoredSpend>) -> Self {
        Self::Local(Arc::new(Local::new(spend)))
    }

    /// Takes all of a tenant's limits, or none.
    ///
    /// Errors: which has no room.
    pub async fn admit(&self, tenant: &Arc<Tenant>, ask: Ask) -> Result<Grant, Box<Refused>> {
        match self {
            Self::Local(local) => local.admit(tenant, ask).await.map(Grant::Local),
            Self::Redis(remote) => remote.admit(tenant, ask).await.map(Grant::Redis),
        }
    }

    /// Records were stored: whoever follows what their keys and teams spend hears of it, with what the database has by now. `told`
    /// is emptied, but for what cannot be told yet.
    pub async fn tell(&self, told: &mut Vec<Added>) -> Result<()> {
        told.retain(|added| self.follows(&added.scope));
        while let Some(first) = told.first() {
            let day = first.day;
            let of_day: Vec<Added> = told.iter().filter(|added| added.day == day).cloned().collect();
            let scopes: Vec<Scope> = of_day.iter().map(|added| Arc::clone(&added.scope)).collect();
            let sums = self.spend().spent(&scopes, day).await?;
            let batch = of_day.into_iter().zip(sums);
            let batch = batch.map(|(Added { scope, day, nanos }, totals)| Stored {
                scope,
                day,
                added: nanos,
                totals,
            });
            self.stored(&batch.collect::<Vec<_>>());
            told.retain(|added| added.day != day);
        }
        Ok(())
    }

    /// Who knows what was spent.
    pub fn spend(&self) -> &Arc<dyn StoredSpend> {
        match self {
            Self::Local(local) => local.spend(),
            Self::Redis(remote) => remote.spend(),
        }
    }

    /// Learns what was spent elsewhere, of everybody that is followed.
    pub async fn learn(&self, now: UnixMicros) -> Result<()> {
        match self {
            Self::Local(local) => local.learn(now).await,
            Self::Redis(remote) => remote.learn(now).await,
        }
    }

    /// A batch of records was stored, and what their scopes had spent by then.
    pub fn stored(&self, batch: &[Stored]) {
        match self {
            Self::Local(local) => local.stored(batch),
            Self::Redis(remote) => remote.stored(batch),
        }
    }

    /// Whether [`SharedState::stored`] wants to hear of a scope.
    pub fn follows(&self, scope: &str) -> bool {
        match self {
            Self::Local(local) => local.follows(scope),
            Self::Redis(remote) => remote.follows(scope),
        }
    }

    /// Asks a provider's rate of all cores together for one request. What this core does by itself is bounded elsewhere
    /// (`condition.rs`).
    ///
    /// Errors: after how long there may be room.
    pub async fn pace(&self, provider_id: &str, per_minute: u32) -> Result<(), Duration> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Redis(remote) => remote.pace(provider_id, per_minute).await,
        }
    }

    /// How long the cores' common store takes to answer now. `None`: there is none; `Some(None)`: it does not answer.
    pub async fn answer_time(&self) -> Option<Option<Duration>> {
        match self {
            Self::Local(_) => None,
            Self::Redis(remote) => Some(remote.answer_time().await),
        }
    }

    /// Whether cores that share their limits can do so now. A core on its own shares none.
    pub fn is_well(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Redis(remote) => remote.is_together(),
        }
    }
}

impl Grant {
    /// How the rates stood after it was taken.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Local(grant) => grant.standing(),
            Self::Redis(grant) => grant.standing(),
        }
    }

    /// The request is over, and came to so much.
    pub fn settle(self, used: Used) {
        match self {
            Self::Local(grant) => grant.settle(used),
            Self::Redis(grant) => grant.settle(used),
        }
    }
}

/// Who knows what the database says was spent.
#[async_trait]
pub trait StoredSpend: Send + Sync {
    /// What was charged to each of these scopes in the day, the month and all time that a moment is in, in nano-dollars: one answer a
    /// scope, in their order.
    async fn spent(&self, scopes: &[Scope], at: UnixMicros) -> Result<Vec<[u64; 3]>>;
}

/// Of whom nothing was ever spent: for a core without a database.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingSpent;

#[async_trait]
impl StoredSpend for NothingSpent {
    async fn spent(&self, scopes: &[Scope], _: UnixMicros) -> Result<Vec<[u64; 3]>> {
        Ok(vec![[0; 3]; scopes.len()])
    }
}

/// What a request is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Tokens, read and written.
    pub tokens: u64,
    /// Money, in nano-dollars: what it can come to at most, as far as is known.
    pub nanos: u64,
    /// When the request began: whose day and month it is charged to.
    pub at: UnixMicros,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Tokens, read and written.
    pub tokens: u64,
    /// What its record is charged, in nano-dollars (`charged_nanos`): outstanding until the record is stored.
    pub nanos: u64,
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests at once.
    Concurrency,
    /// Money.
    Budget(Period),
    /// Money, of which it is not known how much was spent: the database does not say it.
    UnknownSpend,
}

/// A limit has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub limit: LimitKind,
    /// When it may have room again; `None`: not by itself (a budget for good, a request larger than the limit).
    pub retry_after: Option<Duration>,
    /// How the rates stand.
    pub standing: Standing,
}

/// Whose spending has changed. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Touched(Arc<Mutex<BTreeSet<Scope>>>);

impl Touched {
    /// Records of these were stored.
    pub fn add(&self, scopes: impl IntoIterator<Item = Scope>) {
        lock(&self.0).extend(scopes);
    }

    /// Whose they were since this was asked last.
    pub fn take(&self) -> BTreeSet<Scope> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// What records that were stored together charge a scope on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// `key:ID` or `team:ID`.
    pub scope: Scope,
    /// The day, by its first microsecond.
    pub day: UnixMicros,
    /// What this core held outstanding for them, in nano-dollars; nothing of records of an earlier start, or of another core.
    pub nanos: u64,
}

/// What is stored of a scope's spending on a day, after a batch of records was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `key:ID` or `team:ID`.
    pub scope: Scope,
    /// The day, by its first microsecond.
    pub day: UnixMicros,
    /// What this batch has added, in nano-dollars: it is not outstanding any more.
    pub added: u64,
    /// What the database has now for the day's budget periods: the day, its month, and all time.
    pub totals: [u64; 3],
}

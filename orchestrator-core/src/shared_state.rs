//! What several cores share: how much of its limits each key, team, model and provider has used.
//!
//! A request that is under limits asks once for all of its tenant's : every limit has room and all are taken,
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

pub mod redis;

use std::{sync::Arc, time::Duration};

use orchestrator_base::clock::UnixMicros;

use crate::catalog::limits::{Limits, Period};

/// Whose limits: `key:ID`, `team:ID`, `model:ID`, `provider:ID`.
pub type Scope = Arc<str>;

/// A key with limits, and its team's: built once with the catalog's snapshot, and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// What all its scopes share: the team's id where there is one, else the key's. Redis keeps what it shares in one place.
    pub tag: Arc<str>,
    /// The key's and the team's, those of them that have limits. Never empty.
    pub scopes: Vec<(Scope, Limits)>,
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
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The limit.
    pub limit: u64,
    /// How much of it is left now.
    pub remaining: u64,
    /// After how long all of it is, if nothing more is asked.
    pub reset: Duration,
}

/// How a tenant's rates stand after an ask: of several scopes, the one with the least left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute; `None`: there is no limit.
    pub requests: Option<Meter>,
    /// Tokens a minute; `None`: there is no limit.
    pub tokens: Option<Meter>,
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

//! What is measured of the database and of Redis.

use std::{sync::Arc, time::Duration};

use orchestrator_base::metrics::{Collect, Counter, Description, Histogram, Text};
use tokio::time::Instant;

use super::buckets;

const TRANSACTIONS: Description = Description::histogram(
    "orchestrator_database_transaction_seconds",
    &["access"],
    "Transactions, from asking for a connection to the end.",
);
const DATABASE_FAILURES: Description = Description::counter(
    "orchestrator_database_failures_total",
    &["access"],
    "Connections that could not be had, and statements and commits that failed.",
);
const COMMANDS: Description = Description::histogram(
    "orchestrator_redis_command_seconds",
    &[],
    "Answered commands and scripts of Redis, from asking for a connection to the answer.",
);
const REDIS_FAILURES: Description = Description::counter(
    "orchestrator_redis_failures_total",
    &[],
    "Commands and scripts without an answer of Redis, those that were not sent too.",
);

const ACCESSES: [&str; 2] = ["read", "write"];

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It may write.
    Write,
}

/// The database, as it is asked.
#[derive(Debug)]
pub struct DatabaseMeter {
    transactions: [Histogram; 2],
    failures: [Counter; 2],
}

impl Default for DatabaseMeter {
    fn default() -> Self {
        Self {
            transactions: std::array::from_fn(|_| Histogram::new(&buckets::STORE)),
            failures: Default::default(),
        }
    }
}

impl DatabaseMeter {
    /// A transaction begins; it ends when the timer is dropped.
    pub fn begin(self: &Arc<Self>, access: Access) -> Timer {
        Timer { meter: Arc::clone(self), access, began: Instant::now() }
    }
}

/// A transaction under way.
#[derive(Debug)]
pub struct Timer {
    meter: Arc<DatabaseMeter>,
    access: Access,
    began: Instant,
}

impl Timer {
    /// Something of it failed.
    pub fn failed(&self) {
        self.meter.failures[self.access as usize].inc();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.meter.transactions[self.access as usize].record(self.began.elapsed());
    }
}

impl Collect for DatabaseMeter {
    fn descriptions(&self) -> Vec<&'static Description> {
        vec![&TRANSACTIONS, &DATABASE_FAILURES]
    }

    fn collect(&self, text: &mut Text) {
        text.family(&TRANSACTIONS);
        for (access, transactions) in ACCESSES.into_iter().zip(&self.transactions) {
            text.histogram(&TRANSACTIONS, &[access], transactions);
        }
        text.family(&DATABASE_FAILURES);
        for (access, failures) in ACCESSES.into_iter().zip(&self.failures) {
            text.whole(&DATABASE_FAILURES, &[access], failures.get());
        }
    }
}

/// Redis, as it is asked.
#[derive(Debug)]
pub struct RedisMeter {
    commands: Histogram,
    failures: Counter,
}

impl Default for RedisMeter {
    fn default() -> Self {
        Self { commands: Histogram::new(&buckets::STORE), failures: Counter::default() }
    }
}

impl RedisMeter {
    /// It has answered, after so long.
    pub fn answered(&self, took: Duration) {
        self.commands.record(took);
    }

    /// It has not.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// The families of Redis, which are there without one too.
    pub fn families() -> [&'static Description; 2] {
        [&COMMANDS, &REDIS_FAILURES]
    }

    /// Writes them; `None`: there is no Redis, and so no series.
    pub fn show(meter: Option<&Self>, text: &mut Text) {
        text.family(&COMMANDS);
        if let Some(meter) = meter {
            text.histogram(&COMMANDS, &[], &meter.commands);
        }
        text.family(&REDIS_FAILURES);
        if let Some(meter) = meter {
            text.whole(&REDIS_FAILURES, &[], meter.failures.get());
        }
    }
}

//! Whether the cores share their state: seen by what they do. A fresh key with one request a minute is asked once of each: where they
//! share, the second is refused; where each counts for itself, both are admitted.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    AnyError,
    fleet::{
        ask::Ask,
        cores::{Fleet, Key},
        upstream::QUICK,
    },
};

/// Keys that nobody has asked with yet.
#[derive(Debug)]
pub(super) struct Probes {
    keys: Vec<Key>,
    number: u32,
}

const KEYS: usize = 120;
const PATIENCE: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(100);

impl Probes {
    /// Makes the keys.
    pub(super) async fn make(fleet: &Fleet) -> Result<Self, AnyError> {
        let mut keys = Vec::new();
        for number in 0..KEYS {
            keys.push(fleet.key(&format!("probe-{number}"), json!({"requests_per_minute": 1})).await?);
        }
        Ok(Self { keys, number: 0 })
    }

    /// Waits until they share: how long it took, if not too long to wait for.
    pub(super) async fn recover(&mut self, fleet: &Fleet) -> Option<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let Some(key) = self.keys.pop() else { break };
            if self.is_shared(fleet, &key).await {
                return Some(begun.elapsed());
            }
            sleep(LOOK).await;
        }
        None
    }

    async fn is_shared(&mut self, fleet: &Fleet, key: &Key) -> bool {
        let mut statuses = Vec::new();
        for side in &fleet.sides {
            self.number += 1;
            let ask = Ask::new(format!("probe-{}", self.number), key, QUICK);
            statuses.push(ask.make(side.edge).await.status);
        }
        statuses == [200, 429]
    }
}

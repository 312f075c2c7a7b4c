//! How a target looks to somebody who might ask it.

use std::time::Duration;

use tokio::time::Instant;

use crate::health::Status;

/// How good a candidate is, best first. Worse ones are asked when there is no better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing speaks against it.
    Healthy,
    /// It fails now and then.
    Degraded,
    /// It has failed too often in a row.
    Unhealthy,
    /// It should not be asked at all before its time.
    Out,
}

impl Level {
    /// The level of a provider that is so. Who has not been asked yet is as good as any.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Unknown | Status::Healthy => Self::Healthy,
            Status::Degraded => Self::Degraded,
            Status::Unhealthy => Self::Unhealthy,
        }
    }
}

/// How a target looks.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// How good it is with its best key.
    pub level: Level,
    /// When it comes back, of one that is out.
    pub until: Option<Instant>,
    /// How long its first words take, lately; `None`: nobody knows.
    pub latency: Option<Duration>,
    /// Requests under way at it for this model.
    pub in_flight: u32,
    /// For each key, in the target's order, until when it should not be used. Empty: nothing speaks against any.
    pub barred: Vec<Option<Instant>>,
}

impl Outlook {
    /// Of a target that nobody has asked yet.
    pub fn unseen() -> Self {
        Self { level: Level::Healthy, until: None, latency: None, in_flight: 0, barred: Vec::new() }
    }

    /// What the next request would wait, were all under way served one after the other. What is unknown is tried first.
    pub fn cost(&self) -> f64 {
        self.latency.unwrap_or_default().as_secs_f64() * f64::from(self.in_flight.saturating_add(1))
    }
}

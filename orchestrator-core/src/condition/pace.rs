//! A provider's requests a minute, as its operator allows: ten seconds' worth may come at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::gcra::{Full, Gcra, Rate};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What moments are counted from.
    origin: Option<Instant>,
    gcra: Gcra,
}

impl Pace {
    /// Until when no request may be made; `None`: one may.
    pub(super) fn barred(&self, now: Instant, per_minute: u32) -> Option<Instant> {
        let since = micros(now, self.origin?);
        match self.gcra.room(since, Rate::evenly(per_minute.into()), 1) {
            Ok(()) | Err(Full::Always) => None,
            Err(Full::For(wait)) => Some(now + Duration::from_micros(wait)),
        }
    }

    /// One is made.
    pub(super) fn take(&mut self, now: Instant, per_minute: u32) {
        let since = micros(now, *self.origin.get_or_insert(now));
        self.gcra.take(since, Rate::evenly(per_minute.into()), 1);
    }
}

fn micros(now: Instant, origin: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(origin).as_micros()).unwrap_or(u64::MAX)
}

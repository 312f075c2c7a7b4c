//! What is known of one provider's health. Pure: time is an argument.
//!
//! A [`Picture`] is drawn by what requests and probes see ([`Seen`]). It holds a run of the latest outcomes, which decides whether the
//! provider is unhealthy, a short [`window::Recent`], which decides whether it is degraded, and a day of hourly counts for the
//! statistics, in which probes have no part. What operators may choose ([`Settings`]) is applied when the picture is looked at, not
//! when it is drawn: a changed setting holds at once, for what was seen before too.

pub mod seen;
pub mod settings;
pub mod window;

#[cfg(test)]
mod tests;

use std::time::Duration;

use orchestrator_base::clock::UnixMicros;

use self::window::Recent;
pub use self::{
    seen::Seen,
    settings::Settings,
    window::{Hour, Hours},
};

/// Faults in a row from which on a provider is degraded.
const DEGRADED_AFTER: u32 = 2;
const HOUR: Duration = Duration::from_hours(1);

/// How a provider is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nobody has asked it yet.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It failed twice in a row, has never answered well, or answers fewer than nine of ten.
    Degraded,
    /// It has failed too often in a row, or takes none of our keys.
    Unhealthy,
}

impl Status {
    /// The public name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How the latest outcomes were. What several cores tell each other: the latest facts are true for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Good answers since the last fault.
    pub consecutive_successes: u32,
    /// Faults since the last good answer.
    pub error_count: u32,
    /// A probe tried every key, and none was taken.
    pub refused: bool,
    /// How long the last answer took; `None` before the first.
    pub response_time_ms: Option<u64>,
    /// The last answer's HTTP status; `None` when the last time there was none.
    pub last_status_code: Option<u16>,
    /// When it was last asked, by whomever.
    pub last_checked: Option<UnixMicros>,
    /// When it last answered well.
    pub last_success: Option<UnixMicros>,
    /// When it last failed.
    pub last_error: Option<UnixMicros>,
    /// How it last failed. Bounded, and without secrets.
    pub error_message: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The latest outcomes.
    pub facts: Facts,
    /// A day of live requests, hour by hour.
    pub hours: Hours,
    recent: Recent,
}

/// A picture as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How the provider is.
    pub status: Status,
    /// The latest outcomes.
    pub facts: Facts,
    /// The mean over the last day's answers; `None` when there was none.
    pub avg_response_time_ms: Option<u64>,
    /// From when on an unhealthy provider may have live traffic without being probed first.
    pub next_retry_at: Option<UnixMicros>,
    /// Of the last day's live requests, in percent; `None` when there was none.
    pub success_rate_24h: Option<f64>,
    /// The last day's live requests.
    pub total_requests_24h: u64,
}

impl Picture {
    /// A picture of what was stored. What happened in the last minutes is not.
    pub fn stored(facts: Facts, hours: Hours) -> Self {
        Self { facts, hours, recent: Recent::default() }
    }

    /// Draws in what an attempt has shown.
    pub fn saw(&mut self, now: UnixMicros, seen: &Seen) {
        let facts = &mut self.facts;
        facts.last_checked = Some(now);
        facts.last_status_code = (seen.status > 0).then_some(seen.status);
        if seen.good {
            facts.consecutive_successes = facts.consecutive_successes.saturating_add(1);
            facts.error_count = 0;
            facts.refused = false;
            facts.last_success = Some(now);
        } else {
            facts.consecutive_successes = 0;
            facts.error_count = facts.error_count.saturating_add(1);
            facts.refused = seen.probe && seen.is_refusal();
            facts.last_error = Some(now);
            facts.error_message = seen.error.as_deref().map(seen::bounded);
        }
        if seen.answered() {
            facts.response_time_ms = Some(seen.latency_ms);
        }
        self.recent.saw(now, seen.good);
        self.hours.saw(now, seen);
    }

    /// Holds nothing against the provider any more; statistics and the last failure are kept.
    pub fn forgive(&mut self) {
        self.facts.error_count = 0;
        self.facts.refused = false;
        self.recent = Recent::default();
    }

    /// Takes over what another core has seen since. Older news change nothing.
    pub fn adopt(&mut self, news: &Facts) {
        if news.last_checked > self.facts.last_checked {
            self.facts = news.clone();
        }
    }

    /// How the provider is.
    pub fn status(&self, now: UnixMicros, settings: &Settings) -> Status {
        if self.facts.last_checked.is_none() {
            Status::Unknown
        } else if self.facts.refused || self.facts.error_count >= settings.max_error_count {
            Status::Unhealthy
        } else if self.facts.error_count >= DEGRADED_AFTER
            || (self.facts.error_count > 0 && self.facts.last_success.is_none())
            || self.recent.is_poor(now)
        {
            Status::Degraded
        } else {
            Status::Healthy
        }
    }

    /// How good the provider is to be asked: its status, with three differences. Two faults in a row are shown and turn no traffic
    /// away: at a few in a hundred they come all the time. An unhealthy one is tried again when nobody may have found out better.
    /// And where nothing is probed this says nothing at all, for only traffic could show that it is well again: breakers see to it.
    pub fn fitness(&self, now: UnixMicros, settings: &Settings) -> Status {
        match self.status(now, settings) {
            _ if !settings.enabled => Status::Unknown,
            Status::Degraded if !self.recent.is_poor(now) => Status::Healthy,
            Status::Unhealthy if self.next_retry_at(now, settings).is_some_and(|again| again <= now) => {
                Status::Healthy
            }
            status => status,
        }
    }

    /// From when on an unhealthy provider may have live traffic without being probed first; `None` of one that is not.
    pub fn next_retry_at(&self, now: UnixMicros, settings: &Settings) -> Option<UnixMicros> {
        if self.status(now, settings) != Status::Unhealthy {
            return None;
        }
        self.facts.last_error.map(|at| at.plus(HOUR.saturating_mul(settings.retry_after_hours)))
    }

    /// What operators are shown; `elsewhere`: what other cores have counted.
    pub fn report(&self, now: UnixMicros, settings: &Settings, elsewhere: &Hours) -> Report {
        let day = self.hours.day(now).plus(&elsewhere.day(now));
        Report {
            status: self.status(now, settings),
            facts: self.facts.clone(),
            avg_response_time_ms: day.mean_ms(),
            next_retry_at: self.next_retry_at(now, settings),
            success_rate_24h: day.success_rate(),
            total_requests_24h: day.requests,
        }
    }
}

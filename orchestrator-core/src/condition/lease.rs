//! The right to ask a provider, and what asking it showed.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use super::{
    Conditions,
    news::{ConditionNews, What, millis},
    state::{Spot, State},
};
use crate::{
    error::{Blame, Error, ErrorKind},
    health::Seen,
    policy::breaker::Probe,
    registry::lock,
};

/// Why a target should not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// It has failed.
    BreakerOpen,
    /// It said that we ask too much.
    CoolingDown,
    /// It has been asked as often within the minute as its operator allows. Nothing is forced past that.
    RateLimit,
    /// It does not take the key.
    KeyRefused,
    /// Too many repeat already.
    RetryBudget,
}

/// A target should not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub barrier: Barrier,
    /// Before when.
    pub until: Instant,
}

/// What an attempt says of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers, and its first words took this long.
    Good(Duration),
    /// It is the provider's failure.
    Fault,
    /// It wants to be left alone for a while.
    Throttled(Option<Duration>),
    /// It does not take the key.
    KeyRefused,
    /// Nothing: the caller was at fault, or left.
    Nothing,
}

impl Verdict {
    /// What an error says of the provider that it came from.
    pub fn of(error: &Error) -> Self {
        if error.rejects_key() || error.account_is_empty() {
            return Self::KeyRefused;
        }
        match (error.blame(), error.kind) {
            (Blame::Provider, ErrorKind::RateLimited) => Self::Throttled(error.retry_after),
            // A model that one provider lacks is no failure of its.
            (Blame::Provider, ErrorKind::NotFound) | (Blame::Caller | Blame::Us, _) => Self::Nothing,
            (Blame::Provider, _) => Self::Fault,
        }
    }
}

/// The right to ask a target with a key. Dropping it ends the request's presence there.
pub struct Lease {
    pub(super) conditions: Conditions,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) provider_id: Arc<str>,
    pub(super) spot: Spot,
    pub(super) began: Instant,
    pub(super) probe: Option<Probe>,
    pub(super) repeats: bool,
    pub(super) left: bool,
}

impl Lease {
    /// Says what the attempt showed. The last word may differ from the first: a stream that began well may break.
    pub fn saw(&mut self, verdict: &Verdict) {
        self.tell(verdict, Instant::now(), false);
    }

    /// `leaves`: the request is over with that, for which one turn of the lock does.
    fn tell(&mut self, verdict: &Verdict, now: Instant, leaves: bool) {
        if *verdict == Verdict::KeyRefused {
            self.conditions.refused_key(&self.spot.key_id);
        }
        let of_attempt = (self.began, self.probe.take());
        let unit = || self.conditions.unit();
        let mut state = lock(&self.state);
        let found = state.saw(&self.spot, verdict, of_attempt, (now, unit), self.conditions.rules());
        if leaves {
            state.leave(&self.spot, self.repeats);
            self.left = true;
        }
        drop(state);
        if let Some((what, lasts)) = found {
            let (provider_id, key_id) = (Arc::clone(&self.provider_id), self.spot.key_id.clone());
            let model = if what == What::BreakerOpen { self.spot.model.clone() } else { String::new() };
            self.conditions.pass_on(Some(ConditionNews {
                provider_id,
                key_id,
                model,
                what,
                millis: millis(lasts),
            }));
        }
    }

    /// It answers, so far: a stream may still break.
    pub fn answered(&mut self, status: StatusCode) {
        self.good(status, false);
    }

    /// It has answered, and that was all.
    pub fn finished(mut self, status: StatusCode) {
        self.good(status, true);
    }

    fn good(&mut self, status: StatusCode, leaves: bool) {
        let now = Instant::now();
        let waited = now.saturating_duration_since(self.began);
        self.tell(&Verdict::Good(waited), now, leaves);
        self.conditions.health().saw(&self.provider_id, &Seen::answer(status.as_u16(), waited));
    }

    /// The attempt failed.
    pub fn failed(&mut self, error: &Error) {
        self.saw(&Verdict::of(error));
        if let Some(seen) = Seen::failure(error, self.began.elapsed()) {
            self.conditions.health().saw(&self.provider_id, &seen);
        }
    }

    /// What had begun as an answer broke off.
    pub fn broke(&mut self) {
        self.saw(&Verdict::Fault);
        self.conditions.health().saw(&self.provider_id, &Seen::broken_stream(self.began.elapsed()));
    }

    /// When the attempt began.
    pub fn began(&self) -> Instant {
        self.began
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.probe.is_some() {
            self.tell(&Verdict::Nothing, Instant::now(), true);
        } else if !self.left {
            lock(&self.state).leave(&self.spot, self.repeats);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("spot", &self.spot).field("probe", &self.probe).finish_non_exhaustive()
    }
}

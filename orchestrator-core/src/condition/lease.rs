//! The right to ask a provider, and what asking it showed.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;

use super::{
    Conditions,
    news::{ConditionNews, What, millis},
    state::{Entered, Found, State},
};
use crate::{
    error::{Blame, Error, ErrorKind},
    health::Seen,
    registry::Entry,
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
    pub(super) provider: Arc<Entry<State>>,
    pub(super) entered: Entered,
    pub(super) began: Instant,
    pub(super) left: bool,
}

impl Lease {
    /// Says what the attempt showed. The last word may differ from the first: a stream that began well may break.
    pub fn saw(&mut self, verdict: &Verdict) {
        self.tell(verdict, Instant::now(), false);
    }

    /// `leaves`: the request is over with that, for which one turn of the lock does.
    fn tell(&mut self, verdict: &Verdict, now: Instant, leaves: bool) {
        let of_attempt = (self.began, self.entered.probe.take());
        let unit = || self.conditions.unit();
        let mut state = self.provider.lock();
        let found = state.saw(self.entered.place, verdict, of_attempt, (now, unit), &self.conditions.rules());
        if leaves {
            state.leave(&self.entered);
            self.left = true;
        }
        drop(state);
        if let Some(found) = found {
            self.pass_on(found);
        }
    }

    fn pass_on(&self, found: Found) {
        let Found { what, lasts, key_id, model } = found;
        if what == What::KeyRefused {
            self.conditions.refused_key(&key_id);
        }
        let provider_id = Arc::clone(self.provider.id());
        self.conditions.pass_on(Some(ConditionNews {
            provider_id,
            key_id,
            model,
            what,
            millis: millis(lasts),
        }));
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
        self.conditions.health().saw(self.provider.id(), &Seen::answer(status.as_u16(), waited));
    }

    /// The attempt failed.
    pub fn failed(&mut self, error: &Error) {
        self.saw(&Verdict::of(error));
        if let Some(seen) = Seen::failure(error, self.began.elapsed()) {
            self.conditions.health().saw(self.provider.id(), &seen);
        }
    }

    /// What had begun as an answer broke off.
    pub fn broke(&mut self) {
        self.saw(&Verdict::Fault);
        self.conditions.health().saw(self.provider.id(), &Seen::broken_stream(self.began.elapsed()));
    }

    /// When the attempt began.
    pub fn began(&self) -> Instant {
        self.began
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.entered.probe.is_some() {
            self.tell(&Verdict::Nothing, Instant::now(), true);
        } else if !self.left {
            self.provider.lock().leave(&self.entered);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.id();
        f.debug_struct("Lease")
            .field("provider", provider)
            .field("entered", &self.entered)
            .finish_non_exhaustive()
    }
}

//! Who is asked next: the plan's candidates in order, but for those that should not be asked now.
//!
//! Whoever is barred is passed over, which is no attempt. When all are, and the one that comes back first only wants to be left
//! alone for a while that the caller has, it is waited for. Else the least bad of them is asked all the same.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Asker, Job};
use crate::{
    condition::{Barrier, Lease, Refused},
    error::{Error, ErrorKind},
    routing::Candidate,
};

/// A caller that says no time limit is kept waiting for so long at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Candidate>,
    barred: Vec<(Candidate, Refused)>,
    /// The providers that were asked and have failed; asking one again is a repetition, which is budgeted.
    asked: Vec<Arc<str>>,
    /// How long the caller may be kept waiting for one that rests: counted, if it says no limit itself, from the first attempt, or
    /// from when nobody was found for it.
    patience: Option<Instant>,
}

/// Whom there is to turn to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Others {
    /// Somebody who can be asked at once.
    pub(super) free: bool,
    /// Somebody whose breaker is open, and whom this request has not asked: it may be well again, and nobody has found out.
    pub(super) untried: bool,
    /// Somebody whose breaker is open, or who can be waited for.
    pub(super) barred: bool,
}

impl Queue {
    pub(super) fn new(candidates: Vec<Candidate>, job: &Job) -> Self {
        let waiting = VecDeque::from(candidates);
        Self { waiting, barred: Vec::new(), asked: Vec::new(), patience: job.deadline }
    }

    /// Who could be asked instead of the one that is being asked.
    pub(super) fn others(&self, asker: &Asker) -> Others {
        let mut others = Others::default();
        for candidate in self.waiting.iter().chain(self.barred.iter().map(|(candidate, _)| candidate)) {
            let mut with_key = Some(candidate.clone());
            while let Some(candidate) = with_key {
                match asker.conditions.barrier(candidate.target(), candidate.key()) {
                    None => others.free = true,
                    Some(refused) => {
                        others.barred |= self.may_come_to(&refused);
                        others.untried |=
                            refused.barrier == Barrier::BreakerOpen && !self.was_asked(&candidate);
                    }
                }
                with_key = candidate.with_next_key();
            }
        }
        others
    }

    fn may_come_to(&self, refused: &Refused) -> bool {
        match refused.barrier {
            Barrier::BreakerOpen => true,
            Barrier::CoolingDown | Barrier::RateLimit => {
                self.patience.is_none_or(|patience| refused.until < patience)
            }
            Barrier::KeyRefused | Barrier::RetryBudget => false,
        }
    }

    /// This one has failed. When it is the turn of its provider's next key, if there is one.
    pub(super) fn after_failure(&mut self, failed: &Candidate, error: &Error) {
        if !self.was_asked(failed) {
            self.asked.push(Arc::clone(&failed.target().provider_id));
        }
        let Some(next_key) = failed.with_next_key() else { return };
        if error.rejects_key() || error.account_is_empty() {
            // No repetition: the provider was not asked too much, but wrongly.
            self.asked.retain(|id| *id != next_key.target().provider_id);
            self.waiting.push_front(next_key);
        } else if error.kind == ErrorKind::RateLimited {
            // Behind all other providers, for the limit may be the account's.
            self.waiting.push_back(next_key);
        }
    }

    /// This one has failed, and may be asked once more behind all others.
    pub(super) fn put_back(&mut self, candidate: Candidate) {
        self.waiting.push_back(candidate);
    }

    /// The next one that may be asked.
    pub(super) async fn next(&mut self, asker: &Asker) -> Option<(Candidate, Lease)> {
        loop {
            if let Some((candidate, lease)) = self.free(asker) {
                if may_pass(asker, &candidate).await {
                    return Some((candidate, lease));
                }
                // It is barred now, and stands behind the others.
                drop(lease);
                self.waiting.push_front(candidate);
                continue;
            }
            let soonest = self.soonest()?;
            let rests = matches!(soonest.barrier, Barrier::CoolingDown | Barrier::RateLimit);
            let patience = *self.patience.get_or_insert_with(|| Instant::now() + PATIENCE);
            if !rests || soonest.until >= patience {
                return self.least_bad_that_may(asker).await;
            }
            sleep_until(soonest.until).await;
            self.waiting.extend(self.barred.drain(..).map(|(candidate, _)| candidate));
        }
    }

    /// The same one again, if the budget of repetitions allows it and it does not rest.
    pub(super) async fn again(&mut self, asker: &Asker, candidate: Candidate) -> Option<(Candidate, Lease)> {
        match self.lease(asker, &candidate, false) {
            Ok(lease) if may_pass(asker, &candidate).await => Some((candidate, lease)),
            Ok(lease) => {
                drop(lease);
                self.waiting.push_front(candidate);
                Box::pin(self.next(asker)).await
            }
            Err(Refused { barrier: Barrier::RetryBudget, .. }) => self.next(asker).await,
            Err(Refused { barrier: Barrier::BreakerOpen, .. }) => {
                let lease = self.lease(asker, &candidate, true).ok()?;
                Some((candidate, lease))
            }
            Err(refused) => {
                self.barred.push((candidate, refused));
                self.next(asker).await
            }
        }
    }

    /// Why nobody was asked at all: those who rest have as many guests already as they bear.
    pub(super) fn refusal(&self, job: &Job) -> Error {
        let message =
            format!("every provider of the model `{}` is to be left alone for a while", job.facts.model);
        let wait = self.soonest().map(|first| first.until.saturating_duration_since(Instant::now()));
        Error::new(ErrorKind::RateLimited, message).with_retry_after(wait)
    }

    fn soonest(&self) -> Option<Refused> {
        self.barred.iter().map(|(_, refused)| *refused).min_by_key(|refused| refused.until)
    }

    fn free(&mut self, asker: &Asker) -> Option<(Candidate, Lease)> {
        while let Some(candidate) = self.waiting.pop_front() {
            match self.lease(asker, &candidate, false) {
                Ok(lease) => return Some((candidate, lease)),
                Err(refused) if refused.barrier == Barrier::RetryBudget => {}
                Err(refused) => {
                    if let Some(next_key) = candidate.with_next_key() {
                        self.waiting.push_front(next_key);
                    }
                    self.barred.push((candidate, refused));
                }
            }
        }
        None
    }

    /// Who has failed is asked before who rests, who rests before who does not take the key; of each those first whom this request
    /// has not asked, and then the one that comes back first. Whom too many ask again is passed over.
    fn least_bad(&mut self, asker: &Asker) -> Option<(Candidate, Lease)> {
        let rank = |barrier| match barrier {
            Barrier::BreakerOpen => 0,
            Barrier::CoolingDown | Barrier::RateLimit | Barrier::RetryBudget => 1,
            Barrier::KeyRefused => 2,
        };
        let mut places: Vec<usize> = (0..self.barred.len()).collect();
        places.sort_by_key(|place| {
            let (candidate, refused) = &self.barred[*place];
            (rank(refused.barrier), self.was_asked(candidate), refused.until)
        });
        for place in places {
            if let Ok(lease) = self.lease(asker, &self.barred[place].0.clone(), true) {
                let (candidate, _) = self.barred.remove(place);
                return Some((candidate, lease));
            }
        }
        None
    }

    async fn least_bad_that_may(&mut self, asker: &Asker) -> Option<(Candidate, Lease)> {
        loop {
            let (candidate, lease) = self.least_bad(asker)?;
            if may_pass(asker, &candidate).await {
                return Some((candidate, lease));
            }
            drop(lease);
            let barred = asker.conditions.barrier(candidate.target(), candidate.key());
            if let Some(refused) = barred {
                self.barred.push((candidate, refused));
            }
        }
    }

    fn was_asked(&self, candidate: &Candidate) -> bool {
        self.asked.contains(&candidate.target().provider_id)
    }

    fn lease(&mut self, asker: &Asker, candidate: &Candidate, forced: bool) -> Result<Lease, Refused> {
        let target = candidate.target();
        let lease = asker.conditions.lease(target, candidate.key(), self.was_asked(candidate), forced)?;
        self.patience.get_or_insert_with(|| lease.began() + PATIENCE);
        Ok(lease)
    }
}

/// Whether all cores together leave a provider with a limit room for one more. If not, it is barred here until they do.
async fn may_pass(asker: &Asker, candidate: &Candidate) -> bool {
    let target = candidate.target();
    let Some(per_minute) = target.rate_limit else { return true };
    match asker.shared_state.pace(&target.provider_id, per_minute).await {
        Ok(()) => true,
        Err(wait) => {
            asker.conditions.paced(&target.provider_id, wait);
            false
        }
    }
}

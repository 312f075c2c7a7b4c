//! Who is asked next: the plan's candidates in order, but for those that should not be asked now.
//!
//! Whoever is barred is passed over, which is no attempt. When nobody else is left, the least bad of them is asked all the same;
//! where all of them only want to be left alone for a while, and the caller has that time, it is waited for.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Asker, Job};
use crate::{
    condition::{Barrier, Lease, Refused},
    routing::Candidate,
};

/// A caller that says no time limit is kept waiting for so long at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Candidate>,
    barred: Vec<(Candidate, Refused)>,
    asked: Vec<std::sync::Arc<str>>,
}

impl Queue {
    pub(super) fn new(candidates: Vec<Candidate>) -> Self {
        Self { waiting: VecDeque::from(candidates), barred: Vec::new(), asked: Vec::new() }
    }

    /// Whether nobody is left to turn to.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.barred.is_empty()
    }

    /// This one is asked next.
    pub(super) fn put_first(&mut self, candidate: Candidate) {
        self.waiting.push_front(candidate);
    }

    /// The next one that may be asked. `first`: nobody has been asked yet, so that waiting costs no answer that another could give.
    pub(super) async fn next(&mut self, asker: &Asker, job: &Job, first: bool) -> Option<(Candidate, Lease)> {
        while let Some(candidate) = self.waiting.pop_front() {
            match self.lease(asker, &candidate, false) {
                Ok(lease) => return Some((candidate, lease)),
                Err(refused) if refused.barrier == Barrier::RetryBudget => {}
                Err(refused) => match candidate.with_next_key() {
                    Some(next_key) => {
                        self.barred.push((candidate, refused));
                        self.waiting.push_front(next_key);
                    }
                    None => self.barred.push((candidate, refused)),
                },
            }
        }
        self.least_bad(asker, job, first).await
    }

    /// The same one again, if the budget of repetitions allows it.
    pub(super) fn again(&mut self, asker: &Asker, candidate: Candidate) -> Option<(Candidate, Lease)> {
        let lease = self.lease(asker, &candidate, true).ok()?;
        Some((candidate, lease))
    }

    async fn least_bad(&mut self, asker: &Asker, job: &Job, first: bool) -> Option<(Candidate, Lease)> {
        let soonest = self.barred.iter().enumerate().min_by_key(|(_, (_, refused))| refused.until);
        let (place, until) = soonest.map(|(place, (_, refused))| (place, refused.until))?;
        let all_rest = self.barred.iter().all(|(_, refused)| refused.barrier == Barrier::CoolingDown);
        let (candidate, _) = self.barred.swap_remove(place);
        if first && all_rest && until <= patience(job) {
            sleep_until(until).await;
        }
        let lease = self.lease(asker, &candidate, true).ok()?;
        Some((candidate, lease))
    }

    fn lease(&mut self, asker: &Asker, candidate: &Candidate, forced: bool) -> Result<Lease, Refused> {
        let target = candidate.target();
        let repeats = self.asked.contains(&target.provider_id);
        let lease = asker.conditions.lease(target, candidate.key(), repeats, forced)?;
        if !repeats {
            self.asked.push(target.provider_id.clone());
        }
        Ok(lease)
    }
}

/// How long a caller may be kept waiting.
fn patience(job: &Job) -> Instant {
    job.deadline.unwrap_or_else(|| Instant::now() + PATIENCE)
}

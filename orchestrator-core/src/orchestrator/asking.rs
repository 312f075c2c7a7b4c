//! Providers being asked on behalf of a caller that waits for the answer, and may leave.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{
    Orchestrator,
    leaving::{Drains, Open, Stay},
    prepare::{PreparedCall, Refusal},
};
use crate::{
    attempt::{Committed, CommittedAnswer, Job},
    call::Call,
    catalog::OnDisconnect,
    error::{Error, Result},
    ledger::{Entry, Outcome},
    routing::Plan,
};

/// A call that may run.
pub(super) struct Admitted {
    pub(super) job: Arc<Job>,
    plan: Plan,
    entry: Box<Entry>,
    stay: Stay,
}

/// A call whose limits are taken.
pub(super) struct Limited {
    pub(super) job: Arc<Job>,
    plan: Plan,
    entry: Box<Entry>,
    on_disconnect: OnDisconnect,
}

impl Orchestrator {
    /// Prepares a call, takes its limits, and waits for a place if there are too many.
    pub(super) async fn admit(&self, call: Call) -> Result<Admitted, Box<Refusal>> {
        self.enter(self.prepare(call)?).await
    }

    /// Takes the limits of a call, and waits for a place if there are too many.
    pub(super) async fn enter(&self, prepared: PreparedCall) -> Result<Admitted, Box<Refusal>> {
        self.place(self.limit(prepared).await?).await
    }

    /// Takes the limits of a call.
    pub(super) async fn limit(&self, prepared: PreparedCall) -> Result<Limited, Box<Refusal>> {
        let PreparedCall { job, plan, mut entry, on_disconnect, under, wish: _ } = prepared;
        entry.admission_begins();
        match self.take_limits(&under, &job, &plan, &mut entry).await {
            Ok(()) => Ok(Limited { job, plan, entry, on_disconnect }),
            Err(error) => Err(Box::new(refused(error, &job, &mut entry))),
        }
    }

    /// Waits for a place if there are too many.
    pub(super) async fn place(&self, limited: Limited) -> Result<Admitted, Box<Refusal>> {
        let Limited { job, plan, mut entry, on_disconnect } = limited;
        entry.queued();
        match self.until_curfew(self.shared.gate.enter(job.deadline)).await {
            Ok(place) => {
                entry.waited(place.since());
                entry.admitted();
                let drains = (on_disconnect == OnDisconnect::Drain).then(|| self.shared.drains.clone());
                Ok(Admitted { job, plan, entry, stay: Stay { place, drains } })
            }
            Err(error) => {
                entry.waited(Instant::now());
                Err(Box::new(refused(error, &job, &mut entry)))
            }
        }
    }
}

/// Closes the account of a call that nobody is asked for.
pub(super) fn refused(error: Error, job: &Job, entry: &mut Entry) -> Refusal {
    entry.close(Outcome::Failed(&error));
    Refusal { error, request_id: job.request_id.clone(), limits: job.limits.get().copied() }
}

/// [`Orchestrator::drive`] as a future that owns what it uses: it may outlive the head that was sent early, and the caller.
///
/// Dropping it tells the provider to stop and the ledger that the caller left, unless the key's policy is to read on.
pub(super) struct Asking {
    driving: Option<Driving>,
    job: Arc<Job>,
    drains: Option<Drains>,
}

type Driving = Pin<Box<dyn Future<Output = Driven> + Send>>;

/// What came of it.
pub(super) struct Driven {
    pub(super) result: Result<Box<Committed>>,
    pub(super) entry: Box<Entry>,
    pub(super) stay: Stay,
}

impl Asking {
    pub(super) fn new(core: &Arc<Orchestrator>, admitted: Admitted) -> Self {
        let Admitted { job, plan, entry, stay } = admitted;
        let drains = stay.drains.clone();
        let driving: Driving = Box::pin(drive(Arc::clone(core), Arc::clone(&job), plan, entry, stay));
        Self { driving: Some(driving), job, drains }
    }
}

/// Asks for an answer that is waited for to its end. Where nobody reads on for a caller who has left, the waiting needs no life of
/// its own, and dropping it tells the provider and the ledger.
pub(super) async fn whole(core: &Arc<Orchestrator>, admitted: Admitted) -> Driven {
    if admitted.stay.drains.is_some() {
        return Asking::new(core, admitted).await;
    }
    let Admitted { job, plan, mut entry, stay } = admitted;
    let result = core.drive(&job, plan, &mut entry).await;
    Driven { result, entry, stay }
}

async fn drive(
    core: Arc<Orchestrator>,
    job: Arc<Job>,
    plan: Plan,
    mut entry: Box<Entry>,
    stay: Stay,
) -> Driven {
    let result = core.drive(&job, plan, &mut entry).await;
    Driven { result, entry, stay }
}

impl Future for Asking {
    type Output = Driven;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Driven> {
        let Some(driving) = &mut self.driving else { return Poll::Pending };
        let driven = ready!(driving.as_mut().poll(context));
        self.driving = None;
        Poll::Ready(driven)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let (Some(driving), Some(drains)) = (self.driving.take(), self.drains.take()) {
            self.job.abandon();
            drains.go_on(answered_to_nobody(driving));
        }
    }
}

/// Waits for the answer, and reads it for what it says of itself. The account closes itself when it is dropped.
async fn answered_to_nobody(driving: Driving) {
    let Driven { result, mut entry, stay } = driving.await;
    let Ok(committed) = result else { return };
    let Committed { keeper, answer, .. } = *committed;
    match answer {
        CommittedAnswer::Whole(_, signals) => {
            entry.committed(false);
            entry.saw(signals);
        }
        CommittedAnswer::Stream(upstream) => {
            entry.committed(true);
            Open { upstream, entry, keeper, stay }.read_on().await;
        }
    }
}

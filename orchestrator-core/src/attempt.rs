//! The one retry and fail-over loop.
//!
//! [`drive`] walks through a plan's candidates; [`one::try_one`] asks a single one and comes back when the answer is
//! *committed*: whole, or a stream whose first content is here. Until then nothing of an answer has reached the caller, so a
//! failure costs it nothing but time; afterwards fail-over is closed. What to do after a failure is decided by the pure
//! `policy/retry.rs`.

pub mod job;
pub mod one;
mod queue;
pub mod request;
pub mod upstream;

use std::{sync::Arc, time::Duration};

use orchestrator_base::{clock::Clock, curfew::Curfew, random::Random};
use tokio::time::Instant;

use self::queue::Queue;
use crate::{
    condition::{COOL_DOWN, Conditions},
    error::{Error, ErrorKind, Result},
    ledger::Entry,
    policy::retry::{self, Next, Standing},
    provider::http::Transport,
    routing::{Candidate, Plan},
    shared_state::SharedState,
};
pub use job::Job;
pub(crate) use one::without_secret;
pub use one::{Committed, CommittedAnswer, WholeAnswer};
pub use upstream::UpstreamStream;

/// What asking a provider needs, beside the request.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The way to them: this request thread's connections.
    pub http: Arc<dyn Transport>,
    /// For `Retry-After` dates.
    pub clock: Clock,
    /// For jitter.
    pub random: Random,
    /// What is known of the providers.
    pub conditions: Conditions,
    /// What all cores together ask of them.
    pub shared_state: SharedState,
    /// The largest event of a stream, in bytes.
    pub max_event_bytes: usize,
    /// The largest whole answer, in bytes.
    pub max_answer_bytes: usize,
    /// When what runs is to end.
    pub curfew: Curfew,
}

/// Asks candidate after candidate until one answers, or none may be asked any more.
///
/// Errors: the caller's own fault at once; else the most telling of the failures. Each says how many attempts were made.
pub async fn drive(asker: &Asker, job: &Job, plan: Plan, entry: &mut Entry) -> Result<Box<Committed>> {
    let max_attempts = plan.max_attempts;
    let mut queue = Queue::new(plan.candidates, job);
    let mut failures = Vec::new();
    let mut next = queue.next(asker).await;
    let mut retries_here = 0;
    loop {
        let Some((current, mut lease)) = next else {
            let error = most_telling(failures).unwrap_or_else(|| queue.refusal(job));
            return Err(Error { attempts: entry.attempts(), ..error });
        };
        entry.attempt(current.target(), current.key());
        // A provider that is slow beats none: with nobody else to turn to, its first token is waited for.
        let is_last = || entry.attempts() >= max_attempts || !queue.others(asker).free;
        let last = job.facts.stream && is_last();
        let error = match one::try_one(asker, job, &current, last, entry.trail()).await {
            Ok(mut committed) => {
                entry.sent_at(committed.sent);
                let call = std::mem::replace(&mut committed.call, tracing::Span::none());
                entry.answering(committed.status.as_u16(), job.facts.stream, call);
                committed.hold_lease(lease);
                return Ok(committed);
            }
            Err(error) => error,
        };
        entry.attempt_failed(&error);
        lease.failed(&error);
        drop(lease);
        log_failure(job, &current, &error, entry.trace_id());
        if !error.retryable() {
            return Err(Error { attempts: entry.attempts(), ..error });
        }
        queue.after_failure(&current, &error);
        let others = queue.others(asker);
        let standing = Standing {
            attempts: entry.attempts(),
            max_attempts,
            candidates_left: others.free || others.untried,
            barred_left: others.barred,
            retries_here,
            max_retries_here: if repeatable(&error) { current.target().max_retries } else { 0 },
            retry_after: rest(&error),
            time_left: job.time_left(),
        };
        failures.push(error);
        next = match retry::next(standing, asker.random.unit()) {
            Next::Candidate => {
                let found = queue.next(asker).await;
                // Whoever is tried past an open breaker may be down still: then this one is the better choice, once more.
                if others.untried && !others.free && standing.retries_here < standing.max_retries_here {
                    queue.put_back(current.clone());
                }
                let same = found.as_ref().is_some_and(|(next, _)| same_provider(next, &current));
                retries_here = if same { retries_here } else { 0 };
                found
            }
            Next::SameAfter(pause) => {
                retries_here += 1;
                tokio::time::sleep(pause).await;
                queue.again(asker, current).await
            }
            Next::GiveUp => None,
        };
    }
}

fn same_provider(a: &Candidate, b: &Candidate) -> bool {
    a.target().provider_id == b.target().provider_id
}

/// Whether the same provider may do better when asked again. A rejected key, a model that is not there and an empty account
/// stay as they are.
fn repeatable(error: &Error) -> bool {
    !error.rejects_key() && !error.account_is_empty() && error.kind != ErrorKind::NotFound
}

/// How long the provider wants to be left alone: as it said, or as its key cools down when it did not.
fn rest(error: &Error) -> Option<Duration> {
    error.retry_after.or_else(|| (error.kind == ErrorKind::RateLimited).then_some(COOL_DOWN))
}

/// The failure that tells the caller most: a limit it can wait for, before what a provider said, before a connection that
/// failed, before a model that one of the providers does not have, before our own trouble with a key. Of equals the last; of limits
/// the wait for the first that ends. `None`: nothing has failed.
fn most_telling(failures: Vec<Error>) -> Option<Error> {
    let rank = |error: &Error| match error.kind {
        ErrorKind::RateLimited => 5,
        _ if error.rejects_key() => 1,
        ErrorKind::NotFound => 2,
        _ if error.upstream.as_ref().is_some_and(|upstream| !upstream.body.is_empty()) => 4,
        _ => 3,
    };
    let count = failures.len();
    let limits = failures.iter().filter(|error| error.kind == ErrorKind::RateLimited);
    let first_back = limits.filter_map(|error| error.retry_after).min();
    let mut error = failures.into_iter().max_by_key(rank)?;
    error.retry_after = first_back.or(error.retry_after);
    if count > 1 {
        error.message = format!("{} (after {count} attempts)", error.message);
    }
    Some(error)
}

/// Without a provider's own words: they may quote what it was asked, or the key that it was asked with. The account has them.
fn log_failure(job: &Job, candidate: &Candidate, error: &Error, trace_id: Option<&str>) {
    let upstream = error.upstream.as_deref();
    let ours = upstream.is_none_or(|upstream| upstream.status == 0).then_some(error.message.as_str());
    let plain = |code: &&str| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    tracing::warn!(
        request_id = job.request_id,
        // Once a stream's head was sent early, nobody stands around it who would say so.
        trace_id,
        provider = &*candidate.target().provider_name,
        model = job.facts.model,
        error.kind = error.kind.name(),
        error.code = error.code.as_deref().filter(plain),
        error = ours,
        upstream.status = upstream.map(|upstream| upstream.status),
        "an attempt failed"
    );
}

/// The earlier of two moments, where there may be only one.
pub(crate) fn sooner(moment: Instant, other: Option<Instant>) -> Instant {
    other.map_or(moment, |other| moment.min(other))
}

//! Counts of a prompt's tokens: a provider's own where one counts, else an estimate that says so.

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::Orchestrator;
use crate::{
    attempt::{self, Committed, CommittedAnswer, Job, WholeAnswer},
    call::{Signals, UsageSource},
    dialect::{Dialect, HubReply, HubRequest},
    error::{Blame, Error, Result},
    ledger::{Entry, usage},
    routing::Plan,
};

/// Asks the providers that count, one after the other, and estimates where there is none or all fail.
///
/// Errors: the caller's own fault.
pub(super) async fn drive(
    core: &Orchestrator,
    job: &Job,
    plan: Plan,
    entry: &mut Entry,
) -> Result<Box<Committed>> {
    if !plan.candidates.is_empty() {
        match attempt::drive(&core.asker, job, plan, entry).await {
            Err(error) if !is_callers(&error, job) => {}
            answered => return answered,
        }
    }
    let HubRequest::Chat(request) = job.hub()? else {
        return Err(Error::internal("only a chat's prompt can be counted"));
    };
    let reply = HubReply::Count { tokens: usage::estimate_prompt(request), source: UsageSource::Estimated };
    entry.answered_here();
    Ok(Box::new(Committed {
        sent: Instant::now(),
        keeper: None,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        dropped: Vec::new(),
        answer: CommittedAnswer::Whole(WholeAnswer::Hub(Box::new(reply)), Signals::default()),
        call: tracing::Span::none(),
    }))
}

/// Whether the caller must mend its request. What a server says of a count of Responses that was our idea proves nothing: few that
/// speak OpenAI's dialects have it, and they say so in many ways.
fn is_callers(error: &Error, job: &Job) -> bool {
    let asked_in = error.upstream.as_ref().map(|upstream| upstream.dialect).unwrap_or_default();
    let responses = [Dialect::OpenAiResponses, Dialect::OpenAiResponsesCount];
    let our_idea = job.dialect() != Some(Dialect::OpenAiResponsesCount)
        && responses.iter().any(|dialect| dialect.name() == asked_in);
    error.blame() == Blame::Caller && !our_idea
}

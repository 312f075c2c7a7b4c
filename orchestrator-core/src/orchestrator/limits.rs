//! What a request takes of its caller's limits and of its model's before it may run, and how it is refused.
//!
//! What it takes is an estimate: the tokens of its prompt and the longest answer that it asks for, at the dearest price of its plan. Its
//! account holds it, and settles it with what is written down, however the request ends.

use std::{sync::Arc, time::Duration};

use super::Orchestrator;
use crate::{
    attempt::Job,
    catalog::{
        limits::{Limits, Period},
        tenants::Tenant,
    },
    dialect::Operation,
    error::{Error, ErrorKind},
    ledger::{Entry, record::Held, usage},
    metrics::{Limit, Phase},
    policy::{estimate::Estimates, price::usd},
    routing::Plan,
    shared_state::{Ask, LimitKind, Refused, Standing, Used},
};

/// Whose limits a request is under.
#[derive(Clone, Debug, Default)]
pub struct Under {
    /// Its key's and its team's.
    pub caller: Option<Arc<Tenant>>,
    /// Its model's.
    pub model: Option<Arc<Tenant>>,
}

impl Orchestrator {
    /// Takes all limits that a request is under, or none; its account holds them from here on.
    ///
    /// Errors: 429 that says which limit, 503 where it is not known what was spent.
    pub(super) async fn take_limits(
        &self,
        under: &Under,
        job: &Job,
        plan: &Plan,
        entry: &mut Entry,
    ) -> Result<(), Error> {
        if under.caller.is_none() && under.model.is_none() {
            return Ok(());
        }
        let at = entry.started_at();
        let mut taken = Vec::with_capacity(2);
        let mut standing = Standing::default();
        for tenant in [&under.caller, &under.model].into_iter().flatten() {
            let ask = Ask { at, ..ask(job, plan, tenant, &self.shared.estimates.load()) };
            match self.shared.shared_state.admit(tenant, ask).await {
                Ok(grant) => {
                    standing = standing.tighter(grant.standing());
                    taken.push(grant);
                }
                Err(refused) => {
                    standing = standing.tighter(refused.standing);
                    job.tell_limits(standing);
                    self.count_refusal(&refused);
                    return Err(refusal(&refused, tenant, &job.facts.model));
                }
            }
        }
        entry.passed(Phase::Limits);
        job.tell_limits(standing);
        entry.holds(taken);
        if let Some(tenant) = &under.caller {
            entry.is_held(held(tenant));
        }
        Ok(())
    }

    /// Counts a request whose answer is made for another one: it uses no tokens and no money, and nobody is asked.
    ///
    /// Errors: 429 that says which limit.
    pub(super) async fn count_twin(&self, under: &Under, job: &Job, entry: &Entry) -> Result<(), Error> {
        let Some(tenant) = &under.caller else { return Ok(()) };
        let at = entry.started_at();
        match self.shared.shared_state.admit(tenant, Ask { at, ..Ask::default() }).await {
            Ok(grant) => {
                job.tell_limits(grant.standing());
                grant.settle(Used::default());
                Ok(())
            }
            Err(refused) => {
                job.tell_limits(refused.standing);
                self.count_refusal(&refused);
                Err(refusal(&refused, tenant, &job.facts.model))
            }
        }
    }
}

impl Orchestrator {
    fn count_refusal(&self, refused: &Refused) {
        let limit = match refused.limit {
            LimitKind::Requests => Limit::Requests,
            LimitKind::Tokens => Limit::Tokens,
            LimitKind::Concurrency => Limit::Concurrency,
            LimitKind::Budget(_) => Limit::Budget,
            LimitKind::UnknownSpend => Limit::UnknownSpend,
        };
        self.shared.ledger.metrics().refused(limit, &refused.scope);
    }
}

/// Whose budgets this core counts a request to.
fn held(tenant: &Tenant) -> Held {
    let has = |prefix: &str| {
        tenant.scopes.iter().any(|(scope, limits)| scope.starts_with(prefix) && limits.budget.is_some())
    };
    Held { key: has("key:"), team: has("team:") }
}

/// What a request is expected to use.
fn ask(job: &Job, plan: &Plan, tenant: &Tenant, estimates: &Estimates) -> Ask {
    // A count uses nothing.
    if job.operation == Operation::CountTokens {
        return Ask::default();
    }
    let prompt = usage::estimate(job.facts.body_bytes);
    let output = match job.facts.max_output {
        _ if job.operation == Operation::Embeddings => 0,
        Some(most) => most.saturating_mul(job.facts.answers.unwrap_or(1)),
        None => {
            let most = estimates.default_output.saturating_mul(job.facts.answers.unwrap_or(1));
            // Who says no maximum is not refused for one that we have made up.
            let limit = tenant.scopes.iter().filter_map(|(_, limits)| limits.tokens_per_minute).min();
            limit.map_or(most, |limit| most.min(limit.saturating_sub(prompt)))
        }
    };
    let is_budgeted = tenant.scopes.iter().any(|(_, limits)| limits.budget.is_some());
    let nanos = if is_budgeted { dearest(plan, prompt, output, estimates) } else { 0 };
    Ask { tokens: prompt.saturating_add(output), nanos, ..Ask::default() }
}

/// What so many tokens cost at the dearest candidate of the plan.
fn dearest(plan: &Plan, prompt: u64, output: u64, estimates: &Estimates) -> u64 {
    let costs = plan.candidates.iter().map(|candidate| {
        let price = candidate.target().price.as_deref();
        let known = price.and_then(|price| price.most(prompt, output));
        known.or_else(|| estimates.ceiling.plainly(prompt, output)).unwrap_or(u64::MAX)
    });
    costs.max().unwrap_or_default()
}

/// The words for a limit without room.
fn refusal(refused: &Refused, tenant: &Tenant, model: &str) -> Error {
    let whose = match refused.scope.split_once(':') {
        Some(("team", _)) => "this API key's team".to_owned(),
        Some(("model", _)) => format!("the model `{model}`"),
        _ => "this API key".to_owned(),
    };
    let limits = tenant.limits(&refused.scope).copied().unwrap_or_default();
    let (kind, code, what) = match refused.limit {
        LimitKind::Requests => {
            let limit = limits.requests_per_minute.unwrap_or_default();
            (
                ErrorKind::RateLimited,
                "rate_limit_exceeded",
                format!("{whose} is limited to {} a minute", counted(limit.into(), "request")),
            )
        }
        LimitKind::Tokens => {
            let limit = limits.tokens_per_minute.unwrap_or_default();
            (
                ErrorKind::RateLimited,
                "rate_limit_exceeded",
                format!("{whose} is limited to {} a minute", counted(limit, "token")),
            )
        }
        LimitKind::Concurrency => {
            let limit = limits.max_concurrency.unwrap_or_default();
            (
                ErrorKind::RateLimited,
                "concurrency_limit",
                format!("{whose} is limited to {} at once", counted(limit.into(), "request")),
            )
        }
        LimitKind::Budget(period) => {
            let code = if is_soon(refused.retry_after) { "budget_exceeded" } else { "insufficient_quota" };
            (ErrorKind::RateLimited, code, budget_words(&whose, &limits, period, refused.retry_after))
        }
        LimitKind::UnknownSpend => {
            let what = format!("what {whose} has spent of its budget cannot be read now");
            (ErrorKind::Unavailable, "budget_unknown", what)
        }
    };
    let hint = match (refused.limit, refused.retry_after) {
        (LimitKind::Tokens, None) => "; this request alone asks for more".to_owned(),
        (_, Some(wait)) if is_soon(Some(wait)) => format!("; try again in {} s", seconds(wait)),
        _ => String::new(),
    };
    Error::new(kind, what + &hint).with_code(code).with_retry_after(refused.retry_after)
}

/// `1 request`, `2 requests`.
fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Rounded up to thousandths.
fn seconds(wait: Duration) -> f64 {
    Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)).as_secs_f64()
}

/// Whether it helps to wait.
fn is_soon(wait: Option<Duration>) -> bool {
    wait.is_some_and(|wait| wait <= Duration::from_mins(1))
}

fn budget_words(whose: &str, limits: &Limits, period: Period, wait: Option<Duration>) -> String {
    let budget = usd::format(limits.budget.map_or(0, |budget| budget.nanos));
    let (each, renewed) = match period {
        Period::Day => (" a day", "; it is renewed at midnight UTC"),
        Period::Month => (" a month", "; it is renewed with the month, in UTC"),
        Period::Total => ("", ""),
    };
    let rest = match wait {
        Some(wait) if is_soon(Some(wait)) => ", and requests that run may use what is left",
        Some(_) => renewed,
        None if period == Period::Total => ", which is spent or too little for this request",
        None => ", which is too little for this request",
    };
    format!("{whose} has a budget of {budget} dollars{each}{rest}")
}

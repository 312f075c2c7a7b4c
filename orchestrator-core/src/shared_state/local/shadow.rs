//! What a core has taken in Redis, counted here too: it is what the core says that it holds when Redis has to be told anew, and what it
//! goes by while Redis is away.

use orchestrator_base::clock::UnixMicros;

pub(in crate::shared_state) use super::scope::Charge;
use super::{Denial, Local, ScopeState};
use crate::{
    catalog::limits::{Limits, Period},
    policy::{
        budget::{self, Sum},
        gcra::Gcra,
    },
    registry::lock,
    shared_state::{Refused, Scope, Standing, Tenant, Used},
};

/// A scope as Redis has it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::shared_state) struct Elsewhere {
    pub(in crate::shared_state) requests: Gcra,
    pub(in crate::shared_state) tokens: Gcra,
    pub(in crate::shared_state) running: u32,
    pub(in crate::shared_state) budget: Option<(Period, Sum)>,
}

/// How a tenant stands by what Redis has said of its scopes, and which limit has no room. Its rates are those after the taking, if there is
/// room.
pub(in crate::shared_state) fn judge(
    tenant: &Tenant,
    charge: &Charge,
    now: u64,
    seen: &[Elsewhere],
) -> (Standing, Option<Box<Refused>>) {
    let states = seen
        .iter()
        .map(|seen| ScopeState::kept_elsewhere((seen.requests, seen.tokens), seen.running, seen.budget));
    let mut states: Vec<(&Scope, &Limits, ScopeState)> =
        tenant.scopes.iter().zip(states).map(|((scope, limits), state)| (scope, limits, state)).collect();
    let mut denied = Vec::new();
    for (scope, limits, state) in &mut states {
        if let Err(Denial::Refused(limit, wait)) = state.room(now, limits, charge) {
            denied.push((*scope, limit, wait));
        }
    }
    let mut standing = Standing::default();
    for (_, limits, state) in &mut states {
        if denied.is_empty() {
            state.take(now, limits, charge);
        }
        standing = standing.tighter(state.standing(now, limits));
    }
    let worst = denied.into_iter().max_by_key(|(_, _, wait)| wait.unwrap_or(std::time::Duration::MAX));
    let refused = worst.map(|(scope, limit, retry_after)| {
        Box::new(Refused { scope: scope.clone(), limit, retry_after, standing })
    });
    (standing, refused)
}

impl Local {
    /// It was taken elsewhere.
    pub(in crate::shared_state) fn note(&self, tenant: &Tenant, charge: &Charge) {
        let now = self.now();
        let mut scopes = lock(&self.scopes);
        scopes.make_room(now);
        for (scope, limits) in &tenant.scopes {
            scopes.state(scope).take(now, limits, charge);
        }
    }

    /// Takes all of a tenant's limits but for its budgets, or none; what it may cost is counted.
    pub(in crate::shared_state) fn take_but_money(
        &self,
        tenant: &Tenant,
        charge: &Charge,
    ) -> Result<Standing, Box<Refused>> {
        let now = self.now();
        let mut scopes = lock(&self.scopes);
        let mut standing = Standing::default();
        for (scope, limits) in &tenant.scopes {
            let but_money = Limits { budget: None, ..*limits };
            let state = scopes.state(scope);
            if let Err(Denial::Refused(limit, retry_after)) = state.room(now, &but_money, charge) {
                let standing = state.standing(now, limits);
                return Err(Box::new(Refused { scope: scope.clone(), limit, retry_after, standing }));
            }
        }
        for (scope, limits) in &tenant.scopes {
            let state = scopes.state(scope);
            state.take(now, limits, charge);
            standing = standing.tighter(state.standing(now, limits));
        }
        Ok(standing)
    }

    /// What was taken is over.
    pub(in crate::shared_state) fn end(&self, tenant: &Tenant, charge: &Charge, used: Option<Used>) {
        self.settle(tenant, charge, used);
    }

    /// The database has said what was spent in the periods of a moment.
    pub(in crate::shared_state) fn learn_anew(&self, scope: &Scope, at: UnixMicros, sums: &[u64; 3]) {
        lock(&self.scopes).state(scope).learn(at, sums);
    }

    /// What is known here of a scope's period.
    pub(in crate::shared_state) fn sum_of(&self, scope: &Scope, period: Period, start: UnixMicros) -> Sum {
        let scopes = lock(&self.scopes);
        let known = scopes.states.get(scope).and_then(|state| state.sum_of(period, start));
        known.unwrap_or(Sum::beginning(start))
    }

    /// How many of a scope's requests run here.
    pub(in crate::shared_state) fn running(&self, scope: &Scope) -> u32 {
        lock(&self.scopes).states.get(scope).map_or(0, ScopeState::running)
    }
}

impl Charge {
    /// The first microsecond of its period.
    pub(in crate::shared_state) fn start(&self, period: Period) -> UnixMicros {
        budget::start(period, self.ask.at)
    }
}

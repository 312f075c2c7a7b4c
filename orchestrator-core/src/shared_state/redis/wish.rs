//! What a request wants of Redis, and what Redis has of its limits.

use std::sync::Arc;

use super::{
    books::{Kind, PotId, Share},
    remote::Remote,
    script::{Mode, Seen, Step},
};
use crate::{
    catalog::limits::Limits,
    policy::{
        budget::Sum,
        gcra::{Gcra, Rate},
    },
    shared_state::{
        Scope, Tenant,
        local::{
            Local,
            shadow::{Charge, Elsewhere},
        },
    },
};

/// One limit of one scope, in the order of the script's keys.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Requests(Rate),
    Tokens(Rate),
    Pot(i128, i128),
}

/// What a request wants of which scopes.
pub(super) struct Wish<'a> {
    pub(super) tenant: &'a Arc<Tenant>,
    pub(super) charge: Charge,
    /// The scope's place, and the limit.
    pub(super) items: Vec<(usize, Item)>,
    pub(super) pots: Vec<PotId>,
}

impl<'a> Wish<'a> {
    pub(super) fn new(tenant: &'a Arc<Tenant>, charge: Charge) -> Self {
        let mut wish = Self { tenant, charge, items: Vec::new(), pots: Vec::new() };
        for (place, (scope, limits)) in tenant.scopes.iter().enumerate() {
            if let Some(limit) = limits.requests_per_minute {
                wish.items.push((place, Item::Requests(Rate::by_the_minute(limit.into()))));
            }
            if let Some(limit) = limits.tokens_per_minute {
                wish.items.push((place, Item::Tokens(Rate::by_the_minute(limit))));
            }
            for (id, limit, amount) in pots(scope, limits, &charge) {
                wish.items.push((place, Item::Pot(limit, amount)));
                wish.pots.push(id);
            }
        }
        wish
    }

    pub(super) fn step(&self, remote: &Remote, shares: &[Share]) -> Step {
        let mut step = remote.step(Mode::Admit);
        let mut shares = shares.iter();
        for (place, item) in &self.items {
            let scope = &self.tenant.scopes[*place].0;
            match item {
                Item::Requests(rate) => step.rate(remote.rate_key(self.tenant, scope, REQUESTS), *rate, 1),
                Item::Tokens(rate) => {
                    step.rate(remote.rate_key(self.tenant, scope, TOKENS), *rate, self.charge.ask.tokens);
                }
                Item::Pot(limit, amount) => {
                    if let Some(share) = shares.next() {
                        step.pot(share, (*limit, *amount), remote.cores());
                    }
                }
            }
        }
        step
    }

    /// What Redis has of each scope.
    pub(super) fn scopes(&self, seen: &[Seen], local: &Local) -> Vec<Elsewhere> {
        let mut scopes = vec![Elsewhere::default(); self.tenant.scopes.len()];
        let mut pots = self.pots.iter();
        for ((place, item), seen) in self.items.iter().zip(seen) {
            let scope = &mut scopes[*place];
            let (micros, rest) = seen.due();
            match item {
                Item::Requests(_) => scope.requests = Gcra::due_at(micros, rest),
                Item::Tokens(_) => scope.tokens = Gcra::due_at(micros, rest),
                Item::Pot(..) => match pots.next() {
                    Some(PotId { kind: Kind::Running, .. }) => {
                        scope.running = u32::try_from(seen.held()).unwrap_or(0);
                    }
                    Some(PotId { scope: id, kind: Kind::Money(period, start) }) => {
                        let own = local.sum_of(id, *period, *start);
                        let sum = Sum {
                            start: *start,
                            stored: u64::try_from(seen.base()).unwrap_or(0),
                            outstanding: seen.held(),
                            // Of other cores it is not known what they may give back.
                            reserved: own.reserved + seen.held() - own.outstanding,
                        };
                        scope.budget = Some((*period, sum));
                    }
                    None => {}
                },
            }
        }
        scopes
    }

    /// What Redis has of each pot.
    pub(super) fn pots<'s>(&self, seen: &'s [Seen]) -> impl Iterator<Item = (&'s Seen, i128)> {
        let pots = self.items.iter().zip(seen);
        let pots: Vec<(&Seen, i128)> = pots
            .filter_map(|((_, item), seen)| match item {
                Item::Pot(_, amount) => Some((seen, *amount)),
                Item::Requests(_) | Item::Tokens(_) => None,
            })
            .collect();
        pots.into_iter()
    }
}

pub(super) const REQUESTS: &str = "requests";
pub(super) const TOKENS: &str = "tokens";

/// A scope's pots: what runs at once and its money, each with its limit and what a request takes of it.
pub(super) fn pots(scope: &Scope, limits: &Limits, charge: &Charge) -> Vec<(PotId, i128, i128)> {
    let id = |kind| PotId { scope: Arc::clone(scope), kind };
    let running = limits.max_concurrency.map(|most| (id(Kind::Running), most.into(), 1));
    let money = limits.budget.map(|budget| {
        let kind = Kind::Money(budget.period, charge.start(budget.period));
        (id(kind), budget.nanos.into(), charge.ask.nanos.into())
    });
    running.into_iter().chain(money).collect()
}

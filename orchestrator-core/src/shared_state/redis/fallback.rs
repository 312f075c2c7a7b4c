//! What a core admits by itself while Redis is away: its share of each limit.
//!
//! Of rates and of what runs at once that is the limit divided by the cores that there were; of money a share of what was left when
//! Redis was last heard. So all cores together stay near the limit whatever each of them does.

use std::{collections::HashMap, sync::Arc, time::Duration};

use orchestrator_base::config::WithoutRedis;

use super::{
    books::{Kind, PotId},
    remote::Remote,
    wish::pots,
};
use crate::{
    catalog::limits::Limits,
    registry::lock,
    shared_state::{LimitKind, Refused, Scope, Standing, Tenant, local::shadow::Charge},
};

/// When Redis may be back.
const SOON: Duration = Duration::from_secs(1);

/// How a request's limits were taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// In Redis.
    Together,
    /// Here.
    Alone {
        /// The tenant with this core's share of its limits.
        share: Arc<Tenant>,
        /// The allowances that were drawn on.
        allowances: Vec<PotId>,
    },
}

/// What may still be spent without Redis, in nano-dollars.
#[derive(Debug, Default)]
pub(super) struct Allowances(HashMap<PotId, i128>);

impl Allowances {
    /// Redis is back: the next time it is away begins anew.
    pub(super) fn end(&mut self) {
        self.0.clear();
    }

    pub(super) fn give_back(&mut self, ids: &[PotId], nanos: i128) {
        for id in ids {
            if let Some(left) = self.0.get_mut(id) {
                *left += nanos;
            }
        }
    }
}

impl Remote {
    /// Takes this core's share of all of a tenant's limits, or nothing.
    pub(super) async fn admit_alone(
        &self,
        tenant: &Tenant,
        charge: &Charge,
    ) -> Result<(Taken, Standing), Box<Refused>> {
        let allowances = self.allowances_of(tenant, charge).await?;
        let share = self.share(tenant);
        let mut books = lock(&self.books);
        let mut left = lock(&self.allowances);
        let nanos = i128::from(charge.ask.nanos);
        for id in &allowances {
            if nanos > 0 && left.0.get(id).is_some_and(|left| *left < nanos) {
                return Err(Box::new(refused(id)));
            }
        }
        let standing = self.local.take_but_money(&share, charge)?;
        left.give_back(&allowances, -nanos);
        for (scope, limits) in &tenant.scopes {
            for (id, _, amount) in pots(scope, limits, charge) {
                books.taken_without(&self.redis, &tenant.tag, &id, amount);
            }
        }
        Ok((Taken::Alone { share: Arc::new(share), allowances }, standing))
    }

    /// The allowances that a request draws on, each of them begun.
    async fn allowances_of(&self, tenant: &Tenant, charge: &Charge) -> Result<Vec<PotId>, Box<Refused>> {
        let mut ids = Vec::new();
        for (scope, limits) in &tenant.scopes {
            let money = pots(scope, limits, charge).into_iter().filter(|(id, ..)| id.kind != Kind::Running);
            for (id, limit, amount) in money {
                match self.rules.without_redis {
                    WithoutRedis::Closed if amount > 0 => return Err(Box::new(refused(&id))),
                    WithoutRedis::Open | WithoutRedis::Closed => {}
                    WithoutRedis::Allowance => {
                        self.begin_allowance(&id, limit, charge).await?;
                        ids.push(id);
                    }
                }
            }
        }
        Ok(ids)
    }

    async fn begin_allowance(&self, id: &PotId, limit: i128, charge: &Charge) -> Result<(), Box<Refused>> {
        if lock(&self.allowances).0.contains_key(id) {
            return Ok(());
        }
        let seen = lock(&self.books).seen(id);
        let used = if let Some(used) = seen {
            used
        } else {
            // Nothing was heard of it yet: the database knows what was spent, and this core what it has under way.
            self.ask_database(std::slice::from_ref(&id.scope), charge.ask.at).await?;
            self.used(id)
        };
        let left = (limit - used).max(0) * i128::from(self.rules.allowance_percent) / 100;
        let own = left / i128::from(self.cores());
        lock(&self.allowances).0.entry(id.clone()).or_insert(own);
        Ok(())
    }

    fn used(&self, id: &PotId) -> i128 {
        match id.kind {
            Kind::Running => 0,
            Kind::Money(period, start) => self.local.sum_of(&id.scope, period, start).used().into(),
        }
    }

    /// The tenant with this core's share of its rates and of what may run at once: at least one.
    fn share(&self, tenant: &Tenant) -> Tenant {
        let cores = self.cores();
        let of = |limit: u32| (limit / cores).max(1);
        let scopes = tenant.scopes.iter().map(|(scope, limits): &(Scope, Limits)| {
            let limits = Limits {
                requests_per_minute: limits.requests_per_minute.map(of),
                tokens_per_minute: limits.tokens_per_minute.map(|limit| (limit / u64::from(cores)).max(1)),
                max_concurrency: limits.max_concurrency.map(of),
                budget: limits.budget,
            };
            (Arc::clone(scope), limits)
        });
        Tenant { tag: Arc::clone(&tenant.tag), scopes: scopes.collect() }
    }
}

fn refused(id: &PotId) -> Refused {
    let limit = match id.kind {
        Kind::Running => LimitKind::Concurrency,
        Kind::Money(period, _) => LimitKind::Budget(period),
    };
    let (scope, standing) = (Arc::clone(&id.scope), Standing::default());
    Refused { scope, limit, retry_after: Some(SOON), standing }
}

//! What a request has taken of limits that cores share, and what becomes of it when the request is over.

use std::{fmt, sync::Arc};

use super::{
    books::{Books, Kind, RateChange},
    fallback::Taken,
    remote::Remote,
    wish::{REQUESTS, TOKENS, Wish, pots},
};
use crate::{
    catalog::limits::Limits,
    registry::lock,
    shared_state::{Scope, Standing, Tenant, Used, local::shadow::Charge},
};

/// Limits that a request has taken. It settles once; dropped without that, all is given back.
pub struct RemoteGrant {
    remote: Arc<Remote>,
    tenant: Arc<Tenant>,
    charge: Charge,
    /// `None`: it is settled.
    taken: Option<Taken>,
    standing: Standing,
}

impl RemoteGrant {
    /// How the rates stood after it was taken.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The request is over, and came to so much.
    pub fn settle(mut self, used: Used) {
        if let Some(taken) = self.taken.take() {
            self.remote.settle(&self, &taken, Some(used));
        }
    }
}

impl Drop for RemoteGrant {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.remote.settle(self, &taken, None);
        }
    }
}

impl fmt::Debug for RemoteGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteGrant").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Remote {
    pub(super) fn grant(self: &Arc<Self>, wish: &Wish<'_>, taken: Taken, standing: Standing) -> RemoteGrant {
        let (remote, tenant) = (Arc::clone(self), Arc::clone(wish.tenant));
        RemoteGrant { remote, tenant, charge: wish.charge, taken: Some(taken), standing }
    }

    fn settle(&self, grant: &RemoteGrant, taken: &Taken, used: Option<Used>) {
        let (tenant, charge) = (&grant.tenant, &grant.charge);
        let came_to = used.unwrap_or_default();
        let mut books = lock(&self.books);
        let counted = match taken {
            Taken::Together => tenant,
            Taken::Alone { share, .. } => share,
        };
        self.local.end(counted, charge, used);
        for (scope, limits) in &tenant.scopes {
            for (id, _, amount) in pots(scope, limits, charge) {
                let left = if id.kind == Kind::Running { 0 } else { i128::from(came_to.nanos) };
                books.changed(&id, left - amount);
            }
            if matches!(taken, Taken::Together) {
                self.settle_rates(&mut books, tenant, (scope, limits), (charge, used));
            }
        }
        if let Taken::Alone { allowances, .. } = taken {
            let left = i128::from(charge.ask.nanos) - i128::from(came_to.nanos);
            lock(&self.allowances).give_back(allowances, left);
        }
        let waits = books.waits();
        drop(books);
        if waits {
            self.waiting.notify_one();
        }
    }

    fn settle_rates(
        &self,
        books: &mut Books,
        tenant: &Tenant,
        (scope, limits): (&Scope, &Limits),
        (charge, used): (&Charge, Option<Used>),
    ) {
        let mut change = |what, limit: u64, amount: i64| {
            if amount != 0 {
                let (tag, key) = (Arc::clone(&tenant.tag), self.rate_key(tenant, scope, what));
                books.rate_changed(RateChange { tag, key, limit, amount });
            }
        };
        if let (Some(limit), None) = (limits.requests_per_minute, used) {
            change(REQUESTS, limit.into(), -1);
        }
        if let Some(limit) = limits.tokens_per_minute {
            let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
            let came_to = used.unwrap_or_default().tokens;
            change(TOKENS, limit, signed(came_to).saturating_sub(signed(charge.ask.tokens)));
        }
    }
}

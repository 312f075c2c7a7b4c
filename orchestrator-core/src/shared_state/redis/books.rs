//! What Redis has been told of what this core holds: an account for each pot.
//!
//! A pot is what runs at once for a scope, or its money of a period. What this core holds of it in truth is known to [`Local`]. Redis is
//! told of changes, for many are under way at once; but where it is not sure what Redis has (nothing was said yet, an answer
//! was lost, Redis has forgotten), the whole is said anew. That is done by one alone, while nothing else of the account is under
//! way, and under a new *generation*: changes of an earlier one that come late have no effect.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use orchestrator_base::clock::UnixMicros;
use tokio::time::Instant;

use super::Redis;
use crate::{
    catalog::limits::Period,
    shared_state::{Scope, Stored, local::Local},
};

/// Of so many rates changes wait at most; what comes then is not given back.
const MOST_RATES: usize = 10_000;

/// What a pot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Requests that run.
    Running,
    /// Nano-dollars of the period that begins then.
    Money(Period, UnixMicros),
}

/// Which pot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PotId {
    pub(super) scope: Scope,
    pub(super) kind: Kind,
}

impl PotId {
    /// What it is called in Redis.
    fn name(&self) -> String {
        match self.kind {
            Kind::Running => format!("{}:running", self.scope),
            Kind::Money(period, start) => format!("{}:{}:{}", self.scope, period.name(), start.as_seconds()),
        }
    }

    /// What this core holds of it in truth.
    fn held(&self, local: &Local) -> i128 {
        match self.kind {
            Kind::Running => local.running(&self.scope).into(),
            Kind::Money(period, start) => local.sum_of(&self.scope, period, start).outstanding,
        }
    }

    /// What this core knows to be stored.
    fn stored(&self, local: &Local) -> u64 {
        match self.kind {
            Kind::Running => 0,
            Kind::Money(period, start) => local.sum_of(&self.scope, period, start).stored,
        }
    }
}

#[derive(Debug)]
struct Account {
    tag: Arc<str>,
    key: String,
    generation: u64,
    /// It is not known what Redis has.
    unsure: bool,
    /// Somebody says the whole.
    alone: bool,
    under_way: u32,
    /// What changed and was not said yet; of no meaning while it is unsure.
    change: i128,
    /// The stored sum, if it has grown.
    base: Option<u64>,
    /// It stands in the queue.
    queued: bool,
    touched: Instant,
    /// What all cores have used of it, as last heard.
    seen: Option<i128>,
    /// What was last said to be stored.
    told: u64,
}

/// An account that something is said of.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) id: PotId,
    pub(super) tag: Arc<str>,
    pub(super) key: String,
    pub(super) generation: u64,
    /// The whole that this core holds.
    pub(super) whole: Option<i128>,
    /// What has changed beside.
    pub(super) change: i128,
    pub(super) base: Option<u64>,
    /// The base is fresh from the database: the pot may be made with it.
    pub(super) makes: bool,
}

/// What became of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Redis has it, and all cores have used so much.
    Yes(i128),
    /// It was not sent.
    Unsent,
    /// Nobody knows, or Redis has forgotten what it had.
    Unsure,
}

/// A rate's change that waits.
#[derive(Clone, Debug)]
pub(super) struct RateChange {
    pub(super) tag: Arc<str>,
    pub(super) key: String,
    pub(super) limit: u64,
    pub(super) amount: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    accounts: HashMap<PotId, Account>,
    queue: Vec<PotId>,
    rates: HashMap<String, RateChange>,
}

impl Books {
    fn account(&mut self, redis: &Redis, tag: &Arc<str>, id: &PotId) -> &mut Account {
        let account = self.accounts.entry(id.clone()).or_insert_with(|| Account::new(redis, tag, id));
        if account.tag != *tag && account.under_way == 0 {
            // The key has another team now, so its pots lie elsewhere.
            *account = Account::new(redis, tag, id);
        }
        account
    }

    /// Begins to say something of all these. `None`: it is not the time for one of them. `fresh`: the database was just asked.
    pub(super) fn enter(
        &mut self,
        redis: &Redis,
        local: &Local,
        (tag, ids): (&Arc<str>, &[PotId]),
        fresh: bool,
    ) -> Option<Vec<Share>> {
        for id in ids {
            if !self.account(redis, tag, id).may_enter() {
                return None;
            }
        }
        Some(ids.iter().map(|id| self.account(redis, tag, id).enter(id, local, fresh, false)).collect())
    }

    /// Ends what [`Books::enter`] or [`Books::due`] began.
    pub(super) fn leave(&mut self, share: &Share, heard: Heard) {
        let Some(account) = self.accounts.get_mut(&share.id) else { return };
        account.under_way = account.under_way.saturating_sub(1);
        account.alone = false;
        match heard {
            Heard::Yes(used) => {
                account.unsure &= share.whole.is_none();
                account.seen = Some(used);
            }
            Heard::Unsent if share.whole.is_none() => {
                account.change += share.change;
                account.base = account.base.max(share.base);
            }
            Heard::Unsent => {}
            Heard::Unsure => account.unsure = true,
        }
    }

    /// What was taken here without Redis.
    pub(super) fn taken_without(&mut self, redis: &Redis, tag: &Arc<str>, id: &PotId, amount: i128) {
        self.account(redis, tag, id);
        self.changed(id, amount);
    }

    /// What this core holds has changed, and [`Local`] knows it already.
    pub(super) fn changed(&mut self, id: &PotId, by: i128) {
        let Some(account) = self.accounts.get_mut(id) else { return };
        account.change += by;
        if by != 0 {
            self.queue(id);
        }
    }

    /// A rate is to be taken more from, or given back to.
    pub(super) fn rate_changed(&mut self, change: RateChange) {
        if change.amount == 0 || self.rates.len() >= MOST_RATES {
            return;
        }
        match self.rates.get_mut(&change.key) {
            Some(waiting) => {
                waiting.amount += change.amount;
                waiting.limit = change.limit;
            }
            None => _ = self.rates.insert(change.key.clone(), change),
        }
    }

    /// Records were stored, and [`Local`] knows it already.
    pub(super) fn stored(&mut self, stored: &Stored, starts: &[UnixMicros; 3]) {
        let periods = [Period::Day, Period::Month, Period::Total];
        for ((period, start), total) in periods.into_iter().zip(starts).zip(stored.totals) {
            let id = PotId { scope: Arc::clone(&stored.scope), kind: Kind::Money(period, *start) };
            if let Some(account) = self.accounts.get_mut(&id) {
                account.change -= i128::from(stored.added);
                account.base = account.base.max(Some(total));
                self.queue(&id);
            }
        }
    }

    /// Says all accounts that hold something once more: Redis may have forgotten them.
    pub(super) fn queue_all(&mut self, local: &Local) {
        let all = self.accounts.keys().filter(|id| id.held(local) != 0);
        let all: Vec<PotId> = all.cloned().collect();
        for id in &all {
            self.queue(id);
        }
    }

    /// The database was asked, and [`Local`] knows what it said.
    pub(super) fn learned(&mut self, local: &Local) {
        let mut grown = Vec::new();
        for (id, account) in &mut self.accounts {
            let stored = id.stored(local);
            if stored > account.told {
                account.base = account.base.max(Some(stored));
                grown.push(id.clone());
            }
        }
        for id in &grown {
            self.queue(id);
        }
    }

    /// The account of the pot of this key.
    pub(super) fn at(&self, key: &str) -> Option<PotId> {
        self.accounts.iter().find(|(_, account)| account.key == key).map(|(id, _)| id.clone())
    }

    /// Forgets accounts in which nothing was done for so long, and that hold nothing.
    pub(super) fn forget(&mut self, local: &Local, idle: Duration) {
        self.accounts.retain(|id, account| {
            let rests = account.under_way == 0 && !account.queued && account.touched.elapsed() > idle;
            !rests || id.held(local) != 0
        });
    }

    /// What waits to be said, as far as it can be said now; the rest goes on waiting.
    pub(super) fn due(&mut self, local: &Local, most: usize) -> (Vec<Share>, Vec<RateChange>) {
        let mut shares = Vec::new();
        for id in mem::take(&mut self.queue) {
            let Some(account) = self.accounts.get_mut(&id) else { continue };
            if shares.len() >= most || !account.may_enter() {
                self.queue.push(id);
                continue;
            }
            account.queued = false;
            // Of whom nothing was ever said, and who holds nothing, there is nothing to say.
            if account.generation > 0 || id.held(local) != 0 {
                shares.push(account.enter(&id, local, false, true));
            }
        }
        (shares, mem::take(&mut self.rates).into_values().collect())
    }

    /// Whether anything waits.
    pub(super) fn waits(&self) -> bool {
        !self.queue.is_empty() || !self.rates.is_empty()
    }

    /// What all cores had used of a pot when Redis was last heard.
    pub(super) fn seen(&self, id: &PotId) -> Option<i128> {
        self.accounts.get(id)?.seen
    }

    /// It is said at the next turn.
    pub(super) fn queue(&mut self, id: &PotId) {
        if let Some(account) = self.accounts.get_mut(id)
            && !mem::replace(&mut account.queued, true)
        {
            self.queue.push(id.clone());
        }
    }

    /// The database was just asked: says the whole of one account, which makes its pot.
    pub(super) fn enter_fresh(&mut self, local: &Local, id: &PotId) -> Option<Share> {
        let account = self.accounts.get_mut(id)?;
        account.may_enter().then(|| account.enter(id, local, true, true))
    }
}

impl Account {
    fn new(redis: &Redis, tag: &Arc<str>, id: &PotId) -> Self {
        Self {
            tag: Arc::clone(tag),
            key: redis.key(tag, &id.name()),
            generation: 0,
            unsure: true,
            alone: false,
            under_way: 0,
            change: 0,
            base: None,
            queued: false,
            touched: Instant::now(),
            seen: None,
            told: 0,
        }
    }

    fn may_enter(&self) -> bool {
        !self.alone && (!self.unsure || self.under_way == 0)
    }

    /// `with_changes`: what waits is said as well.
    fn enter(&mut self, id: &PotId, local: &Local, fresh: bool, with_changes: bool) -> Share {
        self.under_way += 1;
        self.touched = Instant::now();
        let whole = self.unsure.then(|| id.held(local));
        let (mut change, mut base) = (0, None);
        if whole.is_some() {
            self.alone = true;
            self.generation += 1;
            // The whole has what waits in it.
            (self.change, self.base) = (0, None);
            base = Some(id.stored(local)).filter(|stored| fresh || *stored > 0);
        } else if with_changes {
            (change, base) = (mem::take(&mut self.change), self.base.take());
        }
        self.told = self.told.max(base.unwrap_or(0));
        Share {
            id: id.clone(),
            tag: Arc::clone(&self.tag),
            key: self.key.clone(),
            generation: self.generation,
            whole,
            change,
            base,
            makes: fresh && whole.is_some(),
        }
    }
}

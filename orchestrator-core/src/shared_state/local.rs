//! The limits of one core, or of one that is on its own: exact within this process.
//!
//! One short lock holds what every scope has used, so a request takes all of its limits or none. What was spent before comes from
//! the database, once for each scope with a budget, before its first admission; later periods begin at nothing.

mod scope;
pub(super) mod shadow;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use hashbrown::{HashMap, hash_map::EntryRef};
use orchestrator_base::clock::UnixMicros;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout};

use self::scope::{Charge, Denial, Room, ScopeState};
use super::{Ask, LimitKind, Refused, Scope, Standing, Stored, StoredSpend, Tenant, Used};
use crate::{
    catalog::limits::{Limits, Period},
    error::Result,
    registry::lock,
};

/// How long a request waits for the database to say what was spent.
const PATIENCE: Duration = Duration::from_secs(2);
/// After the database has not said it, nobody asks for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// So many scopes are kept before the idle ones are looked for.
const MANY: usize = 1024;

/// See the module.
pub struct Local {
    /// What moments are counted from.
    origin: Instant,
    spend: Arc<dyn StoredSpend>,
    scopes: Mutex<Scopes>,
    /// Held by the one that asks the database; until when nobody does.
    asking: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Scopes {
    /// Hashed fast: scopes are made of ids of our own, so nobody can choose them to collide.
    states: HashMap<Scope, ScopeState>,
    /// How many there may be before idle ones are dropped.
    most: usize,
}

/// What was taken of scopes, and how their rates stood before: a key's and its team's at most.
type Rooms<'a> = SmallVec<[(&'a Scope, &'a Limits, Room); 2]>;

/// What is taken is not known to have room.
enum NotTaken {
    Refused(Box<Refused>),
    /// What these have spent has to be asked for first.
    Unknown(Vec<Scope>),
}

/// Limits that a request has taken. It settles once; dropped without that, all is given back.
pub struct LocalGrant {
    local: Arc<Local>,
    tenant: Arc<Tenant>,
    charge: Charge,
    standing: Standing,
    settled: bool,
}

impl Local {
    /// Nothing is taken yet; what was spent is read from `spend`.
    pub fn new(spend: Arc<dyn StoredSpend>) -> Self {
        let scopes = Mutex::new(Scopes { states: HashMap::default(), most: MANY });
        Self { origin: Instant::now(), spend, scopes, asking: tokio::sync::Mutex::new(None) }
    }

    /// Takes all of a tenant's limits, or none. Waits only where the database has to say what was spent.
    pub async fn admit(self: &Arc<Self>, tenant: &Arc<Tenant>, ask: Ask) -> Result<LocalGrant, Box<Refused>> {
        let charge = Charge::new(ask);
        match self.take(tenant, &charge) {
            Ok(standing) => return Ok(self.grant(tenant, charge, standing)),
            Err(NotTaken::Refused(refused)) => return Err(refused),
            Err(NotTaken::Unknown(scopes)) => self.ask_for(&scopes, ask.at).await?,
        }
        match self.take(tenant, &charge) {
            Ok(standing) => Ok(self.grant(tenant, charge, standing)),
            Err(NotTaken::Refused(refused)) => Err(refused),
            Err(NotTaken::Unknown(scopes)) => Err(Box::new(unknown(&scopes))),
        }
    }

    fn grant(self: &Arc<Self>, tenant: &Arc<Tenant>, charge: Charge, standing: Standing) -> LocalGrant {
        let (local, tenant) = (Arc::clone(self), Arc::clone(tenant));
        LocalGrant { local, tenant, charge, standing, settled: false }
    }

    fn take(&self, tenant: &Tenant, charge: &Charge) -> Result<Standing, NotTaken> {
        let now = self.now();
        let mut scopes = lock(&self.scopes);
        scopes.make_room(now);
        // Each scope is looked up once: what is taken of it is taken at once, and given back where another one denies.
        let (mut taken, mut denied, mut unknown) = (Rooms::new(), Vec::new(), Vec::new());
        let mut standing = Standing::default();
        for (scope, limits) in &tenant.scopes {
            let state = scopes.state(scope);
            match state.room(now, limits, charge) {
                Ok(room) => {
                    taken.push((scope, limits, state.enter(room, limits, charge)));
                    standing = standing.tighter(state.standing(now, limits));
                }
                Err(Denial::Unknown) => unknown.push(Arc::clone(scope)),
                Err(Denial::Refused(limit, retry_after)) => denied.push((scope, limit, retry_after)),
            }
        }
        if denied.is_empty() && unknown.is_empty() {
            return Ok(standing);
        }
        for (scope, limits, before) in taken {
            scopes.state(scope).leave(before, limits, charge);
        }
        // Who has to wait for two limits is told of the longer wait; for ever is the longest.
        let worst = denied.into_iter().max_by_key(|(_, _, wait)| wait.unwrap_or(Duration::MAX));
        let Some((scope, limit, retry_after)) = worst.filter(|_| unknown.is_empty()) else {
            return Err(NotTaken::Unknown(unknown));
        };
        let standings = tenant.scopes.iter().map(|(scope, limits)| scopes.state(scope).standing(now, limits));
        let standing = standings.fold(Standing::default(), Standing::tighter);
        Err(NotTaken::Refused(Box::new(Refused { scope: Arc::clone(scope), limit, retry_after, standing })))
    }

    /// Has the database say what these have spent.
    ///
    /// Errors: it does not.
    async fn ask_for(&self, scopes: &[Scope], at: UnixMicros) -> Result<(), Box<Refused>> {
        let mut paused = self.asking.lock().await;
        let missing: Vec<Scope> = {
            let mut states = lock(&self.scopes);
            scopes.iter().filter(|scope| !states.state(scope).knows(at)).cloned().collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        if paused.is_some_and(|until| Instant::now() < until) {
            return Err(Box::new(unknown(&missing)));
        }
        let Ok(Ok(sums)) = timeout(PATIENCE, self.spend.spent(&missing, at)).await else {
            *paused = Some(Instant::now() + PAUSE);
            return Err(Box::new(unknown(&missing)));
        };
        let mut states = lock(&self.scopes);
        for (scope, sums) in missing.iter().zip(sums) {
            states.state(scope).learn(at, &sums);
        }
        Ok(())
    }

    /// A batch of records was stored.
    pub fn stored(&self, batch: &[Stored]) {
        let mut scopes = lock(&self.scopes);
        for stored in batch {
            if let Some(state) = scopes.states.get_mut(&stored.scope) {
                state.stored(stored);
            }
        }
    }

    /// Who knows what was spent.
    pub fn spend(&self) -> &Arc<dyn StoredSpend> {
        &self.spend
    }

    /// Learns what the database says was spent, of other cores as well.
    pub async fn learn(&self, now: UnixMicros) -> Result<()> {
        let followed = self.followed();
        if followed.is_empty() {
            return Ok(());
        }
        let sums = self.spend.spent(&followed, now).await?;
        let mut scopes = lock(&self.scopes);
        for (scope, sums) in followed.iter().zip(&sums) {
            if let Some(state) = scopes.states.get_mut(scope) {
                state.learn(now, sums);
            }
        }
        Ok(())
    }

    /// Whether a scope's spending is followed here: only of those a writer has to say what is stored.
    pub fn follows(&self, scope: &str) -> bool {
        lock(&self.scopes).states.get(scope).is_some_and(ScopeState::follows_money)
    }

    /// All of those.
    fn followed(&self) -> Vec<Scope> {
        let scopes = lock(&self.scopes);
        let followed = scopes.states.iter().filter(|(_, state)| state.follows_money());
        followed.map(|(scope, _)| Arc::clone(scope)).collect()
    }

    /// What a scope has outstanding here in each period that is not settled, in nano-dollars, and how many of its requests run.
    pub fn outstanding(&self, scope: &str) -> Outstanding {
        lock(&self.scopes).states.get(scope).map(ScopeState::outstanding).unwrap_or_default()
    }

    /// What a scope has used of a budget of this kind in the period of a moment, as far as it is known here.
    pub fn used(&self, scope: &str, period: Period, at: UnixMicros) -> Option<u64> {
        lock(&self.scopes).states.get(scope)?.used(period, at)
    }

    fn settle(&self, tenant: &Tenant, charge: &Charge, used: Option<Used>) {
        let now = self.now();
        let mut scopes = lock(&self.scopes);
        for (scope, limits) in &tenant.scopes {
            scopes.state(scope).settle(now, limits, charge, used);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What a core has taken for a scope and not settled or stored yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Nano-dollars, all periods together.
    pub nanos: i128,
    /// Requests that run.
    pub running: u32,
}

impl Scopes {
    fn state(&mut self, scope: &Scope) -> &mut ScopeState {
        match self.states.entry_ref(scope) {
            EntryRef::Occupied(known) => known.into_mut(),
            EntryRef::Vacant(new) => new.insert_with_key(Arc::clone(scope), ScopeState::default()),
        }
    }

    /// What is idle can be forgotten: it would begin as it stands, but for what was spent, which the database knows.
    fn make_room(&mut self, now: u64) {
        if self.states.len() > self.most {
            self.states.retain(|_, state| !state.is_idle(now));
            self.most = (self.states.len() * 2).max(MANY);
        }
    }
}

/// The database does not say what these have spent.
fn unknown(scopes: &[Scope]) -> Refused {
    let scope = scopes.first().cloned().unwrap_or_default();
    let (limit, standing) = (LimitKind::UnknownSpend, Standing::default());
    Refused { scope, limit, retry_after: Some(PAUSE), standing }
}

impl LocalGrant {
    /// How the rates stood after it was taken.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The request is over, and came to so much.
    pub fn settle(mut self, used: Used) {
        self.settled = true;
        self.local.settle(&self.tenant, &self.charge, Some(used));
    }
}

impl Drop for LocalGrant {
    fn drop(&mut self) {
        if !self.settled {
            self.local.settle(&self.tenant, &self.charge, None);
        }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalGrant")
            .field("tenant", &self.tenant)
            .field("charge", &self.charge)
            .finish_non_exhaustive()
    }
}

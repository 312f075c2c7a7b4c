//! The limits of several cores together: counted in Redis, and by this core alone while Redis is away.
//!
//! A request asks once, with one script for all of its tenant's limits. What it came to is said later: changes are gathered, and sent
//! together every few milliseconds ([`keeping`](super::keeping)). Whatever is taken in Redis is counted in [`Local`] as well.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    Redis,
    books::{Books, Heard, Kind, PotId, RateChange, Share},
    fallback::{Allowances, Taken},
    news::News,
    script::{Answer, Mode, Outcome, Seen, Step},
};
use crate::{
    catalog::limits::Limits,
    policy::{
        budget::{self, Sum},
        gcra::{Full, Gcra, Rate},
    },
    registry::lock,
    shared_state::{
        Ask, LimitKind, Refused, Scope, Standing, Stored, StoredSpend, Tenant, Used,
        local::{
            Local,
            shadow::{Charge, Elsewhere, judge},
        },
    },
};

/// How long a request waits for the database to say what was spent, and for how long nobody asks after it has not said it.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
/// How often a request may find that something must be said first.
const ROUNDS: usize = 4;
/// How long it waits at most for other cores to say what they hold of a pot that was made anew, and how often it looks.
const OTHERS: Duration = Duration::from_secs(3);
const A_MOMENT: Duration = Duration::from_millis(2);

/// See the module.
pub struct Remote {
    pub(super) redis: Redis,
    pub(super) local: Arc<Local>,
    pub(super) books: Mutex<Books>,
    pub(super) allowances: Mutex<Allowances>,
    /// An account can be entered again.
    pub(super) changed: Notify,
    /// Something waits to be said.
    pub(super) waiting: Notify,
    /// Of this process: whoever starts anew is somebody else.
    pub(super) core: String,
    pub(super) lives: Duration,
    /// How many cores there are, as last heard.
    pub(super) cores: AtomicU32,
    /// Who was heard of, and when.
    pub(super) others: Mutex<HashMap<String, Instant>>,
    patience: Duration,
    pub(super) rules: config::Budget,
    pub(super) news: News,
    pub(super) clock: Clock,
    /// Held by the one that asks the database.
    asking: AsyncMutex<Asking>,
    paces: Mutex<HashMap<String, Gcra>>,
    /// What moments of this core alone are counted from.
    origin: Instant,
}

#[derive(Debug, Default)]
struct Asking {
    /// Until when nobody asks.
    paused: Option<Instant>,
    /// Of whom it was asked last, and when that began.
    last: Option<(Instant, Vec<Scope>)>,
}

/// One limit of one scope, in the order of the script's keys.
#[derive(Clone, Copy)]
enum Item {
    Requests(Rate),
    Tokens(Rate),
    Pot(i128, i128),
}

/// What a request wants of which scopes.
struct Wish<'a> {
    tenant: &'a Arc<Tenant>,
    charge: Charge,
    /// The scope's place, and the limit.
    items: Vec<(usize, Item)>,
    pots: Vec<PotId>,
}

impl<'a> Wish<'a> {
    fn new(tenant: &'a Arc<Tenant>, charge: Charge) -> Self {
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

    fn step(&self, remote: &Remote, shares: &[Share]) -> Step {
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
    fn scopes(&self, seen: &[Seen], local: &Local) -> Vec<Elsewhere> {
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
    fn pots<'s>(&self, seen: &'s [Seen]) -> impl Iterator<Item = (&'s Seen, i128)> {
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

const REQUESTS: &str = "requests";
const TOKENS: &str = "tokens";

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

/// Accounts that something is being said of. Dropped before there is an answer, nobody knows what became of it.
struct Entered<'a> {
    remote: &'a Remote,
    shares: Vec<Share>,
    over: bool,
}

impl Entered<'_> {
    /// Nothing was taken. `heard`: what became of each account.
    fn leave(mut self, heard: impl Fn(usize) -> Heard) {
        self.over = true;
        let mut books = lock(&self.remote.books);
        for (place, share) in self.shares.iter().enumerate() {
            books.leave(share, heard(place));
        }
        self.remote.left(books);
    }

    /// All was taken: from now on this core holds it.
    fn took(mut self, tenant: &Tenant, charge: &Charge, used: &[i128]) {
        self.over = true;
        let mut books = lock(&self.remote.books);
        self.remote.local.note(tenant, charge);
        for (share, used) in self.shares.iter().zip(used) {
            books.leave(share, Heard::Yes(*used));
        }
        self.remote.left(books);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut books = lock(&self.remote.books);
        for share in &self.shares {
            books.leave(share, Heard::Unsure);
            books.queue(&share.id);
        }
        self.remote.left(books);
    }
}

/// What a round came to.
enum Round {
    Taken(Standing),
    Refused(Box<Refused>),
    /// Something must be said first; these pots are to be made from what the database says.
    Again(Vec<Scope>),
    /// Other cores have yet to say what they hold.
    Awaits,
    /// Redis is away.
    Away,
}

impl Remote {
    /// `core`: a name that no other process has. Call it on a runtime.
    pub fn new(
        redis: Redis,
        spend: Arc<dyn StoredSpend>,
        (settings, rules): (&config::Redis, &config::Budget),
        news: News,
        clock: Clock,
        core: String,
    ) -> Self {
        Self {
            redis,
            local: Arc::new(Local::new(core.clone(), spend)),
            books: Mutex::default(),
            allowances: Mutex::default(),
            changed: Notify::new(),
            waiting: Notify::new(),
            core,
            lives: Duration::from_millis(settings.core_expiry_ms),
            cores: AtomicU32::new(1),
            others: Mutex::default(),
            patience: Duration::from_millis(settings.checkout_ms.saturating_add(settings.command_ms)),
            rules: rules.clone(),
            news,
            clock,
            asking: AsyncMutex::default(),
            paces: Mutex::default(),
            origin: Instant::now(),
        }
    }

    /// Takes all of a tenant's limits, or none. A Redis that is away is no reason to refuse.
    pub async fn admit(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        ask: Ask,
    ) -> Result<RemoteGrant, Box<Refused>> {
        let wish = Wish::new(tenant, Charge::new(ask));
        let (mut fresh, mut rounds) = (false, 0);
        let until = Instant::now() + OTHERS;
        while rounds < ROUNDS && Instant::now() < until {
            rounds += 1;
            match self.round(&wish, fresh).await {
                Round::Awaits => {
                    (fresh, rounds) = (false, rounds - 1);
                    sleep(A_MOMENT).await;
                }
                Round::Taken(standing) => return Ok(self.grant(&wish, Taken::Together, standing)),
                Round::Refused(refused) => return Err(refused),
                Round::Again(missing) => {
                    fresh = !missing.is_empty();
                    if fresh {
                        self.ask_database(&missing, ask.at).await?;
                    }
                }
                Round::Away => break,
            }
        }
        let (taken, standing) = self.admit_alone(tenant, &wish.charge).await?;
        Ok(self.grant(&wish, taken, standing))
    }

    fn grant(self: &Arc<Self>, wish: &Wish<'_>, taken: Taken, standing: Standing) -> RemoteGrant {
        let (remote, tenant) = (Arc::clone(self), Arc::clone(wish.tenant));
        RemoteGrant { remote, tenant, charge: wish.charge, taken: Some(taken), standing }
    }

    async fn round(&self, wish: &Wish<'_>, fresh: bool) -> Round {
        if !self.redis.is_up() {
            return Round::Away;
        }
        let Some(entered) = self.enter(&wish.tenant.tag, &wish.pots, fresh).await else { return Round::Away };
        let step = wish.step(self, &entered.shares);
        let numbers = match self.redis.script::<Vec<i64>>(&step.invocation()).await {
            Ok(numbers) => numbers,
            Err(away) => {
                let heard = if away.may_have_happened() { Heard::Unsure } else { Heard::Unsent };
                entered.leave(|_| heard);
                return Round::Away;
            }
        };
        let Some(answer) = Answer::read(&numbers).filter(|answer| answer.seen.len() == wish.items.len())
        else {
            entered.leave(|_| Heard::Unsure);
            return Round::Away;
        };
        self.heard(wish, entered, &answer)
    }

    fn heard(&self, wish: &Wish<'_>, entered: Entered<'_>, answer: &Answer) -> Round {
        let scopes = wish.scopes(&answer.seen, &self.local);
        let (standing, refused) = judge(wish.tenant, &wish.charge, answer.now, &scopes);
        self.tell_made(&entered.shares, wish.pots(&answer.seen).map(|(seen, _)| *seen));
        match answer.outcome {
            Outcome::Done => {
                let used: Vec<i128> = wish
                    .pots(&answer.seen)
                    .map(|(seen, amount)| seen.base() + seen.held() + amount)
                    .collect();
                entered.took(wish.tenant, &wish.charge, &used);
                Round::Taken(standing)
            }
            Outcome::Refused => {
                let used: Vec<i128> =
                    wish.pots(&answer.seen).map(|(seen, _)| seen.base() + seen.held()).collect();
                entered.leave(|place| Heard::Yes(used[place]));
                Round::Refused(refused.unwrap_or_else(|| {
                    tracing::error!("Redis refused what has room");
                    busy(wish.tenant, standing)
                }))
            }
            Outcome::NotReady => {
                let states: Vec<Seen> = wish.pots(&answer.seen).map(|(seen, _)| *seen).collect();
                let missing = wish.pots.iter().zip(&states).filter(|(_, seen)| seen.is_missing());
                let missing: Vec<Scope> = missing.map(|(id, _)| Arc::clone(&id.scope)).collect();
                let awaits = missing.is_empty() && states.iter().any(|seen| seen.awaits_others());
                entered.leave(|place| {
                    let seen = states[place];
                    if seen.is_unsure() { Heard::Unsure } else { Heard::Yes(seen.base() + seen.held()) }
                });
                if awaits { Round::Awaits } else { Round::Again(missing) }
            }
        }
    }

    /// Accounts were left: whoever waits for one may try.
    fn left(&self, books: MutexGuard<'_, Books>) {
        let waits = books.waits();
        drop(books);
        self.changed.notify_waiters();
        if waits {
            self.waiting.notify_one();
        }
    }

    /// Asks a provider's rate for one request. A core that is alone has its share of it.
    ///
    /// Errors: after how long there may be room.
    pub async fn pace(&self, provider_id: &str, per_minute: u32) -> Result<(), Duration> {
        let rate = Rate::evenly(per_minute.into());
        let scope = format!("provider:{provider_id}");
        let mut step = self.step(Mode::Admit);
        step.rate(self.redis.key(&scope, REQUESTS), rate, 1);
        let numbers = self.redis.script::<Vec<i64>>(&step.invocation()).await;
        let answer = numbers.ok().and_then(|numbers| Answer::read(&numbers));
        let (gcra, now) = match answer {
            Some(Answer { outcome: Outcome::Done, .. }) => return Ok(()),
            Some(Answer { now, seen, .. }) => {
                let (micros, rest) = seen.first().map(|seen| seen.due()).unwrap_or_default();
                (Gcra::due_at(micros, rest), now)
            }
            None => return self.pace_alone(&scope, per_minute),
        };
        gcra.room(now, rate, 1).map_err(wait)
    }

    fn pace_alone(&self, scope: &str, per_minute: u32) -> Result<(), Duration> {
        let rate = Rate::evenly(u64::from((per_minute / self.cores()).max(1)));
        let now = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut paces = lock(&self.paces);
        paces.retain(|_, gcra| !gcra.is_idle(now));
        let gcra = paces.entry(scope.to_owned()).or_default();
        gcra.room(now, rate, 1).map_err(wait)?;
        gcra.take(now, rate, 1);
        Ok(())
    }

    /// Waits until something can be said of all these accounts. `None`: that takes too long.
    async fn enter(&self, tag: &Arc<str>, ids: &[PotId], fresh: bool) -> Option<Entered<'_>> {
        let until = Instant::now() + self.patience;
        loop {
            let changed = self.changed.notified();
            let shares = lock(&self.books).enter(&self.redis, &self.local, (tag, ids), fresh);
            if let Some(shares) = shares {
                return Some(Entered { remote: self, shares, over: false });
            }
            timeout_at(until, changed).await.ok()?;
        }
    }

    /// Has the database say what these have spent.
    ///
    /// Errors: it does not.
    pub(super) async fn ask_database(&self, scopes: &[Scope], at: UnixMicros) -> Result<(), Box<Refused>> {
        let begun = Instant::now();
        let mut asking = self.asking.lock().await;
        // Somebody else has asked in the meantime.
        let fresh = asking.last.as_ref().filter(|(since, _)| *since >= begun);
        if fresh.is_some_and(|(_, asked)| scopes.iter().all(|scope| asked.contains(scope))) {
            return Ok(());
        }
        let unknown = || {
            let scope = scopes.first().cloned().unwrap_or_default();
            let (limit, retry_after) = (LimitKind::UnknownSpend, Some(PAUSE));
            Box::new(Refused { scope, limit, retry_after, standing: Standing::default() })
        };
        let since = Instant::now();
        if asking.paused.is_some_and(|until| since < until) {
            return Err(unknown());
        }
        match timeout(PATIENCE, self.local.spend().spent(scopes, at)).await {
            Ok(Ok(sums)) => {
                for (scope, sums) in scopes.iter().zip(sums) {
                    self.local.learn_anew(scope, at, &sums);
                }
                asking.last = Some((since, scopes.to_vec()));
                Ok(())
            }
            Ok(Err(_)) | Err(_) => {
                asking.paused = Some(Instant::now() + PAUSE);
                Err(unknown())
            }
        }
    }

    /// A batch of records was stored.
    pub fn stored(&self, batch: &[Stored]) {
        let mut books = lock(&self.books);
        self.local.stored(batch);
        for stored in batch {
            books.stored(stored, &budget::starts(stored.day));
        }
        drop(books);
        self.waiting.notify_one();
    }

    /// What this core calls itself: another name at each start.
    pub fn core(&self) -> &str {
        &self.core
    }

    /// Who knows what was spent.
    pub fn spend(&self) -> &Arc<dyn StoredSpend> {
        self.local.spend()
    }

    /// Learns what was spent elsewhere, of everybody that is followed.
    pub async fn learn(&self, now: UnixMicros) -> crate::error::Result<()> {
        self.local.learn(now).await?;
        lock(&self.books).learned(&self.local);
        self.waiting.notify_one();
        Ok(())
    }

    /// Whether [`Remote::stored`] wants to hear of a scope.
    pub fn follows(&self, scope: &str) -> bool {
        self.local.follows(scope)
    }

    /// Whether cores count together now.
    pub fn is_together(&self) -> bool {
        self.redis.is_up()
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

    pub(super) fn step(&self, mode: Mode) -> Step {
        let lives = u64::try_from(self.lives.as_micros()).unwrap_or(u64::MAX);
        Step::new(mode, &self.core, lives)
    }

    fn rate_key(&self, tenant: &Tenant, scope: &str, what: &str) -> String {
        self.redis.key(&tenant.tag, &format!("{scope}:{what}"))
    }

    /// How many cores there are, as last heard.
    pub(super) fn cores(&self) -> u32 {
        self.cores.load(Ordering::Relaxed).max(1)
    }
}

fn wait(full: Full) -> Duration {
    match full {
        Full::For(micros) => Duration::from_micros(micros),
        Full::Always => PAUSE,
    }
}

/// Refused, and nobody knows why.
fn busy(tenant: &Tenant, standing: Standing) -> Box<Refused> {
    let scope = tenant.scopes.first().map(|(scope, _)| Arc::clone(scope)).unwrap_or_default();
    let (limit, retry_after) = (LimitKind::Requests, Some(PAUSE));
    Box::new(Refused { scope, limit, retry_after, standing })
}

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

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("core", &self.core).finish_non_exhaustive()
    }
}

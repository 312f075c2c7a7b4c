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
    books::{Books, Heard, PotId, Share},
    fallback::{Allowances, Taken},
    grant::RemoteGrant,
    news::News,
    script::{Answer, Mode, Outcome, Seen, Step},
    wish::Wish,
};
use crate::{
    policy::{budget, gcra::Gcra},
    registry::lock,
    shared_state::{
        Ask, LimitKind, Refused, Scope, Standing, Stored, StoredSpend, Tenant,
        local::{
            Local,
            shadow::{Charge, judge},
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
    pub(super) paces: Mutex<HashMap<String, Gcra>>,
    /// What moments of this core alone are counted from.
    pub(super) origin: Instant,
}

#[derive(Debug, Default)]
struct Asking {
    /// Until when nobody asks.
    paused: Option<Instant>,
    /// Of whom it was asked last, and when that began.
    last: Option<(Instant, Vec<Scope>)>,
}

/// Accounts that something is being said of. Dropped before there is an answer, nobody knows what became of it.
struct Entered<'a> {
    remote: &'a Remote,
    shares: Vec<Share>,
    over: bool,
}

impl Remote {
    /// How long Redis takes to answer now; `None`: it does not.
    pub async fn answer_time(&self) -> Option<Duration> {
        self.redis.answer_time().await
    }
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
            local: Arc::new(Local::new(spend)),
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
                    Box::new(busy(wish.tenant, standing))
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

    /// Waits until something can be said of all these accounts. `None`: that takes too long.
    async fn enter(&self, tag: &Arc<str>, ids: &[PotId], fresh: bool) -> Option<Entered<'_>> {
        let until = Instant::now() + self.patience;
        loop {
            let changed = self.changed.notified();
            let shares = lock(&self.books).enter(&self.redis, &self.local, (tag, ids), fresh);
            if let Some(shares) = shares {
                return Some(Entered { remote: self, shares, over: false });
            }
            self.redis.while_up(timeout_at(until, changed)).await?.ok()?;
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
        let asked = timeout(PATIENCE, self.local.spend().spent(scopes, at)).await;
        let Ok(Ok(sums)) = asked else {
            asking.paused = Some(Instant::now() + PAUSE);
            return Err(unknown());
        };
        for (scope, sums) in scopes.iter().zip(sums) {
            self.local.learn_anew(scope, at, &sums);
        }
        asking.last = Some((since, scopes.to_vec()));
        Ok(())
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

    pub(super) fn step(&self, mode: Mode) -> Step {
        let lives = u64::try_from(self.lives.as_micros()).unwrap_or(u64::MAX);
        Step::new(mode, &self.core, lives)
    }

    pub(super) fn rate_key(&self, tenant: &Tenant, scope: &str, what: &str) -> String {
        self.redis.key(&tenant.tag, &format!("{scope}:{what}"))
    }

    /// How many cores there are, as last heard.
    pub(super) fn cores(&self) -> u32 {
        self.cores.load(Ordering::Relaxed).max(1)
    }
}

/// Refused, and nobody knows why.
fn busy(tenant: &Tenant, standing: Standing) -> Refused {
    let scope = tenant.scopes.first().map(|(scope, _)| Arc::clone(scope)).unwrap_or_default();
    let (limit, retry_after) = (LimitKind::Requests, Some(PAUSE));
    Refused { scope, limit, retry_after, standing }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("core", &self.core).finish_non_exhaustive()
    }
}

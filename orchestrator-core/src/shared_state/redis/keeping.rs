//! What is said to Redis in the background: how requests ended, what was stored, and that this core lives.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Away,
    books::{Heard, Kind, RateChange, Share},
    news::{MISSED, Told},
    remote::Remote,
    script::{Answer, Mode, Seen, Step},
};
use crate::{policy::budget, registry::lock};

/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(3);
/// So many accounts are spoken of in one round trip.
const MOST: usize = 200;
/// After a failure it is tried again after so long.
const AGAIN: Duration = Duration::from_millis(50);
/// News: a pot was made anew.
const MADE: &str = "made";
/// News: a core lives.
const LIVES: &str = "lives";
/// A core is heard of so often within the time that it is believed.
const BEATS: u32 = 6;

/// What is said of one tag, which is one script.
#[derive(Default)]
struct Saying {
    shares: Vec<Share>,
    rates: Vec<RateChange>,
}

impl Remote {
    /// Speaks to Redis until `stop`, and says at the end what is still to be said.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.redis.changes();
        let mut told = self.news.listen();
        let mut beat = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.waiting.notified() => sleep(GATHER).await,
                () = sleep_until(beat) => {
                    beat = Instant::now() + self.lives / BEATS;
                    self.live().await;
                }
                told = told.recv() => match told {
                    Ok(told) => if !self.hear(&told).await {
                        continue;
                    },
                    // Some of them were missed.
                    Err(_) => lock(&self.books).queue_all(&self.local),
                },
                changed = changes.changed() => {
                    if changed.is_ok() && self.redis.is_up() {
                        self.back().await;
                    }
                }
            }
            if self.flush().await.is_err() {
                sleep(AGAIN).await;
                if self.redis.is_up() && lock(&self.books).waits() {
                    self.waiting.notify_one();
                }
            }
        }
        let _ = self.flush().await;
        let _ = self.redis.command::<()>(redis::cmd("ZREM").arg(self.cores_key()).arg(&self.core)).await;
    }

    /// Redis is back, and may have forgotten what this core holds.
    async fn back(&self) {
        lock(&self.allowances).end();
        self.live().await;
    }

    /// Says that this core lives and what it holds, and hears how many cores there are.
    async fn live(&self) {
        lock(&self.books).forget(&self.local, self.lives);
        lock(&self.books).queue_all(&self.local);
        self.news.tell(LIVES, "");
        let key = self.cores_key();
        let lives = self.lives.as_millis().to_string();
        // Time is Redis's own, so that cores whose clocks differ agree.
        let script = redis::Script::new(
            "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) \
             redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) \
             redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) \
             redis.call('PEXPIRE', KEYS[1], ARGV[2]) return redis.call('ZCARD', KEYS[1])",
        );
        let counted = self.redis.script::<u32>(script.key(key).arg(&self.core).arg(lives)).await;
        if let Ok(cores) = counted {
            self.count(cores);
        }
    }

    /// Redis has counted so many; it may have forgotten some that were heard of.
    fn count(&self, cores: u32) {
        let mut others = lock(&self.others);
        others.retain(|_, heard| heard.elapsed() < self.lives);
        let heard = u32::try_from(others.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.cores.store(cores.max(heard), Ordering::Relaxed);
    }

    /// Another core has told something. Says whether there is something to be said now.
    async fn hear(&self, told: &Told) -> bool {
        match &*told.kind {
            LIVES => {
                let is_new = lock(&self.others).insert(told.from.clone(), Instant::now()).is_none();
                self.count(0);
                if is_new {
                    self.news.tell(LIVES, "");
                }
                false
            }
            MADE => {
                let known = {
                    let mut books = lock(&self.books);
                    let known = books.at(&told.text);
                    if let Some(id) = &known {
                        books.queue(id);
                    }
                    known.is_some()
                };
                if !known {
                    let mut step = self.step(Mode::Settle);
                    step.nothing_of(&told.text);
                    let _ = self.redis.script::<Vec<i64>>(&step.invocation()).await;
                }
                known
            }
            MISSED => {
                lock(&self.books).queue_all(&self.local);
                true
            }
            _ => false,
        }
    }

    fn cores_key(&self) -> String {
        self.redis.key("cores", "live")
    }

    /// Says all that waits and can be said now.
    pub(super) async fn flush(&self) -> Result<(), Away> {
        loop {
            if !self.redis.is_up() {
                return Err(Away::Unasked);
            }
            let (shares, rates) = lock(&self.books).due(&self.local, MOST);
            if shares.is_empty() && rates.is_empty() {
                return Ok(());
            }
            let missing = self.say(shares, rates).await?;
            self.make(missing).await?;
        }
    }

    /// Gives the accounts whose pots are gone.
    async fn say(&self, shares: Vec<Share>, rates: Vec<RateChange>) -> Result<Vec<Share>, Away> {
        let mut sayings: HashMap<Arc<str>, Saying> = HashMap::new();
        for share in shares {
            sayings.entry(Arc::clone(&share.tag)).or_default().shares.push(share);
        }
        for rate in rates {
            sayings.entry(Arc::clone(&rate.tag)).or_default().rates.push(rate);
        }
        let sayings: Vec<Saying> = sayings.into_values().collect();
        let steps: Vec<Step> = sayings.iter().map(|saying| self.saying(saying)).collect();
        let said = self.redis.pipeline::<Vec<Vec<i64>>>(&Step::pipeline(&steps)).await;
        let mut is_readable = true;
        let mut books = lock(&self.books);
        let mut missing = Vec::new();
        let cores = self.cores();
        for (place, saying) in sayings.into_iter().enumerate() {
            let answer = said.as_ref().ok().and_then(|said| Answer::read(said.get(place)?));
            is_readable &= answer.is_some();
            for (at, share) in saying.shares.into_iter().enumerate() {
                // Shares stand before rates.
                let seen = answer.as_ref().and_then(|answer| answer.seen.get(at)).copied();
                let heard = match (&said, seen) {
                    (Ok(_), Some(seen)) if !seen.is_unsure() => {
                        Heard::Yes(seen.base() + seen.held() + share.change)
                    }
                    (Err(Away::Unasked), _) => Heard::Unsent,
                    _ => Heard::Unsure,
                };
                if cores > 1 && share.makes && matches!(heard, Heard::Yes(_)) {
                    self.news.tell(MADE, share.key.clone());
                }
                books.leave(&share, heard);
                if let (Some(seen), Heard::Unsure) = (seen, heard)
                    && seen.is_missing()
                {
                    missing.push(share);
                } else if !matches!(heard, Heard::Yes(_)) {
                    books.queue(&share.id);
                }
            }
        }
        drop(books);
        self.changed.notify_waiters();
        said.and(if is_readable { Ok(missing) } else { Err(Away::Refused) })
    }

    fn saying(&self, saying: &Saying) -> Step {
        let mut step = self.step(Mode::Settle);
        for share in &saying.shares {
            step.pot(share, (0, share.change), self.cores());
        }
        for rate in &saying.rates {
            step.change_rate(rate);
        }
        step
    }

    /// Makes pots that are gone from what the database says, as far as this core holds something in them.
    async fn make(&self, missing: Vec<Share>) -> Result<(), Away> {
        for share in missing {
            let Kind::Money(period, start) = share.id.kind else { continue };
            let now = self.clock.now();
            let at = if budget::start(period, now) == start { now } else { start };
            let scope = std::slice::from_ref(&share.id.scope);
            if self.ask_database(scope, at).await.is_err() {
                lock(&self.books).queue(&share.id);
                return Err(Away::Unknown);
            }
            let fresh = lock(&self.books).enter_fresh(&self.local, &share.id);
            if let Some(fresh) = fresh {
                self.say(vec![fresh], Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Tells other cores that a pot was made: what they hold of it is not in it.
    pub(super) fn tell_made(&self, shares: &[Share], seen: impl Iterator<Item = Seen>) {
        for (share, seen) in shares.iter().zip(seen) {
            if share.makes && !seen.is_unsure() && self.cores() > 1 {
                self.news.tell(MADE, share.key.clone());
            }
        }
    }
}

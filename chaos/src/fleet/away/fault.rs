//! What befalls Redis, and how it is undone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use orchestrator_testkit::databases::redis::RedisServer;
use tokio::{
    task::{JoinHandle, block_in_place, spawn_blocking},
    time::{Instant, sleep_until},
};

use crate::AnyError;

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its process is killed, and begun again without its data.
    Killed,
    /// It takes connections and commands, and answers none (`CLIENT PAUSE`).
    Paused,
    /// It forgets everything, once (`FLUSHALL`).
    Flushed,
    /// It forgets everything, five times a second.
    FlushedOften,
    /// It refuses to write: a replica of a master that is dead.
    ReadOnly,
    /// It forgets what was not used for longest, since others need its memory (`maxmemory`, `allkeys-lru`).
    Evicting,
    /// It forgets at random, for the same reason.
    EvictingAtRandom,
    /// It has no memory at all, and refuses to write.
    Full,
}

/// A fault under way.
#[derive(Debug)]
pub(crate) struct Suffering {
    until: Instant,
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

/// A pause outlasts what is looked at in it by this: the crowd.
const PAUSE_LONGER: Duration = Duration::from_secs(1);
/// Between two times that it forgets everything.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// What others keep in it.
const FILLER: usize = 4096;
const FILL_EVERY: Duration = Duration::from_millis(5);
/// How much room the others fight for: so much that they turn it over in a second, and so little that everything is as old.
const ROOM: u64 = 1024 * 1024;
const LITTLE_ROOM: u64 = 256 * 1024;

impl Fault {
    /// What befalls it under load.
    pub(crate) const ALL: [Self; 6] =
        [Self::Killed, Self::Paused, Self::Flushed, Self::ReadOnly, Self::Evicting, Self::Full];
    /// Of those the ones that differ most.
    pub(crate) const FEW: &[Self] = &[Self::Killed, Self::Paused, Self::Flushed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Flushed => "flushed",
            Self::FlushedOften => "flushed five times a second",
            Self::ReadOnly => "read-only",
            Self::Evicting => "evicting",
            Self::EvictingAtRandom => "evicting at random",
            Self::Full => "full",
        }
    }

    /// How the requests of its crowd begin, and the name of their key.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Killed => "away-killed-",
            Self::Paused => "away-paused-",
            Self::Flushed | Self::FlushedOften => "away-flushed-",
            Self::ReadOnly => "away-read-only-",
            Self::Evicting | Self::EvictingAtRandom => "away-evicting-",
            Self::Full => "away-full-",
        }
    }

    /// Whether it cannot be asked at all meanwhile, which health must tell of.
    pub(crate) fn takes_it_away(self) -> bool {
        matches!(self, Self::Killed | Self::Paused | Self::ReadOnly | Self::Full)
    }

    /// How many of a crowd may be admitted on that limit, beside what time gives: each core's share where they know nothing of each
    /// other, and the limit anew where Redis forgot it ([`Fault::crowds`]), with the shares of cores that found it full or too slow
    /// once. What is evicted at random is so nobody knows how often.
    pub(crate) fn bound(self, limit: u64) -> u64 {
        match self {
            Self::Killed | Self::Paused | Self::ReadOnly | Self::Full => limit,
            Self::Flushed => limit * (self.crowds() + 1),
            Self::Evicting => limit * 3,
            Self::FlushedOften | Self::EvictingAtRandom => u64::MAX / 2,
        }
    }

    /// How many crowds come, one after the other. Before another it forgets everything.
    pub(crate) fn crowds(self) -> u64 {
        if self == Self::Flushed { 2 } else { 1 }
    }

    /// Lets it happen.
    pub(crate) fn begin(self, server: &Arc<RedisServer>, looked_at: Duration) -> Result<Suffering, AnyError> {
        let lasts = looked_at + PAUSE_LONGER;
        let mut suffering = Suffering { until: Instant::now() + lasts, stop: Arc::default(), task: None };
        let order = |words: &[&str]| block_in_place(|| server.command(words));
        match self {
            Self::Killed => block_in_place(|| server.stop()),
            Self::Paused => {
                order(&["CLIENT", "PAUSE", &lasts.as_millis().to_string(), "ALL"]);
            }
            Self::Flushed => {
                order(&["FLUSHALL"]);
            }
            Self::FlushedOften => suffering.repeat(server, FLUSH_EVERY, |_| vec!["FLUSHALL".to_owned()]),
            Self::ReadOnly => {
                // Nobody listens there.
                order(&["REPLICAOF", "127.0.0.1", "1"]);
            }
            Self::Evicting | Self::EvictingAtRandom => {
                let memory = order(&["INFO", "memory"]);
                let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
                let used: u64 = used.ok_or("redis says nothing of its memory")?.trim().parse()?;
                // With one sample whom it forgets is drawn among all; five are the default.
                let (samples, room) = if self == Self::Evicting { ("5", ROOM) } else { ("1", LITTLE_ROOM) };
                order(&["CONFIG", "SET", "maxmemory-samples", samples]);
                order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                order(&["CONFIG", "SET", "maxmemory", &(used + room).to_string()]);
                let filler = "x".repeat(FILLER);
                suffering.repeat(server, FILL_EVERY, move |number| {
                    vec!["SET".to_owned(), format!("filler:{number}"), filler.clone()]
                });
            }
            Self::Full => {
                order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                order(&["CONFIG", "SET", "maxmemory", "1"]);
            }
        }
        Ok(suffering)
    }

    /// Undoes it, or waits until it is over by itself.
    pub(crate) async fn end(
        self,
        server: &Arc<RedisServer>,
        mut suffering: Suffering,
    ) -> Result<(), AnyError> {
        suffering.cease().await?;
        let order = |words: &[&str]| block_in_place(|| server.command(words));
        match self {
            Self::Killed => block_in_place(|| server.resume()),
            Self::Paused => sleep_until(suffering.until).await,
            Self::Flushed | Self::FlushedOften => {}
            Self::ReadOnly => {
                order(&["REPLICAOF", "NO", "ONE"]);
            }
            Self::Evicting | Self::EvictingAtRandom => {
                order(&["CONFIG", "SET", "maxmemory", "0"]);
                if order(&["INFO", "stats"]).contains("\nevicted_keys:0") {
                    return Err("redis has evicted nothing: this proves nothing".into());
                }
            }
            Self::Full => {
                order(&["CONFIG", "SET", "maxmemory", "0"]);
            }
        }
        Ok(())
    }
}

impl Suffering {
    /// Ends what is done again and again.
    pub(crate) async fn cease(&mut self) -> Result<(), AnyError> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            task.await?;
        }
        Ok(())
    }

    /// Gives Redis an order again and again until the end.
    fn repeat(
        &mut self,
        server: &Arc<RedisServer>,
        every: Duration,
        order: impl Fn(u64) -> Vec<String> + Send + 'static,
    ) {
        let (stop, server) = (Arc::clone(&self.stop), Arc::clone(server));
        self.task = Some(spawn_blocking(move || {
            for number in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let order = order(number);
                let words: Vec<&str> = order.iter().map(String::as_str).collect();
                // What it refuses, because it has no room, is what this is for.
                let _ = server.ask(&words);
                thread::sleep(every);
            }
        }));
    }
}

//! What befalls Redis, and how it is undone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orchestrator_base::task;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    AnyError,
    fleet::redis::{self, Redis},
};

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its process is killed, and begun again without its data.
    Killed,
    /// It takes connections and commands, and answers none (`CLIENT PAUSE`).
    Paused,
    /// It forgets everything, again and again (`FLUSHALL`).
    Flushed,
    /// It refuses to write: a replica of a master that is dead.
    ReadOnly,
    /// It forgets at random, since others need its memory (`maxmemory`, `allkeys-lru`).
    Evicting,
    /// It has no memory at all, and refuses to write.
    Full,
}

/// A fault under way.
#[derive(Debug)]
pub(super) struct Suffering {
    until: Instant,
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<Option<()>>>,
}

/// A pause outlasts what is looked at in it by this: the crowd.
const PAUSE_LONGER: Duration = Duration::from_millis(1_500);
/// Between two times that it forgets everything.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// What others keep in it.
const FILLER: usize = 4096;
const FILL_EVERY: Duration = Duration::from_millis(5);
/// How much room the others fight for.
const ROOM: u64 = 256 * 1024;

impl Fault {
    pub(super) const ALL: [Self; 6] =
        [Self::Killed, Self::Paused, Self::Flushed, Self::ReadOnly, Self::Evicting, Self::Full];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Flushed => "flushed",
            Self::ReadOnly => "read-only",
            Self::Evicting => "evicting",
            Self::Full => "full",
        }
    }

    /// How the requests of its crowd begin, and the name of their key.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Killed => "away-killed-",
            Self::Paused => "away-paused-",
            Self::Flushed => "away-flushed-",
            Self::ReadOnly => "away-read-only-",
            Self::Evicting => "away-evicting-",
            Self::Full => "away-full-",
        }
    }

    /// How many of a crowd may be admitted on that limit, beside what time gives: each core's share where they know nothing of each
    /// other, and the limit anew each time that Redis forgets it.
    pub(super) fn bound(self, limit: u64) -> u64 {
        match self {
            Self::Killed | Self::Paused | Self::ReadOnly | Self::Full => limit,
            Self::Flushed | Self::Evicting => u64::MAX / 2,
        }
    }

    /// Lets it happen.
    pub(super) async fn begin(self, server: &mut Redis, looked_at: Duration) -> Result<Suffering, AnyError> {
        let lasts = looked_at + PAUSE_LONGER;
        let mut suffering = Suffering { until: Instant::now() + lasts, stop: Arc::default(), task: None };
        match self {
            Self::Killed => server.kill()?,
            Self::Paused => {
                server.order(&["CLIENT", "PAUSE", &lasts.as_millis().to_string(), "ALL"]).await?;
            }
            Self::Flushed => suffering.repeat(server, FLUSH_EVERY, |_| vec!["FLUSHALL".to_owned()]),
            Self::ReadOnly => {
                // Nobody listens there.
                server.order(&["REPLICAOF", "127.0.0.1", "1"]).await?;
            }
            Self::Evicting => {
                let memory = (server.memory().await? + ROOM).to_string();
                // One sample: whom it forgets is drawn among all.
                for (name, value) in
                    [("maxmemory-samples", "1"), ("maxmemory-policy", "allkeys-lru"), ("maxmemory", &memory)]
                {
                    server.order(&["CONFIG", "SET", name, value]).await?;
                }
                let filler = "x".repeat(FILLER);
                suffering.repeat(server, FILL_EVERY, move |number| {
                    vec!["SET".to_owned(), format!("filler:{number}"), filler.clone()]
                });
            }
            Self::Full => {
                server.order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
                server.order(&["CONFIG", "SET", "maxmemory", "1"]).await?;
            }
        }
        Ok(suffering)
    }

    /// Undoes it, or waits until it is over by itself.
    pub(super) async fn end(self, server: &mut Redis, suffering: Suffering) -> Result<(), AnyError> {
        suffering.stop.store(true, Ordering::Relaxed);
        if let Some(task) = suffering.task {
            task.await?;
        }
        match self {
            Self::Killed => server.begin().await?,
            Self::Paused => sleep_until(suffering.until).await,
            Self::Flushed => {}
            Self::ReadOnly => {
                server.order(&["REPLICAOF", "NO", "ONE"]).await?;
            }
            Self::Evicting | Self::Full => {
                server.order(&["CONFIG", "SET", "maxmemory", "0"]).await?;
            }
        }
        Ok(())
    }
}

impl Suffering {
    /// Gives Redis an order again and again until the end.
    fn repeat(
        &mut self,
        server: &Redis,
        every: Duration,
        order: impl Fn(u64) -> Vec<String> + Send + 'static,
    ) {
        let (stop, address) = (Arc::clone(&self.stop), server.address());
        self.task = Some(task::spawn("fault", async move {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // What it refuses, because it has no room, is what this is for.
                let order = order(number);
                let words: Vec<&str> = order.iter().map(String::as_str).collect();
                let _ = redis::order(address, &words).await;
                tokio::time::sleep(every).await;
            }
        }));
    }
}

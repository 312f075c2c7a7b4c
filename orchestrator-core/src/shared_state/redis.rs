//! Redis, as this core reaches it: a pool of connections, and in front of it the knowledge whether it is there.
//!
//! One failure is enough to know that Redis is away, and from then on nobody waits for it: whoever asks hears [`Away`] at once.
//! Meanwhile it is tried in the background ([`Redis::keep`]) several times a second, and when it takes a write again everybody asks
//! it again, over new connections.
//!
//! All that is kept there begins with the setting `redis.prefix`, has an expiry, and a tag in braces where a script needs several keys
//! in one place of a cluster: [`Redis::key`]. Values are numbers and short texts; nothing is ever executed but our own scripts.

mod books;
mod fallback;
mod grant;
pub mod idempotency;
mod keeping;
mod link;
pub mod news;
mod pace;
mod remote;
mod script;
mod wish;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bb8::{Pool, RunError};
use orchestrator_base::config;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ScriptInvocation, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::link::Links;
pub use self::{grant::RemoteGrant, remote::Remote};
use crate::metrics::RedisMeter;

/// How often Redis is tried while it is away, and how often it is looked at while it is not.
const TRY_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a try may take.
const TRY: Duration = Duration::from_secs(1);
/// How long what a try writes is kept.
const TRACE_MS: u64 = 10_000;

/// Redis has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// Nothing was sent: nothing has happened there.
    Unasked,
    /// It was sent, and no answer came: it may have happened, and may yet.
    Unknown,
    /// It has answered that it will not do it (read-only, out of memory, starting). A script may have been stopped halfway.
    Refused,
}

impl Away {
    /// Whether what was asked may have been done, wholly or in part.
    pub(crate) fn may_have_happened(self) -> bool {
        self != Self::Unasked
    }
}

/// See the module. Cheap to clone; all threads share one.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    pool: Pool<Links>,
    links: Links,
    /// Whether it can be asked; `changed` says when that changes.
    up: AtomicBool,
    changed: watch::Sender<bool>,
    /// Somebody has found it away: it is tried at once.
    lost: Notify,
    command: Duration,
    prefix: String,
    meter: RedisMeter,
}

impl Redis {
    /// Connects to nothing yet, and counts as away until [`Redis::try_now`] or [`Redis::keep`] has found it. Call it on a runtime.
    ///
    /// Errors: the URL is none of Redis's, or the files for it cannot be used.
    pub fn new(settings: &config::Redis) -> Result<Self, String> {
        let links = Links::new(settings)?;
        let pool = Pool::builder()
            .max_size(settings.pool_size)
            // Which only compares two numbers: see `link.rs`.
            .test_on_check_out(true)
            .connection_timeout(Duration::from_millis(settings.checkout_ms))
            .max_lifetime(None)
            .build_unchecked(links.clone());
        Ok(Self(Arc::new(Inner {
            pool,
            links,
            up: AtomicBool::new(false),
            changed: watch::Sender::new(false),
            lost: Notify::new(),
            command: Duration::from_millis(settings.command_ms),
            prefix: settings.prefix.clone(),
            meter: RedisMeter::default(),
        })))
    }

    /// Whether it answered when it was last asked.
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// Says when [`Redis::is_up`] changes.
    pub(crate) fn changes(&self) -> watch::Receiver<bool> {
        self.0.changed.subscribe()
    }

    /// The key of this name. `tag`: what all keys of one script have in common, so that a cluster keeps them together.
    pub(crate) fn key(&self, tag: &str, name: &str) -> String {
        format!("{}{{{tag}}}:{name}", self.0.prefix)
    }

    /// The channel of this name, for news between cores.
    pub(crate) fn channel(&self, name: &str) -> String {
        format!("{}{name}", self.0.prefix)
    }

    /// One command.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        self.run(async |link: &mut MultiplexedConnection| command.query_async(link).await).await
    }

    /// How long it takes to answer now; `None`: it does not, or is known to be away.
    pub(crate) async fn answer_time(&self) -> Option<Duration> {
        let began = Instant::now();
        self.command::<()>(&redis::cmd("PING")).await.ok()?;
        Some(began.elapsed())
    }

    /// Several commands in one round trip.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Away> {
        self.run(async |link: &mut MultiplexedConnection| pipeline.query_async(link).await).await
    }

    /// One script, by its digest; sent whole where Redis does not know it.
    pub(crate) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Away> {
        self.run(async |link: &mut MultiplexedConnection| script.invoke_async(link).await).await
    }

    /// A connection of one's own that listens.
    pub(crate) async fn listener(&self) -> Result<redis::aio::PubSub, Away> {
        if !self.is_up() {
            return Err(Away::Unasked);
        }
        match timeout(TRY, self.0.links.listen()).await {
            Ok(Ok(listener)) => Ok(listener),
            Ok(Err(_)) | Err(_) => Err(Away::Unasked),
        }
    }

    /// How it answers.
    pub fn meter(&self) -> &RedisMeter {
        &self.0.meter
    }

    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Away> {
        let began = Instant::now();
        let done = self.ask(work).await;
        match &done {
            Ok(_) => self.0.meter.answered(began.elapsed()),
            Err(_) => self.0.meter.failed(),
        }
        done
    }

    async fn ask<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Away> {
        if !self.is_up() {
            return Err(Away::Unasked);
        }
        let mut link = match self.while_up(self.0.pool.get()).await {
            Some(Ok(link)) => link,
            None => return Err(Away::Unasked),
            // Many ask at once: that says nothing of Redis.
            Some(Err(RunError::TimedOut)) if self.0.pool.state().connections > 0 => {
                return Err(Away::Unasked);
            }
            Some(Err(RunError::TimedOut)) => return Err(self.lost(Away::Unasked, &"no connection in time")),
            Some(Err(RunError::User(error))) => return Err(self.lost(Away::Unasked, &error)),
        };
        let done = self.while_up(timeout(self.0.command, work(link.connection()))).await;
        match done {
            None => {
                link.set_broken();
                Err(Away::Unknown)
            }
            Some(Ok(Ok(answer))) => Ok(answer),
            Some(Ok(Err(error))) => {
                let (away, is_lost) = judge(&error);
                if !is_lost {
                    tracing::error!(%error, "Redis refused what it was asked");
                    return Err(away);
                }
                link.set_broken();
                Err(self.lost(away, &error))
            }
            Some(Err(_)) => {
                link.set_broken();
                Err(self.lost(Away::Unknown, &"no answer in time"))
            }
        }
    }

    /// Waits for it no longer than until Redis is known to be away.
    pub(crate) async fn while_up<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut changes = self.changes();
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = changes.wait_for(|up| !*up) => None,
        }
    }

    fn lost(&self, away: Away, why: &dyn fmt::Display) -> Away {
        if self.0.up.swap(false, Ordering::AcqRel) {
            tracing::warn!(error = %why, "Redis is away; limits are kept by what this core knows");
            // What lies in the pool is as dead.
            self.0.links.renew();
            self.0.changed.send_replace(false);
            self.0.lost.notify_one();
        }
        away
    }

    fn found(&self) {
        if !self.0.up.swap(true, Ordering::AcqRel) {
            tracing::info!("Redis answers");
            self.0.changed.send_replace(true);
        }
    }

    /// Tries whether it takes a write, over a new connection. Says whether it does.
    pub async fn try_now(&self) -> bool {
        let tried = timeout(TRY, self.0.links.connect_and_write(&self.channel("trace"), TRACE_MS)).await;
        match tried {
            Ok(Ok(link)) => {
                // The first who asks finds a connection.
                let _ = self.0.pool.add(link);
                self.found();
                true
            }
            Ok(Err(error)) => {
                self.lost(Away::Unasked, &error);
                false
            }
            Err(_) => {
                self.lost(Away::Unasked, &"no answer in time");
                false
            }
        }
    }

    /// Finds it again whenever it is away, until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            if !self.is_up() {
                unless(&stop, self.try_now()).await;
            }
            let pause = if self.is_up() { LOOK_EVERY } else { TRY_EVERY };
            let pause = async {
                tokio::select! {
                    () = self.0.lost.notified() => {}
                    () = sleep(pause) => {}
                }
            };
            if unless(&stop, pause).await.is_none() {
                return;
            }
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// What an error says of what was asked, and whether it says that Redis cannot be used now.
fn judge(error: &RedisError) -> (Away, bool) {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::NoPerm,
        )
        | ErrorKind::AuthenticationFailed => (Away::Refused, true),
        ErrorKind::Server(_) | ErrorKind::Extension => (Away::Refused, is_unable(error)),
        ErrorKind::UnexpectedReturnType => (Away::Refused, false),
        _ => (Away::Unknown, true),
    }
}

/// Words with which a server says that it cannot, whoever asks. A script's error has them in its text.
fn is_unable(error: &RedisError) -> bool {
    let words = ["OOM", "MISCONF", "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS", "READONLY", "LOADING"];
    let text = error.to_string();
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;

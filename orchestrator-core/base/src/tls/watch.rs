//! Certificates that change while the process runs.
//!
//! Files are looked at every few seconds, and at SIGHUP at once. What a change brings is in effect for the next connection; those
//! that stand go on under what they began with. Files that cannot be used are left alone, which is said once for each such change,
//! and not at the first look: a certificate and its key are two files, and nobody writes both at once.

use std::time::Duration;

use tokio::{
    signal::unix::Signal,
    task::JoinHandle,
    time::{Instant, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    certificate::About,
    ends::{Ends, Watched, say_loaded, warn_of_end},
    files::fingerprint,
};
use crate::{clock::Clock, signals, task};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How often the log is told of a certificate that ends soon.
const DAY: Duration = Duration::from_hours(24);

impl Ends {
    /// Follows the files until `stop`. Must be called on a runtime that lives on; nothing is spawned where nothing is encrypted.
    pub fn watch(
        &self,
        expiry_warning_days: u32,
        clock: Clock,
        stop: CancellationToken,
    ) -> Option<JoinHandle<Option<()>>> {
        self.watch_every(EVERY, expiry_warning_days, clock, stop)
    }

    /// As [`Ends::watch`], looking as often as is said.
    pub fn watch_every(
        &self,
        every: Duration,
        expiry_warning_days: u32,
        clock: Clock,
        stop: CancellationToken,
    ) -> Option<JoinHandle<Option<()>>> {
        if self.watched.is_empty() {
            return None;
        }
        let looks = self.watched.iter().map(|end| Look::new(end.clone())).collect();
        let hangups = signals::hangups().ok();
        let watch = Watch { looks, days: expiry_warning_days, clock };
        Some(task::spawn("certificates", async move {
            stop.run_until_cancelled(watch.run(every, hangups)).await;
        }))
    }
}

struct Watch {
    looks: Vec<Look>,
    days: u32,
    clock: Clock,
}

impl Watch {
    async fn run(mut self, every: Duration, mut hangups: Option<Signal>) {
        let mut ticks = interval(every);
        let mut warned_at: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(()) = next(&mut hangups) => {}
            }
            let mut has_changed = false;
            for look in &mut self.looks {
                has_changed |= look.again();
            }
            if has_changed || warned_at.is_none_or(|at| at.elapsed() >= DAY) {
                warned_at = Some(Instant::now());
                let now = self.clock.now();
                for look in &self.looks {
                    if let Some(about) = &look.about {
                        warn_of_end(look.end.what(), about, self.days, now);
                    }
                }
            }
        }
    }
}

/// The next SIGHUP; never, where signals cannot be heard.
async fn next(hangups: &mut Option<Signal>) -> Option<()> {
    match hangups {
        Some(hangups) => hangups.recv().await,
        None => std::future::pending().await,
    }
}

/// One end, and what was found at the last look at its files.
struct Look {
    end: std::sync::Arc<Watched>,
    /// What is in use.
    used: Option<u64>,
    /// What could not be used, and whether that was said.
    bad: Option<(u64, bool)>,
    about: Option<About>,
}

impl Look {
    fn new(end: std::sync::Arc<Watched>) -> Self {
        Self { end, used: None, bad: None, about: None }
    }

    /// Whether another certificate is in use than before.
    fn again(&mut self) -> bool {
        let found = fingerprint(self.end.named());
        let was_said = match self.bad {
            _ if self.used == Some(found) => {
                self.bad = None;
                return false;
            }
            Some((bad, true)) if bad == found => return false,
            Some((bad, false)) => bad == found,
            _ => false,
        };
        match self.end.reload() {
            Ok(about) => {
                let is_first = self.used.is_none();
                (self.used, self.bad) = (Some(found), None);
                if !is_first {
                    say_loaded(self.end.what(), about.as_ref());
                }
                self.about = about;
                return true;
            }
            Err(error) => {
                if was_said {
                    tracing::warn!(tls.end = self.end.what(), %error, "new certificate files cannot be used; the former stay in use");
                }
                self.bad = Some((found, was_said));
            }
        }
        false
    }
}

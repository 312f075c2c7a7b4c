//! The stages in which a process ends, so that nobody is cut who can be spared it.
//!
//! | stage | when | what |
//! |---|---|---|
//! | leaving | at the first signal | not ready any more: load balancers look elsewhere |
//! | closing | `shutdown.ready_delay_ms` later | no new connections; GOAWAY and `connection: close` on the old ones |
//! | curfew | `shutdown.drain_ms` later | what still runs ends with an error in its caller's words |
//! | cut | a second later | connections that have not taken even that are closed |
//!
//! A second signal means now: the curfew at once. Whoever is done earlier waits for no stage.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config, curfew::Curfew, task};

/// How long the last word may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that is younger may have its first request on the way: it is treated as idle only when it is older.
const SETTLED: Duration = Duration::from_millis(250);

/// The stages. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    leaving: CancellationToken,
    closing: CancellationToken,
    curfew: Curfew,
    /// With the curfew.
    late: CancellationToken,
    cut: CancellationToken,
}

/// How long each stage waits for the next.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From leaving to closing.
    pub ready_delay: Duration,
    /// From closing to the curfew.
    pub drain: Duration,
}

impl From<&config::ShutdownTimes> for Times {
    fn from(settings: &config::ShutdownTimes) -> Self {
        Self {
            ready_delay: Duration::from_millis(settings.ready_delay_ms),
            drain: Duration::from_millis(settings.drain_ms),
        }
    }
}

impl Times {
    /// By when connections are gone, from the first signal on.
    pub fn all(self) -> Duration {
        self.ready_delay.saturating_add(self.drain).saturating_add(FAREWELL)
    }
}

impl Stages {
    /// Begins with `asked` and hurries with `hurry`. The stages are walked through on the runtime that this is called on, which must
    /// outlive them.
    pub fn begin(asked: CancellationToken, hurry: CancellationToken, times: Times) -> Self {
        let stages = Self { curfew: Curfew::new(), ..Self::default() };
        drop(task::spawn("stopping", stages.clone().walk(asked, hurry, times)));
        stages
    }

    /// With the drain alone, for a server by itself.
    pub fn after(asked: CancellationToken, drain: Duration) -> Self {
        Self::begin(asked, CancellationToken::new(), Times { ready_delay: Duration::ZERO, drain })
    }

    /// The same, for somebody whose requests end with a word from somebody else.
    #[must_use]
    pub fn without_curfew(self) -> Self {
        Self { curfew: Curfew::default(), ..self }
    }

    /// The same for another thread: see [`Curfew::for_thread`].
    #[must_use]
    pub fn for_thread(&self) -> Self {
        Self { curfew: self.curfew.for_thread(), ..self.clone() }
    }

    /// Cancelled when nobody new is wanted.
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Cancelled when nobody new is let in.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Rung when everybody is to end.
    pub fn curfew(&self) -> &Curfew {
        &self.curfew
    }

    /// Cancelled when nothing may go on.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Comes back when a connection that was made at `accepted` is to be told that it ends.
    pub async fn closing_of(&self, accepted: Instant) {
        self.closing.cancelled().await;
        sleep_until(accepted + SETTLED).await;
    }

    /// Waits until `open` have ended, or are cut. Whoever listens calls it once nobody is let in any more.
    pub async fn last_of(&self, open: &TaskTracker) {
        open.close();
        if self.late.run_until_cancelled(open.wait()).await.is_none() {
            let connections = open.len();
            tracing::warn!(
                connections.open = connections,
                "the time to stop in is over; what still runs ends with an error"
            );
        }
        if self.cut.run_until_cancelled(open.wait()).await.is_none() {
            tracing::warn!(
                connections.open = open.len(),
                "connections that have not taken even that are closed"
            );
            open.wait().await;
        }
    }

    async fn walk(self, asked: CancellationToken, hurry: CancellationToken, times: Times) {
        asked.cancelled().await;
        self.leaving.cancel();
        let _ = hurry.run_until_cancelled(sleep(times.ready_delay)).await;
        self.closing.cancel();
        let _ = hurry.run_until_cancelled(sleep(times.drain)).await;
        self.late.cancel();
        self.curfew.ring();
        sleep(FAREWELL).await;
        self.cut.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { ready_delay: Duration::from_secs(5), drain: Duration::from_secs(30) };

    /// When each stage came, in milliseconds after `begun`.
    async fn moments(stages: &Stages, begun: Instant) -> [u128; 4] {
        let at = async |stage: &CancellationToken| {
            stage.cancelled().await;
            begun.elapsed().as_millis()
        };
        let curfew = async {
            stages.curfew.rung().await;
            begun.elapsed().as_millis()
        };
        let (leaving, closing, curfew, cut) =
            tokio::join!(at(&stages.leaving), at(&stages.closing), curfew, at(&stages.cut));
        [leaving, closing, curfew, cut]
    }

    #[tokio::test(start_paused = true)]
    async fn one_stage_follows_the_other() {
        let asked = CancellationToken::new();
        let stages = Stages::begin(asked.clone(), CancellationToken::new(), TIMES);
        sleep(Duration::from_hours(1)).await;
        assert!(!stages.leaving.is_cancelled());
        asked.cancel();
        let begun = Instant::now();
        assert_eq!(moments(&stages, begun).await, [0, 5_000, 35_000, 36_000]);
        assert_eq!(TIMES.all(), Duration::from_secs(36));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_leaves_only_the_last_word() {
        for after in [0, 1_000, 9_000] {
            let (asked, hurry) = (CancellationToken::new(), CancellationToken::new());
            let stages = Stages::begin(asked.clone(), hurry.clone(), TIMES);
            let begun = Instant::now();
            asked.cancel();
            let hurrying = async {
                sleep(Duration::from_millis(after)).await;
                hurry.cancel();
            };
            let (moments, ()) = tokio::join!(moments(&stages, begun), hurrying);
            let after = u128::from(after);
            assert_eq!(moments, [0, after.min(5_000), after, after + 1_000]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_just_been_made_has_a_moment() {
        let asked = CancellationToken::new();
        let stages = Stages::after(asked.clone(), Duration::from_secs(30));
        let old = Instant::now();
        sleep(Duration::from_secs(1)).await;
        let young = Instant::now();
        asked.cancel();
        stages.closing_of(old).await;
        assert_eq!(young.elapsed(), Duration::ZERO);
        stages.closing_of(young).await;
        assert_eq!(young.elapsed(), SETTLED);
    }
}

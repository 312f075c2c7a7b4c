//! How often all cores together ask a provider.

use std::time::Duration;

use super::{
    remote::Remote,
    script::{Answer, Mode, Outcome},
    wish::REQUESTS,
};
use crate::{
    policy::gcra::{Full, Gcra, Rate},
    registry::lock,
};

/// When more is asked than fits at once, which one request never is.
const PAUSE: Duration = Duration::from_secs(1);

impl Remote {
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
}

fn wait(full: Full) -> Duration {
    match full {
        Full::For(micros) => Duration::from_micros(micros),
        Full::Always => PAUSE,
    }
}

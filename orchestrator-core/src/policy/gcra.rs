//! So many requests a minute, by the generic cell rate algorithm (ITU-T I.371): one moment is all that is remembered.
//!
//! Requests may come as a burst of what ten seconds allow, and otherwise as evenly as the limit says. So no minute sees more than
//! the limit and a sixth of it.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_mins(1);
/// How many bursts fill a minute.
const BURSTS: u32 = 6;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gcra {
    /// When the next request would come if all came evenly.
    due: Option<Instant>,
}

impl Gcra {
    /// Until when no request may be made; `None`: one may.
    pub fn barred(&self, now: Instant, per_minute: u32) -> Option<Instant> {
        let burst = (per_minute / BURSTS).max(1);
        let early = interval(per_minute) * (burst - 1);
        let from = self.due?.checked_sub(early)?;
        (now < from).then_some(from)
    }

    /// One is made.
    pub fn take(&mut self, now: Instant, per_minute: u32) {
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(due + interval(per_minute));
    }
}

fn interval(per_minute: u32) -> Duration {
    MINUTE / per_minute.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let (start, mut gcra) = (Instant::now(), Gcra::default());
        for _ in 0..10 {
            assert_eq!(gcra.barred(start, 60), None);
            gcra.take(start, 60);
        }
        assert_eq!(gcra.barred(start, 60), Some(start + Duration::from_secs(1)));
        assert_eq!(gcra.barred(start + Duration::from_secs(1), 60), None);
    }

    proptest! {
        #[test]
        fn no_minute_sees_more_than_the_limit_and_a_sixth(
            per_minute in 1_u32..200,
            steps in prop::collection::vec(0_u64..3_000, 1..600),
        ) {
            let mut now = Instant::now();
            let (mut gcra, mut passed) = (Gcra::default(), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                if gcra.barred(now, per_minute).is_none() {
                    gcra.take(now, per_minute);
                    passed.push(now);
                }
            }
            let most = (per_minute + (per_minute / BURSTS).max(1)) as usize;
            for from in &passed {
                let within = passed.iter().filter(|at| **at >= *from && **at < *from + MINUTE).count();
                prop_assert!(within <= most, "{within} of {most}");
            }
        }
    }
}

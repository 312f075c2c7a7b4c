//! A mean that forgets: what was seen a while ago counts less than what was seen now.

use std::time::Duration;

use tokio::time::Instant;

/// After this long, what was seen counts for a third or so (1/e).
const DECAY: Duration = Duration::from_secs(10);
/// So much of the mean is kept at most,
const MOST_KEPT: f64 = 0.9;
/// which is what a time so short comes to: busy providers need no exponential.
const SHORT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ewma(Option<(Instant, f64)>);

impl Ewma {
    /// Takes one in.
    pub fn saw(&mut self, now: Instant, value: Duration) {
        let seconds = value.as_secs_f64();
        let mean = match self.0 {
            None => seconds,
            Some((last, mean)) => {
                let age = now.saturating_duration_since(last);
                // At least a tenth is new, or a burst within one moment would leave no trace.
                let kept = if age < SHORT {
                    MOST_KEPT
                } else {
                    (-age.as_secs_f64() / DECAY.as_secs_f64()).exp().min(MOST_KEPT)
                };
                mean * kept + seconds * (1.0 - kept)
            }
        };
        self.0 = Some((now, mean));
    }

    /// The mean; `None`: nothing was seen.
    pub fn value(&self) -> Option<Duration> {
        self.0.map(|(_, mean)| Duration::from_secs_f64(mean))
    }

    /// The one of both that saw something last.
    pub fn newer(self, other: &Self) -> Self {
        match (self.0, other.0) {
            (Some((own, _)), Some((theirs, _))) if own >= theirs => self,
            (Some(_), None) => self,
            _ => *other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_new_counts_most_and_what_is_old_hardly() {
        let start = Instant::now();
        let mut mean = Ewma::default();
        assert_eq!(mean.value(), None);
        mean.saw(start, Duration::from_secs(10));
        mean.saw(start, Duration::from_secs(0));
        assert_eq!(mean.value(), Some(Duration::from_secs(9)));
        mean.saw(start + Duration::from_mins(5), Duration::from_secs(1));
        assert_eq!(mean.value().unwrap().as_millis(), 1000);
    }
}

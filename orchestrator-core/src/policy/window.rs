//! Good and bad within the last thirty seconds, in buckets of three.

use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Clone, Debug)]
pub struct Window {
    /// What the buckets are counted from.
    origin: Instant,
    /// The number of the newest bucket.
    newest: u64,
    /// Good and bad; bucket number n stands at n modulo their count.
    buckets: [(u32, u32); BUCKETS],
}

impl Window {
    /// An empty one.
    pub fn new(now: Instant) -> Self {
        Self { origin: now, newest: 0, buckets: [(0, 0); BUCKETS] }
    }

    /// Counts one.
    pub fn count(&mut self, now: Instant, good: bool) {
        self.forget(now);
        let bucket = &mut self.buckets[place(self.newest)];
        let side = if good { &mut bucket.0 } else { &mut bucket.1 };
        *side = side.saturating_add(1);
    }

    /// Good and bad.
    pub fn sums(&mut self, now: Instant) -> (u32, u32) {
        self.forget(now);
        let add = |(good, bad): (u32, u32), bucket: &(u32, u32)| {
            (good.saturating_add(bucket.0), bad.saturating_add(bucket.1))
        };
        self.buckets.iter().fold((0, 0), add)
    }

    /// Empties the buckets that time has passed over.
    fn forget(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.origin).as_secs() / BUCKET.as_secs();
        let current = passed.max(self.newest);
        for step in 1..=(current - self.newest).min(BUCKETS as u64) {
            self.buckets[place(self.newest + step)] = (0, 0);
        }
        self.newest = current;
    }
}

fn place(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_half_a_minute_is_forgotten() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut window = Window::new(start);
        window.count(at(1), false);
        window.count(at(10), true);
        assert_eq!(window.sums(at(29)), (1, 1));
        assert_eq!(window.sums(at(31)), (1, 0));
        window.count(at(31), false);
        assert_eq!(window.sums(at(41)), (0, 1));
        assert_eq!(window.sums(at(1_000_000)), (0, 0));
    }
}

//! Counts over a stretch of time that moves on, in buckets: bounded however much is counted.
//!
//! The wall clock names the buckets. A clock that jumps loses counts, never more than there were, and adds none.

use std::time::Duration;

use orchestrator_base::clock::UnixMicros;
use serde::{Deserialize, Serialize};

use super::Seen;

const HOUR_MICROS: i64 = 3_600_000_000;
const HOURS: i64 = 24;
/// [`Recent`] counts ten of these: five minutes.
const STEP: Duration = Duration::from_secs(30);
const STEPS: i64 = 10;
/// Fewer answers say nothing about a share.
const ENOUGH: u32 = 20;

/// What happened in an hour, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hour {
    /// Hours since 1970.
    pub hour: i64,
    /// Live requests that the provider was asked for.
    pub requests: u64,
    /// Of these, those that showed it alive.
    pub good: u64,
    /// Answers, to probes too, whose time was taken.
    pub timed: u64,
    /// Their time, all together.
    pub time_ms: u64,
}

impl Hour {
    /// Both together; the hour is the first one's.
    pub fn plus(self, other: &Self) -> Self {
        Self {
            hour: self.hour,
            requests: self.requests.saturating_add(other.requests),
            good: self.good.saturating_add(other.good),
            timed: self.timed.saturating_add(other.timed),
            time_ms: self.time_ms.saturating_add(other.time_ms),
        }
    }

    /// In milliseconds; `None` without an answer.
    pub fn mean_ms(&self) -> Option<u64> {
        self.time_ms.checked_div(self.timed)
    }

    /// In percent, 0 to 100; `None` without a request.
    pub fn success_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| 100.0 * self.good as f64 / self.requests as f64)
    }
}

/// The last 24 hours, the one that runs included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hours(Vec<Hour>);

impl Hours {
    /// Counts an outcome. Probes are in no statistics; their time is.
    pub fn saw(&mut self, now: UnixMicros, seen: &Seen) {
        let hour = now.0.div_euclid(HOUR_MICROS);
        self.0.retain(|bucket| is_within(bucket.hour, hour, HOURS));
        let known = self.0.iter().position(|bucket| bucket.hour == hour);
        let place = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(Hour { hour, ..Hour::default() });
        }
        let bucket = &mut self.0[place];
        if seen.revoked {
            bucket.good = bucket.good.saturating_sub(1);
        } else if !seen.probe {
            bucket.requests = bucket.requests.saturating_add(1);
            bucket.good = bucket.good.saturating_add(u64::from(seen.good));
        }
        if seen.answered() {
            bucket.timed = bucket.timed.saturating_add(1);
            bucket.time_ms = bucket.time_ms.saturating_add(seen.latency_ms);
        }
    }

    /// The sum of the last day.
    pub fn day(&self, now: UnixMicros) -> Hour {
        let hour = now.0.div_euclid(HOUR_MICROS);
        let of_day = self.0.iter().filter(|bucket| is_within(bucket.hour, hour, HOURS));
        of_day.fold(Hour { hour, ..Hour::default() }, Hour::plus)
    }

    /// Adds what somebody else has counted, hour by hour.
    pub fn add(&mut self, other: &Self) {
        for theirs in &other.0 {
            match self.0.iter_mut().find(|bucket| bucket.hour == theirs.hour) {
                Some(ours) => *ours = ours.plus(theirs),
                None => self.0.push(*theirs),
            }
        }
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The last five minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    number: i64,
    good: u32,
    all: u32,
}

impl Recent {
    pub(super) fn saw(&mut self, now: UnixMicros, good: bool) {
        let number = step(now);
        self.0.retain(|step| is_within(step.number, number, STEPS));
        let known = self.0.iter().position(|step| step.number == number);
        let place = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(Step { number, good: 0, all: 0 });
        }
        let step = &mut self.0[place];
        step.all = step.all.saturating_add(1);
        step.good = step.good.saturating_add(u32::from(good));
    }

    /// Whether fewer than nine of ten were good, of enough.
    pub(super) fn is_poor(&self, now: UnixMicros) -> bool {
        let number = step(now);
        let (mut good, mut all) = (0_u64, 0_u64);
        for step in self.0.iter().filter(|step| is_within(step.number, number, STEPS)) {
            good += u64::from(step.good);
            all += u64::from(step.all);
        }
        all >= u64::from(ENOUGH) && good * 10 < all * 9
    }
}

fn step(now: UnixMicros) -> i64 {
    now.0.div_euclid(i64::try_from(STEP.as_micros()).unwrap_or(i64::MAX))
}

/// Whether a bucket is one of the last `count`.
fn is_within(bucket: i64, now: i64, count: i64) -> bool {
    (now.saturating_sub(count - 1)..=now).contains(&bucket)
}

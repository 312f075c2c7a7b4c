//! Whether to try again, whom, and how long to wait before.
//!
//! The next candidate comes first, at once: another provider does not share the first one's trouble. The same provider is
//! asked again only when there is no other, after a pause with full jitter (Brooker 2015: "Exponential Backoff And Jitter"),
//! so that many callers do not come back together.

use std::time::Duration;

/// The first pause's upper bound; it doubles with each.
const BASE: Duration = Duration::from_millis(100);
/// No pause is longer.
const CAP: Duration = Duration::from_secs(5);
/// A provider's `Retry-After` is waited for up to here, or up to the caller's own limit; longer ones end the attempts.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(10);

/// Where a request stands after a failure that another attempt might mend.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Attempts made so far, at least 1.
    pub attempts: u32,
    /// Attempts allowed in all.
    pub max_attempts: u32,
    /// Another candidate is left that can be asked at once, or that this request has not asked though its breaker is open.
    pub candidates_left: bool,
    /// One is left that should not be asked now: its breaker is open, or it rests.
    pub barred_left: bool,
    /// How often the provider that failed last has been asked again for this request.
    pub retries_here: u32,
    /// How often it may be.
    pub max_retries_here: u32,
    /// When it said that it is worth coming back.
    pub retry_after: Option<Duration>,
    /// How much time the request has left; `None`: no limit.
    pub time_left: Option<Duration>,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the next candidate, as soon as it may be asked.
    Candidate,
    /// Ask the same provider again after a pause.
    SameAfter(Duration),
    /// Tell the caller.
    GiveUp,
}

/// Decides what follows a failure. `unit` is a random number in `0.0..1.0`.
pub fn next(standing: Standing, unit: f64) -> Next {
    if standing.attempts >= standing.max_attempts || standing.time_left.is_some_and(|left| left.is_zero()) {
        return Next::GiveUp;
    }
    if standing.candidates_left {
        return Next::Candidate;
    }
    match pause(&standing, unit) {
        Some(pause) => Next::SameAfter(pause),
        None if standing.barred_left => Next::Candidate,
        None => Next::GiveUp,
    }
}

/// How long to wait before the same provider is asked again; `None`: it is not.
fn pause(standing: &Standing, unit: f64) -> Option<Duration> {
    if standing.retries_here >= standing.max_retries_here {
        return None;
    }
    // A provider that says "now" is still not asked in a tight loop.
    let jittered = backoff(standing.retries_here).mul_f64(unit);
    let pause = standing.retry_after.map_or(jittered, |after| after.max(jittered));
    // Who says until when it waits is taken at its word.
    let longest = standing.time_left.unwrap_or(RETRY_AFTER_CAP + Duration::from_nanos(1));
    (pause < longest).then_some(pause)
}

/// The upper bound of the pause before the n-th retry, from 0.
fn backoff(retry: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(retry)).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Standing = Standing {
        attempts: 1,
        max_attempts: 3,
        candidates_left: false,
        barred_left: false,
        retries_here: 0,
        max_retries_here: 3,
        retry_after: None,
        time_left: None,
    };

    #[test]
    fn another_candidate_is_asked_at_once() {
        assert_eq!(next(Standing { candidates_left: true, ..ALONE }, 0.5), Next::Candidate);
    }

    #[test]
    fn a_lone_provider_is_asked_again_after_a_jittered_growing_pause() {
        assert_eq!(next(ALONE, 0.5), Next::SameAfter(Duration::from_millis(50)));
        assert_eq!(
            next(Standing { attempts: 2, retries_here: 1, ..ALONE }, 0.5),
            Next::SameAfter(Duration::from_millis(100))
        );
        assert_eq!(backoff(60), CAP);
    }

    #[test]
    fn a_retry_after_is_waited_for_when_it_is_short_and_ends_the_attempts_when_it_is_long() {
        let short = Standing { retry_after: Some(Duration::from_secs(2)), ..ALONE };
        assert_eq!(next(short, 0.5), Next::SameAfter(Duration::from_secs(2)));
        assert_eq!(next(Standing { retry_after: Some(Duration::from_secs(11)), ..ALONE }, 0.5), Next::GiveUp);
    }

    #[test]
    fn a_provider_that_may_be_asked_at_once_is_not_asked_in_a_tight_loop() {
        let now = Standing { retry_after: Some(Duration::ZERO), ..ALONE };
        assert_eq!(next(now, 0.5), Next::SameAfter(Duration::from_millis(50)));
    }

    #[test]
    fn who_is_barred_is_turned_to_when_the_one_that_failed_may_not_be_asked_again() {
        let barred = Standing { barred_left: true, ..ALONE };
        assert_eq!(next(barred, 0.5), Next::SameAfter(Duration::from_millis(50)));
        assert_eq!(next(Standing { max_retries_here: 0, ..barred }, 0.5), Next::Candidate);
        let long = Standing { retry_after: Some(Duration::from_mins(1)), ..barred };
        assert_eq!(next(long, 0.5), Next::Candidate);
    }

    #[test]
    fn attempts_retries_and_time_each_end_it() {
        assert_eq!(next(Standing { attempts: 3, candidates_left: true, ..ALONE }, 0.0), Next::GiveUp);
        assert_eq!(next(Standing { max_retries_here: 0, ..ALONE }, 0.0), Next::GiveUp);
        assert_eq!(
            next(Standing { time_left: Some(Duration::ZERO), candidates_left: true, ..ALONE }, 0.0),
            Next::GiveUp
        );
        assert_eq!(next(Standing { time_left: Some(Duration::from_millis(10)), ..ALONE }, 0.5), Next::GiveUp);
    }
}

//! Open loop: when a request is due is decided before anything is asked, and what is measured begins then.
//!
//! A closed loop asks less while the server stalls and so leaves out just those requests that would have waited (*coordinated
//! omission*). Here they come due all the same; when no connection is free they are sent late, and the wait counts.

use std::{
    hint, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use orchestrator_base::runtime::Workers;
use tokio::time::Instant;

use super::{
    client::{Connection, Errors, Failure, Target},
    times::Times,
};
use crate::script::request::Bodies;

/// So many requests may be under way at once. Each connection is a thread of its own: a timer of the runtime would be exact to
/// a millisecond only, which is more than what is measured.
const CONNECTIONS: usize = 32;
/// From so long before its time a request is waited for without sleeping: a thread wakes up too late by about as much.
const SPIN: Duration = Duration::from_micros(100);
/// Until the connections stand.
const HEAD_START: Duration = Duration::from_millis(300);

/// When requests are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// The first.
    pub(crate) start: Instant,
    /// Between two.
    pub(crate) interval: Duration,
    /// How many.
    pub(crate) count: u64,
}

impl Schedule {
    /// When number `index` is due, from 0; `None` behind the last.
    fn due(&self, index: u64) -> Option<Instant> {
        let after = self.interval.checked_mul(u32::try_from(index).ok()?)?;
        (index < self.count).then(|| self.start + after)
    }
}

/// How to wait for a moment.
trait Pace {
    async fn until(&self, moment: Instant);
}

/// Blocks the thread, which has nothing else to do; exact to a few microseconds.
struct Precise;

impl Pace for Precise {
    async fn until(&self, moment: Instant) {
        thread::sleep(moment.saturating_duration_since(Instant::now() + SPIN));
        while Instant::now() < moment {
            hint::spin_loop();
        }
    }
}

/// Takes requests in turn until there are no more. `ask` gives the moment that ends the time measured.
async fn work<P: Pace>(
    schedule: &Schedule,
    next: &AtomicU64,
    pace: &P,
    errors: &Errors,
    mut ask: impl AsyncFnMut(u64) -> Result<Instant, Failure>,
) -> Times {
    let mut times = Times::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(due) = schedule.due(index) else { return times };
        pace.until(due).await;
        match ask(index).await {
            Ok(ended) => times.add(ended.saturating_duration_since(due)),
            Err(failure) => errors.add(&failure),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// Whole answers: the time until the last byte.
    Whole,
    /// Streams: the time until the first chunk of content.
    FirstToken,
}

/// Requests at a fixed rate, under way.
#[derive(Debug)]
pub(crate) struct Open {
    workers: Workers<Times>,
    errors: Errors,
    /// When the first request is due.
    pub(crate) start: Instant,
}

impl Open {
    /// Connects, and then asks `count` times, `interval` apart.
    pub(crate) fn start(
        target: &Target,
        bodies: &Bodies,
        (interval, count): (Duration, u64),
        ask: Ask,
    ) -> io::Result<Self> {
        let errors = Errors::default();
        let start = Instant::now() + HEAD_START;
        let schedule = Schedule { start, interval, count };
        let next = Arc::<AtomicU64>::default();
        let shared = (target.clone(), bodies.clone(), errors.clone());
        let workers = Workers::start(CONNECTIONS, move |_| {
            let (target, bodies, errors) = shared.clone();
            let next = Arc::clone(&next);
            async move {
                let mut connection = Connection::new(target);
                // One that cannot be made shows in every request on it.
                let _ = connection.connect().await;
                let ask = async |seq| match ask {
                    Ask::Whole => connection.whole(&bodies, seq).await.map(|()| Instant::now()),
                    Ask::FirstToken => first_token(&mut connection, &bodies, seq).await,
                };
                work(&schedule, &next, &Precise, &errors, ask).await
            }
        })?;
        Ok(Self { workers, errors, start })
    }

    /// Waits for all of them. Blocks.
    pub(crate) fn join(self) -> (Times, Errors) {
        let mut times = Times::new();
        for worker in self.workers.join().iter().flatten() {
            times.merge(worker);
        }
        (times, self.errors)
    }
}

async fn first_token(connection: &mut Connection, bodies: &Bodies, seq: u64) -> Result<Instant, Failure> {
    let mut first = None;
    connection
        .stream(bodies, seq, |_| {
            first.get_or_insert_with(Instant::now);
        })
        .await?;
    Ok(first.unwrap_or_else(Instant::now))
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{sleep, sleep_until};

    use super::*;

    /// Waits on the test's paused clock.
    struct Paused;

    impl Pace for Paused {
        async fn until(&self, moment: Instant) {
            sleep_until(moment).await;
        }
    }

    /// 100 requests, one each 10 ms on `connections`; each is answered within 1 ms, but for one second of which the server
    /// answers nobody.
    async fn times_of_a_stall(connections: usize) -> Times {
        let start = Instant::now();
        let schedule = Schedule { start, interval: Duration::from_millis(10), count: 100 };
        let (next, errors) = (AtomicU64::new(0), Errors::default());
        let stall = start + Duration::from_millis(200)..start + Duration::from_millis(1200);
        let ask = async |_| {
            if stall.contains(&Instant::now()) {
                sleep_until(stall.end).await;
            }
            sleep(Duration::from_millis(1)).await;
            Ok(Instant::now())
        };
        let works = (0..connections).map(|_| work(&schedule, &next, &Paused, &errors, ask));
        let mut all = Times::new();
        join_all(works).await.iter().for_each(|times| all.merge(times));
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stalls_is_charged_for_everybody_whom_it_kept_waiting() {
        // One connection or many: those that could not be sent in time waited just as long.
        for connections in [1, 4, 100] {
            let times = times_of_a_stall(connections).await;
            assert_eq!(times.count(), 100);
            // Due from 0.2 s to 0.99 s: 80 of 100 waited, from 1 s down to 0.21 s.
            assert!(times.quantile_us(0.15) < 2_100.0, "{connections}: {}", times.quantile_us(0.15));
            assert!(times.quantile_us(0.25) > 200_000.0, "{connections}: {}", times.quantile_us(0.25));
            assert!(times.quantile_us(0.60) > 500_000.0, "{connections}: {}", times.quantile_us(0.60));
            assert!(times.quantile_us(1.0) > 990_000.0, "{connections}: {}", times.quantile_us(1.0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_is_asked_once_and_at_its_time() {
        let start = Instant::now();
        let schedule = Schedule { start, interval: Duration::from_millis(10), count: 5 };
        let asked = std::cell::RefCell::new(Vec::new());
        let (next, errors) = (AtomicU64::new(0), Errors::default());
        let ask = async |index| {
            asked.borrow_mut().push((index, start.elapsed().as_millis()));
            Ok(Instant::now())
        };
        let works = (0..3).map(|_| work(&schedule, &next, &Paused, &errors, ask));
        join_all(works).await;
        assert_eq!(asked.into_inner(), [(0, 0), (1, 10), (2, 20), (3, 30), (4, 40)]);
    }
}

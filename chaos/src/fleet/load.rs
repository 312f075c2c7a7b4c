//! Callers at a fixed rate, whatever becomes of the answers, until they are told to stop.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orchestrator_base::task;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    ask::{Answered, Ask},
    cores::Key,
    upstream::QUICK,
};
use crate::AnyError;

/// So many are under way at most: a machine that cannot keep up gets fewer requests, and not ever longer queues.
const MOST: usize = 32;

/// The callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answered>>>,
    task: JoinHandle<Option<()>>,
}

impl Load {
    /// So many requests a second begin, quick ones; one of so many asks for a stream.
    pub(crate) fn start(
        edge: SocketAddr,
        key: &Key,
        prefix: &'static str,
        rate: u32,
        stream_each: u32,
    ) -> Self {
        let key = key.clone();
        Self::of(edge, rate, MOST, move |number| {
            let ask = Ask::new(format!("{prefix}{number}"), &key, QUICK);
            ask.stream(number.is_multiple_of(stream_each))
        })
    }

    /// So many requests a second begin, while no more than `most` are under way: what the so-manieth asks, `asks` says.
    pub(crate) fn of(
        edge: SocketAddr,
        rate: u32,
        most: usize,
        asks: impl Fn(u32) -> Ask + Send + 'static,
    ) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, book) = (Arc::clone(&stop), Arc::clone(&answers));
        let task = task::spawn("load", async move {
            let (start, mut under_way) = (Instant::now(), JoinSet::new());
            for number in 0_u32.. {
                sleep_until(start + Duration::from_secs(1) / rate * number).await;
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let ask = asks(number);
                let book = Arc::clone(&book);
                under_way.spawn(async move {
                    let answer = ask.make(edge).await;
                    book.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                });
                while under_way.try_join_next().is_some() {}
                if under_way.len() >= most {
                    under_way.join_next().await;
                }
            }
            under_way.join_all().await;
        });
        Self { stop, answers, task }
    }

    /// How long each whole answer took that was asked for in that time, from the shortest; without those that have not come yet.
    pub(crate) fn times(&self, from: Instant, until: Instant) -> Vec<Duration> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_then = answers.iter().filter(|answer| !answer.stream && (from..until).contains(&answer.sent));
        let mut times: Vec<Duration> = of_then.map(|answer| answer.took).collect();
        times.sort();
        times
    }

    /// Lets all finish, and gives what they got.
    pub(crate) async fn stop(self) -> Result<Vec<Answered>, AnyError> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?.ok_or("the load has ended")?;
        Ok(std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The time that all but so many of a thousand are below.
pub(crate) fn quantile(sorted: &[Duration], of_thousand: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * of_thousand / 1_000).min(last)).copied().unwrap_or_default()
}

/// Between which two times that quantile lies, but for one case in twenty: two standard deviations of how many of so many are below it.
pub(crate) fn confidence(sorted: &[Duration], of_thousand: usize) -> (Duration, Duration) {
    let (count, part) = (sorted.len() as f64, of_thousand as f64 / 1_000.0);
    let deviation = (count * part * (1.0 - part)).sqrt();
    let at = |rank: f64| {
        let last = sorted.len().saturating_sub(1);
        sorted.get((rank.max(0.0) as usize).min(last)).copied().unwrap_or_default()
    };
    (at(count * part - 2.0 * deviation), at((count * part + 2.0 * deviation).ceil()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_leaves_its_part_of_the_times_above_it() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 500), Duration::from_millis(101));
        assert_eq!(quantile(&times, 990), Duration::from_millis(199));
        assert_eq!(quantile(&times[..1], 990), Duration::from_millis(1));
        assert_eq!(quantile(&[], 990), Duration::ZERO);
    }

    #[test]
    fn a_quantile_of_few_times_is_known_between_two_of_them() {
        let times: Vec<Duration> = (1..=450).map(Duration::from_millis).collect();
        assert_eq!(confidence(&times, 990), (Duration::from_millis(442), Duration::from_millis(450)));
        assert_eq!(confidence(&times, 500), (Duration::from_millis(204), Duration::from_millis(248)));
        assert_eq!(confidence(&[], 990), (Duration::ZERO, Duration::ZERO));
    }
}

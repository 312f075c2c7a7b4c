//! Callers who ask without a pause, half of them for streams, until they are told to stop.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    AnyError,
    caller::{Call, Ended},
    outcome::Outcome,
};

/// Half of them ask for streams.
const CALLERS: u64 = 96;
/// After a failure a caller waits a little, as clients do.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the load may take to be what it should.
const PATIENCE: Duration = Duration::from_secs(20);

/// The callers at work.
#[derive(Debug)]
pub(crate) struct Callers {
    shared: Arc<Shared>,
    at_work: JoinSet<Vec<Ended>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The next whole answer's and the next stream's number, halved.
    next: [AtomicU64; 2],
    in_flight: AtomicUsize,
    stop: AtomicBool,
}

impl Callers {
    /// Callers of this gateway.
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let (shared, start) = (Arc::new(Shared::default()), Instant::now());
        let mut at_work = JoinSet::new();
        for caller in 0..CALLERS {
            at_work.spawn(ask_on(Arc::clone(&shared), caller % 2, gateway, start));
        }
        Self { shared, at_work }
    }

    /// How many requests are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Waits until so many are.
    pub(crate) async fn await_in_flight(&self, count: usize) -> Result<(), AnyError> {
        let give_up = Instant::now() + PATIENCE;
        while self.in_flight() < count {
            if Instant::now() > give_up {
                return Err(format!("only {} requests are under way", self.in_flight()).into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets all finish, and gives what became of their calls.
    pub(crate) async fn stop(self) -> Vec<Ended> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.at_work.join_all().await.into_iter().flatten().collect()
    }
}

/// Even numbers are streams (see [`Call::is_stream`]).
async fn ask_on(shared: Arc<Shared>, odd: u64, gateway: SocketAddr, start: Instant) -> Vec<Ended> {
    let mut ended = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.next[odd as usize].fetch_add(1, Ordering::Relaxed) * 2 + odd;
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let done = Call { number }.make(gateway, start).await;
        shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        let failed = matches!(done.outcome, Outcome::Failed(_));
        ended.push(done);
        if failed {
            sleep(PAUSE).await;
        }
    }
    ended
}

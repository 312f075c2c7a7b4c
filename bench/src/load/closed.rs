//! Closed loop: each connection asks again as soon as it was answered.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use orchestrator_base::runtime::{self, Workers};

use super::client::{Connection, Errors, Target};
use crate::script::request::Bodies;

/// A load that runs until it is dropped or stopped.
#[derive(Debug)]
pub(crate) struct Closed {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    errors: Errors,
    workers: Workers<()>,
}

impl Closed {
    /// Starts `connections` of them, spread over a thread for each core.
    pub(crate) fn start(target: &Target, bodies: &Bodies, connections: usize) -> io::Result<Self> {
        let (stop, answered, errors) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Errors::default());
        let threads = runtime::threads(0).min(connections);
        let share = Share {
            target: target.clone(),
            bodies: bodies.clone(),
            stop: Arc::clone(&stop),
            answered: Arc::clone(&answered),
            errors: errors.clone(),
        };
        let workers = Workers::start(threads, move |thread| {
            let own = (thread..connections).step_by(threads);
            let all = join_all(own.map(|number| share.clone().ask_on(number as u64)));
            async move {
                all.await;
            }
        })?;
        Ok(Self { stop, answered, errors, workers })
    }

    /// How many answers there were so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets the requests under way end. Blocks until they have.
    pub(crate) fn stop(self) -> Errors {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.workers.join());
        self.errors
    }
}

#[derive(Clone)]
struct Share {
    target: Target,
    bodies: Bodies,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    errors: Errors,
}

impl Share {
    async fn ask_on(self, number: u64) {
        let mut connection = Connection::new(self.target);
        // Numbers that no other connection uses.
        let mut seq = number * 1_000_000_000;
        while !self.stop.load(Ordering::Relaxed) {
            seq += 1;
            match connection.whole(&self.bodies, seq).await {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure) => {
                    self.errors.add(&failure);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

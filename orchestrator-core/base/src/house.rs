//! What the mains of both binaries open before they serve and close behind them: the background's thread, the signals and what follows
//! them, the service manager.

use std::{io, process::ExitCode, time::Duration};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::Config,
    runtime::{Background, WorkerError},
    signals::Shutdown,
    stopping::{Stages, Times},
    supervisor::{Heartbeat, Supervisor},
    telemetry,
};

/// The exit code of a process that was told twice to stop, and did not wait for what ran.
pub const HURRIED: u8 = 3;

/// See the module.
#[derive(Debug)]
pub struct House {
    /// Where work runs that is no request's.
    pub background: Background,
    /// Whether the process was asked to stop.
    pub shutdown: Shutdown,
    /// How it does.
    pub stages: Stages,
    /// Who is told.
    pub supervisor: Supervisor,
    times: Times,
    heartbeat: Heartbeat,
}

/// What a request thread needs of it.
#[derive(Clone, Debug)]
pub struct Thread {
    /// How the process stops.
    pub stages: Stages,
    supervisor: Supervisor,
    drain: CancellationToken,
}

/// Held by a request thread while it serves.
#[derive(Debug)]
pub struct Alive {
    #[expect(dead_code, reason = "it is held, and ends by being dropped")]
    heartbeat: Heartbeat,
    #[expect(dead_code, reason = "the process must not go on without one of its threads")]
    stop: DropGuard,
}

impl House {
    /// Starts the background's thread, which watches the signals from now on.
    pub fn open(config: &Config) -> io::Result<Self> {
        let background = Background::start()?;
        telemetry::otlp::start(&background);
        let supervisor = Supervisor::of_process()?;
        let (shutdown, times) = (Shutdown::new(), Times::from(&config.shutdown));
        let begun = background.block_on(async {
            shutdown.watch_signals()?;
            let stages = Stages::begin(shutdown.drain().clone(), shutdown.abort().clone(), times);
            Ok::<_, io::Error>((stages, supervisor.heartbeat("background")))
        });
        let (stages, heartbeat) = begun?;
        Ok(Self { background, shutdown, stages, supervisor, times, heartbeat })
    }

    /// What each request thread needs.
    pub fn thread(&self) -> Thread {
        Thread {
            stages: self.stages.clone(),
            supervisor: self.supervisor.clone(),
            drain: self.shutdown.drain().clone(),
        }
    }

    /// Starts something on the background, as long as the process is not asked to stop: nobody waits for a database then.
    pub fn while_wanted<T>(&self, starting: impl Future<Output = T>) -> Option<T> {
        self.background.block_on(self.shutdown.drain().run_until_cancelled(starting))
    }

    /// The process serves. When it is asked to stop, the manager is told how long that takes: until the last connection is gone, and
    /// `afterwards`.
    pub fn ready(&self, status: &str, afterwards: Duration) {
        self.supervisor.ready(status);
        let (supervisor, leaving) = (self.supervisor.clone(), self.stages.leaving().clone());
        // A moment more, for the threads to end in.
        let within = self.times.all() + afterwards + Duration::from_secs(5);
        drop(self.background.spawn("stopping's word", async move {
            leaving.cancelled().await;
            supervisor.stopping(within);
        }));
    }

    /// Ends the background, and says how the process ended, of whose request threads these are the `results`.
    pub fn close(self, results: Vec<Result<io::Result<()>, WorkerError>>) -> ExitCode {
        drop(self.heartbeat);
        telemetry::otlp::finish(&self.background);
        self.background.stop();
        for result in results {
            let failure = match result {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::error!(error = failure, "Stopped, for a request thread has failed");
            return ExitCode::FAILURE;
        }
        if self.shutdown.abort().is_cancelled() {
            tracing::warn!("Stopped at once, as asked");
            return ExitCode::from(HURRIED);
        }
        tracing::info!("Stopped");
        ExitCode::SUCCESS
    }
}

impl Thread {
    /// Call it on the request thread's runtime, and hold what it gives while it serves. A thread that ends before it was asked to, by a
    /// failure or a panic, takes the process with it.
    pub fn begin(&self, index: usize) -> Alive {
        Alive {
            heartbeat: self.supervisor.heartbeat(format!("worker-{index}")),
            stop: self.drain.clone().drop_guard(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{runtime::Workers, task};

    #[test]
    fn a_thread_that_dies_takes_the_process_with_it() {
        let house = House::open(&Config::default()).unwrap();
        let thread = house.thread();
        let workers = Workers::start(2, move |index| {
            let thread = thread.clone();
            async move {
                let _alive = thread.begin(index);
                task::spawn("other work", std::future::pending::<()>());
                assert_ne!(index, 0, "on purpose");
                thread.stages.closing().cancelled().await;
                Ok(())
            }
        });
        let results = workers.unwrap().join();
        assert!(results[0].is_err() && results[1].is_ok());
        assert_eq!(house.close(results), ExitCode::FAILURE);
    }

    #[test]
    fn the_exit_code_says_whether_it_was_told_twice() {
        for (requests, code) in [(1, 0), (2, HURRIED)] {
            let house = House::open(&Config::default()).unwrap();
            for _ in 0..requests {
                house.shutdown.request();
            }
            assert_eq!(house.close(vec![Ok(Ok(()))]), ExitCode::from(code));
        }
    }
}

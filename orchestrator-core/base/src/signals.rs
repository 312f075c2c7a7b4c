//! How the process is asked to stop: first politely, then at once.
//!
//! SIGTERM or SIGINT starts the drain: no new work, what runs may finish. A second one aborts: whoever sends it does not
//! want to wait. Everything that must stop watches one of the two tokens; nothing else knows about signals, but for SIGHUP, which
//! asks a program to read its files again; it ends one whose terminal was closed.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::task;

/// The two tokens of a shutdown. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// Nobody has asked yet, and no signal is watched: see [`Shutdown::watch_signals`].
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on SIGTERM and SIGINT are [requests](Self::request) instead of the process's end. Must be called on a
    /// runtime that outlives the drain; the signals are watched when this returns.
    pub fn watch_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = hangups()?;
        let terminal = io::stderr().is_terminal();
        let shutdown = self.clone();
        task::spawn("signals", async move {
            while !shutdown.abort.is_cancelled() {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                    // A terminal that is closed sends it, and is no terminal any more. All others ask for something else.
                    _ = hangup.recv() => if terminal && !io::stderr().is_terminal() { "SIGHUP" } else { continue },
                };
                tracing::info!(signal = name, "asked to stop");
                shutdown.request();
            }
        });
        Ok(())
    }

    /// Asks the process to stop: the first request drains, any further one aborts.
    pub fn request(&self) {
        if self.drain.is_cancelled() {
            self.abort.cancel();
        } else {
            self.drain.cancel();
        }
    }

    /// Cancelled when new work is to be refused and running work to be finished.
    pub fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Cancelled when running work is to be given up. Never before [`Shutdown::drain`].
    pub fn abort(&self) -> &CancellationToken {
        &self.abort
    }
}

/// From now on SIGHUP is no end of the process: each is given here. Must be called on a runtime that lives on.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn send(name: &str) {
        let command = format!("kill -s {name} {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_aborts() {
        let shutdown = Shutdown::new();
        shutdown.watch_signals().unwrap();

        send("TERM");
        shutdown.drain().cancelled().await;
        assert!(!shutdown.abort().is_cancelled());

        send("INT");
        shutdown.abort().cancelled().await;
    }
}

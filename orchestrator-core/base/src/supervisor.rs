//! What a service manager is told: that the process serves, reads its files again, ends, and that it is not stuck.
//!
//! The words are those of `sd_notify(3)`: datagrams of lines `NAME=VALUE` to the socket that `NOTIFY_SOCKET` names. Without one all
//! of this does nothing. A manager that cannot be told is no reason to stop.
//!
//! **The watchdog** is a thread of its own that looks twice in the time that the manager allows. It says that the process lives only
//! if every runtime has turned since the last look: each runs a task that counts, so a request thread that blocks, or a background that
//! does, is told from one that works.

use std::{
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use crate::{config::Supervision, task};

/// The one of this process.
static OWN: OnceLock<Supervisor> = OnceLock::new();

/// Tells this process's manager that its files are read again, until what is given is dropped.
#[must_use = "dropping it says that the files are read"]
pub fn reloading() -> Reloading {
    OWN.get().cloned().unwrap_or_default().reloading()
}

/// Who watches over this process, if anybody does. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Option<Arc<Line>>);

/// The way to it.
#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    to: SocketAddr,
    watchdog: Option<Duration>,
    beats: Mutex<Vec<Arc<Beat>>>,
    reloads: AtomicUsize,
}

/// A runtime that must turn.
#[derive(Debug)]
struct Beat {
    name: String,
    count: AtomicU64,
}

impl Supervisor {
    /// As the process was told.
    ///
    /// Errors: the socket's name is none, or no socket can be made.
    pub fn new(told: &Supervision) -> io::Result<Self> {
        let Some(name) = &told.socket else { return Ok(Self(None)) };
        let to = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let line = Line {
            socket,
            to,
            watchdog: told.watchdog,
            beats: Mutex::default(),
            reloads: AtomicUsize::new(0),
        };
        let line = Arc::new(line);
        if let Some(allowed) = told.watchdog {
            let (watched, pause) = (Arc::downgrade(&line), allowed / 2);
            thread::Builder::new().name("watchdog".into()).spawn(move || watch(&watched, pause))?;
        }
        Ok(Self(Some(line)))
    }

    /// This process's own, as it was told.
    ///
    /// Errors: see [`Supervisor::new`].
    pub fn of_process() -> io::Result<Self> {
        let supervisor = Self::new(&Supervision::of_process())?;
        Ok(OWN.get_or_init(|| supervisor).clone())
    }

    /// The process serves; `status` is shown to people.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The process ends, which takes at most `within`.
    pub fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        let seconds = within.as_secs();
        self.say(&format!(
            "STOPPING=1\nSTATUS=ending what is under way, within {seconds} s\nEXTEND_TIMEOUT_USEC={micros}"
        ));
    }

    /// The process reads its files again until what is given is dropped.
    #[must_use = "dropping it says that the files are read"]
    pub fn reloading(&self) -> Reloading {
        if let Some(line) = &self.0
            && line.reloads.fetch_add(1, Ordering::AcqRel) == 0
        {
            self.say(&format!("RELOADING=1{}", monotonic()));
        }
        Reloading(self.clone())
    }

    /// From now on the runtime that this is called on must turn, until what is given is dropped. Without a watchdog it is nothing.
    pub fn heartbeat(&self, name: impl Into<String>) -> Heartbeat {
        let line = self.0.as_ref().and_then(|line| Some((line, line.watchdog?)));
        let beating = line.map(|(line, allowed)| {
            let beat = Arc::new(Beat { name: name.into(), count: AtomicU64::new(1) });
            locked(&line.beats).push(Arc::clone(&beat));
            let counted = Arc::clone(&beat);
            let counting = task::spawn("heartbeat", async move {
                loop {
                    counted.count.fetch_add(1, Ordering::Relaxed);
                    // Several in each stretch between two looks, so that a late one does not matter.
                    sleep(allowed / 8).await;
                }
            });
            Beating { line: Arc::downgrade(line), beat, counting }
        });
        Heartbeat(beating)
    }

    fn say(&self, lines: &str) {
        if let Some(line) = &self.0 {
            line.say(lines);
        }
    }
}

impl Line {
    fn say(&self, lines: &str) {
        if let Err(error) = self.socket.send_to_addr(lines.as_bytes(), &self.to) {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }

    /// The runtimes that have not turned since the last look, which `seen` remembers.
    fn stuck(&self, seen: &mut Vec<(Arc<Beat>, u64)>) -> Vec<String> {
        let beats = locked(&self.beats).clone();
        let counts: Vec<_> =
            beats.into_iter().map(|beat| (beat.count.load(Ordering::Relaxed), beat)).collect();
        let stands = |(count, beat): &&(u64, Arc<Beat>)| {
            seen.iter().any(|(known, before)| Arc::ptr_eq(known, beat) && before == count)
        };
        let stuck = counts.iter().filter(stands).map(|(_, beat)| beat.name.clone()).collect();
        *seen = counts.into_iter().map(|(count, beat)| (beat, count)).collect();
        stuck
    }
}

/// Looks for as long as there is somebody to tell.
fn watch(line: &Weak<Line>, pause: Duration) {
    let mut seen = Vec::new();
    while let Some(line) = line.upgrade() {
        let stuck = line.stuck(&mut seen);
        if stuck.is_empty() {
            line.say("WATCHDOG=1");
        } else {
            tracing::error!(threads = ?stuck, "threads do not turn; the watchdog is not told that all is well");
        }
        drop(line);
        thread::sleep(pause);
    }
}

/// See [`Supervisor::reloading`].
#[derive(Debug)]
pub struct Reloading(Supervisor);

impl Drop for Reloading {
    fn drop(&mut self) {
        if let Some(line) = &self.0.0
            && line.reloads.fetch_sub(1, Ordering::AcqRel) == 1
        {
            line.say("READY=1");
        }
    }
}

/// See [`Supervisor::heartbeat`].
#[derive(Debug)]
pub struct Heartbeat(Option<Beating>);

#[derive(Debug)]
struct Beating {
    line: Weak<Line>,
    beat: Arc<Beat>,
    counting: JoinHandle<Option<()>>,
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let Some(Beating { line, beat, counting }) = self.0.take() else { return };
        // A runtime whose future was unwound by a panic does not end in order: its silence is to be noticed.
        if thread::panicking() {
            return;
        }
        counting.abort();
        if let Some(line) = line.upgrade() {
            locked(&line.beats).retain(|known| !Arc::ptr_eq(known, &beat));
        }
    }
}

/// A path, or behind an `@` a name in the abstract namespace.
fn address(name: &std::ffi::OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt as _, unix::ffi::OsStrExt as _};
        if let Some(name) = name.as_bytes().strip_prefix(b"@") {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(name)
}

/// When the reload began, for a manager that matches it with its signal.
fn monotonic() -> String {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        format!("\nMONOTONIC_USEC={micros}")
    }
    #[cfg(not(target_os = "linux"))]
    String::new()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// A service manager.
    struct Manager(UnixDatagram);

    impl Manager {
        fn at(name: &OsString) -> Self {
            let socket = UnixDatagram::bind_addr(&address(name).unwrap()).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            Self(socket)
        }

        fn hears(&self) -> String {
            let mut datagram = [0; 512];
            let length = self.0.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..length].to_vec()).unwrap()
        }

        fn hears_nothing_for(&self, time: Duration) -> bool {
            self.0.set_read_timeout(Some(time)).unwrap();
            let silent = self.0.recv(&mut [0; 512]).is_err();
            self.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            silent
        }
    }

    fn supervisor(socket: OsString, watchdog: Option<Duration>) -> Supervisor {
        Supervisor::new(&Supervision { socket: Some(socket), watchdog }).unwrap()
    }

    #[test]
    fn a_manager_hears_of_every_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").into_os_string();
        let abstract_name = OsString::from(format!("@orchestrator-{}", std::process::id()));
        for name in [path, abstract_name] {
            let manager = Manager::at(&name);
            let supervisor = supervisor(name, None);
            supervisor.ready("serving");
            assert_eq!(manager.hears(), "READY=1\nSTATUS=serving");
            let (outer, inner) = (supervisor.reloading(), supervisor.reloading());
            let said = manager.hears();
            let moment = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(moment.parse::<u64>().unwrap() > 0);
            drop(outer);
            assert!(manager.hears_nothing_for(Duration::from_millis(20)), "one of the two goes on");
            drop(inner);
            assert_eq!(manager.hears(), "READY=1");
            supervisor.stopping(Duration::from_secs(45));
            assert_eq!(
                manager.hears(),
                "STOPPING=1\nSTATUS=ending what is under way, within 45 s\nEXTEND_TIMEOUT_USEC=45000000"
            );
        }
    }

    #[test]
    fn whom_nobody_watches_says_nothing_and_one_who_has_gone_does_no_harm() {
        let nobody = Supervisor::new(&Supervision::default()).unwrap();
        nobody.ready("serving");
        drop(nobody.reloading());
        let folder = tempfile::tempdir().unwrap();
        let gone = supervisor(folder.path().join("nobody").into_os_string(), None);
        gone.ready("serving");
        let nul = Supervision { socket: Some("a\0b".into()), watchdog: None };
        assert!(Supervisor::new(&nul).is_err());
    }

    /// A runtime that blocks is noticed, though the others turn and the process lives.
    #[test]
    fn the_watchdog_is_told_only_while_every_runtime_turns() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("notify").into_os_string();
        let manager = Manager::at(&name);
        let supervisor = supervisor(name, Some(Duration::from_millis(200)));
        let (block, blocked) = std::sync::mpsc::channel::<()>();
        let (turn, turning) = tokio::sync::oneshot::channel::<()>();
        let watched = supervisor.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let beat = watched.heartbeat("worker-0");
                turning.await.unwrap();
                // Blocks its thread, as nothing may.
                let _ = blocked.recv();
                sleep(Duration::from_secs(1)).await;
                drop(beat);
            });
        });
        for _ in 0..4 {
            assert_eq!(manager.hears(), "WATCHDOG=1");
        }
        turn.send(()).unwrap();
        // What was said before the thread blocked, and at most one look during which it still turned.
        let mut silent = false;
        for _ in 0..5 {
            silent = manager.hears_nothing_for(Duration::from_millis(350));
            if silent {
                break;
            }
        }
        assert!(silent, "a thread that does not turn is noticed");
        block.send(()).unwrap();
        assert_eq!(manager.hears(), "WATCHDOG=1", "it turns again");
        thread.join().unwrap();
        assert_eq!(manager.hears(), "WATCHDOG=1", "a runtime that has ended in order is not missed");
    }
}

//! Where lines go: standard error or a file, written by a thread of its own, so that a pipe that nobody reads and a disk that is full
//! or slow are nobody else's trouble.
//!
//! Whoever logs copies its line into a buffer of a bounded size, under a short lock. What does not fit any more is lost, counted, and
//! told as soon as something can be written again. The thread writes what has gathered since it wrote last: at most a few times in
//! ten milliseconds, and at once when a line is urgent.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    mem,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    LogHealth,
    json::{Object, Value},
};
use crate::{clock::Clock, config::LogFormat};

/// The most bytes that wait to be written.
const MOST_BYTES: usize = 1 << 20;
/// How long lines gather before they are written together.
const GATHER: Duration = Duration::from_millis(5);
/// How long to wait for a place in a pipe that somebody else has made non-blocking.
const FULL_PIPE: Duration = Duration::from_millis(5);
/// What a new file lets others do: they may not read who calls from where.
const MODE: u32 = 0o640;

/// Takes lines, and never waits. Clones are the same sink.
#[derive(Clone)]
pub(super) struct Sink(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// The thread has done it.
    done: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    urgent: bool,
    reopen: bool,
    /// Lines lost that were not told yet, and all of them.
    untold: u64,
    lost: u64,
    writing: usize,
    failing: bool,
}

/// What a thread writes to.
enum Target {
    Stderr,
    File {
        file: File,
        path: PathBuf,
    },
    /// For tests.
    #[cfg(test)]
    Any(Box<dyn Write + Send>),
}

impl Sink {
    pub(super) fn stderr(format: LogFormat) -> io::Result<Self> {
        Self::start(Target::Stderr, format)
    }

    /// Opens the file, to write at its end; makes it, if it is not there.
    pub(super) fn file(path: &Path, format: LogFormat) -> io::Result<Self> {
        Self::start(Target::File { file: open(path)?, path: path.to_owned() }, format)
    }

    fn start(target: Target, format: LogFormat) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let writer = Writer { shared: Arc::clone(&shared), target, format, torn: false };
        thread::Builder::new().name("logs".to_owned()).spawn(move || writer.run())?;
        Ok(Self(shared))
    }

    /// Takes a line, which ends with a line feed.
    pub(super) fn push(&self, line: &[u8], urgent: bool) {
        let mut state = self.0.lock();
        if state.lines.len() + line.len() > MOST_BYTES {
            state.untold += 1;
            state.lost += 1;
            return;
        }
        let wake = state.lines.is_empty() || (urgent && !state.urgent);
        state.lines.extend_from_slice(line);
        state.urgent |= urgent;
        drop(state);
        if wake {
            self.0.work.notify_one();
        }
    }

    /// The file is opened again by its name.
    pub(super) fn reopen(&self) {
        let mut state = self.0.lock();
        state.reopen = true;
        drop(state);
        self.0.work.notify_one();
    }

    /// Waits until everything is written, or for that long.
    pub(super) fn flush(&self, within: Duration) {
        let mut state = self.0.lock();
        state.urgent = true;
        self.0.work.notify_one();
        let busy = |state: &mut State| !state.lines.is_empty() || state.writing > 0;
        drop(self.0.done.wait_timeout_while(state, within, busy));
    }

    pub(super) fn health(&self) -> LogHealth {
        let state = self.0.lock();
        LogHealth {
            lost: state.lost,
            waiting_bytes: (state.lines.len() + state.writing) as u64,
            failing: state.failing || state.untold > 0,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    target: Target,
    format: LogFormat,
    /// What was written last ended in the middle of a line.
    torn: bool,
}

impl Writer {
    /// Until the process ends: there is no moment before it at which nobody logs.
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let (reopen, untold) = self.take(&mut batch);
            if reopen && let Err(why) = self.reopen() {
                let line =
                    self.told("the log's file cannot be opened again; the old one is written on", 0, &why);
                self.write(&line);
            }
            if untold > 0 {
                let why = io::Error::other("they were not written as fast as they came");
                batch.extend_from_slice(&self.told("log lines were lost", untold, &why));
            }
            let written = self.write(&batch);
            let mut state = self.shared.lock();
            if !written {
                // The line that tells of others is none that was logged.
                let lines = batch.split_inclusive(|byte| *byte == b'\n').count() as u64;
                let lines = lines.saturating_sub(u64::from(untold > 0));
                state.lost += lines;
                state.untold += lines + untold;
            }
            state.failing = !written;
            state.writing = 0;
            drop(state);
            self.shared.done.notify_all();
            batch.clear();
        }
    }

    /// Waits for work and takes it: lines, whether to open the file again, and how many lines were lost.
    fn take(&self, batch: &mut Vec<u8>) -> (bool, u64) {
        let mut state = self.shared.lock();
        while state.lines.is_empty() && !state.reopen {
            state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let more = |state: &mut State| !state.urgent && !state.reopen;
        let gathered = self.shared.work.wait_timeout_while(state, GATHER, more);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.lines, batch);
        state.writing = batch.len();
        state.urgent = false;
        (mem::take(&mut state.reopen), mem::take(&mut state.untold))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Target::File { file, path } = &mut self.target {
            *file = open(path)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes all of it, or loses the rest.
    fn write(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let torn = mem::replace(&mut self.torn, false);
        let mut rest = bytes;
        if torn {
            // What was cut is no part of the next line.
            let _ = self.target.write(b"\n");
        }
        while !rest.is_empty() {
            match self.target.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
                Err(_) => break,
            }
        }
        self.torn = rest.len() < bytes.len()
            && !rest.is_empty()
            && !bytes[..bytes.len() - rest.len()].ends_with(b"\n");
        rest.is_empty()
    }

    /// A line of the writer's own.
    fn told(&self, what: &str, lost: u64, why: &io::Error) -> Vec<u8> {
        let now = Clock::system().now();
        match self.format {
            LogFormat::Json => {
                let mut line = Object::with_capacity(192);
                line.field("timestamp", &Value::Text(&now.to_string()));
                line.field("level", &Value::Text("WARN"));
                line.field("target", &Value::Text("orchestrator_base::telemetry"));
                line.field("message", &Value::Text(what));
                line.field("error", &Value::Text(&why.to_string()));
                if lost > 0 {
                    line.field("lost", &Value::Whole(lost));
                }
                line.line().into_bytes()
            }
            LogFormat::Pretty => format!("{now}  WARN {what}: {why} (lost: {lost})\n").into_bytes(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr => io::stderr().write(bytes),
            Self::File { file, .. } => file.write(bytes),
            #[cfg(test)]
            Self::Any(target) => target.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Blocks in every write until it is let go, or fails.
    struct Gate {
        open: mpsc::Receiver<io::Result<()>>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)??;
            self.written.send(bytes.to_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Sink, mpsc::Sender<io::Result<()>>, mpsc::Receiver<Vec<u8>>) {
        let ((open, opened), (written, read)) = (mpsc::channel(), mpsc::channel());
        let target = Target::Any(Box::new(Gate { open: opened, written }));
        (Sink::start(target, LogFormat::Json).unwrap(), open, read)
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_lost_is_told() {
        let (sink, open, written) = gated();
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        sink.push(b"first\n", true);
        while sink.health().waiting_bytes != 6 || !sink.0.lock().lines.is_empty() {
            thread::yield_now();
        }
        // The thread stands in its write now, and the buffer takes exactly a thousand and twenty-four of them.
        for _ in 0..1030 {
            sink.push(&line, false);
        }
        let LogHealth { lost, failing, waiting_bytes } = sink.health();
        assert_eq!((lost, failing), (6, true));
        assert!(waiting_bytes <= MOST_BYTES as u64 + 6);
        sink.flush(Duration::from_millis(10));
        open.send(Ok(())).unwrap();
        open.send(Ok(())).unwrap();
        assert_eq!(written.recv_timeout(LONG).unwrap(), b"first\n");
        let rest = String::from_utf8(written.recv_timeout(LONG).unwrap()).unwrap();
        assert_eq!(rest.lines().count(), 1025);
        let last: serde_json::Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
        assert_eq!((&last["message"], &last["lost"]), (&"log lines were lost".into(), &6.into()));
        sink.flush(LONG);
        assert_eq!(sink.health(), LogHealth { lost: 6, waiting_bytes: 0, failing: false });
    }

    #[test]
    fn a_disk_that_is_full_costs_lines_and_nothing_else() {
        let (sink, open, written) = gated();
        open.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        sink.push(b"one\ntwo\n", true);
        sink.flush(LONG);
        assert_eq!(sink.health(), LogHealth { lost: 2, waiting_bytes: 0, failing: true });
        open.send(Ok(())).unwrap();
        sink.push(b"three\n", true);
        let text = String::from_utf8(written.recv_timeout(LONG).unwrap()).unwrap();
        assert!(text.starts_with("three\n") && text.contains("\"lost\":2"), "{text}");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        fs::write(&path, "earlier\n").unwrap();
        let sink = Sink::file(&path, LogFormat::Json).unwrap();
        sink.push(b"one\n", false);
        sink.flush(LONG);
        fs::rename(&path, &moved).unwrap();
        sink.push(b"two\n", false);
        sink.flush(LONG);
        sink.reopen();
        sink.push(b"three\n", false);
        while !path.exists() {
            thread::yield_now();
        }
        sink.flush(LONG);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "earlier\none\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let sink = Sink::file(&logs.join("a.log"), LogFormat::Json).unwrap();
        let moved = folder.path().join("moved");
        fs::rename(&logs, &moved).unwrap();
        sink.reopen();
        sink.push(b"one\n", true);
        sink.flush(LONG);
        let text = fs::read_to_string(moved.join("a.log")).unwrap();
        assert!(text.contains("cannot be opened again") && text.ends_with("one\n"), "{text}");
        assert!(Sink::file(&logs.join("a.log"), LogFormat::Json).is_err());
    }
}

//! Child processes that end with whoever holds them.

use std::{
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::serve::ANNOUNCEMENT;

/// A server in a process of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one of this program's own servers and waits until it listens.
    pub(crate) fn own(arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // The pipe to its standard input stays open as long as this process lives: its end is the child's end.
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self { child: command.spawn()?, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        if let Some(stdout) = process.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix(ANNOUNCEMENT).and_then(|address| address.parse().ok());
        process.address = address.ok_or_else(|| io::Error::other(format!("{arguments:?} did not start")))?;
        Ok(process)
    }

    /// Starts another program, which will listen on `address`.
    pub(crate) fn other(mut command: Command, address: SocketAddr) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self { child: command.spawn()?, address })
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that was built beside this one.
pub(crate) fn sibling(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(io::Error::other(format!("{} is not there: `make bench` builds it", path.display())))
}

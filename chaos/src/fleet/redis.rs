//! A Redis of one's own: the server as a child process on a free port, and the few words of its protocol that tell it what to do.
//!
//! It keeps nothing on disk: whoever kills it has flushed it too.

use std::{
    fmt::Write as _,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{AnyError, gateway::free_address};

/// How long it may take to answer, at its start and later.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server, or the place for one. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Redis {
    address: SocketAddr,
    folder: PathBuf,
    child: Option<Child>,
}

impl Redis {
    /// Starts one whose files lie in this folder, and waits until it answers.
    ///
    /// Errors: it is not installed, or does not start.
    pub(crate) async fn start(folder: &Path) -> Result<Self, AnyError> {
        let mut redis = Self { address: free_address()?, folder: folder.to_owned(), child: None };
        redis.begin().await?;
        Ok(redis)
    }

    /// What the cores are told.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Begins it, for the first time or again, on the same port and without any data.
    pub(crate) async fn begin(&mut self) -> Result<(), AnyError> {
        let log = File::create(self.folder.join("redis.log"))?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string(), "--save", ""])
            .args(["--appendonly", "no", "--dir"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null());
        let begun = command.spawn();
        self.child =
            Some(begun.map_err(|why| format!("redis-server (testkit/packages.sh installs it): {why}"))?);
        let give_up = Instant::now() + PATIENCE;
        while self.order(&["PING"]).await.is_err() {
            if Instant::now() > give_up {
                return Err("redis-server does not answer".into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Ends it at once (SIGKILL), and with it all that it knew.
    pub(crate) fn kill(&mut self) -> Result<(), AnyError> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// How many bytes it uses.
    pub(crate) async fn memory(&self) -> Result<u64, AnyError> {
        let info = self.order(&["INFO", "memory"]).await?;
        let used = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"))
            .ok_or("it says nothing of memory")?;
        Ok(used.trim().parse()?)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives it a command, on a connection of its own, and reads the answer.
    ///
    /// Errors: it refuses, or does not answer.
    pub(crate) async fn order(&self, words: &[&str]) -> Result<String, AnyError> {
        order(self.address, words).await
    }
}

/// The same for who has no more than its address.
pub(crate) async fn order(address: SocketAddr, words: &[&str]) -> Result<String, AnyError> {
    timeout(PATIENCE, exchange(address, words)).await?
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.kill();
    }
}

/// The protocol's arrays are not read: nothing here asks for one.
async fn exchange(address: SocketAddr, words: &[&str]) -> Result<String, AnyError> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", said)) => Ok(said.to_owned()),
        Some(("$", "-1")) => Ok(String::new()),
        Some(("$", length)) => {
            let mut said = vec![0; length.parse()?];
            stream.read_exact(&mut said).await?;
            Ok(String::from_utf8(said)?)
        }
        _ => Err(format!("redis answers {} with {line:?}", words.join(" ")).into()),
    }
}

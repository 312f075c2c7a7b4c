//! Redis: `redis-server`, of Debian's package of that name.
//!
//! It is asked in its own protocol (RESP 2, <https://redis.io/docs/latest/develop/reference/protocol-spec/>), as far as tests need it.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::certificates::Authority;

use super::{START, certificates, first_of, free_port, guard, guard::Guard, missing, quoted};

/// A running server of a test's own.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    /// Where it speaks TLS, if it does.
    tls_port: Option<u16>,
    guard: Guard,
}

impl RedisServer {
    /// Begins one that is empty.
    ///
    /// # Panics
    /// It is not installed, or does not start: in one line that says so.
    pub fn start() -> Self {
        Self::try_start(None).expect("redis-server starts")
    }

    /// Begins one that speaks TLS too, with a certificate of that authority, and asks clients for theirs.
    ///
    /// # Panics
    /// It is not installed, does not start, or has no TLS.
    pub fn start_encrypted(authority: &Authority) -> Self {
        Self::try_start(Some(authority)).expect("redis-server starts")
    }

    fn try_start(authority: Option<&Authority>) -> Result<Self, String> {
        let candidates = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from);
        let program = first_of(candidates).ok_or_else(|| missing("redis-server", "redis-server"))?;
        let account = guard::account("redis");
        let folder = guard::folder(account).map_err(|error| format!("its folder cannot be made: {error}"))?;
        let port = free_port().map_err(|error| format!("there is no free port: {error}"))?;
        let mut command = command(&program, &folder, port);
        let mut tls_port = None;
        if let Some(authority) = authority {
            let port = free_port().map_err(|error| format!("there is no free port: {error}"))?;
            let put = certificates(authority, &folder, account);
            let [cert, key, ca] = put.map_err(|error| error.to_string())?;
            let _ = write!(command, " --tls-port {port} --tls-cert-file {cert} --tls-key-file {key}");
            let _ = write!(command, " --tls-ca-cert-file {ca} --tls-auth-clients yes");
            tls_port = Some(port);
        }
        let guard = Guard::start(&command, "KILL", folder, account).map_err(|error| error.to_string())?;
        let server = Self { port, tls_port, guard };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its URL under TLS.
    ///
    /// # Panics
    /// It was not begun so.
    pub fn encrypted_url(&self) -> String {
        format!("rediss://127.0.0.1:{}/0", self.tls_port.expect("it was started with certificates"))
    }

    /// Kills it, as a machine's failure would: what it held is lost. Its port is free then.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn stop(&self) {
        self.guard.order("stop");
    }

    /// Begins it again, empty, on the same port.
    ///
    /// # Panics
    /// It does not start.
    pub fn resume(&self) {
        self.guard.order("start");
        self.wait_until_it_answers().expect("redis-server starts again");
    }

    /// Makes it hang: its connections stay open, and nothing answers.
    ///
    /// # Panics
    /// It cannot be frozen.
    pub fn freeze(&self) {
        self.guard.order("freeze");
        thread::sleep(Duration::from_millis(100));
    }

    /// Ends what [`RedisServer::freeze`] began.
    ///
    /// # Panics
    /// It cannot be thawed.
    pub fn thaw(&self) {
        self.guard.order("thaw");
    }

    /// Gives it a command, as an operator would, and gives its answer: an array as one line for each element.
    ///
    /// # Panics
    /// It does not answer, or refuses.
    pub fn command(&self, words: &[&str]) -> String {
        let answer = self.ask(words).expect("redis-server answers");
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// Gives it a command; the error is that nobody answers.
    ///
    /// # Errors
    /// It does not answer. A refusal is an answer that begins with `-`.
    pub fn ask(&self, words: &[&str]) -> io::Result<String> {
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut asked = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(asked, "${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(asked.as_bytes())?;
        answer(&mut BufReader::new(stream))
    }

    fn wait_until_it_answers(&self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            if self.ask(&["PING"]).is_ok_and(|answer| answer == "PONG") {
                return Ok(());
            }
            if !self.guard.is_serving() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(format!("it does not answer; it says: {}", self.guard.last_words()))
    }
}

fn command(program: &Path, folder: &Path, port: u16) -> String {
    format!(
        "{} --port {port} --bind 127.0.0.1 --dir {} --save '' --appendonly no --daemonize no --enable-debug-command local",
        quoted(program),
        quoted(folder)
    )
}

/// One value. An error begins with `-`; what is not there is empty.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| io::Error::other("no answer"))?;
    let length = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "$" => {
            let Ok(length) = usize::try_from(length()?) else { return Ok(String::new()) };
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(length);
            String::from_utf8(bytes).map_err(io::Error::other)
        }
        "*" => {
            let elements: io::Result<Vec<String>> = (0..length()?).map(|_| answer(stream)).collect();
            Ok(elements?.join("\n"))
        }
        "-" => Ok(line.to_owned()),
        _ => Ok(rest.to_owned()),
    }
}

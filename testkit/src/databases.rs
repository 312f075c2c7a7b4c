//! Real database servers for tests: MariaDB, PostgreSQL and [Redis](redis), each on a free port with its files in a temporary folder.
//!
//! [`shared`] gives the one server of its kind in this process; each test takes a fresh database in it ([`Server::database`]). A test
//! that stops or freezes a server begins one of its own ([`Server::start`]). A server ends with the process that began it, however
//! that ends: see [`guard`].
//!
//! A server whose program is not installed fails the test that wants it, and says what to install.

mod guard;
mod mariadb;
mod postgres;
pub mod redis;

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

use self::guard::Guard;
use crate::certificates::Authority;

/// Everybody's password. It has what a URL must write with per cents.
const PASSWORD: &str = "p@ss/w:rd";
/// The same in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ard";
/// The user that may do everything.
const USER: &str = "orchestrator";

/// How long a server may take to answer.
const START: Duration = Duration::from_mins(1);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB, which stands for MySQL too.
    MariaDb,
    /// PostgreSQL.
    Postgres,
}

/// What a server keeps through a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// Nothing: its data is thrown away anyway.
    Nothing,
    /// What was committed, as where it is in earnest.
    All,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    guard: Guard,
    databases: AtomicU32,
}

/// The one server of this kind in this process.
///
/// # Panics
/// It is not installed, or does not start: in one line that says so.
pub fn shared(kind: Kind) -> &'static Server {
    static MARIADB: OnceLock<Server> = OnceLock::new();
    static POSTGRES: OnceLock<Server> = OnceLock::new();
    match kind {
        Kind::MariaDb => MARIADB.get_or_init(|| Server::start(kind)),
        Kind::Postgres => POSTGRES.get_or_init(|| Server::start(kind)),
    }
}

impl Server {
    /// Begins a server of one's own.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub fn start(kind: Kind) -> Self {
        Self::try_start(kind, Keeping::Nothing, None).expect("the database server starts")
    }

    /// Begins one that speaks TLS to whoever wants it, with a certificate of that authority.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub fn start_encrypted(kind: Kind, authority: &Authority) -> Self {
        Self::try_start(kind, Keeping::Nothing, Some(authority)).expect("the database server starts")
    }

    /// Begins one with the settings that it is installed with: to be measured.
    ///
    /// # Errors
    /// It is not installed, or does not start: in one line that says so.
    pub fn start_in_earnest(kind: Kind) -> Result<Self, String> {
        Self::try_start(kind, Keeping::All, None)
    }

    fn try_start(kind: Kind, keeping: Keeping, authority: Option<&Authority>) -> Result<Self, String> {
        // PostgreSQL takes SIGTERM for a wish to end once everybody has left, and SIGINT for an order.
        let (user, program, signal) = match kind {
            Kind::MariaDb => ("mysql", mariadb::program()?, "TERM"),
            Kind::Postgres => ("postgres", postgres::program()?, "INT"),
        };
        let account = guard::account(user);
        let folder = guard::folder(account).map_err(|error| format!("its folder cannot be made: {error}"))?;
        match kind {
            Kind::MariaDb => mariadb::prepare(&folder, account)?,
            Kind::Postgres => postgres::prepare(&program, &folder, account)?,
        }
        let port = free_port().map_err(|error| format!("there is no free port: {error}"))?;
        let mut command = match kind {
            Kind::MariaDb => mariadb::command(&program, &folder, port, keeping),
            Kind::Postgres => postgres::command(&program, &folder, port, keeping),
        };
        if let Some(authority) = authority {
            let put = certificates(authority, &folder, account);
            let [cert, key, _] = put.map_err(|error| error.to_string())?;
            let arguments = match kind {
                Kind::MariaDb => format!(" --ssl-cert={cert} --ssl-key={key}"),
                Kind::Postgres => format!(" -c ssl=on -c ssl_cert_file={cert} -c ssl_key_file={key}"),
            };
            command.push_str(&arguments);
        }
        let guard = Guard::start(&command, signal, folder, account).map_err(|error| error.to_string())?;
        let server = Self { kind, port, guard, databases: AtomicU32::new(0) };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// The URL of a database that does not exist yet, and of the server's own, in which it can be made.
    fn url(&self, database: &str) -> String {
        let scheme = match self.kind {
            Kind::MariaDb => "mysql",
            Kind::Postgres => "postgres",
        };
        format!("{scheme}://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    /// The server does not answer: a test's own mistake.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        match self.kind {
            Kind::MariaDb => mariadb::create(&self.url("mysql"), &name).await,
            Kind::Postgres => postgres::create(&self.url("postgres"), &name).await,
        }
        self.url(&name)
    }

    /// Runs statements in the database at `url`, as an operator would.
    ///
    /// # Panics
    /// They fail: a test's own mistake.
    pub async fn run(&self, url: &str, sql: &str) {
        match self.kind {
            Kind::MariaDb => mariadb::run(url, sql).await,
            Kind::Postgres => postgres::run(url, sql).await,
        }
    }

    /// What the first column of a query holds, as text.
    ///
    /// # Panics
    /// It fails: a test's own mistake.
    pub async fn texts(&self, url: &str, sql: &str) -> Vec<String> {
        match self.kind {
            Kind::MariaDb => mariadb::texts(url, sql).await,
            Kind::Postgres => postgres::texts(url, sql).await,
        }
    }

    /// Stops it, as an operator would. Its port is free then.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(&self) {
        self.guard.order("stop");
    }

    /// Begins it again, with the same data, on the same port.
    ///
    /// # Panics
    /// It does not start.
    pub fn resume(&self) {
        self.guard.order("start");
        self.wait_until_it_answers().expect("the database server starts again");
    }

    /// Makes it hang: its connections stay open, and nothing answers.
    ///
    /// # Panics
    /// It cannot be frozen.
    pub fn freeze(&self) {
        self.guard.order("freeze");
        // On a busy machine a thread may run for a moment after its process was told to stop.
        thread::sleep(Duration::from_millis(200));
    }

    /// Ends what [`Server::freeze`] began.
    ///
    /// # Panics
    /// It cannot be thawed.
    pub fn thaw(&self) {
        self.guard.order("thaw");
    }

    fn wait_until_it_answers(&self) -> Result<(), String> {
        let begun = Instant::now();
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        while begun.elapsed() < START {
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if !self.guard.is_serving() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("it does not answer; it says: {}", self.guard.last_words()))
    }
}

/// A server's certificate, its key and the authority, quoted, in the server's own folder: it runs as a user who cannot read the
/// authority's, and PostgreSQL wants a key that nobody else can read.
fn certificates(authority: &Authority, folder: &Path, account: guard::Account) -> io::Result<[String; 3]> {
    let (cert, key) = authority.sign("server", 2099);
    let put = |from: &Path, name: &str| -> io::Result<String> {
        let to = folder.join(name);
        fs::write(&to, fs::read(from)?)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(&to, Some(user), Some(group))?;
        }
        Ok(quoted(&to))
    };
    Ok([put(&cert, "cert.pem")?, put(&key, "key.pem")?, put(&authority.path("ca.pem"), "ca.pem")?])
}

/// A port that nobody had a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The first of these programs that there is.
fn first_of(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}

fn missing(what: &str, package: &str) -> String {
    format!("{what} is not installed: as root, `testkit/packages.sh` or `apt-get install {package}`")
}

/// One word of a shell's command line.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

//! Making connections, and what each of them is told first.

use std::{io, path::Path, str::FromStr as _, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection as _, Database, Executor as _, Pool,
    mysql::{MySqlConnectOptions, MySqlPool},
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgPool},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous},
};

use super::fault::{too_slow, unavailable};
use crate::{metrics::DatabaseMeter, store::StoreError};

/// How long a statement waits for another process's lock on a file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction waits for a connection. On SQLite this and [`BUSY_TIMEOUT`] come one after the other, and whoever administers
/// is told within ten seconds that the file is locked.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a connection that was idle may take to show that it still lives. A server that was restarted says at once that it does not.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections for reading.
const READERS: u32 = 4;
/// Connections for writing, where there can be more than one.
const WRITERS: u32 = 4;
/// An idle connection is closed before a firewall in between forgets it.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// The connections to one database: some change it, some only read.
#[derive(Debug)]
pub(in crate::store) struct Pools<DB: Database> {
    /// Connections that write.
    pub(in crate::store) writers: Pool<DB>,
    /// Connections that read. Writers do not take them away from readers.
    pub(in crate::store) readers: Pool<DB>,
    /// How long they take, and how often they fail.
    pub(in crate::store) meter: Arc<DatabaseMeter>,
}

impl<DB: Database> Clone for Pools<DB> {
    fn clone(&self) -> Self {
        let Self { writers, readers, meter } = self;
        Self { writers: writers.clone(), readers: readers.clone(), meter: Arc::clone(meter) }
    }
}

impl<DB: Database> Pools<DB> {
    fn new(writers: Pool<DB>, readers: Pool<DB>) -> Self {
        Self { writers, readers, meter: Arc::default() }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Opens the file, and makes it (and its folder) when it is not there.
pub(super) async fn sqlite(path: &Path) -> Result<Pools<sqlx::Sqlite>, StoreError> {
    let failed = |at: &Path, error: io::Error| StoreError::Unavailable(format!("{}: {error}", at.display()));
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| failed(folder, error))?;
    }
    make_private(path).await.map_err(|error| failed(path, error))?;
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    let writing = options
        .clone()
        // Where a link leads that leads to nothing yet.
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true);
    // On a full or failing disk SQLite undoes a transaction by itself, and the connection goes on taking it for open: every transaction
    // after it would fail. What was asked to be rolled back has been by now, for a connection is tried before it is handed out.
    let pool = PoolOptions::<sqlx::Sqlite>::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
    // The writer first: it makes the log that a reader needs.
    let writers: SqlitePool =
        pool.clone().max_connections(1).connect_with(writing).await.map_err(unavailable)?;
    let readers =
        pool.max_connections(READERS).connect_with(options.read_only(true)).await.map_err(unavailable)?;
    Ok(Pools::new(writers, readers))
}

/// Makes an empty file that its owner alone may read, which is an empty database to SQLite, and from which `-wal` and `-shm` take their
/// mode. What is there already stays as it is, and is not even opened: closing it would take away SQLite's own locks on it.
pub(in crate::store) async fn make_private(path: &Path) -> io::Result<()> {
    let made = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What a connection to MySQL or MariaDB is told first, whatever the server's own defaults are: nothing is cut to fit, nobody waits
/// long for a lock, and a writing transaction sees what others have committed (with fewer locks than the default level takes).
const MYSQL_SESSION: &str = "SET SESSION \
     sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT', \
     innodb_lock_wait_timeout = 10";
const MYSQL_WRITES: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const MYSQL_READS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";

/// How to connect to MySQL or MariaDB. `utf8mb4_bin` compares byte for byte, as the other databases do, but for spaces at a text's end,
/// which it does not see; it is the one such collation that both MySQL and MariaDB have.
pub(in crate::store) fn mysql_options(url: &str) -> Result<MySqlConnectOptions, StoreError> {
    let options = MySqlConnectOptions::from_str(url).map_err(unavailable)?;
    Ok(options.charset("utf8mb4").collation("utf8mb4_bin"))
}

pub(super) async fn mysql(url: &str) -> Result<Pools<sqlx::MySql>, StoreError> {
    let options = mysql_options(url)?;
    reach(&options).await?;
    let pool = server_pool::<sqlx::MySql>();
    let session = |isolation: &'static str| {
        pool.clone().after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(MYSQL_SESSION).await?;
                connection.execute(isolation).await?;
                Ok(())
            })
        })
    };
    let writers: MySqlPool =
        session(MYSQL_WRITES).max_connections(WRITERS).connect_lazy_with(options.clone());
    let readers = session(MYSQL_READS).max_connections(READERS).connect_lazy_with(options);
    Ok(Pools::new(writers, readers))
}

/// The server ends what this program has given up, and does not keep a lock for a core that is gone.
const POSTGRES_SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '5min'";

pub(in crate::store) fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(unavailable)?;
    Ok(options.application_name("llm-orchestrator"))
}

pub(super) async fn postgres(url: &str) -> Result<Pools<sqlx::Postgres>, StoreError> {
    let options = postgres_options(url)?;
    reach(&options).await?;
    let pool = server_pool::<sqlx::Postgres>().after_connect(|connection, _| {
        Box::pin(async move {
            connection.execute(POSTGRES_SESSION).await?;
            Ok(())
        })
    });
    let writers: PgPool = pool.clone().max_connections(WRITERS).connect_lazy_with(options.clone());
    let readers = pool.max_connections(READERS).connect_lazy_with(options);
    Ok(Pools::new(writers, readers))
}

/// Connects once: a pool would try until its time is up, and then not say why.
async fn reach<O>(options: &O) -> Result<(), StoreError>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
    let connection = connection.unwrap_or_else(|_| Err(too_slow(ACQUIRE_TIMEOUT))).map_err(unavailable)?;
    let _ = tokio::time::timeout(PING_TIMEOUT, connection.close()).await;
    Ok(())
}

/// A pool that tries a connection before it gives it away, so that a server that was restarted is used again at once, and that keeps
/// none on which its owner gave up.
fn server_pool<DB: Database>() -> PoolOptions<DB> {
    PoolOptions::<DB>::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(lives::<DB>(connection)))
        .after_release(|connection, _| Box::pin(lives::<DB>(connection)))
}

async fn lives<DB: Database>(connection: &mut DB::Connection) -> Result<bool, sqlx::Error> {
    let answered = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    answered.unwrap_or_else(|_| Err(too_slow(PING_TIMEOUT))).map(|()| true)
}

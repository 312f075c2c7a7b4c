//! Connections to Redis, and which of them are still to be trusted.
//!
//! The pool asks at each checkout whether a connection is good. Asking Redis would cost a round trip each time; not asking would keep
//! dead connections for ever after a restart. So each connection knows in which *era* it was made, and an era ends with the first
//! failure: whatever was made before is thrown away.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8::ManageConnection;
use orchestrator_base::{config, tls};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ErrorKind, IntoConnectionInfo as _, RedisError,
    TlsCertificates,
    aio::{MultiplexedConnection, PubSub},
    io::tcp::TcpSettings,
};
use secrecy::ExposeSecret as _;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(1);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Links {
    client: Client,
    era: Arc<AtomicU64>,
}

/// A connection.
pub(super) struct Link {
    connection: MultiplexedConnection,
    era: u64,
    broken: bool,
}

impl Link {
    pub(super) fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }

    /// It is not used again.
    pub(super) fn set_broken(&mut self) {
        self.broken = true;
    }
}

impl Links {
    /// Errors: the URL is none of Redis's (it is not quoted), or the files for it cannot be used.
    pub(super) fn new(settings: &config::Redis) -> Result<Self, String> {
        tls::install_crypto();
        let wrong = |_| "redis.url is not a URL of Redis".to_owned();
        let info = settings.url.expose_secret().into_connection_info().map_err(wrong)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = match certificates(settings)? {
            Some(certificates) => Client::build_with_tls(info, certificates).map_err(|error| {
                // Names what is wrong with the files, and nothing of the address.
                format!("redis.ca, redis.cert, redis.key: {error}")
            })?,
            None => Client::open(info).map_err(wrong)?,
        };
        Ok(Self { client, era: Arc::default() })
    }

    /// All connections so far are dead.
    pub(super) fn renew(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    /// A new connection on which a write was done.
    pub(super) async fn connect_and_write(&self, key: &str, keep_ms: u64) -> Result<Link, RedisError> {
        let mut link = self.connect().await?;
        let mut write = redis::cmd("SET");
        write.arg(key).arg(1).arg("PX").arg(keep_ms);
        write.query_async::<()>(&mut link.connection).await?;
        Ok(link)
    }

    /// A connection that listens.
    pub(super) async fn listen(&self) -> Result<PubSub, RedisError> {
        self.client.get_async_pubsub().await
    }

    fn is_good(&self, link: &Link) -> bool {
        !link.broken && link.era == self.era.load(Ordering::Acquire)
    }
}

/// The certificates that the settings name, if they name any.
fn certificates(settings: &config::Redis) -> Result<Option<TlsCertificates>, String> {
    let files = tls::RedisFiles::read(settings).map_err(|error| error.to_string())?;
    Ok(files.map(|files| TlsCertificates {
        client_tls: files
            .identity
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
        root_cert: files.ca,
    }))
}

impl ManageConnection for Links {
    type Connection = Link;
    type Error = RedisError;

    async fn connect(&self) -> Result<Link, RedisError> {
        let era = self.era.load(Ordering::Acquire);
        // Who waits says for how long; this only bounds what nobody waits for any more.
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        Ok(Link { connection, era, broken: false })
    }

    async fn is_valid(&self, link: &mut Link) -> Result<(), RedisError> {
        if self.is_good(link) {
            return Ok(());
        }
        Err((ErrorKind::Io, "the connection is of an earlier time").into())
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        !self.is_good(link)
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

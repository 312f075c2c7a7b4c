//! The listening side: what a handshake needs, and its bounds.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{
    VERSIONS, Wire,
    certificate::About,
    crypto,
    files::{FileError, Identity, Named},
    itself::OwnOrGood,
};
use crate::config::ClientAuth;

/// What a listener shows and asks for.
#[derive(Clone, Debug)]
pub(super) struct ServerFiles {
    pub(super) cert: Named,
    pub(super) key: Named,
    pub(super) client_ca: Option<Named>,
    pub(super) client_auth: ClientAuth,
    /// What is spoken inside, the best first.
    pub(super) protocols: &'static [&'static [u8]],
}

impl ServerFiles {
    pub(super) fn named(&self) -> impl Iterator<Item = &Named> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca)
    }

    /// What the files make, and what the certificate says of itself.
    pub(super) fn build(&self) -> Result<(ServerConfig, Option<About>), FileError> {
        let identity = Identity::read(&self.cert, &self.key)?;
        let about = identity.about();
        let builder = ServerConfig::builder_with_provider(crypto()).with_protocol_versions(VERSIONS);
        let builder = builder.map_err(|error| self.cert.wrong(error))?;
        let builder = match (&self.client_ca, identity.chain.first()) {
            (Some(authorities), Some(own)) => {
                let roots = Arc::new(authorities.authorities()?);
                let good = WebPkiClientVerifier::builder_with_provider(roots, crypto());
                let good = match self.client_auth {
                    ClientAuth::Required => good,
                    ClientAuth::Optional => good.allow_unauthenticated(),
                };
                let others = good.build().map_err(|error| authorities.wrong(error))?;
                builder.with_client_cert_verifier(Arc::new(OwnOrGood { own: own.clone(), others }))
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(identity.chain, identity.key).map_err(|error| {
            self.key.wrong(format_args!("does not go with {}: {error}", self.cert.path.display()))
        })?;
        config.alpn_protocols = self.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok((config, about))
    }
}

/// TLS on a listener. All its threads share one.
#[derive(Debug)]
pub struct Server {
    pub(super) config: ArcSwap<ServerConfig>,
    /// One permit for each handshake that is worked on: each holds memory, and clients that come with a certificate cost time.
    places: Semaphore,
    patience: Duration,
}

impl Server {
    pub(super) fn new(config: ServerConfig, places: usize, patience: Duration) -> Self {
        Self { config: ArcSwap::from_pointee(config), places: Semaphore::new(places), patience }
    }

    /// Shakes hands with a client. Run it in the connection's own task: it may take as long as the client wants, up to
    /// `tls.handshake_timeout_ms`.
    ///
    /// # Errors
    /// The client came without what it needs, too late, or left. It was logged; the connection is at its end.
    pub async fn accept<S>(&self, stream: S, peer: Option<SocketAddr>) -> io::Result<Wire<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let _place = self.places.acquire().await.map_err(io::Error::other)?;
            TlsAcceptor::from(self.config.load_full()).accept(stream).await
        };
        let shaken =
            timeout(self.patience, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let wire = shaken.map(|stream| Wire::Tls(Box::new(TlsStream::Server(stream))));
        match &wire {
            Ok(wire) => {
                if let Some(client) = wire.peer() {
                    tracing::info!(peer = peer.map(tracing::field::display), client.certificate = %client.subject, "a client showed its certificate");
                }
            }
            Err(error) if is_about_certificates(error) => {
                tracing::info!(peer = peer.map(tracing::field::display), %error, "a client was refused at the handshake");
            }
            Err(error) => {
                tracing::debug!(peer = peer.map(tracing::field::display), %error, "a handshake failed");
            }
        }
        wire
    }
}

/// Whether an operator wants to know: everything else is noise, as from whoever tries every port.
fn is_about_certificates(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// A listener and the TLS that is spoken on it, if any.
#[derive(Debug)]
pub struct Listener {
    /// Where clients connect.
    pub socket: std::net::TcpListener,
    /// How they must.
    pub tls: Option<Arc<Server>>,
}

impl From<std::net::TcpListener> for Listener {
    fn from(socket: std::net::TcpListener) -> Self {
        Self { socket, tls: None }
    }
}

/// Shakes hands where that is asked for.
///
/// # Errors
/// As [`Server::accept`].
pub async fn accept<S>(tls: Option<&Server>, stream: S, peer: Option<SocketAddr>) -> io::Result<Wire<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match tls {
        None => Ok(Wire::Plain(stream)),
        Some(server) => server.accept(stream, peer).await,
    }
}

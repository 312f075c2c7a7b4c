//! The calling side: whom it believes, and what it shows.

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{
    VERSIONS, Wire,
    certificate::About,
    crypto,
    files::{FileError, Identity, Named},
    itself::OwnServer,
    server::ServerFiles,
};

const HTTP2: &[u8] = b"h2";

/// What a client needs: the edge to call cores, and whoever speaks to Redis.
#[derive(Clone, Debug)]
pub(super) struct ClientFiles {
    pub(super) ca: Option<Named>,
    pub(super) identity: Option<(Named, Named)>,
}

impl ClientFiles {
    pub(super) fn named(&self) -> impl Iterator<Item = &Named> {
        self.ca.iter().chain(self.identity.iter().flat_map(|(cert, key)| [cert, key]))
    }

    pub(super) fn build(&self) -> Result<(ClientConfig, Option<About>), FileError> {
        let roots = match &self.ca {
            Some(ca) => ca.authorities()?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let builder = ClientConfig::builder_with_provider(crypto())
            .with_protocol_versions(VERSIONS)
            .map_err(|error| FileError { setting: "tls", why: error.to_string() })?
            .with_root_certificates(roots);
        let mut about = None;
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let identity = Identity::read(cert, key)?;
                about = identity.about();
                builder.with_client_auth_cert(identity.chain, identity.key).map_err(|error| {
                    key.wrong(format_args!("does not go with {}: {error}", cert.path.display()))
                })?
            }
        };
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok((config, about))
    }
}

/// TLS towards cores. All threads share one.
#[derive(Debug)]
pub struct Client {
    pub(super) config: ArcSwap<ClientConfig>,
    /// Stands in the certificate instead of the host that is dialled.
    server_name: Option<String>,
    /// What is to be spoken inside.
    protocol: &'static [u8],
}

impl Client {
    pub(super) fn new(config: ClientConfig, server_name: Option<String>) -> Self {
        Self { config: ArcSwap::from_pointee(config), server_name, protocol: HTTP2 }
    }

    /// Shakes hands with a core that was dialled as `host`.
    ///
    /// # Errors
    /// The core's certificate is not believed, ours is not, the core does not speak what we do, or the connection broke.
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<Wire<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let stream = TlsConnector::from(self.config.load_full()).connect(name, stream).await?;
        let wire = Wire::Tls(Box::new(TlsStream::Client(stream)));
        if wire.protocol() != Some(self.protocol) {
            return Err(io::Error::other("the other side does not agree on the protocol"));
        }
        Ok(wire)
    }
}

/// For the health check of the listener that has these files: see [`super::itself`].
pub(super) fn of_itself(files: &ServerFiles) -> Result<Client, FileError> {
    let identity = Identity::read(&files.cert, &files.key)?;
    let Some(own) = identity.chain.first().cloned() else { return Err(files.cert.wrong("is empty")) };
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(VERSIONS)
        .map_err(|error| files.cert.wrong(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OwnServer { own, crypto: crypto() }))
        .with_client_auth_cert(identity.chain, identity.key)
        .map_err(|error| files.key.wrong(error))?;
    // The simplest that it speaks.
    let protocol = files.protocols.last().copied().unwrap_or_default();
    config.alpn_protocols = vec![protocol.to_vec()];
    // Who it is says its certificate alone; some name has to be asked for.
    let server_name = Some("localhost".to_owned());
    Ok(Client { config: ArcSwap::from_pointee(config), server_name, protocol })
}

//! The gateway under TLS, asked by a client that is not ours (rustls by itself, with hyper inside).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use orchestrator_base::{
    config::{ClientAuth, Config},
    task, tls as our_tls,
};
use orchestrator_testkit::certificates::Authority;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway};

/// A test that waits longer than this waits for something that will not happen.
const PATIENCE: Duration = Duration::from_secs(20);
const BOTH: &[&str] = &["h2", "http/1.1"];

/// A client that believes an authority.
pub(crate) struct Believer {
    config: Arc<ClientConfig>,
}

impl Believer {
    /// Without a certificate of its own, in every version, and with these protocols.
    pub(crate) fn new(authority: &Authority, protocols: &[&str]) -> Self {
        Self::with(authority, None, &[&TLS12, &TLS13], protocols)
    }

    /// With a certificate that `signer` makes for it.
    pub(crate) fn certified(authority: &Authority, signer: &Authority) -> Self {
        Self::with(authority, Some(signer), &[&TLS12, &TLS13], BOTH)
    }

    fn with(
        authority: &Authority,
        signer: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Self {
        our_tls::install_crypto();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let mut config = match signer {
            None => builder.with_no_client_auth(),
            Some(signer) => {
                let (cert, key) = signer.sign("caller", 2099);
                let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    /// A connection on which both sides are content: under TLS 1.3 that is known when a byte has come back.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, TlsConnector::from(self.config.clone()).connect(name, stream)).await?
    }

    /// Asks the model `echo` on a connection of its own: version, status and body.
    pub(crate) async fn ask(&self, address: SocketAddr, key: &str) -> io::Result<(Version, u16, String)> {
        let mut caller = Caller::over(self.connect(address).await?).await?;
        caller.ask(key).await
    }
}

/// A connection with HTTP on it.
pub(crate) enum Caller {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Caller {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let is_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        if is_two {
            let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
            let (sender, connection) = shaken.map_err(io::Error::other)?;
            drop(task::spawn("client connection", connection));
            Ok(Self::Two(sender))
        } else {
            let shaken = hyper::client::conn::http1::handshake(stream).await;
            let (sender, connection) = shaken.map_err(io::Error::other)?;
            drop(task::spawn("client connection", connection));
            Ok(Self::One(sender))
        }
    }

    pub(crate) async fn ask(&mut self, key: &str) -> io::Result<(Version, u16, String)> {
        let messages = json!([{"role": "user", "content": "Hello"}]);
        let body = json!({"model": "echo", "stream": true, "messages": messages}).to_string();
        let uri = "https://localhost/v1/chat/completions";
        let request = Request::post(if matches!(self, Self::One(_)) { "/v1/chat/completions" } else { uri })
            .header("host", "localhost")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let exchange = async {
            let answer = match self {
                Self::One(sender) => sender.send_request(request).await,
                Self::Two(sender) => sender.send_request(request).await,
            };
            let (head, body) = answer.map_err(io::Error::other)?.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok((head.version, head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
        };
        timeout(PATIENCE, exchange).await?
    }
}

/// Certificates of this authority everywhere; cores want one of their edges.
fn encrypted(authority: &Authority) -> impl FnOnce(&mut Config) {
    let ((cert, key), ca) = (authority.sign("gateway", 2099), authority.path("ca.pem"));
    move |config| {
        let tls = &mut config.tls;
        (tls.edge_cert, tls.edge_key) = (Some(cert.clone()), Some(key.clone()));
        (tls.grpc_cert, tls.grpc_key) = (Some(cert.clone()), Some(key.clone()));
        (tls.grpc_client_ca, tls.core_ca) = (Some(ca.clone()), Some(ca));
        (tls.core_cert, tls.core_key) = (Some(cert), Some(key));
    }
}

#[tokio::test]
async fn each_protocol_is_spoken_in_each_version_over_both_channels() {
    let authority = Authority::new();
    for channel in CHANNELS {
        let gateway = Gateway::start_with(channel, encrypted(&authority)).await;
        for version in [&TLS12, &TLS13] {
            for (protocols, expected) in [
                (BOTH, Version::HTTP_2),
                (&["http/1.1"][..], Version::HTTP_11),
                // A client that says nothing of protocols is listened to.
                (&[], Version::HTTP_11),
            ] {
                let client = Believer::with(&authority, None, &[version], protocols);
                let (spoken, status, body) = client.ask(gateway.rest, CLIENT_KEY).await.unwrap();
                assert_eq!((spoken, status), (expected, 200), "{channel:?} {version:?} {body}");
                assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
            }
        }
        let rows = gateway.logs(6).await;
        assert!(rows.iter().all(|row| row["client_address"] == "127.0.0.1"), "{rows:?}");
    }
}

#[tokio::test]
async fn who_does_not_encrypt_or_speaks_something_else_is_not_served() {
    let authority = Authority::new();
    let gateway = Gateway::start_with(Channel::Embedded, encrypted(&authority)).await;
    let mut plain = TcpStream::connect(gateway.rest).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is a close too.
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("the connection is closed");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/"), "{answer:?}");

    assert!(Believer::new(&authority, &["spdy/3"]).ask(gateway.rest, CLIENT_KEY).await.is_err());
    let stranger = Authority::new();
    assert!(Believer::new(&stranger, BOTH).ask(gateway.rest, CLIENT_KEY).await.is_err());
}

#[tokio::test]
async fn a_client_without_the_right_certificate_is_refused_at_the_handshake() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (auth, none_is_fine) in [(ClientAuth::Required, false), (ClientAuth::Optional, true)] {
        let gateway = Gateway::start_with(Channel::Embedded, |config| {
            encrypted(&authority)(config);
            config.tls.edge_client_ca = Some(authority.path("ca.pem"));
            config.tls.edge_client_auth = auth;
        })
        .await;
        let good = Believer::certified(&authority, &authority).ask(gateway.rest, CLIENT_KEY).await.unwrap();
        assert_eq!(good.1, 200, "{}", good.2);
        let bad = Believer::certified(&authority, &stranger).ask(gateway.rest, CLIENT_KEY).await;
        assert!(bad.is_err(), "{auth:?}: {bad:?}");
        let none = Believer::new(&authority, BOTH).ask(gateway.rest, CLIENT_KEY).await;
        assert_eq!(none.is_ok(), none_is_fine, "{auth:?}: {none:?}");
        let asked = 1 + usize::from(none_is_fine);
        assert_eq!(gateway.logs(asked).await.len(), asked, "who is refused asks nothing");
    }
}

#[tokio::test]
async fn an_edge_without_the_right_certificate_reaches_no_core() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let start = async |change: &dyn Fn(&mut Config)| {
        let gateway = Gateway::start_with(Channel::Split, |config| {
            encrypted(&authority)(config);
            (config.tls.edge_cert, config.tls.edge_key) = (None, None);
            change(config);
        });
        let gateway = gateway.await;
        let answer = gateway.client.get("/v1/models").await;
        (answer.status, answer.text())
    };
    assert_eq!(start(&|_| {}).await.0, 200);
    let (cert, key) = stranger.sign("edge", 2099);
    let refused: [&dyn Fn(&mut Config); 4] = [
        &|config| (config.tls.core_cert, config.tls.core_key) = (None, None),
        &|config| (config.tls.core_cert, config.tls.core_key) = (Some(cert.clone()), Some(key.clone())),
        &|config| config.tls.core_ca = Some(stranger.path("ca.pem")),
        &|config| config.tls.core_server_name = Some("other.example".into()),
    ];
    for change in refused {
        let (status, said) = start(change).await;
        assert_eq!(status, 503, "{said}");
    }
}

#[tokio::test]
async fn clients_that_shake_hands_slowly_stop_nobody() {
    let authority = Authority::new();
    let gateway = Gateway::start_with(Channel::Embedded, |config| {
        encrypted(&authority)(config);
        config.tls.max_handshakes = 101;
        config.tls.handshake_timeout_ms = 1000;
    })
    .await;
    let mut silent = Vec::new();
    for number in 0..100 {
        let mut client = TcpStream::connect(gateway.rest).await.unwrap();
        if number % 2 == 0 {
            // The head of a ClientHello, and no more of it.
            client.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
        }
        silent.push(client);
    }
    let begun = tokio::time::Instant::now();
    let client = Believer::new(&authority, BOTH);
    assert_eq!(client.ask(gateway.rest, CLIENT_KEY).await.unwrap().1, 200);
    for mut client in silent {
        // Each is closed when its time is over.
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("it is closed");
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "the slow ones had their time");
}

#[tokio::test]
async fn a_trusted_proxy_says_for_whom_it_speaks_and_nobody_else_does() {
    for channel in CHANNELS {
        for (trusted, expected) in [(None, "127.0.0.1"), (Some("127.0.0.0/8"), "198.51.100.7")] {
            let gateway = Gateway::start_with(channel, |config| {
                config.edge.trusted_proxies =
                    trusted.iter().map(|network| network.parse().unwrap()).collect();
            })
            .await;
            let headers = [("x-forwarded-for", "6.6.6.6, 198.51.100.7"), ("forwarded", "for=6.6.6.6")];
            let body = json!({"model": "echo", "messages": [{"role": "user", "content": "Hello"}]});
            let answer = gateway.client.send(
                http::Method::POST,
                "/v1/chat/completions",
                &headers,
                body.to_string().into(),
            );
            assert_eq!(answer.await.status, 200);
            assert_eq!(gateway.logs(1).await[0]["client_address"], expected, "{channel:?} {trusted:?}");

            let body = json!({"name": "by-proxy"}).to_string();
            let made = gateway.admin.send(http::Method::POST, "/admin/models", &headers, body.into()).await;
            assert_eq!(made.status, 201, "{}", made.text());
            let audit = gateway.rows("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1").await;
            let told = audit[0].to_string();
            assert!(told.contains(expected) && !told.contains("6.6.6.6"), "{told}");
        }
    }
}

//! The accept loop: HTTP/1.1 and HTTP/2 on one port, in the clear or under TLS, with the bounds that keep one client from harming others.
//!
//! Why not `axum::serve`, nor hyper-util's `auto` builder: the first can set no limit at all; the second waits without a
//! limit for the bytes that tell the two protocols apart, and cannot bound an HTTP/1 head in bytes.
//!
//! | bound | what happens |
//! |---|---|
//! | the handshake takes too long, or too many are under way | the connection is closed; a place is waited for |
//! | the first bytes, or the head, come too slowly | the connection is closed |
//! | head too large, too many headers, URL too long | 431, 414: here coarsely, exactly in `layers.rs` |
//! | HTTP/2: more than 256 streams, 20 pending resets, 32 KiB of headers | the protocol's own refusals |
//! | the client reads nothing for `edge.write_timeout_ms` | the connection is closed |

mod head;
mod io;

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use orchestrator_base::{config, live::Live, stopping::Stages, task, tls};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower::Service as _;

use self::{
    head::{GuardedBody, HeadClock, UnderWay},
    io::{ClientIo, Protocol, Watched, tell_protocol},
};
use crate::{App, forwarded, metrics::Metrics};

const MAX_STREAMS: u32 = 256;
const MAX_PENDING_RESETS: usize = 20;
/// How long an HTTP/1 connection may idle between two requests: longer than load balancers keep theirs (a minute).
const IDLE: Duration = Duration::from_secs(75);
/// Pings find clients that vanished without a word.
const PING_EVERY: Duration = Duration::from_secs(20);
/// hyper parses up to this many headers without allocating.
const FREE_HEADERS: usize = 100;
/// Room in the coarse limit for the request line, so that a long URL is told apart from large headers.
const REQUEST_LINE_BYTES: usize = 16 * 1024;
/// How long to wait after a failed accept: file descriptors are probably used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from, as an extension of it: the peer, or for whom a trusted proxy speaks, then with port 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Serves `app` on `listener` until its stages close it; then gives the answers under way until they are cut to end.
///
/// Must run inside the runtime that is to do the work. Fails only when the listener cannot be used at all.
pub async fn serve(listener: impl Into<tls::Listener>, app: App) -> std::io::Result<()> {
    let tls::Listener { socket, tls } = listener.into();
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket)?;
    let stages = app.edge.stages.clone();
    let (settings, metrics) = (app.edge.settings.clone(), app.edge.metrics.clone());
    let server = Server { router: app.router, settings, tls, metrics, stages };
    let connections = TaskTracker::new();
    let begin = |stream, peer| {
        let connection = server.clone().connection(stream, peer);
        task::spawn("client-connection", connections.track_future(connection));
    };

    while let Some(accepted) = server.stages.closing().run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => begin(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    // Who has connected already is served; who comes later is refused rather than left waiting.
    let listener = listener.into_std()?;
    while let Ok((stream, peer)) = listener.accept() {
        stream.set_nonblocking(true)?;
        begin(TcpStream::from_std(stream)?, peer);
    }
    drop(listener);
    server.stages.last_of(&connections).await;
    Ok(())
}

#[derive(Clone)]
struct Server {
    router: Router,
    settings: Live<config::Edge>,
    tls: Option<Arc<tls::Server>>,
    metrics: Arc<Metrics>,
    stages: Stages,
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        let _present = self.metrics.connection();
        // Without it small writes wait for acknowledgements: up to 40 ms a chunk.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let settings = self.settings.load_full();
        let stream = Watched::new(stream, Duration::from_millis(settings.write_timeout_ms));
        let shaken = tokio::select! {
            shaken = tls::accept(self.tls.as_deref(), stream, Some(peer)) => shaken,
            () = self.stages.closing_of(Instant::now()) => return,
        };
        // Why not is in the log.
        let Ok(wire) = shaken else { return };
        let mut client = ClientIo::new(wire);
        // Only now can a request be on its way.
        let accepted = Instant::now();
        let patience = Duration::from_millis(settings.header_timeout_ms);
        let told = tokio::select! {
            told = timeout(patience, tell_protocol(&mut client)) => told,
            () = self.stages.closing_of(accepted) => return,
        };
        match told {
            Ok(Ok(Protocol::Http1)) => self.http1(client, peer, accepted, &settings).await,
            Ok(Ok(Protocol::Http2)) => self.http2(client, peer, accepted, &settings).await,
            Ok(Err(_)) | Err(_) => {}
        }
    }

    async fn http1(
        &self,
        mut client: ClientIo,
        peer: SocketAddr,
        accepted: Instant,
        settings: &Arc<config::Edge>,
    ) {
        let under_way = UnderWay::default();
        let patience = Duration::from_millis(settings.header_timeout_ms);
        client.time_heads(HeadClock::new(patience, under_way.clone()));
        let (router, asked, busy) = (self.router.clone(), Arc::clone(settings), under_way.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let guard = under_way.begin();
            note_address(&mut request, peer, &asked);
            // A router is always ready.
            let answer = router.clone().call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| GuardedBody::new(body, guard))) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // In effect between requests; `head.rs` says why.
            .header_read_timeout(IDLE.max(patience))
            .max_header_size(settings.max_header_bytes.saturating_add(REQUEST_LINE_BYTES));
        if settings.max_headers > FREE_HEADERS {
            builder.max_headers(settings.max_headers);
        }
        let connection = builder.serve_connection(TokioIo::new(client), service);
        let mut connection = pin!(connection);
        let told = async {
            self.stages.closing().cancelled().await;
            if !busy.is() {
                self.stages.closing_of(accepted).await;
            }
        };
        if Self::until_closing(told, connection.as_mut()).await {
            connection.as_mut().graceful_shutdown();
            self.stages.cut().run_until_cancelled(connection).await;
        }
    }

    async fn http2(
        &self,
        client: ClientIo,
        peer: SocketAddr,
        accepted: Instant,
        settings: &Arc<config::Edge>,
    ) {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        let (router, asked) = (self.router.clone(), Arc::clone(settings));
        let service = service_fn(move |mut request: Request<Incoming>| {
            note_address(&mut request, peer, &asked);
            router.clone().call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(client), service);
        let mut connection = pin!(connection);
        if Self::until_closing(self.stages.closing_of(accepted), connection.as_mut()).await {
            connection.as_mut().graceful_shutdown();
            self.stages.cut().run_until_cancelled(connection).await;
        }
    }

    /// Runs a connection until it ends (false) or is `told` to (true).
    async fn until_closing<C>(told: impl Future<Output = ()>, connection: C) -> bool
    where
        C: Future<Output = hyper::Result<()>>,
    {
        tokio::select! {
            // A client that leaves, or speaks no HTTP, is no event of ours.
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                false
            }
            () = told => true,
        }
    }
}

fn note_address(request: &mut Request<Incoming>, peer: SocketAddr, settings: &Arc<config::Edge>) {
    let from = forwarded::client(request.headers(), peer, &settings.trusted_proxies, settings.proxy_header);
    request.extensions_mut().insert(PeerAddress(from));
}

#[cfg(test)]
mod tests;

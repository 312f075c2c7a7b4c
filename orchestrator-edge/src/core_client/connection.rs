//! One address of a core and the HTTP/2 connections to it.
//!
//! The windows are measured, not guessed: with HTTP/2's defaults four clients that do not read stop everybody else on the
//! connection. 64 KiB a stream bounds what one stalled client can hold; 1 GiB a connection means that a hundred of them
//! together do not use up what the others share. The window is a promise: only stalled data takes memory.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use orchestrator_base::{
    task,
    tls::{self, Wire},
};
use pin_project_lite::pin_project;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic::{Status, body::Body};

use super::{begun, greeting::Greeted};

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// An address that took longer than this to say no is left alone for a while, so that not every request waits for it. One that
/// refuses at once is dialled again each time: that costs nobody anything, and the core may be there a moment later.
const PROMPT: Duration = Duration::from_millis(100);
/// How long it is left alone.
const REST: Duration = Duration::from_secs(1);
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 30;
/// From this many streams on, the next one gets another connection.
const STREAMS_A_CONNECTION: usize = 512;
/// Beyond this many connections the least busy one takes what comes.
const CONNECTIONS: usize = 32;

/// One address of a core.
pub(super) struct Address {
    pub(super) authority: Authority,
    pub(super) at: SocketAddr,
    /// For an endpoint that begins with `https`.
    tls: Option<Arc<tls::Client>>,
    connections: Mutex<Vec<Connection>>,
    rests_until: Mutex<Option<Instant>>,
    /// It could not be reached the last time.
    away: AtomicBool,
    /// Held by whoever is dialling, so that a burst dials once.
    dialling: tokio::sync::Mutex<()>,
}

struct Connection {
    sender: SendRequest<Body>,
    active: Arc<AtomicUsize>,
}

/// A place on a connection; given back when dropped.
struct Lease {
    sender: SendRequest<Body>,
    place: Place,
}

/// Counts one active stream for as long as it lives.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(active: &Arc<AtomicUsize>) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        Self(active.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that got no answer.
pub(super) struct Failure {
    /// The request, when none of it was written: it may be sent elsewhere.
    pub(super) unsent: Option<Request<Body>>,
    /// The core may have begun to work on it: it was written, and the core has not said that it did not.
    pub(super) begun: bool,
}

impl Address {
    pub(super) fn new(authority: Authority, at: SocketAddr, tls: Option<Arc<tls::Client>>) -> Self {
        let dialling = tokio::sync::Mutex::new(());
        let (connections, rests_until, away) = Default::default();
        Self { authority, at, tls, connections, rests_until, away, dialling }
    }

    /// Whether this address failed a moment ago.
    pub(super) fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Sends the request here; on a connection that turns out to be closed it is tried once more on another.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        self.address_request(&mut request);
        for _ in 0..2 {
            let Some(lease) = self.lease().await else { break };
            let Lease { mut sender, place } = lease;
            let id = request.headers().get("x-request-id").cloned();
            let mut error = match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok(response.map(|incoming| Body::new(AnswerBody { incoming, _place: place })));
                }
                Err(error) => error,
            };
            let Some(unsent) = error.take_message() else {
                let begun = !begun::refused_unbegun(error.error());
                let (request_id, error) = (id.as_ref().and_then(|id| id.to_str().ok()), error.error());
                tracing::warn!(request_id, core.address = %self.at, %error, begun, "a call to the core was lost");
                return Err(Failure { unsent: None, begun });
            };
            request = unsent;
        }
        Err(Failure { unsent: Some(request), begun: false })
    }

    /// HTTP/2 needs the scheme and the authority in the request line; the client knows the path alone.
    fn address_request(&self, request: &mut Request<Body>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        // Scheme, authority and a path that was part of a URI always make a URI.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }

    /// A place on a connection that has room, dialling when there is none. `None`: this address cannot be reached.
    async fn lease(&self) -> Option<Lease> {
        if let Some(lease) = self.open_lease(STREAMS_A_CONNECTION) {
            return Some(lease);
        }
        let _turn = self.dialling.lock().await;
        // Who waited for the lock uses what its holder has dialled, and believes its failure.
        if let Some(lease) = self.open_lease(STREAMS_A_CONNECTION) {
            return Some(lease);
        }
        if self.rests() {
            return self.open_lease(usize::MAX);
        }
        let dialled_at = Instant::now();
        match self.dial().await {
            Ok(sender) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(core.address = %self.at, "the core can be reached again");
                }
                let active = Arc::default();
                let lease = Lease { sender: sender.clone(), place: Place::take(&active) };
                self.connections().push(Connection { sender, active });
                Some(lease)
            }
            Err(error) => {
                // Said once: while it is away every request may find it so.
                if self.away.swap(true, Ordering::Relaxed) {
                    tracing::debug!(core.address = %self.at, %error, "the core cannot be reached");
                } else {
                    tracing::warn!(core.address = %self.at, %error, "the core cannot be reached");
                }
                if dialled_at.elapsed() > PROMPT {
                    let until = Instant::now() + REST;
                    *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                }
                self.open_lease(usize::MAX)
            }
        }
    }

    /// A place on the least busy open connection, if it has fewer than `limit` streams or no more may be opened.
    fn open_lease(&self, limit: usize) -> Option<Lease> {
        let mut connections = self.connections();
        connections.retain(|connection| !connection.sender.is_closed());
        let limit = if connections.len() >= CONNECTIONS { usize::MAX } else { limit };
        let least_busy = connections.iter().min_by_key(|each| each.active.load(Ordering::Relaxed))?;
        if least_busy.active.load(Ordering::Relaxed) >= limit {
            return None;
        }
        Some(Lease { sender: least_busy.sender.clone(), place: Place::take(&least_busy.active) })
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<SendRequest<Body>, tower::BoxError> {
        let dialled = timeout(CONNECT_WITHIN, async {
            let stream = TcpStream::connect(self.at).await?;
            stream.set_nodelay(true)?;
            let stream = match &self.tls {
                Some(tls) => tls.connect(self.authority.host().trim_matches(['[', ']']), stream).await?,
                None => Wire::Plain(stream),
            };
            // Around what is inside TLS: a handshake is no word of the core's yet.
            let (stream, greeted) = Greeted::new(stream);
            let handshake = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true)
                .handshake(TokioIo::new(stream));
            let (sender, connection) = handshake.await?;
            let at = self.at;
            task::spawn("core-connection", async move {
                if let Err(error) = connection.await {
                    tracing::warn!(core.address = %at, %error, "a connection to the core ended");
                }
            });
            greeted.await.map_err(|_| "the connection ended before the core said anything")?;
            Ok::<_, tower::BoxError>(sender)
        });
        dialled.await?
    }

    /// How many connections stand, for tests of the pool's size.
    #[cfg(test)]
    pub(super) fn open_connections(&self) -> usize {
        self.connections().len()
    }
}

pin_project! {
    /// An answer's body, which keeps its place on the connection until it is read or dropped.
    struct AnswerBody {
        #[pin]
        incoming: Incoming,
        _place: Place,
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(self.project().incoming.poll_frame(cx));
        // Whatever broke, an answer that has no trailers is a core that was lost.
        Poll::Ready(
            frame.map(|frame| frame.map_err(|_| Status::unavailable("the connection to the core broke"))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

//! Serves a [`CoreService`] over HTTP/2, on the runtime that it is called on: one `serve` on each request thread.
//!
//! hyper's own HTTP/2 server rather than tonic's: tonic's shutdown waits for ever on open streams, and its connections cannot
//! be ended from outside.

use std::{io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use orchestrator_base::{stopping::Stages, task, tls};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{body::Body, transport::server::TcpConnectInfo};
use tower::ServiceExt as _;

use crate::routes::CoreService;

/// How much unread request data a connection holds in all. A promise rather than memory: with a small window a few requests
/// that nobody reads stop every other on their connection.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// How much unread data one request holds: larger ones are read piece by piece, so that a 32 MiB body does not have to lie in
/// the connection's buffers whole.
const STREAM_WINDOW: u32 = 1 << 20;

/// How many calls may be reset before they were looked at. An edge whose clients leave all at once resets hundreds; HTTP/2
/// servers take more than 20 for an attack and close the connection with all its other calls.
const PENDING_RESETS: usize = 1024;

/// A peer that has gone without a word is noticed after this long plus [`PING_TIMEOUT`]. Peers may ping us as often as they
/// like: pings are answered and never counted.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Waited after an accept failed for want of a resource (file descriptors): trying again at once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the `stages` close it, then lets go: no new connections, GOAWAY on the old ones, and what is under way may end until
/// it is cut off.
///
/// Errors: the listener cannot be registered with the runtime.
pub async fn serve(
    listener: impl Into<tls::Listener>,
    service: CoreService,
    stages: Stages,
) -> io::Result<()> {
    let tls::Listener { socket, tls } = listener.into();
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket)?;
    let open = TaskTracker::new();
    // Cut on every way out, a dropped `serve` included: no connection outlives it.
    let cut = stages.cut().child_token();
    let _cut_at_the_end = cut.clone().drop_guard();
    let begin = |socket| {
        let connection = serve_connection(socket, tls.clone(), service.clone(), stages.clone(), cut.clone());
        drop(task::spawn("grpc connection", open.track_future(connection)));
    };

    while let Some(socket) = stages.closing().run_until_cancelled(accept(&listener)).await {
        begin(socket);
    }
    // Who has connected already is served; who comes later is refused rather than left waiting.
    let listener = listener.into_std()?;
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true)?;
        begin(TcpStream::from_std(socket)?);
    }
    drop(listener);
    stages.last_of(&open).await;
    Ok(())
}

/// The next connection. A failed accept is about one peer, or passes: it ends nothing.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    socket: TcpStream,
    tls: Option<Arc<tls::Server>>,
    service: CoreService,
    stages: Stages,
    cut: CancellationToken,
) {
    // Without it, a stream's small messages wait for each other's acknowledgements, up to 45 ms each.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection went before it was served");
        return;
    }
    let peer = TcpConnectInfo { local_addr: socket.local_addr().ok(), remote_addr: socket.peer_addr().ok() };
    let shaken = tokio::select! {
        shaken = tls::accept(tls.as_deref(), socket, peer.remote_addr) => shaken,
        () = stages.closing_of(Instant::now()) => return,
        () = cut.cancelled() => return,
    };
    // Why not is in the log.
    let Ok(socket) = shaken else { return };
    // Only now can a call be on its way.
    let accepted = Instant::now();
    let handler = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        service.clone().oneshot(request)
    });
    let mut connection = pin!(http2_settings().serve_connection(TokioIo::new(socket), handler));
    let serving = async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            // A connection that is told so before it has begun would be closed with the first calls on it.
            () = stages.closing_of(accepted) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Some(Err(error)) = cut.run_until_cancelled(serving).await {
        // Peers come and go; what became of their calls is in the calls' own records.
        tracing::debug!(error = %error, "a connection ended");
    }
}

fn http2_settings() -> http2::Builder<TokioExecutor> {
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        // The default of 200 makes a client queue silently; admission decides how many is too many, and says so.
        .max_concurrent_streams(None)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    settings
}

#[cfg(test)]
mod tests;

//! A client's connection: which protocol it speaks, under TLS or not, and how long it may leave an answer unread.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use orchestrator_base::tls::Wire;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::head::HeadClock;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4). No HTTP/1 request begins so.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What both sides agreed on under TLS; otherwise reads until the protocol is plain. What was read stays in `client` to be read
/// again.
pub(super) async fn tell_protocol(client: &mut ClientIo) -> io::Result<Protocol> {
    match client.wire.protocol() {
        Some(b"h2") => return Ok(Protocol::Http2),
        Some(_) => return Ok(Protocol::Http1),
        None => {}
    }
    let mut seen = 0;
    while seen < PREFACE.len() {
        let read = client.wire.read(&mut client.first[seen..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen += read;
        client.first_end = seen;
        if client.first[..seen] != PREFACE[..seen] {
            return Ok(Protocol::Http1);
        }
    }
    Ok(Protocol::Http2)
}

/// A socket with a write deadline: when nothing could be written for that long, writing fails and the connection is closed.
///
/// It stands below TLS: what counts is what the client takes, not what TLS has room for. One sleep a connection, made at the first
/// stall and re-armed at each: a client that reads pays nothing.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    patience: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    is_stalled: bool,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, stall: None, is_stalled: false }
    }

    /// Notes progress, or lets a stall run against the deadline.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        if !self.is_stalled {
            stall.as_mut().reset(Instant::now() + patience);
            self.is_stalled = true;
        }
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection as HTTP reads it.
pub(super) struct ClientIo {
    wire: Wire<Watched>,
    /// The bytes that told the protocol, those from `first_start` to `first_end` still to be read.
    first: [u8; PREFACE.len()],
    first_start: usize,
    first_end: usize,
    /// HTTP/1 alone: HTTP/2 finds silent clients by its pings.
    head_clock: Option<HeadClock>,
}

impl ClientIo {
    pub(super) fn new(wire: Wire<Watched>) -> Self {
        let first = [0; PREFACE.len()];
        Self { wire, first, first_start: 0, first_end: 0, head_clock: None }
    }

    /// Bounds the time that each head takes.
    pub(super) fn time_heads(&mut self, clock: HeadClock) {
        self.head_clock = Some(clock);
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let waiting = &this.first[this.first_start..this.first_end];
        let read = if waiting.is_empty() {
            Pin::new(&mut this.wire).poll_read(cx, buffer)
        } else {
            let taken = waiting.len().min(buffer.remaining());
            buffer.put_slice(&waiting[..taken]);
            this.first_start += taken;
            Poll::Ready(Ok(()))
        };
        let Some(clock) = &mut this.head_clock else { return read };
        if read.is_ready() {
            clock.bytes_came();
            return read;
        }
        ready!(clock.poll_late(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head did not come in time")))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

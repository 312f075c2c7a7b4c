//! One connection: requests in, answers out, and an eye on the peer all the while.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::Instant,
};

use super::{
    Answer, BodyPlan, Piece, Seen,
    reader::{self, Head},
    state::State,
};

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    KeepAlive,
    /// Close it in an orderly way.
    Close,
    /// Reset it.
    Reset,
    /// The peer is gone.
    PeerLeft,
}

/// Serves a connection until it ends.
pub(super) async fn serve(mut stream: TcpStream, state: Arc<State>) {
    // Without it small pieces would travel together, and a cut would not be seen as one.
    let _ = stream.set_nodelay(true);
    let mut open = Open { number: None, state: &state };
    let (peer_closed, watcher) = watch::channel(false);
    let mut buffer = BytesMut::new();
    let mut next = Next::KeepAlive;
    while next == Next::KeepAlive {
        let (mut read, mut write) = stream.split();
        next = match next_request(&mut read, &mut write, &mut buffer).await {
            Ok(Some((head, body))) => {
                let last = head.closes();
                let answer = answer(head, body, &mut open, &watcher);
                let next = play_while_peer_stays(&answer, &mut read, &mut write, &mut buffer).await;
                if last && next == Next::KeepAlive { Next::Close } else { next }
            }
            Ok(None) => Next::PeerLeft,
            Err(complaint) => {
                open.number();
                state.complain(complaint);
                let _ = write
                    .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await;
                Next::Close
            }
        };
    }
    match next {
        Next::PeerLeft => _ = peer_closed.send(true),
        Next::Reset => _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        Next::Close | Next::KeepAlive => _ = SockRef::from(&stream).shutdown(Shutdown::Write),
    }
    // The socket is closed before the connection stops being counted as open.
    drop(stream);
    drop(open);
}

/// Counts the connection as open from its first request on while it lives, also when its task is dropped.
struct Open<'a> {
    number: Option<usize>,
    state: &'a State,
}

impl Open<'_> {
    fn number(&mut self) -> usize {
        *self.number.get_or_insert_with(|| self.state.connected())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.number.is_some() {
            self.state.disconnected();
        }
    }
}

/// The next request, `None` when the peer left. An error is a complaint.
async fn next_request(
    read: &mut ReadHalf<'_>,
    write: &mut WriteHalf<'_>,
    buffer: &mut BytesMut,
) -> Result<Option<(Head, Bytes)>, String> {
    let head = loop {
        if let Some(head) = reader::head(buffer)? {
            break head;
        }
        if !read_more(read, buffer).await {
            return Ok(None);
        }
    };
    if head.expects_continue() && write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
        return Ok(None);
    }
    loop {
        if let Some(body) = reader::body(&head, buffer)? {
            return Ok(Some((head, body)));
        }
        if !read_more(read, buffer).await {
            return Ok(None);
        }
    }
}

/// Whether there was more; an end and an error are both a peer that is gone.
async fn read_more(read: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> bool {
    buffer.reserve(8 * 1024);
    matches!(read.read_buf(buffer).await, Ok(1..))
}

/// What the virtual provider that is asked answers.
fn answer(head: Head, body: Bytes, open: &mut Open<'_>, peer_closed: &watch::Receiver<bool>) -> Answer {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let (name, path) = match path.strip_prefix("/p/").and_then(|rest| rest.split_once('/')) {
        Some((name, rest)) => (name.to_owned(), format!("/{rest}")),
        None => (String::new(), path.to_owned()),
    };
    if let Some(list) = open.state.unrouted_list(&name, &head.method, &path) {
        return list;
    }
    let seen = Seen {
        method: head.method,
        path,
        query: query.to_owned(),
        headers: head.headers,
        body,
        connection: open.number(),
        at: Instant::now(),
        peer_closed: peer_closed.clone(),
    };
    open.state.answer(&name, &seen)
}

async fn play_while_peer_stays(
    answer: &Answer,
    read: &mut ReadHalf<'_>,
    write: &mut WriteHalf<'_>,
    buffer: &mut BytesMut,
) -> Next {
    tokio::select! {
        // A reset that is due is due whether or not the peer has just left.
        biased;
        played = play(answer, write) => played.unwrap_or(Next::PeerLeft),
        () = peer_leaves(read, buffer) => Next::PeerLeft,
    }
}

/// Keeps what a peer sends ahead of its turn, and returns when it closes.
async fn peer_leaves(read: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    while read_more(read, buffer).await {}
}

async fn play(answer: &Answer, write: &mut WriteHalf<'_>) -> io::Result<Next> {
    for piece in &answer.before_head {
        if let Some(end) = step(piece, false, write).await? {
            return Ok(end);
        }
    }
    write.write_all(head(answer).as_bytes()).await?;
    let (pieces, chunked) = match &answer.body {
        BodyPlan::Length { pieces, .. } => (pieces, false),
        BodyPlan::Chunked(pieces) => (pieces, true),
    };
    for piece in pieces {
        if let Some(end) = step(piece, chunked, write).await? {
            return Ok(end);
        }
    }
    if chunked {
        write.write_all(b"0\r\n\r\n").await?;
    }
    Ok(Next::KeepAlive)
}

/// Writes one piece; says when the answer ends with it.
async fn step(piece: &Piece, chunked: bool, write: &mut WriteHalf<'_>) -> io::Result<Option<Next>> {
    match piece {
        // An empty chunk would be the last one.
        Piece::Data(bytes) if bytes.is_empty() => {}
        Piece::Data(bytes) if chunked => {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(bytes);
            chunk.extend_from_slice(b"\r\n");
            write.write_all(&chunk).await?;
            // Lets the reader run, so that a border between chunks has a chance to be a border between reads.
            tokio::task::yield_now().await;
        }
        Piece::Data(bytes) | Piece::Raw(bytes) => {
            write.write_all(bytes).await?;
            tokio::task::yield_now().await;
        }
        Piece::Wait(wait) => tokio::time::sleep(*wait).await,
        Piece::Stall => std::future::pending().await,
        Piece::Reset => return Ok(Some(Next::Reset)),
        Piece::Fin => return Ok(Some(Next::Close)),
    }
    Ok(None)
}

fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {} \r\n", answer.status);
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    match &answer.body {
        BodyPlan::Chunked(_) => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        BodyPlan::Length { claimed, .. } => {
            let length = claimed.unwrap_or(answer.body_bytes().len() as u64);
            head.extend(["content-length: ", &length.to_string(), "\r\n\r\n"]);
        }
    }
    head
}

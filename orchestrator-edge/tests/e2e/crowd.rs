//! Clients that do not read share a connection to the core with clients that do.

use std::time::Duration;

use bytes::Bytes;
use orchestrator_testkit::provider::{Answer, Piece, Script};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    gateway::{CHANNELS, CLIENT_KEY},
    stage::{Stage, content, events, request, whole},
};

const STALLED: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_hundred_clients_that_do_not_read_delay_nobody_else() {
    for channel in CHANNELS {
        let stage = Stage::of_one(channel, |_| {}, json!({})).await;
        // Far more than the sockets and the windows on its way hold, and no end: a stream that is not read stays open.
        let endless = Answer::pieces([vec![Piece::Data(much()); 512], vec![Piece::Stall]].concat());
        stage.first_answers(Script::choose(move |_, seen| {
            if seen.json()["stream"] == true { endless.clone() } else { whole("Hello") }
        }));
        let mut stalled = Vec::new();
        for _ in 0..STALLED {
            stalled.push(open_and_stop_reading(&stage).await);
        }
        for _ in 0..20 {
            let asked = timeout(Duration::from_secs(2), stage.ask(false)).await;
            assert_eq!(asked.expect("an answer in time").answer.status, 200, "{channel:?}");
        }
        assert_eq!(stage.gateway.logs(20).await.len(), 20, "{channel:?}: the others are still under way");
        drop(stalled);
        let rows = stage.gateway.logs(20 + STALLED).await;
        let cancelled = rows.iter().filter(|row| row["outcome"] == "cancelled").count();
        assert_eq!(cancelled, STALLED, "{channel:?}");
        stage.gateway.stop().await;
    }
}

/// 32 KiB of whole events.
fn much() -> Bytes {
    events(&[content(&"x".repeat(1 << 15))]).into()
}

/// A client that asks for a stream, sees it begin, and reads nothing more.
async fn open_and_stop_reading(stage: &Stage) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // A small buffer is full soon.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(stage.gateway.rest).await.unwrap();
    let body = request("m", true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {CLIENT_KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut status = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut status)).await.expect("an answer in time").unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

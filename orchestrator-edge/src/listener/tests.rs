//! The listener over real sockets. Time-outs are configured small: a real socket's clock cannot be paused.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty};
use orchestrator_base::config::Config;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::tests::{
    app_in,
    fake_core::{FakeCore, Parts, head, part, stream_of},
};

/// A test that waits longer than this waits for something that will not happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<Option<std::io::Result<()>>>,
}

fn run(core: &FakeCore, change: impl FnOnce(&mut Config)) -> Running {
    let stop = CancellationToken::new();
    let stages = Stages::after(stop.clone(), Duration::from_millis(100));
    let app = app_in(core.channel(), stages, change);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = task::spawn("listener", serve(listener, app));
    Running { address, stop, server }
}

fn hello() -> FakeCore {
    FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))])
}

/// An event stream that never ends: each part is 16 KiB, and each gives way to the others.
fn endless() -> Parts {
    let more = stream::repeat_with(|| Ok(part(vec![b'x'; 16 * 1024]))).then(async |part| {
        tokio::task::yield_now().await;
        part
    });
    Box::pin(stream_of(vec![Ok(head(200, "text/event-stream", "data: begun\n\n"))]).chain(more))
}

/// An event stream that begins and then is silent.
fn silent() -> Parts {
    Box::pin(stream_of(vec![Ok(head(200, "text/event-stream", "data: begun\n\n"))]).chain(stream::pending()))
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    client
}

/// Everything until the server closes the connection.
async fn read_to_close(mut client: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is a close too.
    let _ =
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn read_until(client: &mut TcpStream, mark: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(mark) {
            assert!(
                client.read_buf(&mut seen).await.unwrap() > 0,
                "closed after {}",
                String::from_utf8_lossy(&seen)
            );
        }
    };
    timeout(PATIENCE, reading).await.expect("the mark arrives");
    String::from_utf8_lossy(&seen).into_owned()
}

const CHAT: &str = "/v1/chat/completions";
const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn an_http1_connection_is_kept_and_the_core_learns_the_peers_address() {
    let core = hello();
    let edge = run(&core, |_| {});
    let mut client = send(edge.address, POST).await;
    for _ in 0..2 {
        let answer = read_until(&mut client, "{}").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 2\r\n"),
            "{answer}"
        );
        assert_eq!(core.last_seen().0.client_address, "127.0.0.1");
        client.write_all(POST.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn the_same_port_speaks_http2() {
    let edge = run(&hello(), |_| {});
    let stream = TokioIo::new(TcpStream::connect(edge.address).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), stream)
            .await
            .unwrap();
    task::spawn("client", connection);
    let request = Request::get(format!("http://{}/v1/models", edge.address)).body(Empty::new()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_closed() {
    let edge = run(&hello(), |config| config.edge.header_timeout_ms = 50);
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "POST /v1/chat/completions HTTP/1.1\r\nhost:"] {
        let client = send(edge.address, beginning).await;
        assert_eq!(read_to_close(client).await, "", "after {beginning:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_a_head_but_its_next_head_does_not() {
    let edge = run(&hello(), |config| config.edge.header_timeout_ms = 50);
    let mut client = send(edge.address, POST).await;
    for _ in 0..2 {
        read_until(&mut client, "{}").await;
        sleep(Duration::from_millis(150)).await;
        client.write_all(POST.as_bytes()).await.unwrap();
    }
    read_until(&mut client, "{}").await;
    client.write_all(b"POST /v1/chat").await.unwrap();
    assert_eq!(read_to_close(client).await, "");
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_body_gets_a_408() {
    let edge = run(&hello(), |config| config.edge.body_timeout_ms = 50);
    let mut client =
        send(edge.address, "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").await;
    let answer = read_until(&mut client, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("edge.body_timeout_ms"), "{answer}");
}

#[tokio::test]
async fn heads_that_are_far_too_large_do_not_reach_the_routes() {
    let core = hello();
    let edge = run(&core, |_| {});
    let many = "x-a: b\r\n".repeat(101);
    let large = format!("x-a: {}\r\n", "b".repeat(64 * 1024));
    for headers in [many, large] {
        let client =
            send(edge.address, &format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        let answer = read_to_close(client).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert!(core.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_stream_at_the_core_along() {
    let core = FakeCore::new(|_| Ok(silent()));
    let edge = run(&core, |_| {});
    let mut client = send(edge.address, POST).await;
    read_until(&mut client, "begun").await;
    drop(client);
    timeout(PATIENCE, core.dropped.notified()).await.expect("the core's stream is dropped");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_takes_its_call_along() {
    let core = FakeCore::new(|_| Ok(Box::pin(stream::pending())));
    let edge = run(&core, |_| {});
    let client = send(edge.address, POST).await;
    let asked = async {
        while core.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap();
    drop(client);
    timeout(PATIENCE, core.dropped.notified()).await.expect("the core's stream is dropped");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let core = FakeCore::new(|_| Ok(endless()));
    let edge = run(&core, |config| config.edge.write_timeout_ms = 50);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(edge.address).await.unwrap();
    client.write_all(POST.as_bytes()).await.unwrap();
    timeout(PATIENCE, core.dropped.notified()).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_client_that_reads_is_not_closed_however_long_its_stream_is_silent() {
    let core = FakeCore::new(|_| Ok(silent()));
    let edge = run(&core, |config| config.edge.write_timeout_ms = 20);
    let mut client = send(edge.address, POST).await;
    read_until(&mut client, "begun").await;
    let more = timeout(Duration::from_millis(200), client.read_u8()).await;
    assert!(more.is_err(), "neither bytes nor a close");
}

#[tokio::test]
async fn a_drain_ends_idle_connections_at_once_and_the_others_at_its_deadline() {
    let core = FakeCore::new(|_| Ok(silent()));
    let edge = run(&core, |_| {});
    let idle = TcpStream::connect(edge.address).await.unwrap();
    let mut busy = send(edge.address, POST).await;
    read_until(&mut busy, "begun").await;

    edge.stop.cancel();
    assert_eq!(read_to_close(idle).await, "");
    let end = read_to_close(busy).await;
    assert!(
        end.contains(r#""code":"stopping""#) && end.ends_with("0\r\n\r\n"),
        "an error and a clean end: {end}"
    );
    timeout(PATIENCE, edge.server).await.unwrap().unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(edge.address).await.is_err(), "nobody listens any more");
}

/// A core that takes a while for a whole answer.
fn slow() -> FakeCore {
    FakeCore::new(|_| {
        let answer = stream::once(async {
            sleep(Duration::from_millis(50)).await;
            Ok(head(200, "application/json", "{}"))
        });
        Ok(Box::pin(answer))
    })
}

#[tokio::test]
async fn an_answer_under_way_says_that_its_connection_ends_with_it() {
    let edge = run(&slow(), |_| {});
    let client = send(edge.address, POST).await;
    sleep(Duration::from_millis(10)).await;
    edge.stop.cancel();
    let answer = read_to_close(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{}"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_away_and_its_answers_come() {
    let edge = run(&slow(), |_| {});
    let stream = TokioIo::new(TcpStream::connect(edge.address).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), stream)
            .await
            .unwrap();
    let connection = task::spawn("client", connection);
    let ask = || Request::get(format!("http://{}/v1/models", edge.address)).body(Empty::new()).unwrap();
    let answer = client.send_request(ask());
    sleep(Duration::from_millis(10)).await;
    edge.stop.cancel();
    assert_eq!(answer.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "{}");
    timeout(PATIENCE, edge.server).await.unwrap().unwrap().unwrap().unwrap();
    assert!(client.send_request(ask()).await.is_err());
    assert!(connection.await.unwrap().unwrap().is_ok(), "it ended in order");
}

#[tokio::test]
async fn a_request_that_comes_with_the_end_is_answered() {
    let edge = run(&hello(), |_| {});
    let mut client = TcpStream::connect(edge.address).await.unwrap();
    edge.stop.cancel();
    client.write_all(POST.as_bytes()).await.unwrap();
    let answer = read_to_close(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn at_the_curfew_a_stream_ends_with_an_error_in_its_callers_words_and_a_whole_answer_is_a_503() {
    let marks = [
        ("/v1/chat/completions", r#""code":"stopping""#),
        ("/v1/messages", "event: error\ndata: {"),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", r#""status":"UNAVAILABLE""#),
    ];
    for (path, mark) in marks {
        let edge = run(&FakeCore::new(|_| Ok(silent())), |_| {});
        let post = POST.replace(CHAT, path);
        let mut client = send(edge.address, &post).await;
        read_until(&mut client, "begun").await;
        edge.stop.cancel();
        let end = read_to_close(client).await;
        assert!(end.contains(mark) && end.contains("stopping") && !end.contains("[DONE]"), "{path}: {end}");
        assert_eq!(end.matches("data: ").count(), 1, "{path}: {end}");
    }
    let edge = run(&FakeCore::new(|_| Ok(Box::pin(stream::pending()))), |_| {});
    let client = send(edge.address, POST).await;
    sleep(Duration::from_millis(10)).await;
    edge.stop.cancel();
    let answer = read_to_close(client).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"stopping""#), "{answer}");
}

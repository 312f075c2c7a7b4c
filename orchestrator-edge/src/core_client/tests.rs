//! The remote channel over real sockets.

mod unbegun;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use http_body_util::BodyExt as _;
use orchestrator_base::task;
use orchestrator_proto::v1::{InvokeRequest, orchestrate_client::OrchestrateClient};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::transport::server::TcpIncoming;

use super::{pool::Pool, *};
use crate::{
    App, listener,
    tests::{
        app, ask,
        fake_core::{FakeCore, Parts, head, part, stream_of},
        request,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
const CHAT: &str = "/v1/chat/completions";

/// Serves `core` as the real one is served: no limit on streams, a window of 1 GiB a connection.
async fn serve(core: &FakeCore, address: &str) -> (SocketAddr, JoinHandle<Option<()>>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .initial_connection_window_size(1 << 30)
        .max_concurrent_streams(None)
        .add_service(core.server());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let running =
        task::spawn("fake-core", async move { server.serve_with_incoming(incoming).await.unwrap() });
    (address, running)
}

fn hello() -> FakeCore {
    FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))])
}

fn silent() -> Parts {
    Box::pin(stream_of(vec![Ok(head(200, "text/event-stream", "data: begun\n\n"))]).chain(stream::pending()))
}

#[test]
fn an_endpoint_that_is_none_is_refused_by_its_text() {
    for (endpoints, problem) in [
        ("", "CORE_ENDPOINT: names no core"),
        ("http://a:1,b:2", "CORE_ENDPOINT: `b:2` is not of the form http://HOST:PORT"),
        ("ftp://a:1", "CORE_ENDPOINT: `ftp://a:1` is not of the form http://HOST:PORT"),
        ("https://a:1", "CORE_ENDPOINT: there are no certificates for `https://a:1`"),
        ("http://a:1/path", "CORE_ENDPOINT: `http://a:1/path` is not of the form http://HOST:PORT"),
    ] {
        assert_eq!(remote(endpoints).err().unwrap().to_string(), problem);
    }
}

#[tokio::test]
async fn requests_go_round_over_all_cores() {
    let cores = [hello(), hello()];
    let (first, _) = serve(&cores[0], "127.0.0.1:0").await;
    let (second, _) = serve(&cores[1], "127.0.0.1:0").await;
    let app = app(remote(&format!("http://{first}, http://{second}")).unwrap());
    for _ in 0..10 {
        assert_eq!(ask(&app, request("POST", CHAT, &[], "{}")).await.status, 200);
    }
    assert_eq!(cores.each_ref().map(|core| core.seen.lock().unwrap().len()), [5, 5]);
}

#[tokio::test]
async fn a_name_leads_to_its_core() {
    let core = hello();
    let (address, _) = serve(&core, "127.0.0.1:0").await;
    let app = app(remote(&format!("http://localhost:{}", address.port())).unwrap());
    assert_eq!(ask(&app, request("POST", CHAT, &[], "{}")).await.status, 200);
}

#[tokio::test]
async fn a_dead_core_is_skipped_and_all_dead_are_a_503() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (alive, _) = serve(&hello(), "127.0.0.1:0").await;
    let half_alive = app(remote(&format!("http://{dead},http://{alive}")).unwrap());
    for _ in 0..4 {
        assert_eq!(ask(&half_alive, request("POST", CHAT, &[], "{}")).await.status, 200);
    }
    let all_dead = app(remote(&format!("http://{dead}")).unwrap());
    for _ in 0..2 {
        let answer = ask(&all_dead, request("POST", CHAT, &[], "{}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        assert!(!answer.text().contains(&dead.to_string()), "addresses are ours alone");
    }
}

#[tokio::test]
async fn a_core_that_dies_in_a_stream_ends_it_with_an_error_event_and_its_successor_is_found() {
    let core = FakeCore::new(|_| Ok(silent()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap();
    let (behind, _) = serve(&core, "127.0.0.1:0").await;
    // A relay in between can be cut like a cable.
    let cable = tokio::task::JoinSet::from_iter([async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    }]);
    let app = app(remote(&format!("http://{relay}")).unwrap());
    let (head, body) = app.router().oneshot(request("POST", CHAT, &[], "{}")).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    drop(cable);
    let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.starts_with("data: begun\n\ndata: {\"error\":") && text.ends_with("}\n\n"), "{text}");
    assert!(!text.contains("[DONE]"));

    let refused = ask(&app, request("POST", CHAT, &[], "{}")).await;
    assert_eq!(refused.status, 503);

    // The same address again, another core: no restart of the edge is needed, and nobody is made to wait for having come early.
    let _successor = serve(&hello(), &relay.to_string()).await;
    let answer = ask(&app, request("POST", CHAT, &[], "{}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn beyond_512_streams_a_second_connection_is_opened() {
    let core = FakeCore::new(|_| Ok(silent()));
    let (address, _) = serve(&core, "127.0.0.1:0").await;
    let pool = Pool::new(&format!("http://{address}"), None).unwrap();
    let channel: CoreChannel = {
        let pool = pool.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request| pool.clone().send(request)))
    };
    let mut open = Vec::new();
    for streams in 1..=600 {
        let mut client = OrchestrateClient::new(channel.clone());
        open.push(client.stream_invoke(InvokeRequest::default()).await.unwrap());
        assert_eq!(pool.open_connections().await, if streams <= 512 { 1 } else { 2 }, "at {streams} streams");
    }
}

/// How many bytes each endless stream of the core has given out.
fn endless(given: Arc<AtomicUsize>) -> Parts {
    let more = stream::repeat_with(move || {
        given.fetch_add(8 * 1024, Ordering::Relaxed);
        Ok(part(vec![b'x'; 8 * 1024]))
    });
    let more = more.then(async |part| {
        tokio::task::yield_now().await;
        part
    });
    Box::pin(stream_of(vec![Ok(head(200, "text/event-stream", "data: begun\n\n"))]).chain(more))
}

/// With HTTP/2's default windows four stalled readers on one connection stop everybody else.
#[tokio::test]
async fn a_hundred_stalled_readers_do_not_delay_the_others() {
    const STALLED: usize = 100;
    let given = Arc::new(AtomicUsize::new(0));
    let core = {
        let given = given.clone();
        FakeCore::new(move |request| match request.session_id.as_str() {
            "stalled" => Ok(endless(given.clone())),
            _ => Ok(stream_of(vec![
                Ok(head(200, "text/event-stream", "data: a\n\n")),
                Ok(part(vec![b'y'; 256 * 1024])),
            ])),
        })
    };
    let (address, _) = serve(&core, "127.0.0.1:0").await;
    let app = app(remote(&format!("http://{address}")).unwrap());
    let edge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let edge_address = edge.local_addr().unwrap();
    task::spawn("edge", listener::serve(edge, app.clone()));

    let stalled = join_all((0..STALLED).map(async |_| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = socket.connect(edge_address).await.unwrap();
        let request = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-session-id: stalled\r\ncontent-length: 0\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }));
    let _stalled = stalled.await;
    let all_stand_still = async {
        let mut before = 0;
        loop {
            sleep(Duration::from_millis(300)).await;
            let now = given.load(Ordering::Relaxed);
            // Each has filled its stream's window, and nothing moves any more.
            if now == before && now > STALLED * 64 * 1024 {
                return;
            }
            before = now;
        }
    };
    timeout(PATIENCE, all_stand_still).await.expect("every buffer fills up");
    assert_eq!(core.seen.lock().unwrap().len(), STALLED);

    for _ in 0..20 {
        let answer = timeout(PATIENCE, ask(&app, request("POST", CHAT, &[], "{}"))).await;
        assert_eq!(answer.expect("no answer waits for those who do not read").body.len(), 9 + 256 * 1024);
    }
}

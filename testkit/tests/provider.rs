//! The scriptable provider, seen by an HTTP client that it shares no code with (hyper) and by a bare socket.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{future::Future, io::ErrorKind, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
    provider::{Answer, Cut, Piece, Provider, Script},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(100);

/// One connection of a client; dropping it closes the connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Client {
    async fn connect(provider: &Provider) -> Self {
        let stream = TcpStream::connect(provider.address()).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async { _ = connection.await });
        Self { sender, _driver: driver }
    }

    fn post(
        &mut self,
        path: &str,
        body: &'static str,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::post(path)
            .header("host", "provider")
            .header("authorization", "Bearer key")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap();
        self.sender.send_request(request)
    }

    async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(path).header("host", "provider").body(Full::default()).unwrap();
        self.sender.send_request(request).await
    }

    async fn chat(&mut self) -> hyper::Result<Response<Incoming>> {
        self.post("/v1/chat/completions", r#"{"model":"m"}"#).await
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// What arrives of a body before it ends or fails, and whether it failed.
async fn whatever_arrives(response: Response<Incoming>) -> (usize, bool) {
    let mut body = response.into_body();
    let mut arrived = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => arrived += frame.into_data().unwrap().len(),
            Some(Err(_)) => return (arrived, true),
            None => return (arrived, false),
        }
    }
}

#[tokio::test]
async fn a_sequence_answers_one_after_the_other_on_one_connection() {
    let provider = Provider::start().await;
    provider.route("chat/completions", Script::sequence([Answer::error(500), Answer::sse(["{}"])]));
    let mut client = Client::connect(&provider).await;

    assert_eq!(client.chat().await.unwrap().status(), 500);
    for _ in 0..2 {
        let response = client.chat().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(text(response).await, "data: {}\n\ndata: [DONE]\n\n");
    }

    let seen = provider.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.connection == 1 && seen.json()["model"] == "m"));
    assert_eq!((provider.connections_opened(), provider.connections_open()), (1, 1));
}

#[tokio::test]
async fn a_list_of_models_is_asked_for_without_a_trace_unless_it_has_a_route() {
    let provider = Provider::start().await;
    provider.route("", Answer::error(500));
    let mut client = Client::connect(&provider).await;
    let list = client.get("/v1/models").await.unwrap();
    assert_eq!(list.status(), 200);
    assert_eq!(text(list).await, r#"{"data":[],"object":"list"}"#);
    assert_eq!((provider.seen().len(), provider.connections_opened()), (0, 0));
    assert_eq!(provider.complaints(), Vec::<String>::new());

    provider.route("models", Answer::error(503));
    assert_eq!(client.get("/v1/models").await.unwrap().status(), 503);
    assert_eq!(client.get("/p/other/v1/models").await.unwrap().status(), 200);
    let seen = provider.seen();
    assert_eq!((seen.len(), seen[0].connection, provider.connections_open()), (1, 1, 1));
    drop(client);
    assert!(seen[0].peer_closed_within(SECOND).await);
}

#[tokio::test]
async fn providers_behind_one_listener_know_nothing_of_each_other() {
    let provider = Provider::start().await;
    let (one, other) = (provider.named("one"), provider.named("other"));
    one.route("", Answer::json(200, &serde_json::json!({"from": "one"})));
    one.route("embeddings", Answer::error(429).header("retry-after", "7"));
    let mut client = Client::connect(&provider).await;

    let path = one.base_url().split_once("127.0.0.1:").unwrap().1.split_once('/').unwrap().1.to_owned();
    let chat = client.post(&format!("/{path}/chat/completions?a=b"), "{}").await.unwrap();
    assert_eq!(text(chat).await, r#"{"from":"one"}"#);
    let embeddings = client.post(&format!("/{path}/embeddings"), "{}").await.unwrap();
    assert_eq!(
        (embeddings.status().as_u16(), &embeddings.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    drop(text(embeddings).await);
    assert_eq!(client.post("/p/other/v1/embeddings", "{}").await.unwrap().status(), 404);

    assert_eq!(one.seen().len(), 2);
    assert_eq!((one.seen()[0].path.as_str(), one.seen()[0].query.as_str()), ("/v1/chat/completions", "a=b"));
    assert_eq!(one.complaints(), Vec::<String>::new());
    assert_eq!(other.complaints(), ["no route for POST /v1/embeddings"]);
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn a_recorded_stream_arrives_byte_for_byte_however_it_is_cut() {
    let provider = Provider::start().await;
    let mut client = Client::connect(&provider).await;
    for name in
        ["chat_stream", "chat_stream_bom", "chat_stream_cr", "chat", "error_502_html", "error_503_empty"]
    {
        let recording = fixtures::named(name);
        for cut in [Cut::Whole, Cut::EveryByte, Cut::Sizes(vec![3, 50]), Cut::Seeded(9)] {
            provider.route("", recording.answer(&cut));
            let response = client.chat().await.unwrap();
            assert_eq!(response.status(), recording.status);
            assert_eq!(response.headers()["content-type"], recording.content_type);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, recording.body, "{name} {cut:?}");
        }
    }
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_after_exactly_those_bytes() {
    let provider = Provider::start().await;
    let stream = || Answer::sse(["one", "two", "three"]);
    let whole = || Answer::whole(200, "application/json", "{\"answer\": 42}");
    let faults = [
        (stream().fin_after(14), 14),
        (stream().reset_after(14), 14),
        (stream().reset_after(0), 0),
        (stream().bad_chunk_after(11), 11),
        (whole().fin_after(5), 5),
        (whole().reset_after(5), 5),
        (whole().claiming_length(1000), 14),
    ];
    for (answer, bytes) in faults {
        provider.route("", answer.clone());
        let mut client = Client::connect(&provider).await;
        let response = client.chat().await.unwrap();
        assert_eq!(whatever_arrives(response).await, (bytes, true), "{answer:?}");
    }
}

#[tokio::test]
async fn a_length_below_the_truth_ends_the_body_there() {
    let provider = Provider::start().await;
    provider.route("", Answer::whole(200, "application/json", "{\"answer\": 42}").claiming_length(4));
    let response = Client::connect(&provider).await.chat().await.unwrap();
    assert_eq!(text(response).await, "{\"an");
}

#[tokio::test]
async fn no_answer_at_all_is_an_error_of_the_request() {
    let provider = Provider::start().await;
    for answer in [
        Answer::reset_before_headers(),
        Answer::close_before_headers(),
        Answer::not_http("220 smtp ready\r\n"),
    ] {
        provider.route("", answer.clone());
        assert!(Client::connect(&provider).await.chat().await.is_err(), "{answer:?}");
    }
    provider.route("", Answer::silence());
    let mut client = Client::connect(&provider).await;
    assert!(tokio::time::timeout(MOMENT, client.chat()).await.is_err());
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_is_a_close() {
    let provider = Provider::start().await;
    let request = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    for (answer, expected) in [
        (Answer::reset_before_headers(), Err(ErrorKind::ConnectionReset)),
        (Answer::close_before_headers(), Ok(0)),
    ] {
        provider.route("", answer);
        let mut stream = TcpStream::connect(provider.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let read = stream.read(&mut [0; 16]).await;
        assert_eq!(read.map_err(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn a_stalled_stream_gives_what_it_has_and_sees_its_client_leave() {
    let provider = Provider::start().await;
    provider.route("", Answer::sse(["one", "two"]).stall_after(11));
    let mut client = Client::connect(&provider).await;
    let mut body = client.chat().await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: one\n\n");
    assert!(tokio::time::timeout(MOMENT, body.frame()).await.is_err());

    let seen = provider.wait_for(1, SECOND).await.remove(0);
    assert!(!seen.peer_closed_within(MOMENT).await);
    drop(body);
    drop(client);
    assert!(seen.peer_closed_within(SECOND).await);
}

#[tokio::test]
async fn pieces_come_in_their_time() {
    let provider = Provider::start().await;
    let pieces = vec![Piece::Data("a".into()), Piece::Wait(MOMENT), Piece::Data("b".into())];
    provider.route("", Answer::pieces(pieces).after(MOMENT));
    let mut client = Client::connect(&provider).await;
    let asked = tokio::time::Instant::now();
    let mut body = client.chat().await.unwrap().into_body();
    assert!(asked.elapsed() >= MOMENT);
    for piece in ["a", "b"] {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    assert!(asked.elapsed() >= 2 * MOMENT);
}

#[tokio::test]
async fn a_judge_refuses_with_a_reason_and_remembers_it() {
    let provider = Provider::start().await;
    provider.route("", Answer::json(200, &serde_json::json!({})));
    let judge =
        |key| Judge::new(Operation::ChatCompletions, key, "m", Body::recorded_bytes(r#"{"model":"old"}"#));
    let mut client = Client::connect(&provider).await;

    provider.judge("chat/completions", judge("key"));
    assert_eq!(client.chat().await.unwrap().status(), 200);
    assert_eq!(provider.complaints(), Vec::<String>::new());

    provider.judge("chat/completions", judge("another key").secret("Bearer k"));
    let refusal = client.chat().await.unwrap();
    assert_eq!(refusal.status(), 400);
    assert!(text(refusal).await.contains("holds a secret of the caller"));
    assert_eq!(provider.complaints().len(), 2, "{:?}", provider.complaints());
    assert!(!provider.complaints().concat().contains("another key"));
}

#[tokio::test]
async fn dropping_the_provider_closes_its_connections() {
    let provider = Provider::start().await;
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    let address = provider.address();
    drop(provider);
    let read = tokio::time::timeout(SECOND, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
}

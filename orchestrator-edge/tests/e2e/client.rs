//! A plain HTTP client that hides nothing: status, headers, the bytes as they came.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long a test waits for anything: long enough for a busy machine, short enough to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Speaks to one gateway with one key.
#[derive(Clone)]
pub(crate) struct Client {
    authority: String,
    key: Option<String>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer whose body is read piece by piece. Dropping it closes the connection.
pub(crate) struct Streaming {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: hyper::body::Incoming,
}

impl Client {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        Self { authority: base.trim_start_matches("http://").to_owned(), key: Some(key.to_owned()) }
    }

    /// The same gateway with another key, or none.
    pub(crate) fn with_key(&self, key: Option<&str>) -> Self {
        Self { authority: self.authority.clone(), key: key.map(str::to_owned) }
    }

    /// The key that it presents.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Writes these bytes on a connection of its own, and gives what comes back until the gateway closes it, which it must.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.authority).await.unwrap();
        let mut answer = Vec::new();
        let exchange = async {
            // A gateway that has seen enough may close before all is written or read.
            let _ = socket.write_all(bytes).await;
            let _ = socket.read_to_end(&mut answer).await;
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("the connection closes in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, &[], body.into()).await
    }

    /// Sends a request on a connection of its own and reads all of the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        self.open(method, path, headers, body).await.read_all().await
    }

    /// Sends a request and comes back with the answer's head.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Streaming {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.authority);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let exchange = async {
            let socket = TcpStream::connect(&self.authority).await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
            drop(orchestrator_base::task::spawn("client connection", connection));
            sender.send_request(request).await.unwrap()
        };
        let response = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer's head in time");
        let (head, body) = response.into_parts();
        Streaming { status: head.status.as_u16(), headers: head.headers, body }
    }
}

impl Streaming {
    /// The next piece of the body; `None` at its end, an error if it was cut.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a piece in time")?;
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The body up to that many bytes, or more where a piece is not cut there.
    pub(crate) async fn read_until(&mut self, length: usize) -> String {
        let mut read = BytesMut::new();
        while read.len() < length {
            read.extend_from_slice(
                &self.piece().await.expect("more of the body").expect("a body that is not cut"),
            );
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// The rest of the body, which must not be cut.
    pub(crate) async fn read_all(mut self) -> Answer {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await {
            body.extend_from_slice(&piece.expect("a body that is not cut"));
        }
        Answer { status: self.status, headers: self.headers, body: body.freeze() }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

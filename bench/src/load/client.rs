//! One connection to what is measured.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use orchestrator_base::task;
use tokio::net::TcpStream;

use crate::script::{
    check::{self, Fault, StreamCheck},
    request::{Bodies, Body},
};

/// Why a request does not count as answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    /// It broke.
    #[error("broken connection: {0}")]
    Broken(#[from] hyper::Error),
    /// Something else than 200.
    #[error("status {0}: {1}")]
    Status(u16, String),
    /// A wrong answer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where to, and what with.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The address.
    pub(crate) address: SocketAddr,
    /// What every request carries.
    pub(crate) headers: HeaderMap,
}

impl Target {
    /// A target that wants this key.
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        let mut headers = HeaderMap::new();
        let text = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("invalid"));
        headers.insert(header::HOST, text(&address.to_string()));
        headers.insert(header::AUTHORIZATION, text(&format!("Bearer {key}")));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { address, headers }
    }
}

/// A connection that is made when it is first needed, and again after it broke.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    sender: Option<http1::SendRequest<Body>>,
}

impl Connection {
    /// Not connected yet.
    pub(crate) fn new(target: Target) -> Self {
        Self { target, sender: None }
    }

    /// Connects, if that has not been done: so that a measurement does not begin with it.
    pub(crate) async fn connect(&mut self) -> Result<&mut http1::SendRequest<Body>, Failure> {
        let sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => dial(self.target.address).await?,
        };
        Ok(self.sender.insert(sender))
    }

    /// Asks for a whole answer and checks it.
    pub(crate) async fn whole(&mut self, bodies: &Bodies, seq: u64) -> Result<(), Failure> {
        let answer = self.ask(bodies, seq).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(check::whole(&body, &bodies.script(seq), bodies.prompt_crc)?)
    }

    /// Asks for a stream; `on_chunk` hears, as each chunk arrives, when it was made.
    pub(crate) async fn stream(
        &mut self,
        bodies: &Bodies,
        seq: u64,
        mut on_chunk: impl FnMut(i64),
    ) -> Result<(), Failure> {
        let mut body = self.ask(bodies, seq).await?.into_body();
        let mut check = StreamCheck::new(&bodies.script(seq));
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                check.push(&data, &mut on_chunk)?;
            }
        }
        Ok(check.end()?)
    }

    async fn ask(&mut self, bodies: &Bodies, seq: u64) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(bodies.body(seq));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static("/v1/chat/completions");
        request.headers_mut().clone_from(&self.target.headers);
        let sender = self.connect().await?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        if response.status() == http::StatusCode::OK {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = response.into_body().collect().await?.to_bytes();
        Err(Failure::Status(status, String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned()))
    }
}

async fn dial(address: SocketAddr) -> Result<http1::SendRequest<Body>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    task::spawn("connection", async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// What went wrong, counted by its text. Shared by all connections of a measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(Arc<Mutex<BTreeMap<String, u64>>>);

/// So many different texts are kept; more would all be variations.
const DIFFERENT_ERRORS: usize = 20;

impl Errors {
    /// One more.
    pub(crate) fn add(&self, failure: &Failure) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = failure.to_string();
        let text = if counts.len() < DIFFERENT_ERRORS { text } else { "others".to_owned() };
        *counts.entry(text).or_default() += 1;
    }

    /// How many in all.
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Each text with its count.
    pub(crate) fn list(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

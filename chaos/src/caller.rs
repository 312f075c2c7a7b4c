//! A caller: one request in one of three dialects, and what became of it.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use orchestrator_base::task;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    AnyError,
    gateway::{CLIENT_KEY, MODELS},
    outcome::{self, Outcome},
};

/// A caller that has no answer by then has none.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many callers say which session they belong to.
const SESSIONS: u64 = 50;

/// In whose words a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI Chat, which the providers speak too: bytes pass.
    OpenAi,
    /// Anthropic Messages, which is translated.
    Anthropic,
    /// Gemini generateContent, which is translated.
    Gemini,
}

/// One request: its number decides all of it, so that every run asks the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// From 0.
    pub(crate) number: u64,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) call: Call,
    /// When it was sent, in milliseconds from the start.
    pub(crate) at_ms: u64,
    /// How long it took.
    pub(crate) took: Duration,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Got {
    /// HTTP's.
    pub(crate) status: u16,
    /// The answer's.
    pub(crate) headers: HeaderMap,
    /// As far as it came.
    pub(crate) body: Bytes,
    /// Why it did not come further.
    pub(crate) broken: Option<String>,
}

impl Call {
    /// How every id begins.
    pub(crate) const PREFIX: &str = "chaos-";

    /// The id under which the ledger and the providers know it.
    pub(crate) fn request_id(self) -> String {
        format!("{}{:06}", Self::PREFIX, self.number)
    }

    /// Every other one.
    pub(crate) fn is_stream(self) -> bool {
        self.number.is_multiple_of(2)
    }

    /// Most speak as the providers do.
    pub(crate) fn dialect(self) -> Dialect {
        match self.number / 2 % 10 {
            0 | 5 => Dialect::Anthropic,
            3 => Dialect::Gemini,
            _ => Dialect::OpenAi,
        }
    }

    fn model(self) -> &'static str {
        MODELS[(self.number / 20 % MODELS.len() as u64) as usize]
    }

    fn wish(self) -> Wish {
        Wish {
            dialect: self.dialect(),
            model: self.model(),
            stream: self.is_stream(),
            words: format!("What is {} times seven?", self.number),
            max_tokens: None,
        }
    }

    /// Asks, and reads the answer to its end.
    pub(crate) async fn make(self, gateway: SocketAddr, start: Instant) -> Ended {
        let sent = Instant::now();
        let bearer = format!("Bearer {CLIENT_KEY}");
        let (request_id, session) = (self.request_id(), format!("session {}", self.number % SESSIONS));
        let headers = [
            ("authorization", bearer.as_str()),
            ("x-request-id", &request_id),
            ("x-session-id", &session),
            ("anthropic-version", "2023-06-01"),
        ];
        let wish = self.wish();
        let (path, body) = (wish.path(), wish.body().to_string());
        let got = call(gateway, Method::POST, &path, &headers, body);
        let outcome = match timeout(PATIENCE, got).await {
            Ok(Ok(got)) => outcome::read(wish.dialect, wish.stream, &got),
            Ok(Err(error)) => Outcome::Failed(format!("the gateway cannot be asked: {error}")),
            Err(_) => Outcome::Failed(format!("no end after {} s", PATIENCE.as_secs())),
        };
        let at_ms = sent.saturating_duration_since(start).as_millis() as u64;
        Ended { call: self, at_ms, took: sent.elapsed(), outcome }
    }
}

/// What is asked of a model, in a dialect's words.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) dialect: Dialect,
    pub(crate) model: &'static str,
    pub(crate) stream: bool,
    /// What the user says.
    pub(crate) words: String,
    /// The longest answer. Anthropic's callers must name one: theirs is 100 without it.
    pub(crate) max_tokens: Option<u64>,
}

impl Wish {
    /// Where it is asked.
    pub(crate) fn path(&self) -> String {
        match (self.dialect, self.stream) {
            (Dialect::OpenAi, _) => "/v1/chat/completions".to_owned(),
            (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
            (Dialect::Gemini, true) => {
                format!("/v1beta/models/{}:streamGenerateContent?alt=sse", self.model)
            }
            (Dialect::Gemini, false) => format!("/v1beta/models/{}:generateContent", self.model),
        }
    }

    /// What is sent there.
    pub(crate) fn body(&self) -> Value {
        let Self { model, stream, words, .. } = self;
        let (mut body, limit) = match self.dialect {
            Dialect::OpenAi => (
                json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": words}]}),
                self.max_tokens.map(|limit| ("max_tokens", json!(limit))),
            ),
            Dialect::Anthropic => (
                json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": words}]}),
                Some(("max_tokens", json!(self.max_tokens.unwrap_or(100)))),
            ),
            Dialect::Gemini => (
                json!({"contents": [{"role": "user", "parts": [{"text": words}]}]}),
                self.max_tokens.map(|limit| ("generationConfig", json!({"maxOutputTokens": limit}))),
            ),
        };
        if let Some((name, limit)) = limit {
            body[name] = limit;
        }
        body
    }
}

/// One request on a connection of its own.
///
/// Errors: there was no answer at all. One that breaks off is an answer.
pub(crate) async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: String,
) -> Result<Got, AnyError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = task::spawn("connection", async move {
        let _ = connection.await;
    });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value)?);
    }
    let response = sender.send_request(request).await?;
    let (head, mut frames) = response.into_parts();
    let (mut body, mut broken) = (BytesMut::new(), None);
    while let Some(frame) = frames.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        }
    }
    connection.abort();
    Ok(Got { status: head.status.as_u16(), headers: head.headers, body: body.freeze(), broken })
}

//! The one place that talks HTTP to providers.
//!
//! HTTP/1.1 only: one HTTP/2 connection carries about a hundred streams and queues the rest in silence (hyper #2197, #3623), an
//! outage for streams of tokens. No redirects (they leak keys and reach where no provider stands), no proxy, no retries of its
//! own but one: a pooled connection that the peer had closed before any byte was sent. Attempts are counted in `attempt.rs`.
//! Every address is checked when it is dialled, the literal ones too.

mod answer;
mod connect;

use std::{
    fmt::Debug,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, ResponseFuture, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

pub use answer::{Answer, AnswerBody, BodyFailure, PieceStream};
use connect::{GuardedResolver, Punctual};

/// How long an unused connection is kept; below the 75 s after which common servers close theirs.
const POOL_IDLE: Duration = Duration::from_mins(1);

/// How the gateway introduces itself to providers: the value of `User-Agent`.
pub const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("llm-orchestrator/", env!("CARGO_PKG_VERSION")));

/// The way to providers. [`HttpClient`] is the real one; whoever has to hold the clock brings another, since sockets do not stand still
/// with it.
pub trait Transport: Debug + Send + Sync {
    /// Sends a request and waits for the answer's head.
    fn send(&self, ask: Ask) -> Sending<'_>;
}

/// A request under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, AskFailure>> + Send + 'a>>;

/// Connections to providers, as one request thread holds them.
#[derive(Debug)]
pub struct HttpClient {
    deny_private: bool,
    /// One pool per connect time-out, since that is a property of the connector. There are as many as the catalog has
    /// different values: few.
    pools: Mutex<Vec<(Duration, Pool)>>,
}

type Pool = Client<Punctual<HttpsConnector<HttpConnector<GuardedResolver>>>, Full<Bytes>>;

/// A request for a provider, finished but for the way there.
#[derive(Debug)]
pub struct Ask {
    /// `POST` for everything that callers ask.
    pub method: Method,
    /// Where.
    pub uri: Uri,
    /// With what.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long until the connection must stand.
    pub connect_timeout: Duration,
}

/// Why no answer began.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// No connection: refused, unreachable, no such name, TLS, or too slow.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke before the answer's head.
    #[error("the connection broke before an answer: {0}")]
    Broken(String),
}

impl HttpClient {
    /// A client without connections. The process's TLS provider must be installed before.
    pub fn new(deny_private: bool) -> Self {
        Self { deny_private, pools: Mutex::default() }
    }

    /// Hands a request over; what comes back is small, unlike the request.
    fn begin(&self, ask: Ask) -> Result<ResponseFuture, AskFailure> {
        connect::check_literal(&ask.uri, self.deny_private)?;
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.uri;
        *request.headers_mut() = ask.headers;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(timeout, _)| *timeout == ask.connect_timeout) {
            return Ok(pool.request(request));
        }
        let pool = self.new_pool(ask.connect_timeout);
        let begun = pool.request(request);
        pools.push((ask.connect_timeout, pool));
        Ok(begun)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn new_pool(&self, connect_timeout: Duration) -> Pool {
        let mut tcp = HttpConnector::new_with_resolver(GuardedResolver::new(self.deny_private));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(1 << 20)
            .build(Punctual::new(https, connect_timeout))
    }
}

impl Transport for HttpClient {
    fn send(&self, ask: Ask) -> Sending<'_> {
        let begun = self.begin(ask);
        Box::pin(async move {
            match begun?.await {
                Ok(response) => Ok(Answer::from_response(response)),
                Err(error) if error.is_connect() => Err(AskFailure::Connect(innermost(&error))),
                Err(error) => Err(AskFailure::Broken(innermost(&error))),
            }
        })
    }
}

/// The cause at the bottom of a chain of errors: the outer ones say only "client error (Connect)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;

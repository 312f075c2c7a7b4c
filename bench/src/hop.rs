//! The bare hops: what a proxy costs that does nothing, and what a gateway costs that does the least.
//!
//! A *hop* is hyper's server, hyper's pooling client, and the bodies handed from one to the other. *hop-gw* reads the request
//! whole, checks the key, parses the JSON for the model, and counts usage: no routing, no limits, no failing over, no ledger.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use crate::serve::{self, AnyError};

/// A pooling client: one for each thread.
pub(crate) type Upstream<B> = Client<HttpConnector, B>;

#[expect(clippy::disallowed_methods, reason = "a bare client is what is measured here, not the product's")]
pub(crate) fn client<B>() -> Upstream<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The same path at another address.
pub(crate) fn uri_at(to: &str, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
    let path = path.map_or("/", PathAndQuery::as_str);
    Uri::builder().scheme("http").authority(to).path_and_query(path).build()
}

/// A hop before `to`, a `HOST:PORT`.
pub(crate) fn run(to: String) -> io::Result<()> {
    serve::on_every_core(move |listener| {
        let (to, client) = (to.clone(), client::<Incoming>());
        serve::http1(listener, move |mut request: Request<Incoming>| {
            let (to, client) = (to.clone(), client.clone());
            async move {
                *request.uri_mut() = uri_at(&to, request.uri().path_and_query())?;
                request.headers_mut().remove(header::HOST);
                Ok::<_, AnyError>(client.request(request).await?)
            }
        })
    })
}

/// A hop-gw before `to`, which knows the key `key`.
pub(crate) fn run_gateway(to: String, key: String) -> io::Result<()> {
    let gateway =
        Arc::new(Gateway { to, callers: HashMap::from([(format!("Bearer {key}"), AtomicU64::new(0))]) });
    serve::on_every_core(move |listener| {
        let (gateway, client) = (Arc::clone(&gateway), client::<Full<Bytes>>());
        serve::http1(listener, move |request| Arc::clone(&gateway).forward(client.clone(), request))
    })
}

struct Gateway {
    to: String,
    /// Tokens used, by the header that a caller sends.
    callers: HashMap<String, AtomicU64>,
}

/// What is read of a request.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
}

/// What is read of a whole answer.
#[derive(Deserialize)]
struct Answered {
    usage: Usage,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

impl Gateway {
    async fn forward(
        self: Arc<Self>,
        client: Upstream<Full<Bytes>>,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Counted>>, AnyError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let asked = serde_json::from_slice::<Asked<'_>>(&body).map(|asked| !asked.model.is_empty());
        if self.used(&parts.headers).is_none() || !asked.unwrap_or(false) {
            let mut refusal = Response::new(Either::Left(Full::default()));
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Ok(refusal);
        }
        parts.uri = uri_at(&self.to, parts.uri.path_and_query())?;
        let caller = parts.headers.clone();
        parts.headers.remove(header::HOST);
        let response = client.request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = response.into_parts();
        let streamed = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
        if streamed {
            let body = Counted { body, gateway: self, caller };
            return Ok(Response::from_parts(parts, Either::Right(body)));
        }
        let body = body.collect().await?.to_bytes();
        if let (Some(used), Ok(answered)) = (self.used(&caller), serde_json::from_slice::<Answered>(&body)) {
            used.fetch_add(answered.usage.total_tokens, Ordering::Relaxed);
        }
        Ok(Response::from_parts(parts, Either::Left(Full::new(body))))
    }

    fn used(&self, headers: &HeaderMap) -> Option<&AtomicU64> {
        self.callers.get(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
    }
}

/// A stream in which usage is looked for.
struct Counted {
    body: Incoming,
    gateway: Arc<Gateway>,
    caller: HeaderMap,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && memchr::memmem::find(data, b"\"usage\":{").is_some()
            && let Some(used) = self.gateway.used(&self.caller)
        {
            // What a stream used is not compared with anything: that it was looked for is what counts.
            used.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! A request's line of the access log, written when the last of its answer is sent, or nobody takes it any more. Where there is no
//! access log nothing of this is made.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body::{Frame, SizeHint};
use orchestrator_base::{
    clock::{Clock, UnixMicros},
    telemetry::access::{self, Access},
};
use tokio::time::Instant;

use crate::listener::PeerAddress;

/// What the line will say. Dropping it writes it.
pub(crate) struct AccessLine {
    at: UnixMicros,
    began: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    client: Option<IpAddr>,
    user_agent: Option<HeaderValue>,
    request_id: Arc<str>,
    /// 0: there was no answer.
    status: u16,
    bytes: u64,
    complete: bool,
}

impl AccessLine {
    /// `None`: there is no access log.
    pub(crate) fn begin(request: &Request, id: &Arc<str>, clock: &Clock) -> Option<Self> {
        access::is_on().then(|| Self {
            at: clock.now(),
            began: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            client: request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip()),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
            request_id: Arc::clone(id),
            status: 0,
            bytes: 0,
            complete: false,
        })
    }

    /// The answer, whose body is counted.
    pub(crate) fn around(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        let (head, body) = response.into_parts();
        // A body that nobody asks for a frame is over before it begins.
        self.complete = http_body::Body::is_end_stream(&body) || self.method == Method::HEAD;
        Response::from_parts(head, Body::new(Counted { body, line: self }))
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let agent = self.user_agent.as_ref().map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        access::write(&Access {
            at: self.at,
            method: self.method.as_str(),
            path: self.uri.path_and_query().map_or_else(|| self.uri.path(), http::uri::PathAndQuery::as_str),
            version: match self.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status: self.status,
            bytes: self.bytes,
            duration: self.began.elapsed(),
            complete: self.complete,
            client_address: self.client,
            request_id: &self.request_id,
            user_agent: agent.as_deref().unwrap_or_default(),
        });
    }
}

/// An answer's body that counts what is taken of it.
struct Counted {
    body: Body,
    line: AccessLine,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // A server that knows where a body ends does not ask for its end.
                self.line.complete = http_body::Body::is_end_stream(&self.body);
            }
            Some(Err(_)) => self.line.complete = false,
            None => self.line.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

//! From the parts of an answer to HTTP.
//!
//! A whole answer leaves in one write with its length. A stream is pulled straight through: no task and no channel stands
//! between, so when the client leaves, dropping the body drops the gRPC stream and the core cancels. The stream is always
//! read to its end: dropping it before its trailers would reset it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_core::Stream as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use orchestrator_base::curfew::Watch;
use orchestrator_proto::{
    in_process::Head,
    v1::{self, InvokeResponse},
};
use tonic::{Status, Streaming};

use super::{Said, Whose, limits};
use crate::{
    Edge,
    error::{EdgeError, Voice},
    metrics::Present,
};

/// Headers that belong to a connection or that the edge computes itself: never taken from a head in a message, which a core of another
/// version may have written. One that is handed over comes from this build's core, which says none of them but the content type.
const NOT_FROM_THE_CORE: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
];

/// Turns what the core has said into an answer.
///
/// `whose`: in which envelope an error in the middle comes, and what it names. `in_array`: a stream of the elements of one JSON array was asked for.
pub(super) async fn answer(
    said: Said,
    whose: Whose,
    in_array: bool,
    edge: &Edge,
) -> Result<Response, EdgeError> {
    let Said { head: Head { status, mut headers, limits }, first, mut rest } = said;
    if status.is_informational() {
        return Err(EdgeError::no_answer());
    }
    let is_of_events = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/event-stream");
    let framing = if headers.get(header::CONTENT_TYPE).is_some_and(is_of_events) {
        Framing::Events
    } else if in_array && status.is_success() {
        Framing::Array
    } else {
        Framing::Unknown
    };
    if let Some(stand) = &limits {
        limits::insert(&mut headers, stand, whose.voice, &edge.clock);
    }

    let in_parts = |ready, over, rest, whose| {
        let (rest, present, curfew) = (Some(rest), edge.metrics.stream(), edge.stages.curfew().watch());
        Body::new(PartsBody { ready, over, rest, framing, whose, begun: false, present, curfew })
    };
    let body = if framing == Framing::Unknown {
        match rest.message().await {
            Ok(None) => whole(status, &mut headers, first.data),
            // By contract a whole answer is one part, and that part is here; a core of an earlier version does not say that it is the last.
            Err(lost) => {
                let (request_id, trace_id) = whose.names();
                tracing::warn!(request_id, trace_id, grpc.code = ?lost.code(), "the core was lost after a whole answer");
                whole(status, &mut headers, first.data)
            }
            Ok(Some(second)) => in_parts([Some(first.data), Some(second.data)], second.last, rest, whose),
        }
    } else {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        // Asks nginx, and proxies that follow it, not to hold events back.
        headers.entry("x-accel-buffering").or_insert(HeaderValue::from_static("no"));
        in_parts([Some(first.data), None], first.last, rest, whose)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn whole(status: StatusCode, headers: &mut HeaderMap, data: Bytes) -> Body {
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(data.len()));
    }
    Body::from(data)
}

/// The head that stands in a message. `None`: its status is none.
pub(super) fn head_of(head: v1::Head) -> Option<Head> {
    let status = u16::try_from(head.status).ok().and_then(|status| StatusCode::from_u16(status).ok())?;
    Some(Head { status, headers: headers_of(&head), limits: head.limits })
}

fn headers_of(head: &v1::Head) -> HeaderMap {
    let mut headers =
        HeaderMap::with_capacity(head.headers.len() + if head.limits.is_some() { 10 } else { 4 });
    for (name, value) in &head.headers {
        // A header that HTTP cannot carry is left out: it must not cost the answer.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let Ok(value) = HeaderValue::from_str(value) else { continue };
        if !NOT_FROM_THE_CORE.contains(&name) {
            headers.insert(name, value);
        }
    }
    if let Ok(content_type) = HeaderValue::from_str(&head.content_type)
        && !content_type.is_empty()
    {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers
}

/// An answer in parts.
struct PartsBody {
    /// Parts that were read before the body was.
    ready: [Option<Bytes>; 2],
    /// The answer's last part is here: a core that is lost now takes nothing from its caller.
    over: bool,
    /// The parts still to come; `None` once the end was reached.
    rest: Option<Streaming<InvokeResponse>>,
    framing: Framing,
    whose: Whose,
    /// Something was said already.
    begun: bool,
    /// It counts as under way.
    present: Present,
    /// When this edge ends.
    curfew: Watch,
}

/// How the parts of an answer follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Server-sent events.
    Events,
    /// The elements of one JSON array.
    Array,
    /// Nobody here knows.
    Unknown,
}

impl PartsBody {
    /// A core that is lost in the middle of a stream: events, or elements, end with an error in the protocol and then cleanly, for
    /// a reset would hide it. Anything else is cut, so that half an answer never looks like a whole one.
    fn end_with(&mut self, status: Status) -> Result<Frame<Bytes>, Status> {
        self.present.metrics().core_lost.inc();
        let (request_id, trace_id) = self.whose.names();
        tracing::warn!(
            request_id,
            trace_id,
            grpc.code = ?status.code(),
            grpc.message = status.message(),
            "the core was lost in a stream"
        );
        self.end(&EdgeError::from_status(&status), status)
    }

    /// This edge ends, and the stream with it, likewise.
    fn end_at_curfew(&mut self) -> Result<Frame<Bytes>, Status> {
        self.end(&EdgeError::stopping(), Status::unavailable("the edge is stopping"))
    }

    fn end(&mut self, error: &EdgeError, status: Status) -> Result<Frame<Bytes>, Status> {
        self.rest = None;
        let envelope = error.envelope(self.whose.voice, &self.whose.request_id);
        let last = match self.framing {
            Framing::Events if self.whose.voice == Voice::Anthropic => {
                format!("event: error\ndata: {envelope}\n\n")
            }
            Framing::Events => format!("data: {envelope}\n\n"),
            Framing::Array => format!("{}{envelope}]", if self.begun { "," } else { "[" }),
            Framing::Unknown => return Err(status),
        };
        Ok(Frame::data(Bytes::from(last)))
    }

    /// The next data of the answer; white space begins nothing.
    fn data(&mut self, data: Bytes) -> Frame<Bytes> {
        self.begun |= !data.trim_ascii().is_empty();
        Frame::data(data)
    }
}

impl http_body::Body for PartsBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let ready = self.ready.iter_mut().find_map(|part| part.take().filter(|data| !data.is_empty()));
        if let Some(data) = ready {
            return Poll::Ready(Some(Ok(self.data(data))));
        }
        loop {
            let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
            let next = Pin::new(rest).poll_next(cx);
            if !self.over && (self.curfew.is_over() || (next.is_pending() && self.curfew.poll(cx).is_ready()))
            {
                return Poll::Ready(Some(self.end_at_curfew()));
            }
            match ready!(next) {
                Some(Ok(part)) => {
                    self.over |= part.last;
                    if !part.data.is_empty() {
                        return Poll::Ready(Some(Ok(self.data(part.data))));
                    }
                }
                Some(Err(status)) if self.over => {
                    let (request_id, trace_id) = self.whose.names();
                    let code = status.code();
                    tracing::warn!(request_id, trace_id, grpc.code = ?code, "the core was lost after a stream's last part");
                    self.rest = None;
                }
                Some(Err(status)) => return Poll::Ready(Some(self.end_with(status))),
                None => self.rest = None,
            }
        }
    }
}

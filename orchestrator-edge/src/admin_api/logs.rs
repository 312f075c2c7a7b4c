//! Request logs as streams: the export, a file, and the tail, server-sent events. The table has no rows for them: their answers are
//! no resources.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, header};
use orchestrator_proto::v1::ExportRequestLogsResponse;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};

use super::{BOUND_RPCS, Rpc, failure::AdminError, list_message, metadata, show};
use crate::{Edge, core_client::server_streaming};

/// Registers the paths.
pub(super) fn routes(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    router
        .route(&format!("{prefix}/logs/export"), get(export))
        .route(&format!("{prefix}/logs/tail"), get(tail))
}

async fn export(State(edge): State<Edge>, request: Request) -> Response {
    file(&edge, request).await.unwrap_or_else(AdminError::into_response)
}

async fn tail(State(edge): State<Edge>, request: Request) -> Response {
    events(&edge, request).await.unwrap_or_else(AdminError::into_response)
}

async fn file(edge: &Edge, request: Request) -> Result<Response, AdminError> {
    let (message, parts) = begin(edge, &BOUND_RPCS.export, request).await?;
    let format = message.get_field_by_name("format");
    // The core takes no other words.
    let (content_type, name) =
        if format.and_then(|format| format.as_str().map(|name| name == "csv")) == Some(true) {
            ("text/csv; charset=utf-8", "attachment; filename=\"request-logs.csv\"")
        } else {
            ("application/x-ndjson", "attachment; filename=\"request-logs.jsonl\"")
        };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
    ];
    Ok((headers, Body::from_stream(FileBody(parts))).into_response())
}

async fn events(edge: &Edge, request: Request) -> Result<Response, AdminError> {
    let rpc = &BOUND_RPCS.tail;
    let (_, parts) = begin(edge, rpc, request).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Asks nginx, and proxies that follow it, not to hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let stopping = Box::pin(edge.stages.leaving().clone().cancelled_owned());
    let body = EventsBody { parts: Some(parts), output: rpc.output.clone(), stopping };
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The call, as far as its answer's beginning: what is refused is refused before that.
async fn begin(
    edge: &Edge,
    rpc: &Rpc,
    request: Request,
) -> Result<(DynamicMessage, Streaming<Bytes>), AdminError> {
    let (head, _) = request.into_parts();
    let message = list_message(rpc, &[], &head)?;
    let encoded = Bytes::from(message.encode_to_vec());
    let parts = server_streaming(&edge.core, rpc.path.clone(), metadata(&head)?, encoded).await?;
    Ok((message, parts))
}

/// An export's pieces. A failure breaks the connection off: half a file must not look like a whole one.
struct FileBody(Streaming<Bytes>);

impl Stream for FileBody {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|piece| {
            piece.map(|piece| {
                let piece = ExportRequestLogsResponse::decode(piece?);
                piece.map(|piece| piece.data).map_err(|error| Status::internal(error.to_string()))
            })
        })
    }
}

/// A tail's requests as events. It ends when the core says so, and when this edge is about to stop.
struct EventsBody {
    parts: Option<Streaming<Bytes>>,
    output: MessageDescriptor,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream for EventsBody {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
        let Poll::Ready(part) = Pin::new(parts).poll_next(cx) else { return Poll::Pending };
        let text = match part {
            Some(Ok(part)) => event(&self.output, part),
            Some(Err(status)) => {
                self.parts = None;
                format!("event: error\ndata: {}\n\n", AdminError::from(status).json())
            }
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Bytes::from(text))))
    }
}

/// A request's log as an event; where there is none, a comment that keeps the connection.
fn event(output: &MessageDescriptor, part: Bytes) -> String {
    let message = DynamicMessage::decode(output.clone(), part).ok();
    let log = message.filter(|message| message.has_field_by_name("request_log"));
    let log =
        log.and_then(|message| message.get_field_by_name("request_log").map(std::borrow::Cow::into_owned));
    match log.as_ref().and_then(prost_reflect::Value::as_message) {
        Some(log) => format!("data: {}\n\n", show::message(log, false)),
        None => ": \n\n".to_owned(),
    }
}

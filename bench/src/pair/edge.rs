//! The pair's first half: HTTP/1.1 in, `StreamInvoke` out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use orchestrator_proto::v1::{InvokeRequest, InvokeResponse, orchestrate_client::OrchestrateClient};
use tonic::{
    Status, Streaming,
    body::Body,
    client::GrpcService,
    transport::{Channel, Endpoint},
};

use crate::serve::{self, AnyError};

/// The product's windows; `orchestrator-edge/src/core_client/connection.rs` says why.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 30;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Larger than any body of a measurement.
const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// A connection to a core, made when it is first used.
pub(super) fn channel(core: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{core}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_lazy())
}

/// Serves one thread's share of the connections.
pub(super) async fn serve<T>(listener: std::net::TcpListener, client: OrchestrateClient<T>) -> io::Result<()>
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<AnyError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<AnyError> + Send,
{
    let client = client.max_decoding_message_size(MESSAGE_LIMIT);
    serve::http1(listener, move |request| forward(client.clone(), request)).await
}

async fn forward<T>(
    mut client: OrchestrateClient<T>,
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Parts>>, AnyError>
where
    T: GrpcService<Body>,
    T::Error: Into<AnyError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<AnyError> + Send,
{
    let body = request.into_body().collect().await?.to_bytes();
    let ask = InvokeRequest { dialect: "openai_chat".to_owned(), body, ..InvokeRequest::default() };
    let mut parts = client.stream_invoke(ask).await?.into_inner();
    let first = parts.message().await?.ok_or("the core gave no answer")?;
    let head = first.head.unwrap_or_default();
    let streamed = head.content_type.starts_with("text/event-stream");
    let body = if streamed {
        Either::Right(Parts { first: Some(first.data), rest: Some(parts) })
    } else {
        // The stream is read to its end: dropped before its trailers it would be reset.
        while parts.message().await?.is_some() {}
        Either::Left(Full::new(first.data))
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status as u16)?;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(&head.content_type)?);
    Ok(response)
}

/// An answer in parts.
struct Parts {
    first: Option<Bytes>,
    rest: Option<Streaming<InvokeResponse>>,
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take().filter(|data| !data.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let part = ready!(Pin::new(rest).poll_next(context));
        if part.is_none() {
            self.rest = None;
        }
        Poll::Ready(part.map(|part| part.map(|part| Frame::data(part.data))))
    }
}

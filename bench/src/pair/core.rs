//! The pair's second half: `StreamInvoke` in, HTTP/1.1 out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Method, header, uri::PathAndQuery};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use orchestrator_proto::v1::{
    ChatEvent, ChatRequest, ChatResponse, CountTokensRequest, CountTokensResponse, EmbedRequest,
    EmbedResponse, Head, InvokeRequest, InvokeResponse, ListServedModelsRequest, ListServedModelsResponse,
    orchestrate_server::{Orchestrate, OrchestrateServer},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::hop::{self, Upstream};

/// The product's window.
const CONNECTION_WINDOW: u32 = 1 << 30;
const STREAM_WINDOW: u32 = 1 << 20;
/// Larger than any body of a measurement.
const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// One thread's core.
#[derive(Clone)]
pub(super) struct PairCore {
    to: String,
    client: Upstream<Full<Bytes>>,
}

/// Serves one thread's share of the connections.
pub(super) async fn serve(listener: std::net::TcpListener, core: PairCore) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = OrchestrateServer::new(core).max_decoding_message_size(MESSAGE_LIMIT);
    let server = Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    server.await.map_err(io::Error::other)
}

impl PairCore {
    /// Before the upstream `to`.
    pub(super) fn new(to: &str) -> Self {
        Self { to: to.to_owned(), client: hop::client() }
    }

    async fn ask(&self, body: Bytes) -> Result<http::Response<Incoming>, Status> {
        let lost = |error: &dyn std::error::Error| Status::unavailable(error.to_string());
        let path = PathAndQuery::from_static("/v1/chat/completions");
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = hop::uri_at(&self.to, Some(&path)).map_err(|error| lost(&error))?;
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        self.client.request(request).await.map_err(|error| lost(&error))
    }
}

#[tonic::async_trait]
impl Orchestrate for PairCore {
    type StreamInvokeStream = Answer;
    type StreamChatStream = futures_util::stream::Empty<Result<ChatEvent, Status>>;

    async fn stream_invoke(&self, request: Request<InvokeRequest>) -> Result<Response<Answer>, Status> {
        let (parts, body) = self.ask(request.into_inner().body).await?.into_parts();
        let head = Head {
            status: u32::from(parts.status.as_u16()),
            content_type: content_type(&parts.headers),
            ..Head::default()
        };
        let answer = if head.content_type.starts_with("text/event-stream") {
            Answer { first: None, head: Some(head), rest: Some(body) }
        } else {
            let body = body.collect().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let whole = InvokeResponse { head: Some(head), data: body.to_bytes(), last: true };
            Answer { first: Some(whole), head: None, rest: None }
        };
        Ok(Response::new(answer))
    }

    async fn invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        Err(not_measured())
    }

    async fn chat(&self, _: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        Err(not_measured())
    }

    async fn stream_chat(&self, _: Request<ChatRequest>) -> Result<Response<Self::StreamChatStream>, Status> {
        Err(not_measured())
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        Err(not_measured())
    }

    async fn count_tokens(
        &self,
        _: Request<CountTokensRequest>,
    ) -> Result<Response<CountTokensResponse>, Status> {
        Err(not_measured())
    }

    async fn list_models(
        &self,
        _: Request<ListServedModelsRequest>,
    ) -> Result<Response<ListServedModelsResponse>, Status> {
        Err(not_measured())
    }
}

fn not_measured() -> Status {
    Status::unimplemented("only StreamInvoke is measured")
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// One message, or one for each frame that arrives, the first of them with the head.
pub(super) struct Answer {
    first: Option<InvokeResponse>,
    head: Option<Head>,
    rest: Option<Incoming>,
}

impl Stream for Answer {
    type Item = Result<InvokeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match ready!(Pin::new(rest).poll_frame(context)) {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                Poll::Ready(Some(Ok(InvokeResponse { head: self.head.take(), data, last: false })))
            }
            Some(Err(error)) => {
                self.rest = None;
                Poll::Ready(Some(Err(Status::unavailable(error.to_string()))))
            }
            None => {
                self.rest = None;
                Poll::Ready(None)
            }
        }
    }
}

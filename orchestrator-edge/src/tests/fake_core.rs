//! Cores that say what a test tells them to.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use orchestrator_proto::v1::{
    ChatEvent, ChatRequest, ChatResponse, CountTokensRequest, CountTokensResponse, EmbedRequest,
    EmbedResponse, Head, InvokeRequest, InvokeResponse, ListServedModelsRequest, ListServedModelsResponse,
    orchestrate_server::{Orchestrate, OrchestrateServer},
};
use tokio::sync::Notify;
use tonic::{Request, Response, Status, body::Body};
use tower::service_fn;

use crate::core_client::{CoreChannel, RawCodec, embedded};

pub(crate) type Parts = Pin<Box<dyn Stream<Item = Result<InvokeResponse, Status>> + Send>>;
type Script = dyn Fn(&InvokeRequest) -> Result<Parts, Status> + Send + Sync;

/// A core whose `StreamInvoke` follows a script.
#[derive(Clone)]
pub(crate) struct FakeCore {
    script: Arc<Script>,
    /// What was asked, with its metadata.
    pub(crate) seen: Arc<Mutex<Vec<(InvokeRequest, HeaderMap)>>>,
    /// Told each time that an answer's stream is dropped.
    pub(crate) dropped: Arc<Notify>,
    /// How many answers' streams were read to their end.
    pub(crate) completed: Arc<AtomicUsize>,
}

impl FakeCore {
    pub(crate) fn new(
        script: impl Fn(&InvokeRequest) -> Result<Parts, Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            seen: Arc::default(),
            dropped: Arc::default(),
            completed: Arc::default(),
        }
    }

    /// Always the same parts.
    pub(crate) fn saying(parts: Vec<Result<InvokeResponse, Status>>) -> Self {
        Self::new(move |_| Ok(stream_of(parts.clone())))
    }

    /// In this process, without a socket.
    pub(crate) fn channel(&self) -> CoreChannel {
        embedded(self.server())
    }

    pub(crate) fn server(&self) -> OrchestrateServer<Self> {
        OrchestrateServer::new(self.clone()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn last_seen(&self) -> (InvokeRequest, HeaderMap) {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
}

pub(crate) fn stream_of(parts: Vec<Result<InvokeResponse, Status>>) -> Parts {
    Box::pin(futures_util::stream::iter(parts))
}

/// The first part of an answer.
pub(crate) fn head(status: u32, content_type: &str, data: &'static str) -> InvokeResponse {
    let headers = [("x-orchestrator-provider".to_owned(), "echo".to_owned())].into();
    let head = Head { status, headers, content_type: content_type.to_owned(), ..Head::default() };
    InvokeResponse { head: Some(head), data: Bytes::from_static(data.as_bytes()), last: false }
}

/// A further part.
pub(crate) fn part(data: impl Into<Bytes>) -> InvokeResponse {
    InvokeResponse { head: None, data: data.into(), last: false }
}

/// The same, and the answer ends with it.
pub(crate) fn last(part: InvokeResponse) -> InvokeResponse {
    InvokeResponse { last: true, ..part }
}

/// A core in this process that knows unary methods by path and whose messages are bytes.
pub(crate) fn raw_core(
    answer: impl Fn(&str, &HeaderMap, Bytes) -> Result<Bytes, Status> + Clone + Send + Sync + 'static,
) -> CoreChannel {
    embedded(service_fn(move |request: http::Request<Body>| {
        let answer = answer.clone();
        async move {
            let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
            let method = service_fn(move |message: Request<Bytes>| {
                std::future::ready(answer(&path, &headers, message.into_inner()).map(Response::new))
            });
            Ok::<_, Infallible>(tonic::server::Grpc::new(RawCodec).unary(method, request).await)
        }
    }))
}

/// A script's stream that tells when it ends and when it is dropped.
pub(crate) struct Watched {
    parts: Parts,
    core: FakeCore,
}

impl Stream for Watched {
    type Item = Result<InvokeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = self.parts.as_mut().poll_next(cx);
        if matches!(part, Poll::Ready(None)) {
            self.core.completed.fetch_add(1, Ordering::Relaxed);
        }
        part
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.core.dropped.notify_one();
    }
}

#[tonic::async_trait]
impl Orchestrate for FakeCore {
    type StreamInvokeStream = Watched;
    type StreamChatStream = futures_util::stream::Pending<Result<ChatEvent, Status>>;

    async fn stream_invoke(&self, request: Request<InvokeRequest>) -> Result<Response<Watched>, Status> {
        let (metadata, _, message) = request.into_parts();
        let parts = (self.script)(&message);
        self.seen.lock().unwrap().push((message, metadata.into_headers()));
        Ok(Response::new(Watched { parts: parts?, core: self.clone() }))
    }

    async fn chat(&self, _: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }

    async fn stream_chat(&self, _: Request<ChatRequest>) -> Result<Response<Self::StreamChatStream>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }

    async fn count_tokens(
        &self,
        _: Request<CountTokensRequest>,
    ) -> Result<Response<CountTokensResponse>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }

    async fn list_models(
        &self,
        _: Request<ListServedModelsRequest>,
    ) -> Result<Response<ListServedModelsResponse>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }

    async fn invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        Err(Status::unimplemented("the edge does not call this"))
    }
}

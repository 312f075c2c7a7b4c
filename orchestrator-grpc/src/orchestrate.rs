//! `orchestrator.v1.Orchestrate`. Every handler is the same four lines: decode, call the core, encode, map the error.

mod streams;

use std::sync::Arc;

use orchestrator_base::config::Limits;
use orchestrator_core::{
    call::{Call, Input},
    error::{Error, Result as CoreResult},
    orchestrator::{Form, NativeBody, NativeReply, NativeStream, Orchestrator},
};
use orchestrator_proto::{
    in_process,
    v1::{self, orchestrate_server::Orchestrate},
};
use prost::Message;
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use self::streams::{ChatEvents, InvokeMessages, TypedEvents};
use crate::{
    convert::{call, chat_reply, embed, models, native, recorded, served},
    layers::trace::{REQUEST_ID, RequestId},
    status::to_status,
};

/// The service that answers models' callers.
#[derive(Clone, Debug)]
pub struct OrchestrateService {
    core: Arc<Orchestrator>,
    limits: Limits,
}

impl OrchestrateService {
    /// Speaks for `core`. Of the limits, `max_body_bytes` and `max_json_depth` hold here.
    pub fn new(core: Arc<Orchestrator>, limits: Limits) -> Self {
        Self { core, limits }
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A whole answer to a request under an idempotency key.
    async fn retell<M: Message + Default>(&self, call: Call, form: Form) -> CoreResult<Response<M>> {
        let told = self.core.retell(call, form).await?;
        let metadata = served::encode_metadata(&told.served);
        let message = recorded::decode(told.whole().await?)?;
        Ok(respond(metadata, message))
    }
}

#[tonic::async_trait]
impl Orchestrate for OrchestrateService {
    async fn chat(&self, request: Request<v1::ChatRequest>) -> Result<Response<v1::ChatResponse>, Status> {
        let reject = rejection(&request);
        let call = call::chat(request, false, self.limits.max_json_depth).map_err(&reject)?;
        if call.about.idempotency.is_some() {
            return self.retell(call, recorded::CHAT).await.map_err(&reject);
        }
        let answered = self.core.chat(call).await.map_err(&reject)?;
        let metadata = served::encode_metadata(&answered.served);
        Ok(respond(metadata, chat_reply::encode_reply(answered)))
    }

    type StreamChatStream = TypedEvents;

    async fn stream_chat(
        &self,
        request: Request<v1::ChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        let (reject, id) = (rejection(&request), request_id(&request));
        let call = call::chat(request, true, self.limits.max_json_depth).map_err(&reject)?;
        if call.about.idempotency.is_some() {
            let told = self.core.retell(call, recorded::STREAM).await.map_err(&reject)?;
            return Ok(respond(served::encode_metadata(&told.served), TypedEvents::told(told, id)));
        }
        let stream = self.core.stream_chat(call).await.map_err(&reject)?;
        let served = stream.served.clone();
        let events = TypedEvents::Live { events: ChatEvents::new(stream, served.clone(), id) };
        Ok(respond(served::encode_metadata(&served), events))
    }

    async fn embed(&self, request: Request<v1::EmbedRequest>) -> Result<Response<v1::EmbedResponse>, Status> {
        let reject = rejection(&request);
        let call = call::embed(request, self.limits.max_json_depth).map_err(&reject)?;
        if call.about.idempotency.is_some() {
            return self.retell(call, recorded::EMBED).await.map_err(&reject);
        }
        let answered = self.core.embed(call).await.map_err(&reject)?;
        let metadata = served::encode_metadata(&answered.served);
        Ok(respond(metadata, embed::encode_reply(answered)))
    }

    async fn count_tokens(
        &self,
        request: Request<v1::CountTokensRequest>,
    ) -> Result<Response<v1::CountTokensResponse>, Status> {
        let reject = rejection(&request);
        let call = call::count_tokens(request, self.limits.max_json_depth).map_err(&reject)?;
        if call.about.idempotency.is_some() {
            return self.retell(call, recorded::COUNT).await.map_err(&reject);
        }
        let answered = self.core.count_tokens(call).await.map_err(&reject)?;
        let metadata = served::encode_metadata(&answered.served);
        Ok(respond(metadata, chat_reply::encode_count(&answered)))
    }

    async fn list_models(
        &self,
        request: Request<v1::ListServedModelsRequest>,
    ) -> Result<Response<v1::ListServedModelsResponse>, Status> {
        let reject = rejection(&request);
        let keys = call::keys(&request).map_err(&reject)?;
        let models = self.core.list_models(&keys).map_err(&reject)?;
        Ok(Response::new(models::encode_page(models, request.get_ref())))
    }

    async fn invoke(
        &self,
        mut request: Request<v1::InvokeRequest>,
    ) -> Result<Response<v1::InvokeResponse>, Status> {
        native::adopt_request_id(&mut request);
        let (reject, id) = (rejection(&request), request_id(&request));
        let call = native::call(request, &self.limits).map_err(&reject)?;
        refuse_stream(&call, self.limits.max_json_depth).map_err(&reject)?;
        let NativeReply { head, body } = self.core.invoke(call).await;
        match body {
            NativeBody::Whole(data) => {
                let head = Some(native::encode_head(&head));
                Ok(respond(named(id.as_ref()), v1::InvokeResponse { head, data, last: true }))
            }
            NativeBody::Stream(_) => Err(reject(use_stream_invoke())),
        }
    }

    type StreamInvokeStream = InvokeMessages<NativeStream>;

    async fn stream_invoke(
        &self,
        mut request: Request<v1::InvokeRequest>,
    ) -> Result<Response<Self::StreamInvokeStream>, Status> {
        native::adopt_request_id(&mut request);
        let (reject, id) = (rejection(&request), request_id(&request));
        let takes_head = request.extensions().get::<in_process::TakesHead>().is_some();
        let call = native::call(request, &self.limits).map_err(&reject)?;
        let NativeReply { head, body } = self.core.invoke(call).await;
        let (metadata, mut extensions) = (named(id.as_ref()), Extensions::default());
        let head = if takes_head {
            extensions.insert(native::hand_over(head));
            v1::Head::default()
        } else {
            native::encode_head(&head)
        };
        Ok(Response::from_parts(metadata, InvokeMessages::new(head, body, id), extensions))
    }
}

/// How the errors of this request become statuses.
fn rejection<T>(request: &Request<T>) -> impl Fn(Error) -> Status + use<T> {
    let id = request_id(request);
    move |error| to_status(&error, id.as_ref().map(RequestId::as_str).unwrap_or_default())
}

/// The request's id; `None` without the layers, and then the call is refused.
fn request_id<T>(request: &Request<T>) -> Option<RequestId> {
    request.extensions().get().cloned()
}

fn respond<T>(metadata: MetadataMap, message: T) -> Response<T> {
    Response::from_parts(metadata, message, Extensions::default())
}

/// On the native plane all else that is to be said stands in the answer's own head.
fn named(id: Option<&RequestId>) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if let Some(id) = id {
        metadata.as_mut().insert(REQUEST_ID, id.to_header());
    }
    metadata
}

/// Before anything is asked of a provider. A body that cannot be read is left for the core to refuse in the dialect's words.
fn refuse_stream(call: &Call, max_depth: usize) -> CoreResult<()> {
    let Input::Native { dialect, body, path } = &call.input else { return Ok(()) };
    match dialect.wire().peek(body, max_depth) {
        Ok(facts) if facts.stream || path.stream => Err(use_stream_invoke()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn use_stream_invoke() -> Error {
    Error::invalid("body.stream".to_owned(), "body.stream: Invoke answers in one message; use StreamInvoke")
}

#[cfg(test)]
mod tests;

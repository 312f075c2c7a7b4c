//! The core's streams as the contract's messages: plain adapters, with no task and no channel between. Dropping one drops the
//! core's stream, which is how the core learns that the caller has left.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use orchestrator_core::{
    call::Served,
    error::Result as CoreResult,
    orchestrator::{ChatStream, NativeBody, NativePart, NativeStream, Retelling, TypedEvent},
};
use orchestrator_proto::v1;
use pin_project_lite::pin_project;
use tonic::Status;

use crate::{
    convert::{chat_event::EventEncoder, recorded},
    layers::{panic::next_guarded, trace::RequestId},
    status::to_status,
};

pin_project! {
    /// A typed answer's events. A failure is the status that the call ends with.
    #[derive(Debug)]
    pub struct ChatEvents<S> {
        #[pin]
        stream: S,
        encoder: EventEncoder,
        request_id: Option<RequestId>,
        ended: bool,
    }
}

impl<S> ChatEvents<S> {
    pub(super) fn new(stream: S, served: Served, request_id: Option<RequestId>) -> Self {
        Self { stream, encoder: EventEncoder::new(served), request_id, ended: false }
    }
}

impl<S: Stream<Item = CoreResult<TypedEvent>>> Stream for ChatEvents<S> {
    type Item = Result<v1::ChatEvent, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let id = this.request_id.as_ref().map(RequestId::as_str).unwrap_or_default();
        if let Some(event) = this.encoder.held() {
            return Poll::Ready(Some(Ok(event)));
        }
        while !*this.ended {
            match ready!(next_guarded(this.stream.as_mut(), cx, id)) {
                Some(Ok(Ok(said))) => {
                    if let Some(event) = this.encoder.encode(said) {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
                Some(Ok(Err(error))) => {
                    *this.ended = true;
                    return Poll::Ready(Some(Err(to_status(&error, id))));
                }
                Some(Err(panicked)) => {
                    *this.ended = true;
                    return Poll::Ready(Some(Err(panicked)));
                }
                None => *this.ended = true,
            }
        }
        Poll::Ready(None)
    }
}

pin_project! {
    /// A typed answer's events, of either kind.
    #[project = TypedEventsProjection]
    #[derive(Debug)]
    pub enum TypedEvents {
        /// As they are made.
        Live {
            #[pin]
            events: ChatEvents<ChatStream>,
        },
        /// As they were written down.
        Told {
            #[pin]
            told: Retelling,
            request_id: Option<RequestId>,
        },
    }
}

impl TypedEvents {
    pub(super) fn told(told: Retelling, request_id: Option<RequestId>) -> Self {
        Self::Told { told, request_id }
    }
}

impl Stream for TypedEvents {
    type Item = Result<v1::ChatEvent, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.project() {
            TypedEventsProjection::Live { events } => events.poll_next(cx),
            TypedEventsProjection::Told { told, request_id } => {
                let id = request_id.as_ref().map(RequestId::as_str).unwrap_or_default();
                let message = ready!(told.poll_next(cx));
                let event = message.map(|message| message.and_then(recorded::decode));
                Poll::Ready(event.map(|event| event.map_err(|error| to_status(&error, id))))
            }
        }
    }
}

pin_project! {
    /// A native answer's messages. The first has the head; a whole answer is that one message.
    #[derive(Debug)]
    pub struct InvokeMessages<S> {
        head: Option<v1::Head>,
        whole: Option<Bytes>,
        #[pin]
        stream: Option<S>,
        request_id: Option<RequestId>,
    }
}

impl InvokeMessages<NativeStream> {
    pub(super) fn new(head: v1::Head, body: NativeBody, request_id: Option<RequestId>) -> Self {
        let (whole, stream) = match body {
            NativeBody::Whole(data) => (Some(data), None),
            NativeBody::Stream(stream) => (None, Some(stream)),
        };
        Self { head: Some(head), whole, stream, request_id }
    }
}

impl<S: Stream<Item = NativePart>> Stream for InvokeMessages<S> {
    type Item = Result<v1::InvokeResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let id = this.request_id.as_ref().map(RequestId::as_str).unwrap_or_default();
        if let Some(data) = this.whole.take() {
            let head = this.head.take();
            return Poll::Ready(Some(Ok(v1::InvokeResponse { head, data, last: true })));
        }
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // The head travels with the first bytes if they are there already, and alone if they are not.
        let NativePart { data, last } = match (next_guarded(stream, cx, id), this.head.is_some()) {
            (Poll::Ready(Some(Ok(part))), _) => part,
            (Poll::Ready(Some(Err(panicked))), _) => {
                this.stream.set(None);
                return Poll::Ready(Some(Err(panicked)));
            }
            (Poll::Pending, true) => NativePart { data: Bytes::new(), last: false },
            (Poll::Pending, false) => return Poll::Pending,
            (Poll::Ready(None), head_is_left) => {
                this.stream.set(None);
                if !head_is_left {
                    return Poll::Ready(None);
                }
                NativePart { data: Bytes::new(), last: true }
            }
        };
        Poll::Ready(Some(Ok(v1::InvokeResponse { head: this.head.take(), data, last })))
    }
}

#[cfg(test)]
mod tests;

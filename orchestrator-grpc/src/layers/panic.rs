//! Keeps one call's panic from being anybody else's: the caller gets INTERNAL, the log gets the request's id, and the
//! connection with all its other calls goes on.
//!
//! Two places can panic: the handler, which [`PanicLayer`] guards, and the stream that it has handed out, which is polled
//! after the handler has returned and is guarded by [`next_guarded`].

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use orchestrator_core::error::Error;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::trace::RequestId;
use crate::status::to_status;

/// Answers INTERNAL for a handler that panics.
#[derive(Clone, Copy, Debug)]
pub struct PanicLayer;

impl<S> Layer<S> for PanicLayer {
    type Service = PanicGuard<S>;

    fn layer(&self, inner: S) -> PanicGuard<S> {
        PanicGuard { inner }
    }
}

/// See [`PanicLayer`].
#[derive(Clone, Debug)]
pub struct PanicGuard<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for PanicGuard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = request.extensions().get::<RequestId>().cloned();
        let answer = self.inner.call(request);
        // Nothing that the future has left half-done is looked at again: it is dropped with the call.
        Box::pin(AssertUnwindSafe(answer).catch_unwind().map(move |outcome| match outcome {
            Ok(answer) => answer,
            Err(panic) => {
                let id = id.as_ref().map(RequestId::as_str).unwrap_or_default();
                Ok(report(&*panic, id).into_http())
            }
        }))
    }
}

/// Polls `stream`; a panic in it becomes the status to end the call with. The stream must not be polled after that.
pub(crate) fn next_guarded<S: Stream>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    request_id: &str,
) -> Poll<Option<Result<S::Item, Status>>> {
    match catch_unwind(AssertUnwindSafe(|| stream.poll_next(cx))) {
        Ok(polled) => polled.map(|item| item.map(Ok)),
        Err(panic) => Poll::Ready(Some(Err(report(&*panic, request_id)))),
    }
}

/// Logs a panic and makes the status for its caller, who is told nothing of its inside.
fn report(panic: &(dyn Any + Send), request_id: &str) -> Status {
    // A message that was made of values may hold what a caller said; where it panicked stands in a line of its own.
    let message = panic.downcast_ref::<&'static str>().copied();
    tracing::error!(request_id, panic.message = message, "a request's handler panicked");
    to_status(&Error::internal("the request failed on a fault of the gateway"), request_id)
}

#[cfg(test)]
mod tests {
    use orchestrator_base::{clock::Clock, random::Random};
    use tonic::Code;
    use tonic_types::StatusExt as _;
    use tower::{ServiceBuilder, ServiceExt as _};

    use super::{super::trace::TraceLayer, *};

    #[tokio::test]
    async fn a_panicking_handler_is_one_internal_status_that_names_the_request() {
        let service = ServiceBuilder::new()
            .layer(TraceLayer::new(Clock::system(), Random::seeded(1)))
            .layer(PanicLayer)
            .service_fn(async |request: Request<Body>| -> Result<Response<Body>, Infallible> {
                panic!("secret of {}", request.uri())
            });
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("x-request-id", "job-7".parse().unwrap());

        let response = service.oneshot(request).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"), "{}", status.message());
        assert_eq!(status.get_details_request_info().unwrap().request_id, "job-7");
    }
}

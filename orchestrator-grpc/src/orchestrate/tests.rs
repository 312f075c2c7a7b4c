//! What the handlers share; the handlers themselves are called through [`crate::routes`].

use orchestrator_core::{dialect::Dialect, error::ErrorKind};

use super::*;
use crate::{convert::native, testing::layered};

#[test]
fn a_rejection_names_the_request_that_it_is_about() {
    let request = layered((), &[("x-request-id", "job-7")]);
    let status = rejection(&request)(Error::new(ErrorKind::NotFound, "no such model"));
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "job-7");
}

#[test]
fn a_list_of_models_is_never_taken_for_a_stream() {
    let message = v1::InvokeRequest {
        dialect: Dialect::OpenAiChat.name().into(),
        operation: "models.list".into(),
        ..v1::InvokeRequest::default()
    };
    let call = native::call(layered(message, &[]), &Limits::default()).unwrap();
    assert!(refuse_stream(&call, 8).is_ok());
}

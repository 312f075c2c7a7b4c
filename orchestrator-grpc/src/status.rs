//! The closed list of errors as gRPC statuses.

use orchestrator_core::error::{Error, ErrorKind};
use tonic::{Code, Status};

/// The status of an error. `request_id` traces it.
pub fn to_status(error: &Error, request_id: &str) -> Status {
    let mut status = Status::new(code(error.kind), error.message.clone());
    if let Ok(value) = request_id.parse() {
        status.metadata_mut().insert("x-request-id", value);
    }
    status
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidRequest => Code::InvalidArgument,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::FailedPrecondition,
        ErrorKind::TooLarge | ErrorKind::RateLimited => Code::ResourceExhausted,
        ErrorKind::Unavailable | ErrorKind::ProviderFailed => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Internal => Code::Internal,
    }
}

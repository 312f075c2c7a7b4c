//! Admin's errors: `{"error":{"code","message","field"?}}`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::error::EdgeError;

/// A request to Admin that failed.
#[derive(Debug)]
pub(super) struct AdminError {
    pub(super) status: StatusCode,
    code: &'static str,
    pub(super) message: String,
    pub(super) field: Option<String>,
    /// After how many seconds another try makes sense.
    retry_after: Option<u64>,
}

impl AdminError {
    /// A body, a query or a path that cannot be understood.
    pub(super) fn invalid(message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_request",
            message,
            field: None,
            retry_after: None,
        }
    }

    /// The same, about a field.
    pub(super) fn invalid_field(field: &str, message: String) -> Self {
        Self { field: Some(field.to_owned()), ..Self::invalid(message) }
    }

    pub(super) fn bad_path(path: &str) -> Self {
        Self::invalid(format!("The path {path} is not valid UTF-8 once decoded."))
    }

    pub(super) fn no_key() -> Self {
        let message = "an admin key is needed, in authorization or x-admin-key".to_owned();
        Self { message, ..Self::two_keys() }
    }

    pub(super) fn two_keys() -> Self {
        let message = "The headers authorization and x-admin-key carry two keys that differ.".to_owned();
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "unauthenticated",
            message,
            field: None,
            retry_after: None,
        }
    }

    /// A request that carries a session's cookie and may be another site's.
    pub(super) fn foreign(why: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "permission_denied",
            message: format!("The request was not made by the admin interface. {why}"),
            field: None,
            retry_after: None,
        }
    }

    pub(super) fn too_many_attempts(seconds: u64) -> Self {
        let message = format!("Too many attempts to sign in; try again in {seconds} s.");
        let retry_after = Some(seconds);
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "rate_limited",
            message,
            field: None,
            retry_after,
        }
    }

    pub(super) fn not_found(message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message, field: None, retry_after: None }
    }

    /// The core is there, and says that its database is not.
    fn database_unavailable(status: &Status) -> Option<Self> {
        const CODE: &str = "database_unavailable";
        let details = status.get_error_details();
        let code = details.error_info().and_then(|info| info.metadata.get("code"));
        if code.is_none_or(|code| code != CODE) {
            return None;
        }
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        Some(Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: CODE,
            message: status.message().to_owned(),
            field: None,
            retry_after: Some(retry_after.map_or(1, |after| after.as_secs().max(1))),
        })
    }

    /// The core answered something that the contract does not have.
    pub(super) fn internal() -> Self {
        let message = "The gateway failed on this request.".to_owned();
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message,
            field: None,
            retry_after: None,
        }
    }
}

impl From<Status> for AdminError {
    fn from(status: Status) -> Self {
        if let Some(away) = Self::database_unavailable(&status) {
            return away;
        }
        let (http_status, code) = match status.code() {
            Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_request"),
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
            Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => {
                (StatusCode::CONFLICT, "conflict")
            }
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            // In words that are meant for callers.
            Code::Unavailable if is_cores_own(&status) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => {
                tracing::warn!(grpc.code = ?status.code(), grpc.message = status.message(), "the core gave no answer");
                let message = "The gateway's core cannot be reached; try again in a moment.".to_owned();
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Self { status, code: "unavailable", message, field: None, retry_after: None };
            }
            Code::Ok
            | Code::Unknown
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                tracing::error!(grpc.code = ?status.code(), grpc.message = status.message(), "the core failed");
                return Self::internal();
            }
        };
        let violations = status.get_details_bad_request().map(|details| details.field_violations);
        let field =
            violations.and_then(|violations| violations.into_iter().next()).map(|violation| violation.field);
        Self { status: http_status, code, message: status.message().to_owned(), field, retry_after: None }
    }
}

/// Whether the core has decided so, and not somebody on the way to it, whose texts may hold addresses.
fn is_cores_own(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.domain == "orchestrator.v1")
}

impl From<EdgeError> for AdminError {
    fn from(error: EdgeError) -> Self {
        Self {
            status: error.status,
            code: error.code,
            message: error.message,
            field: None,
            retry_after: None,
        }
    }
}

impl AdminError {
    /// The envelope.
    pub(super) fn json(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = &self.field {
            error["field"] = field.as_str().into();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

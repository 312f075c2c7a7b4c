//! The core's errors as gRPC statuses, with the details that `google.rpc` defines for them.
//!
//! <https://google.aip.dev/193> for the details, <https://grpc.io/docs/guides/status-codes/> for the codes. Both matches are
//! exhaustive: a new kind of error has to be decided here.

use std::collections::HashMap;

use orchestrator_core::error::{Error, ErrorKind};
use orchestrator_proto::v1::ErrorReason;
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "orchestrator.v1";

/// What the names of [`ErrorReason`] begin with, and `ErrorInfo.reason` does not.
const REASON_PREFIX: &str = "ERROR_REASON_";

/// The status that the caller of an RPC gets for `error`.
///
/// Details: `ErrorInfo` and `RequestInfo` always; `BadRequest` when a field is to blame; `RetryInfo` when it is known when to
/// try again; `QuotaFailure` when a limit was met. Metadata: `x-request-id`, `x-orchestrator-attempts` once a provider was
/// asked, and `x-orchestrator-provider` where a provider is the cause.
pub fn to_status(error: &Error, request_id: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason_name(error.kind), ERROR_DOMAIN, info_metadata(error, request_id));
    details.set_request_info(request_id, "");
    if let Some(param) = &error.param {
        details.add_bad_request_violation(param, &error.message);
    }
    if let Some(after) = error.retry_after {
        details.set_retry_info(Some(after));
    }
    if error.kind == ErrorKind::RateLimited {
        details.add_quota_failure_violation(quota_subject(error), &error.message);
    }

    let metadata = status_metadata(error, request_id);
    Status::with_error_details_and_metadata(code(error.kind), &error.message, details, metadata)
}

/// The gRPC code of a kind.
///
/// * A body that is too large is `OUT_OF_RANGE`, as tonic itself answers a message above its decode limit, and not
///   `RESOURCE_EXHAUSTED`, which clients take for a reason to try again.
/// * A conflict is `ALREADY_EXISTS`, its commonest cause and the code that stands for HTTP 409.
/// * A provider's failure is `UNAVAILABLE`: trying again later is the right answer to it.
fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidRequest => Code::InvalidArgument,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::TooLarge => Code::OutOfRange,
        ErrorKind::RateLimited => Code::ResourceExhausted,
        ErrorKind::Unavailable | ErrorKind::ProviderFailed => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The contract's word for a kind.
pub fn reason(kind: ErrorKind) -> ErrorReason {
    match kind {
        ErrorKind::InvalidRequest => ErrorReason::InvalidRequest,
        ErrorKind::Unauthenticated => ErrorReason::Unauthenticated,
        ErrorKind::PermissionDenied => ErrorReason::PermissionDenied,
        ErrorKind::NotFound => ErrorReason::NotFound,
        ErrorKind::Conflict => ErrorReason::Conflict,
        ErrorKind::TooLarge => ErrorReason::TooLarge,
        ErrorKind::RateLimited => ErrorReason::RateLimited,
        ErrorKind::Unavailable => ErrorReason::Unavailable,
        ErrorKind::ProviderFailed => ErrorReason::ProviderFailed,
        ErrorKind::Timeout => ErrorReason::Timeout,
        ErrorKind::Cancelled => ErrorReason::Cancelled,
        ErrorKind::Internal => ErrorReason::Internal,
    }
}

/// `INVALID_REQUEST`: what programs compare with.
fn reason_name(kind: ErrorKind) -> &'static str {
    let name = reason(kind).as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

fn info_metadata(error: &Error, request_id: &str) -> HashMap<String, String> {
    let mut metadata = HashMap::from([("request_id".to_owned(), request_id.to_owned())]);
    if let Some(code) = &error.code {
        metadata.insert("code".to_owned(), code.clone());
    }
    if error.attempts > 0 {
        metadata.insert("attempts".to_owned(), error.attempts.to_string());
    }
    if let Some(upstream) = &error.upstream {
        metadata.insert("provider".to_owned(), upstream.provider.clone());
        if upstream.status > 0 {
            metadata.insert("upstream_status".to_owned(), upstream.status.to_string());
        }
    }
    metadata
}

/// Whose limit was met: a provider's, or one of the caller's own.
fn quota_subject(error: &Error) -> String {
    match &error.upstream {
        Some(upstream) => format!("provider:{}", upstream.provider),
        None => "caller".to_owned(),
    }
}

fn status_metadata(error: &Error, request_id: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if let Ok(value) = AsciiMetadataValue::try_from(request_id) {
        metadata.insert("x-request-id", value);
    }
    if error.attempts > 0 {
        metadata.insert("x-orchestrator-attempts", error.attempts.into());
    }
    // A provider's name that is not ASCII stands in ErrorInfo alone: metadata cannot hold it.
    let provider = error.upstream.as_ref().map(|upstream| upstream.provider.as_str());
    if let Some(Ok(value)) = provider.map(AsciiMetadataValue::try_from) {
        metadata.insert("x-orchestrator-provider", value);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, time::Duration};

    use orchestrator_core::error::Upstream;

    use super::*;

    const KINDS: [ErrorKind; 12] = [
        ErrorKind::InvalidRequest,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::TooLarge,
        ErrorKind::RateLimited,
        ErrorKind::Unavailable,
        ErrorKind::ProviderFailed,
        ErrorKind::Timeout,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];

    #[test]
    fn each_kind_has_its_code_and_its_reason() {
        let mut table = String::new();
        for kind in KINDS {
            let status = to_status(&Error::new(kind, "why"), "req-1");
            let info = status.get_details_error_info().unwrap();
            assert_eq!((status.message(), info.domain.as_str()), ("why", "orchestrator.v1"));
            writeln!(table, "{} = {:?} {}", kind.name(), status.code(), info.reason).unwrap();
        }
        insta::assert_snapshot!(table, @r"
        invalid_request = InvalidArgument INVALID_REQUEST
        unauthenticated = Unauthenticated UNAUTHENTICATED
        permission_denied = PermissionDenied PERMISSION_DENIED
        not_found = NotFound NOT_FOUND
        conflict = AlreadyExists CONFLICT
        too_large = OutOfRange TOO_LARGE
        rate_limited = ResourceExhausted RATE_LIMITED
        unavailable = Unavailable UNAVAILABLE
        provider_failed = Unavailable PROVIDER_FAILED
        timeout = DeadlineExceeded TIMEOUT
        cancelled = Cancelled CANCELLED
        internal = Internal INTERNAL
        ");
    }

    #[test]
    fn a_wrong_field_is_named_in_bad_request() {
        let error = Error::invalid("messages[2].role".to_owned(), "must be given").with_code("missing_role");
        let status = to_status(&error, "req-1");

        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "messages[2].role");
        assert_eq!(violations[0].description, "must be given");
        assert_eq!(status.get_details_error_info().unwrap().metadata["code"], "missing_role");
        assert!(status.get_details_quota_failure().is_none() && status.get_details_retry_info().is_none());
    }

    #[test]
    fn a_providers_limit_says_whose_it_is_and_when_to_come_back() {
        let upstream = Upstream {
            provider: "openai".to_owned(),
            dialect: "openai_chat",
            status: 429,
            ..Upstream::default()
        };
        let error = Error::new(ErrorKind::RateLimited, "slow down")
            .with_upstream(upstream)
            .with_retry_after(Some(Duration::from_millis(1500)));
        let status = to_status(&error, "req-1");

        let info = status.get_details_error_info().unwrap().metadata;
        assert_eq!(info["provider"], "openai");
        assert_eq!(info["upstream_status"], "429");
        assert_eq!(info["request_id"], "req-1");
        assert_eq!(status.get_details_quota_failure().unwrap().violations[0].subject, "provider:openai");
        let delay = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_millis(1500)));
        assert_eq!(status.get_details_request_info().unwrap().request_id, "req-1");
        assert_eq!(status.metadata().get("x-request-id").unwrap(), "req-1");
        assert_eq!(status.metadata().get("x-orchestrator-provider").unwrap(), "openai");
    }
}

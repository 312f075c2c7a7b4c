//! What can go wrong, in one closed list.
//!
//! The list is mapped exhaustively at each boundary (`grpc/status.rs`, each `dialect/<d>/error.rs`), never with `_ =>`: a new
//! kind makes the compiler point at every place that must decide.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is malformed: 400.
    InvalidRequest,
    /// No key, an unknown key, or two that differ: 401.
    Unauthenticated,
    /// The key may not do this: 403.
    PermissionDenied,
    /// No such model or resource: 404.
    NotFound,
    /// The resource exists already, or is not in the state that this needs: 409.
    Conflict,
    /// The body is too large: 413.
    TooLarge,
    /// A limit of the caller's key, the gateway or the provider: 429.
    RateLimited,
    /// The gateway is full or draining, or a dependency of it is away: 503.
    Unavailable,
    /// Every provider tried has failed: 502, or the status that the provider gave.
    ProviderFailed,
    /// Time ran out: 504.
    Timeout,
    /// The caller left. Nobody reads the answer; the ledger writes 499.
    Cancelled,
    /// A fault of our own: 500.
    Internal,
}

impl ErrorKind {
    /// The kind's name in logs and in the ledger: `invalid_request`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::ProviderFailed => "provider_failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 12] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::ProviderFailed,
        Self::Timeout,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The HTTP status of an error of this kind that is our own.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::ProviderFailed => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// Whose fault a failure is. Only the provider's counts against the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The request itself, the caller's deadline, or the caller leaving.
    Caller,
    /// The provider, or the way to it.
    Provider,
    /// The gateway.
    Us,
}

/// A failure, with all that a caller in any dialect is told of it.
#[derive(Clone, Debug)]
pub struct Error {
    /// Why.
    pub kind: ErrorKind,
    /// For the caller: names the field, the model or the limit. Never a secret, never a URL with one.
    pub message: String,
    /// The field of the request that is wrong: `messages[2].role`.
    pub param: Option<String>,
    /// A stable word for programs: `model_not_found`, `invalid_api_key`.
    pub code: Option<String>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// How often a provider had been asked when it came to this; 0 when none was.
    pub attempts: u32,
    /// What the provider itself said, where a provider is the cause. Boxed: most errors have none.
    pub upstream: Option<Box<Upstream>>,
}

/// What a provider said when it refused or failed.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// The provider's name.
    pub provider: String,
    /// The name of the dialect that it was asked in.
    pub dialect: &'static str,
    /// Its HTTP status; 0 when there was no answer, 200 when the error came inside a stream or a body.
    pub status: u16,
    /// The error body as received; empty when it was not one in the provider's dialect (an HTML page, nothing).
    pub body: Bytes,
    /// Its type of error (`insufficient_quota`), if it said one.
    pub kind: Option<String>,
}

impl Error {
    /// An error of `kind` with a message for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            attempts: 0,
            upstream: None,
        }
    }

    /// A malformed request: names the field where one is known.
    pub fn invalid(param: impl Into<Option<String>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), ..Self::new(ErrorKind::InvalidRequest, message) }
    }

    /// The process ends, and what still runs ends with it.
    pub fn stopping() -> Self {
        let error = Self::new(ErrorKind::Unavailable, "the gateway is stopping; send the request again");
        Self { retry_after: Some(Duration::from_secs(1)), ..error.with_code("stopping") }
    }

    /// A fault of our own. `message` is shown to the caller: it says what failed, not how.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds the stable word for programs.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the field that is wrong.
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds what the provider said.
    pub fn with_upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(Box::new(upstream));
        self
    }

    /// Adds when it is worth trying again.
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self.kind {
            ErrorKind::InvalidRequest
            | ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::TooLarge
            | ErrorKind::Cancelled => Blame::Caller,
            ErrorKind::NotFound | ErrorKind::RateLimited | ErrorKind::Timeout => {
                if self.upstream.is_some() {
                    Blame::Provider
                } else {
                    Blame::Caller
                }
            }
            ErrorKind::ProviderFailed => Blame::Provider,
            ErrorKind::Unavailable | ErrorKind::Internal => Blame::Us,
        }
    }

    /// Whether another candidate might do better.
    pub fn retryable(&self) -> bool {
        self.blame() == Blame::Provider
    }

    /// Whether the provider does not take our key: 401, 402 or 403; Gemini says 400 with a reason.
    pub fn rejects_key(&self) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| {
            matches!(upstream.status, 401..=403) || upstream.kind.as_deref() == Some("API_KEY_INVALID")
        })
    }

    /// Whether the account behind our key has nothing left to spend: OpenAI says 429, but no wait helps.
    pub fn account_is_empty(&self) -> bool {
        let empty = |word: &Option<String>| word.as_deref() == Some("insufficient_quota");
        self.upstream.as_ref().is_some_and(|upstream| empty(&upstream.kind) || empty(&self.code))
    }

    /// The HTTP status that the caller gets: the provider's own where it is an answer to this request, else the kind's.
    pub fn status(&self) -> u16 {
        match &self.upstream {
            Some(upstream) if upstream.status >= 400 && !upstream.body.is_empty() => upstream.status,
            _ => self.kind.status(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Error {}

/// What most functions of the core return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

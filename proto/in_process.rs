//! What need not be written down and read again where caller and callee of the contract are one process.
//!
//! Both keep to the contract's methods; what is here travels beside a message, among the extensions of its request or response, which
//! no network carries. So a caller may always ask for it, and finds all in the messages where it does not come.

use http::{HeaderMap, StatusCode};

use crate::v1;

/// Among the extensions of a request for `StreamInvoke`: its caller takes a [`Head`].
#[derive(Clone, Copy, Debug)]
pub struct TakesHead;

/// Among the extensions of the response to a request with [`TakesHead`]: how the answer begins. The first message's head is empty then.
#[derive(Clone, Debug)]
pub struct Head {
    /// The HTTP status.
    pub status: StatusCode,
    /// Headers of the answer, its `content-type` among them.
    pub headers: HeaderMap,
    /// How the caller's rates stand, where they are limited.
    pub limits: Option<v1::RateLimits>,
}

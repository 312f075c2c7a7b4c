//! What the providers say of what they were asked, once it is over: one line of JSON each.

use serde::{Deserialize, Serialize};

use crate::kind::Kind;

/// One request that reached a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// The caller's request id.
    pub(crate) request_id: String,
    /// Which provider, from 0.
    pub(crate) provider: usize,
    /// Which of its keys, from 0.
    pub(crate) key: usize,
    /// When, in milliseconds from the start.
    pub(crate) at_ms: u64,
    /// What was wrong; `None`: it answered as it should.
    pub(crate) kind: Option<Kind>,
    /// The answer's number, unique over all providers.
    pub(crate) answer: u64,
    /// Whether the answer was meant to reach its end: then its tokens count.
    pub(crate) whole: bool,
    /// Tokens that the answer says were read.
    pub(crate) prompt: u64,
    /// Tokens that it says were written.
    pub(crate) completion: u64,
}

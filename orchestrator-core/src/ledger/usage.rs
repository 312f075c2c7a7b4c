//! Estimates of tokens, for answers whose provider did not count: cut streams, local servers, callers who left early.
//!
//! An estimate is always marked as one.

use crate::{
    call::UsageSource,
    chat::{ChatRequest, Usage, size::prompt_bytes},
    ledger::record::UsageRecord,
};

/// An estimate of the tokens in `bytes` of text: never zero unless there is none.
pub fn estimate(bytes: usize) -> u64 {
    Usage::estimated(0, bytes).completion
}

/// An estimate of a prompt's tokens: messages, tools and schema by their bytes, media at a flat figure.
pub fn estimate_prompt(request: &ChatRequest) -> u64 {
    estimate(prompt_bytes(request))
}

/// What the provider counted, or else an estimate from the request's and the answer's lengths.
pub fn settle(counted: Option<Usage>, request_bytes: usize, answer_bytes: usize) -> UsageRecord {
    if let Some(usage) = counted {
        return UsageRecord::new(usage, UsageSource::Provider);
    }
    UsageRecord::new(Usage::estimated(request_bytes, answer_bytes), UsageSource::Estimated)
}

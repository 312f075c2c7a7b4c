//! Estimates of tokens, for answers whose provider did not count: cut streams, local servers, callers who left early.
//!
//! Four bytes a token is the usual rule of thumb for English text (OpenAI's help pages). An estimate is always marked as one.

use crate::{
    call::UsageSource,
    chat::{ChatRequest, Usage, size::prompt_bytes},
    ledger::record::UsageRecord,
};

const BYTES_PER_TOKEN: u64 = 4;

/// An estimate of the tokens in `bytes` of text: never zero unless there is none.
pub fn estimate(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
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
    let usage =
        Usage { prompt: estimate(request_bytes), completion: estimate(answer_bytes), ..Usage::default() };
    UsageRecord::new(usage, UsageSource::Estimated)
}

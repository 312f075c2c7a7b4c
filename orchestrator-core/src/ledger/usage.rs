//! Estimates of tokens, for answers whose provider did not count: cut streams, local servers, callers who left early.
//!
//! An estimate is always marked as one.

use crate::{
    call::{Signals, UsageSource},
    chat::{ChatRequest, Usage, size::prompt_bytes},
    ledger::record::{RequestRecord, UsageRecord},
    policy::price::{self, Price},
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

/// Writes down what the record's tokens cost by `price`; where that is not known, nothing: never zero.
pub fn charge(record: &mut RequestRecord, price: Option<&Price>, signals: &Signals) {
    let known = price.filter(|_| price::is_standard(signals.service_tier.as_deref()));
    let UsageRecord { prompt, completion, cached_read, cache_write, reasoning, source: _ } = record.usage;
    // The record does not count audio apart, which has a price of its own.
    let counted = signals.usage.unwrap_or_default();
    let usage = Usage { prompt, completion, cached_read, cache_write, reasoning, ..counted };
    record.cost_nanos = known.and_then(|price| price.cost(&usage));
    record.price_version = match (known, record.cost_nanos) {
        (Some(price), Some(_)) => price.version.to_string(),
        _ => String::new(),
    };
}

//! Estimates of tokens, for answers whose provider did not count: cut streams, local servers, callers who left early.
//!
//! An estimate is always marked as one.

use crate::{
    call::{Signals, UsageSource},
    chat::{ChatRequest, Usage, size::prompt_bytes},
    ledger::record::{Origin, RequestRecord, UsageRecord},
    policy::price::{self, Price, Rates},
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

/// Writes down what the record's budgets are charged: its cost, or what `ceiling` makes of its tokens. Nothing where nobody was
/// asked, and nothing for the gateway's own probes.
pub fn charge_budgets(record: &mut RequestRecord, ceiling: &Rates) {
    let asked = record.attempts > 0 && record.origin == Origin::Caller;
    let UsageRecord { prompt, completion, .. } = record.usage;
    let cost = || record.cost_nanos.or_else(|| ceiling.plainly(prompt, completion)).unwrap_or(u64::MAX);
    // A database's whole number holds no more.
    record.charged_nanos = asked.then(|| cost().min(i64::MAX.unsigned_abs()));
}

#[cfg(test)]
mod tests {
    use super::*;
    fn charged(price: Option<&Price>, signals: &Signals) -> (Option<u64>, String) {
        let usage = settle(signals.usage, 400, 0);
        let mut record = RequestRecord { usage, ..RequestRecord::default() };
        charge(&mut record, price, signals);
        (record.cost_nanos, record.price_version)
    }

    #[test]
    fn a_cost_names_its_price_and_an_unknown_one_names_none() {
        let rates = Rates { input: Some(2_000_000), output: Some(0), ..Rates::default() };
        let price = Price { version: "own-3".into(), rates, long: None };
        let of = |usage: Usage, tier: Option<&str>| {
            let signals =
                Signals { usage: Some(usage), service_tier: tier.map(str::to_owned), ..Signals::default() };
            charged(Some(&price), &signals)
        };
        let usage = Usage { prompt: 5, completion: 1, ..Usage::default() };
        let unknown = (None, String::new());
        assert_eq!(of(usage, None), (Some(10), "own-3".into()));
        assert_eq!(of(usage, Some("default")), (Some(10), "own-3".into()));
        assert_eq!(of(Usage::default(), None), (Some(0), "own-3".into()));
        assert_eq!(of(usage, Some("flex")), unknown);
        assert_eq!(of(Usage { prompt_audio: 1, ..usage }, None), unknown);
        assert_eq!(charged(None, &Signals::default()), unknown);
        let estimated = charged(Some(&price), &Signals::default());
        assert_eq!(estimated, (Some(2 * Usage::estimated(400, 0).prompt), "own-3".into()));
    }

    #[test]
    fn a_budget_is_charged_the_cost_or_else_the_ceiling_and_nothing_where_nobody_was_asked() {
        let ceiling = Rates { input: Some(2_000_000), output: Some(3_000_000), ..Rates::default() };
        let usage = UsageRecord { prompt: 10, completion: 1, ..UsageRecord::default() };
        let charged = |attempts, cost_nanos, origin| {
            let mut record =
                RequestRecord { attempts, usage, cost_nanos, origin, ..RequestRecord::default() };
            charge_budgets(&mut record, &ceiling);
            record.charged_nanos
        };
        assert_eq!(charged(1, Some(7), Origin::Caller), Some(7));
        assert_eq!(charged(2, None, Origin::Caller), Some(23));
        assert_eq!(charged(0, None, Origin::Caller), None);
        assert_eq!(charged(1, Some(7), Origin::Probe), None);
        assert_eq!(charged(1, Some(u64::MAX), Origin::Caller), Some(i64::MAX as u64));
    }
}

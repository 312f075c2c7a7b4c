//! How much of what callers and providers say is written down. One place says it, for the journal, the databases (whose columns
//! for ids and names hold [`NAME_CHARS`] characters) and the sums: what is within these bounds no database refuses.

use std::collections::BTreeMap;

use super::record::{AttemptRecord, BodyRecord, RequestRecord, UsageRecord};

/// The most characters of an id, a name, a label, or what a program calls itself.
pub const NAME_CHARS: usize = 255;
/// The most characters of a team, as Admin takes them: with other names it makes a key, and MySQL's are short.
pub const TEAM_CHARS: usize = 128;
/// The most bytes of an error's message.
pub const ERROR_BYTES: usize = 2048;
/// The most tags of a request.
pub const TAGS: usize = 16;
/// The most bytes of a tag's name.
pub const TAG_NAME_BYTES: usize = 64;
/// The most bytes of a tag's value.
pub const TAG_VALUE_BYTES: usize = 255;
/// The most attempts that are written down one by one. The last is always among them.
pub const ATTEMPTS: usize = 32;
/// The most tokens of one kind that a request can have used. No model reads or writes as many; what a provider says beyond it is
/// noise, and sums of it would overflow.
pub const TOKENS: u64 = 1_000_000_000;
/// The most that a request can have cost, in nano-dollars: a million dollars.
pub const COST_NANOS: u64 = 1_000_000_000_000_000;

/// The longest that a request can have taken, in microseconds: thirty days.
pub const LATENCY_US: u64 = 30 * 24 * 3_600_000_000;

/// Cuts every field of a record to its bound, at the border of a character, and takes NULs out.
pub fn bound(record: &mut RequestRecord) {
    for name in [
        &mut record.request_id,
        &mut record.trace_id,
        &mut record.session_id,
        &mut record.api_key_name,
        &mut record.model,
        &mut record.answered_model,
        &mut record.provider,
        &mut record.provider_key,
        &mut record.upstream_model,
        &mut record.finish_reason,
        &mut record.client_address,
        &mut record.user_agent,
        &mut record.end_user,
    ] {
        bound_name(name, NAME_CHARS);
    }
    bound_name(&mut record.team, TEAM_CHARS);
    bound_text(&mut record.error, ERROR_BYTES);
    bound_tags(&mut record.tags);
    bound_usage(&mut record.usage);
    record.latency_us = record.latency_us.min(LATENCY_US);
    record.cost_nanos = record.cost_nanos.map(|cost| cost.min(COST_NANOS));
    record.tried.truncate(ATTEMPTS);
    record.tried.iter_mut().for_each(bound_attempt);
    if let Some(bodies) = &mut record.bodies {
        for BodyRecord { text, .. } in [&mut bodies.request, &mut bodies.response] {
            without_nuls(text);
        }
    }
}

fn bound_attempt(attempt: &mut AttemptRecord) {
    for name in [&mut attempt.provider, &mut attempt.provider_key, &mut attempt.upstream_model] {
        bound_name(name, NAME_CHARS);
    }
    bound_text(&mut attempt.error, ERROR_BYTES);
}

fn bound_usage(usage: &mut UsageRecord) {
    for count in [
        &mut usage.prompt,
        &mut usage.completion,
        &mut usage.cached_read,
        &mut usage.cache_write,
        &mut usage.reasoning,
    ] {
        *count = (*count).min(TOKENS);
    }
}

fn bound_tags(tags: &mut BTreeMap<String, String>) {
    let fits = |(name, value): (&String, &String)| {
        name.len() <= TAG_NAME_BYTES
            && value.len() <= TAG_VALUE_BYTES
            && !holds_nul(name)
            && !holds_nul(value)
    };
    if tags.len() <= TAGS && tags.iter().all(fits) {
        return;
    }
    let mut bounded = BTreeMap::new();
    for (mut name, mut value) in std::mem::take(tags) {
        bound_text(&mut name, TAG_NAME_BYTES);
        bound_text(&mut value, TAG_VALUE_BYTES);
        // Of names that are alike once they are cut, the first stays.
        if bounded.len() < TAGS {
            bounded.entry(name).or_insert(value);
        }
    }
    *tags = bounded;
}

/// An id or a name.
fn bound_name(name: &mut String, most: usize) {
    without_nuls(name);
    // No more bytes, no more characters.
    if name.len() > most
        && let Some((end, _)) = name.char_indices().nth(most)
    {
        name.truncate(end);
    }
}

/// A text of at most `most` bytes.
pub(super) fn bound_text(text: &mut String, most: usize) {
    without_nuls(text);
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
}

fn without_nuls(text: &mut String) {
    if holds_nul(text) {
        text.retain(|char| char != '\0');
    }
}

fn holds_nul(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::BodiesRecord;

    #[test]
    fn whatever_callers_and_providers_say_ends_up_within_the_bounds() {
        let long = "\u{0}é😀x".repeat(2000);
        let tags = (0..40).map(|number| (format!("{number:02}{long}"), long.clone())).collect();
        let attempt = AttemptRecord {
            provider: long.clone(),
            provider_key: long.clone(),
            upstream_model: long.clone(),
            error: long.clone(),
            ..AttemptRecord::default()
        };
        let body = BodyRecord { text: long.clone(), ..BodyRecord::default() };
        let mut record = RequestRecord {
            request_id: long.clone(),
            session_id: long.clone(),
            model: long.clone(),
            answered_model: long.clone(),
            user_agent: long.clone(),
            end_user: long.clone(),
            client_address: long.clone(),
            finish_reason: long.clone(),
            error: long,
            tags,
            tried: vec![attempt; 100],
            usage: UsageRecord { prompt: u64::MAX, reasoning: u64::MAX, ..UsageRecord::default() },
            cost_nanos: Some(u64::MAX),
            bodies: Some(BodiesRecord { request: body.clone(), response: body }),
            ..RequestRecord::default()
        };
        bound(&mut record);

        assert_eq!(record.tried.len(), ATTEMPTS);
        let attempt = &record.tried[0];
        for name in [
            &record.request_id,
            &record.session_id,
            &record.model,
            &record.answered_model,
            &record.user_agent,
            &record.end_user,
            &record.client_address,
            &record.finish_reason,
            &attempt.provider,
            &attempt.provider_key,
            &attempt.upstream_model,
        ] {
            assert_eq!(name.chars().count(), NAME_CHARS);
        }
        for error in [&record.error, &attempt.error] {
            assert!((ERROR_BYTES - 4..=ERROR_BYTES).contains(&error.len()), "{}", error.len());
        }
        assert_eq!(record.tags.len(), TAGS);
        assert!(
            record
                .tags
                .iter()
                .all(|(name, value)| name.len() <= TAG_NAME_BYTES && value.len() <= TAG_VALUE_BYTES)
        );
        assert_eq!((record.usage.prompt, record.usage.reasoning), (TOKENS, TOKENS));
        assert_eq!(record.cost_nanos, Some(COST_NANOS));
        assert!(!serde_json::to_string(&record).unwrap().contains("\\u0000"));
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let name = "é".repeat(NAME_CHARS);
        let record = RequestRecord {
            model: name.clone(),
            error: "x".repeat(ERROR_BYTES),
            tags: [("a".repeat(TAG_NAME_BYTES), "b".repeat(TAG_VALUE_BYTES))].into(),
            tried: vec![AttemptRecord { provider: name, ..AttemptRecord::default() }],
            ..RequestRecord::default()
        };
        let mut bounded = record.clone();
        bound(&mut bounded);
        assert_eq!(bounded, record);
    }
}

//! How a caller's limits stand, in the headers that its clients read.
//!
//! * Anthropic's: `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`; a reset is a moment, RFC 3339, in whole seconds
//!   (<https://docs.anthropic.com/en/api/rate-limits#response-headers>).
//! * OpenAI's for everybody else: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a reset is a time such as `6m0s`
//!   (<https://platform.openai.com/docs/guides/rate-limits>).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use orchestrator_base::clock::{Clock, UnixMicros};
use orchestrator_proto::v1::RateLimits;

use crate::error::Voice;

/// Six values seldom have more text; where they do, it grows.
const MOST_TEXT: usize = 96;

/// The names of a rate's limit, of what is left of it, and of when all of it is.
type Names = [HeaderName; 3];

const OPENAI: [Names; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
const ANTHROPIC: [Names; 2] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];

/// Puts what the core says of them among the headers.
pub(super) fn insert(headers: &mut HeaderMap, limits: &RateLimits, voice: Voice, clock: &Clock) {
    let is_anthropic = voice == Voice::Anthropic;
    let names = if is_anthropic { ANTHROPIC } else { OPENAI };
    // All values are written into one piece of memory, of which each header has its part.
    let (mut text, mut digits) = (String::with_capacity(MOST_TEXT), itoa::Buffer::new());
    let mut ends = [[0; 3]; 2];
    for (meter, ends) in [limits.requests, limits.tokens].into_iter().zip(&mut ends) {
        let Some(meter) = meter else { continue };
        let after = Duration::from_micros(meter.reset_micros);
        text.push_str(digits.format(meter.limit));
        ends[0] = text.len();
        text.push_str(digits.format(meter.remaining));
        ends[1] = text.len();
        if is_anthropic {
            text.push_str(&whole_second(clock.now().plus(after)));
        } else {
            plainly(after, &mut text);
        }
        ends[2] = text.len();
    }
    let (text, mut start) = (Bytes::from(text), 0);
    for (name, end) in names.into_iter().flatten().zip(ends.as_flattened()) {
        if *end > start
            && let Ok(value) = HeaderValue::from_maybe_shared(text.slice(start..*end))
        {
            headers.insert(name, value);
            start = *end;
        }
    }
}

/// As Go writes a duration: `12ms`, `59.4s`, `6m0s`.
fn plainly(time: Duration, text: &mut String) {
    // Rounded up: whoever comes back a moment too early finds less than it was told.
    let millis = u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let (seconds, thousandths) = (rest / 1000, rest % 1000);
    let mut digits = itoa::Buffer::new();
    if (minutes, seconds) == (0, 0) {
        text.push_str(digits.format(thousandths));
        text.push_str("ms");
        return;
    }
    if minutes > 0 {
        text.push_str(digits.format(minutes));
        text.push('m');
    }
    text.push_str(digits.format(seconds));
    if thousandths > 0 {
        // A thousand stands before them while they are written, so that they keep their zeros.
        let fraction = digits.format(1000 + thousandths).trim_end_matches('0');
        text.push('.');
        text.push_str(&fraction[1..]);
    }
    text.push('s');
}

/// The next whole second: `2026-11-21T03:02:09Z`.
fn whole_second(at: UnixMicros) -> String {
    let seconds = at.as_seconds() + i64::from(at.0.rem_euclid(1_000_000) > 0);
    let text = UnixMicros(seconds.saturating_mul(1_000_000)).to_string();
    text.replace(".000000Z", "Z")
}

#[cfg(test)]
mod tests {
    use orchestrator_proto::v1::RateMeter;

    use super::*;

    fn told(voice: Voice) -> Vec<String> {
        let meter = |limit, remaining, reset_micros| Some(RateMeter { limit, remaining, reset_micros });
        let limits = RateLimits { requests: meter(100, 99, 600_000), tokens: meter(7, 0, 359_400_001) };
        let mut headers = HeaderMap::new();
        insert(&mut headers, &limits, voice, &Clock::manual(UnixMicros(1_795_230_128_000_001)));
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn each_vendors_clients_find_the_headers_that_they_know() {
        insta::assert_snapshot!(told(Voice::OpenAi).join("\n"), @r"
        x-ratelimit-limit-requests: 100
        x-ratelimit-limit-tokens: 7
        x-ratelimit-remaining-requests: 99
        x-ratelimit-remaining-tokens: 0
        x-ratelimit-reset-requests: 600ms
        x-ratelimit-reset-tokens: 5m59.401s
        ");
        insta::assert_snapshot!(told(Voice::Anthropic).join("\n"), @r"
        anthropic-ratelimit-requests-limit: 100
        anthropic-ratelimit-requests-remaining: 99
        anthropic-ratelimit-requests-reset: 2026-11-21T03:02:09Z
        anthropic-ratelimit-tokens-limit: 7
        anthropic-ratelimit-tokens-remaining: 0
        anthropic-ratelimit-tokens-reset: 2026-11-21T03:08:08Z
        ");
    }

    #[test]
    fn a_time_is_written_as_go_writes_it() {
        let of = |millis| {
            let mut text = String::new();
            plainly(Duration::from_millis(millis), &mut text);
            text
        };
        assert_eq!(
            [of(0), of(12), of(1000), of(59_400), of(59_404), of(60_000), of(60_010), of(360_000)],
            ["0ms", "12ms", "1s", "59.4s", "59.404s", "1m0s", "1m0.01s", "6m0s"]
        );
    }
}

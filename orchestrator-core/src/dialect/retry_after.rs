//! When a provider wants to be asked again: `retry-after-ms` as OpenAI and Azure send it, `retry-after` as seconds or as a date
//! (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>).

use std::time::Duration;

use http::HeaderMap;
use jiff::{civil::DateTime, fmt::rfc2822, tz::TimeZone};

/// Nobody is waited for longer than a day.
const LONGEST: f64 = 24.0 * 3600.0;

/// Reads the headers; `now` in Unix seconds is what a date counts from. Negative and unreadable values are as if absent. Azure
/// sends `retry-after-ms: 0` beside a real `retry-after`, so a zero there yields to it.
pub(crate) fn read(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = header("retry-after-ms").and_then(number).map(|ms| ms / 1000.0);
    let seconds = header("retry-after").and_then(|value| number(value).or_else(|| until(value, now)));
    let wait = match (milliseconds, seconds) {
        (Some(0.0), Some(seconds)) => seconds,
        (Some(ms), _) => ms,
        (None, seconds) => seconds?,
    };
    Some(Duration::from_secs_f64(wait.min(LONGEST)))
}

fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// Seconds from `now` to an HTTP date; a date that has passed means now. The two obsolete forms have to be read too
/// (<https://www.rfc-editor.org/rfc/rfc9110#field.date>); they are in GMT like the other.
fn until(value: &str, now: i64) -> Option<f64> {
    let obsolete = |form| DateTime::strptime(form, value).ok()?.to_zoned(TimeZone::UTC).ok();
    let date = rfc2822::parse(value)
        .ok()
        .or_else(|| obsolete("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| obsolete("%a %b %e %H:%M:%S %Y"))?;
    Some(date.timestamp().as_second().saturating_sub(now).max(0) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<f64> {
        let map: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        // 21 October 2015, 07:27:00 GMT.
        read(&map, 1_445_412_420).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn seconds_dates_and_milliseconds_are_read() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "20")]), Some(20.0));
        assert_eq!(wait(&[("retry-after", "1.5")]), Some(1.5));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(60.0));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT")]), Some(0.0));
        assert_eq!(wait(&[("retry-after", "Wednesday, 21-Oct-15 07:28:00 GMT")]), Some(60.0));
        assert_eq!(wait(&[("retry-after", "Wed Oct 21 07:28:00 2015")]), Some(60.0));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "1")]), Some(0.25));
        assert_eq!(wait(&[("retry-after-ms", "0"), ("retry-after", "60")]), Some(60.0));
    }

    #[test]
    fn absurd_values_are_bounded_or_ignored() {
        assert_eq!(wait(&[("retry-after", "1000000000")]), Some(86_400.0));
        assert_eq!(wait(&[("retry-after", "1e300")]), Some(86_400.0));
        assert_eq!(wait(&[("retry-after", "Tue, 31 Dec 2999 23:59:59 GMT")]), Some(86_400.0));
        for value in ["-5", "inf", "NaN", "soon", ""] {
            assert_eq!(wait(&[("retry-after", value)]), None, "{value}");
        }
    }
}

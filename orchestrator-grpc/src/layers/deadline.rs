//! Notes when a call came and how long its caller waits. The core alone enforces it.
//!
//! The form of `grpc-timeout` is that of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::time::Duration;

use http::{HeaderMap, Request};
use orchestrator_core::error::{Error, Result};
use tokio::time::Instant;
use tonic::body::Body;

/// The metadata in which a gRPC client says its deadline.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Taken off a client's deadline, so that our answer (or our own error, which says more) is there before it gives up.
const ANSWERS_WAY: Duration = Duration::from_millis(5);

/// When a call came and how long its caller waits.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// When the request's head was read; its body may have come later.
    pub received: Instant,
    /// How long the caller waits from then on; `None`: it does not say. An error when it says so in a form that cannot be
    /// read: the handler refuses the call with it.
    pub timeout: Result<Option<Duration>>,
}

/// Puts the request's [`Deadline`] into its extensions.
pub fn note(mut request: Request<Body>) -> Request<Body> {
    let deadline = Deadline { received: Instant::now(), timeout: grpc_timeout(request.headers()) };
    request.extensions_mut().insert(deadline);
    request
}

fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse);
    let Some(timeout) = parsed else {
        let message = "must be 1 to 8 digits and one of H, M, S, m, u, n";
        return Err(Error::invalid(GRPC_TIMEOUT.to_owned(), format!("{GRPC_TIMEOUT}: {message}")));
    };
    Ok(Some(timeout.saturating_sub(ANSWERS_WAY)))
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let amount: u64 = if plain { digits.parse().ok()? } else { return None };
    match unit {
        "H" => Some(Duration::from_hours(amount)),
        "M" => Some(Duration::from_mins(amount)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout_of(value: &str) -> Result<Option<Duration>> {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(GRPC_TIMEOUT, value.parse().unwrap());
        note(request).extensions().get::<Deadline>().unwrap().timeout.clone()
    }

    #[test]
    fn every_unit_is_understood_and_leaves_the_answer_its_way() {
        let table = [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("10S", Duration::from_secs(10)),
            ("1500m", Duration::from_millis(1500)),
            ("20000u", Duration::from_millis(20)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_hours(99_999_999)),
        ];
        for (text, expected) in table {
            assert_eq!(timeout_of(text).unwrap(), expected.checked_sub(ANSWERS_WAY), "{text}");
        }
        assert_eq!(timeout_of("3m").unwrap(), Some(Duration::ZERO), "already over, and not negative");
    }

    #[test]
    fn a_malformed_timeout_is_refused_by_name() {
        for text in ["", "S", "10", "10s", "-1S", "+1S", "1.5S", "123456789n", "1 S", "10SS"] {
            let error = timeout_of(text).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("grpc-timeout"), "{text:?}");
        }
    }

    #[test]
    fn no_timeout_means_no_deadline_of_the_callers() {
        let request = note(Request::new(Body::empty()));
        assert_eq!(request.extensions().get::<Deadline>().unwrap().timeout.clone().unwrap(), None);
    }
}

//! Headers that a provider may be sent with every request.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use orchestrator_base::mask;

use super::{at_most, refuse};
use crate::error::Result;

/// Headers that belong to the connection or the message (RFC 9110, 7.6.1 and 8.6), which the HTTP client writes itself.
const OF_THE_MESSAGE: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "accept-encoding",
];
/// Headers whose values are secrets, which Admin would show.
const OF_SECRETS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
const PARAM: &str = "headers";

/// Refuses what cannot be sent, and what must not be.
pub(super) fn check(headers: &BTreeMap<String, String>) -> Result<()> {
    at_most(PARAM, headers.len(), 32)?;
    let mut seen: Vec<HeaderName> = Vec::new();
    for (name, value) in headers {
        let Ok(parsed) = HeaderName::try_from(name) else {
            return refuse(PARAM, &format!("{name:?} is not a header's name"));
        };
        if OF_THE_MESSAGE.contains(&parsed.as_str()) {
            return refuse(PARAM, &format!("must not set {parsed}: it is written with each request"));
        }
        if OF_SECRETS.contains(&parsed.as_str()) {
            return refuse(PARAM, &format!("must not set {parsed}: secrets belong into a provider key"));
        }
        // The value may be anything, so it is not repeated.
        if value.len() > 4096 || HeaderValue::try_from(value).is_err() {
            return refuse(PARAM, &format!("{parsed} has a value that cannot be sent"));
        }
        if value == mask::HIDDEN {
            return refuse(
                PARAM,
                &format!("{parsed} has {} in place of a value that was not shown", mask::HIDDEN),
            );
        }
        if seen.contains(&parsed) {
            return refuse(PARAM, &format!("{parsed} is there twice, in different case"));
        }
        seen.push(parsed);
    }
    Ok(())
}

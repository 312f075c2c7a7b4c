//! The access log: a line a request of the edge, in a file of its own. Off unless `log.access_file` names one.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use super::{
    json::{Object, Value},
    sink::Sink,
};
use crate::{
    clock::{UnixMicros, millis},
    mask,
};

static SINK: OnceLock<Sink> = OnceLock::new();

/// The most of a caller's own words that is written down of each.
const MOST_BYTES: usize = 256;
/// The most of a path.
const MOST_PATH_BYTES: usize = 2048;

/// What a request and its answer were.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// When it came.
    pub at: UnixMicros,
    /// Its method.
    pub method: &'a str,
    /// Its path and query, as they came. Values that may be secrets are not written down.
    pub path: &'a str,
    /// `HTTP/1.1`.
    pub version: &'a str,
    /// The answer's status.
    pub status: u16,
    /// The bytes of the answer's body that were sent.
    pub bytes: u64,
    /// From its head to the last of the answer.
    pub duration: Duration,
    /// Whether the answer was sent to its end. Otherwise the client left, or the answer broke.
    pub complete: bool,
    /// Where it came from.
    pub client_address: Option<IpAddr>,
    /// What it is called in logs.
    pub request_id: &'a str,
    /// What the client calls itself.
    pub user_agent: &'a str,
}

/// Whether there is an access log.
pub fn is_on() -> bool {
    SINK.get().is_some()
}

/// Writes a line, if there is an access log. Never waits.
pub fn write(access: &Access<'_>) {
    if let Some(sink) = SINK.get() {
        sink.push(line(access).as_bytes(), false);
    }
}

pub(super) fn install(sink: Sink) {
    let _ = SINK.set(sink);
}

pub(super) fn sink() -> Option<&'static Sink> {
    SINK.get()
}

fn line(access: &Access<'_>) -> String {
    let mut line = Object::with_capacity(320);
    line.field("timestamp", &Value::Text(&access.at.to_string()));
    line.field("method", &Value::Text(cut(access.method, MOST_BYTES)));
    line.field("path", &Value::Text(cut(&mask::path(access.path), MOST_PATH_BYTES)));
    line.field("version", &Value::Text(access.version));
    line.field("status", &Value::Whole(access.status.into()));
    line.field("bytes", &Value::Whole(access.bytes));
    line.field("duration_ms", &Value::Real(millis(access.duration)));
    line.field("complete", &Value::Is(access.complete));
    if let Some(address) = access.client_address {
        line.field("client_address", &Value::Text(&address.to_string()));
    }
    line.field("request_id", &Value::Text(cut(access.request_id, MOST_BYTES)));
    line.field("user_agent", &Value::Text(cut(access.user_agent, MOST_BYTES)));
    line.line()
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_path_without_its_secrets() {
        let text = line(&Access {
            at: UnixMicros(1_795_230_128_000_001),
            method: "POST",
            path: "/v1beta/models/m:generateContent?alt=sse&k%65y=AIza-secret",
            version: "HTTP/1.1",
            status: 200,
            bytes: 512,
            duration: Duration::from_micros(1_234_567),
            complete: true,
            client_address: Some([127, 0, 0, 1].into()),
            request_id: "job-7",
            user_agent: "curl/8 \"x\"\n",
        });
        insta::assert_snapshot!(text, @r#"{"timestamp":"2026-11-21T03:02:08.000001Z","method":"POST","path":"/v1beta/models/m:generateContent?alt=sse&k%65y=****","version":"HTTP/1.1","status":200,"bytes":512,"duration_ms":1234.567,"complete":true,"client_address":"127.0.0.1","request_id":"job-7","user_agent":"curl/8 \"x\"\n"}"#);
    }

    #[test]
    fn what_a_client_says_of_itself_is_cut() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}

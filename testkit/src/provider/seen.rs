//! What the provider remembers of a request.

use std::{fmt, time::Duration};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

/// One request as it came over the wire.
#[derive(Clone)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// The path below the virtual provider's prefix: `/v1/chat/completions`.
    pub path: String,
    /// What follows the `?`, as it was sent; empty without one.
    pub query: String,
    /// Names as they were sent, values trimmed, in order.
    pub headers: Vec<(String, String)>,
    /// The body, un-chunked.
    pub body: Bytes,
    /// Which connection it came over; the first over which something was asked is 1.
    pub connection: usize,
    /// When it had been read whole.
    pub at: Instant,
    pub(super) peer_closed: watch::Receiver<bool>,
}

impl Seen {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON, for looking at single fields. Panics when it is none: the test has failed.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the request's body is JSON")
    }

    /// Whether the peer has closed (or reset) the request's connection.
    pub fn peer_closed(&self) -> bool {
        *self.peer_closed.borrow()
    }

    /// Whether the peer closed (or reset) the request's connection, waiting for it up to `within`. `false` at once when it
    /// was this side that closed it.
    pub async fn peer_closed_within(&self, within: Duration) -> bool {
        let mut closed = self.peer_closed.clone();
        let seen = tokio::time::timeout(within, closed.wait_for(|closed| *closed)).await;
        matches!(seen, Ok(Ok(_)))
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

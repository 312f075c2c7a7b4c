//! One answer, as a plan of what goes over the wire and what goes wrong on the way.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Cut;

/// How long a written byte is given to be read before the connection is torn down under it. A reader that learns of the reset
/// at once may drop what it has not read yet: then the case would be "failed before the first byte", not "cut in the middle".
const SETTLE: Duration = Duration::from_millis(50);

/// One step of writing a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Body bytes, framed as the body is: one chunk, or a part of a body of known length.
    Data(Bytes),
    /// Bytes as they are, outside of any framing: a malformed chunk header, for instance.
    Raw(Bytes),
    /// Silence for a while.
    Wait(Duration),
    /// Silence until the peer leaves.
    Stall,
    /// The connection is reset (RST).
    Reset,
    /// The connection is closed in an orderly way (FIN), whatever is still owed.
    Fin,
}

/// How a body is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// `content-length`, right by itself unless one is claimed.
    Length {
        /// What is written.
        pieces: Vec<Piece>,
        /// A length to state in place of the true one.
        claimed: Option<u64>,
    },
    /// `transfer-encoding: chunked`, one chunk for each [`Piece::Data`].
    Chunked(Vec<Piece>),
}

impl BodyPlan {
    fn pieces_mut(&mut self) -> &mut Vec<Piece> {
        match self {
            Self::Length { pieces, .. } | Self::Chunked(pieces) => pieces,
        }
    }
}

/// One answer. Made by a constructor that says what is answered, and bent by methods that say what goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(super) before_head: Vec<Piece>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: BodyPlan,
}

impl Answer {
    /// A whole body of that type, with its length.
    pub fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let pieces = vec![Piece::Data(body.into())];
        Self::new(status, content_type, BodyPlan::Length { pieces, claimed: None })
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", body.to_string())
    }

    /// A stream of these `data:` payloads, one event and one chunk each, and `[DONE]`.
    pub fn sse<T: AsRef<str>>(payloads: impl IntoIterator<Item = T>) -> Self {
        let event = |payload: &str| Piece::Data(format!("data: {payload}\n\n").into());
        let mut pieces: Vec<Piece> = payloads.into_iter().map(|payload| event(payload.as_ref())).collect();
        pieces.push(event("[DONE]"));
        Self::new(200, "text/event-stream; charset=utf-8", BodyPlan::Chunked(pieces))
    }

    /// A chunked body with exactly these bytes, in one chunk until it is [cut](Answer::cut).
    pub fn stream(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(200, content_type, BodyPlan::Chunked(vec![Piece::Data(body.into())]))
    }

    /// A chunked event stream written step by step.
    pub fn pieces(pieces: Vec<Piece>) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", BodyPlan::Chunked(pieces))
    }

    /// An error as OpenAI words it, its type and code fitting the status.
    pub fn error(status: u16) -> Self {
        let (kind, code) = match status {
            401 => ("invalid_request_error", json!("invalid_api_key")),
            404 => ("invalid_request_error", json!("model_not_found")),
            429 => ("requests", json!("rate_limit_exceeded")),
            400..=499 => ("invalid_request_error", Value::Null),
            _ => ("server_error", Value::Null),
        };
        let message = format!("the provider was told to answer {status}");
        Self::json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
    }

    /// What a load balancer in front of a provider says: HTML in place of JSON.
    pub fn html() -> Self {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n";
        Self::whole(502, "text/html", page)
    }

    /// A 200 whose stream begins with an error event, and ends there without `[DONE]`.
    pub fn sse_error_first() -> Self {
        let error = r#"{"error":{"message":"The server had an error while processing your request","type":"server_error","param":null,"code":null}}"#;
        Self::stream("text/event-stream; charset=utf-8", format!("data: {error}\n\n"))
    }

    /// A reset in place of an answer.
    pub fn reset_before_headers() -> Self {
        Self::nothing_but(Piece::Reset)
    }

    /// An orderly close in place of an answer.
    pub fn close_before_headers() -> Self {
        Self::nothing_but(Piece::Fin)
    }

    /// Silence in place of an answer, until the peer leaves.
    pub fn silence() -> Self {
        Self::nothing_but(Piece::Stall)
    }

    /// Bytes in place of an answer, then a close: what is not HTTP at all.
    pub fn not_http(bytes: impl Into<Bytes>) -> Self {
        let mut answer = Self::nothing_but(Piece::Raw(bytes.into()));
        answer.before_head.push(Piece::Fin);
        answer
    }

    /// Answers with that status instead.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Is silent that long before the first byte.
    pub fn after(mut self, wait: Duration) -> Self {
        self.before_head.push(Piece::Wait(wait));
        self
    }

    /// Cuts the body's bytes anew. Waits and faults between them are gone: cut first, then bend.
    pub fn cut(mut self, cut: &Cut) -> Self {
        let bytes = self.body_bytes();
        *self.body.pieces_mut() = cut.pieces(&bytes).into_iter().map(Piece::Data).collect();
        self
    }

    /// Is silent that long before each piece but the first.
    pub fn pace(mut self, wait: Duration) -> Self {
        let pieces = self.body.pieces_mut();
        let mut paced = Vec::with_capacity(pieces.len() * 2);
        for piece in pieces.drain(..) {
            if !paced.is_empty() {
                paced.push(Piece::Wait(wait));
            }
            paced.push(piece);
        }
        *pieces = paced;
        self
    }

    /// Resets the connection after that many bytes of the body; at 0, after the headers.
    pub fn reset_after(self, bytes: usize) -> Self {
        self.ends_after(bytes, &[Piece::Wait(SETTLE), Piece::Reset])
    }

    /// Closes the connection after that many bytes of the body: without the last chunk, or short of the content length.
    pub fn fin_after(self, bytes: usize) -> Self {
        self.ends_after(bytes, &[Piece::Wait(SETTLE), Piece::Fin])
    }

    /// Falls silent after that many bytes of the body, until the peer leaves.
    pub fn stall_after(self, bytes: usize) -> Self {
        self.ends_after(bytes, &[Piece::Stall])
    }

    /// Sends a chunk whose size is no number after that many bytes of the body, then closes.
    pub fn bad_chunk_after(self, bytes: usize) -> Self {
        self.ends_after(
            bytes,
            &[Piece::Raw(Bytes::from_static(b"not-a-size\r\n")), Piece::Wait(SETTLE), Piece::Fin],
        )
    }

    /// States that content length, whatever is written, and closes after it.
    pub fn claiming_length(mut self, length: u64) -> Self {
        let mut pieces = std::mem::take(self.body.pieces_mut());
        pieces.extend([Piece::Wait(SETTLE), Piece::Fin]);
        self.body = BodyPlan::Length { pieces, claimed: Some(length) };
        self
    }

    /// All of the body's bytes, without framing, waits and faults.
    pub fn body_bytes(&self) -> Bytes {
        let (BodyPlan::Length { pieces, .. } | BodyPlan::Chunked(pieces)) = &self.body;
        let mut all = Vec::new();
        for piece in pieces {
            if let Piece::Data(bytes) = piece {
                all.extend_from_slice(bytes);
            }
        }
        all.into()
    }

    fn new(status: u16, content_type: &str, body: BodyPlan) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { before_head: Vec::new(), status, headers, body }
    }

    fn nothing_but(piece: Piece) -> Self {
        let mut answer = Self::whole(200, "application/json", Bytes::new());
        answer.before_head.push(piece);
        answer
    }

    /// Keeps the steps up to that many body bytes, and then takes these.
    fn ends_after(mut self, bytes: usize, end: &[Piece]) -> Self {
        // The length that the whole body would have had is what a body cut short still states.
        let whole = self.body_bytes().len() as u64;
        if let BodyPlan::Length { claimed, .. } = &mut self.body {
            claimed.get_or_insert(whole);
        }
        let mut left = bytes;
        let mut kept = Vec::new();
        for piece in self.body.pieces_mut().drain(..) {
            if left == 0 {
                break;
            }
            match piece {
                Piece::Data(data) => {
                    let part = data.slice(..left.min(data.len()));
                    left -= part.len();
                    kept.push(Piece::Data(part));
                }
                other => kept.push(other),
            }
        }
        kept.extend_from_slice(end);
        *self.body.pieces_mut() = kept;
        self
    }
}

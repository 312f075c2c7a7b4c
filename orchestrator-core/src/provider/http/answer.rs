//! A provider's answer: its head, and its body piece by piece.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::Body as _;
use hyper::body::Incoming;

/// An answer whose head has come.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it closes the connection unless the body has ended.
#[derive(Debug)]
pub enum AnswerBody {
    /// From the network.
    Network(Incoming),
    /// From a provider in this process: the pieces that are left.
    Local(VecDeque<Bytes>),
    /// From anywhere else.
    Other(PieceStream),
}

/// Any stream of pieces.
pub struct PieceStream(Pin<Box<dyn Stream<Item = Result<Bytes, BodyFailure>> + Send>>);

impl PieceStream {
    /// The body that these pieces make.
    pub fn new(pieces: impl Stream<Item = Result<Bytes, BodyFailure>> + Send + 'static) -> Self {
        Self(Box::pin(pieces))
    }
}

impl fmt::Debug for PieceStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PieceStream")
    }
}

/// Why a body is not whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyFailure {
    /// The connection broke, or ended before what it had announced.
    #[error("the connection broke inside the answer: {0}")]
    Broken(String),
    /// More than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Answer {
    pub(super) fn from_response(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: AnswerBody::Network(body) }
    }
}

impl AnswerBody {
    /// The next piece as it was read; `None` at the end.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFailure>>> {
        let incoming = match self {
            Self::Local(pieces) => return Poll::Ready(pieces.pop_front().map(Ok)),
            Self::Other(pieces) => return pieces.0.as_mut().poll_next(context),
            Self::Network(incoming) => incoming,
        };
        loop {
            match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(BodyFailure::Broken(super::innermost(&error)))));
                }
                // Trailers say nothing that anybody here reads.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// The next piece.
    pub async fn piece(&mut self) -> Option<Result<Bytes, BodyFailure>> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }

    /// The whole body, of at most `limit` bytes. A body that came in one piece is not copied.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyFailure> {
        let Some(first) = self.piece().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.piece().await.transpose()? else { return within(first, limit) };
        let mut whole = BytesMut::with_capacity(4 * (first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.piece().await.transpose()? {
            if whole.len() + piece.len() > limit {
                return Err(BodyFailure::TooLarge(limit));
            }
            whole.extend_from_slice(&piece);
        }
        within(whole.freeze(), limit)
    }
}

fn within(body: Bytes, limit: usize) -> Result<Bytes, BodyFailure> {
    if body.len() > limit { Err(BodyFailure::TooLarge(limit)) } else { Ok(body) }
}

//! How a recording is written down for other cores: its beginning and end as JSON, its frames packed into chunks.
//!
//! A chunk holds stretches of frames one behind the other, each behind four bytes: its length, and in the highest bit whether more of
//! its frame follows in the next.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Ending, Opening};
use crate::{
    call::Served,
    dialect::Dialect,
    error::{Error, ErrorKind, Upstream},
};

/// The most bytes of a chunk, as long as no single stretch is larger.
pub(super) const CHUNK: usize = 32 << 10;
/// More of the frame follows.
const MORE: u32 = 1 << 31;

#[derive(Serialize, Deserialize)]
struct WrittenOpening {
    request_id: String,
    status: u16,
    headers: Vec<(String, String)>,
    served: WrittenServed,
}

#[derive(Serialize, Deserialize)]
struct WrittenServed {
    provider: String,
    upstream_model: String,
    attempts: u32,
    dropped: Vec<String>,
    overhead_us: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenEnding {
    Complete,
    Cut(WrittenError),
    Failed(WrittenError, Option<WrittenServed>),
    TooLarge,
    Vacated,
}

#[derive(Serialize, Deserialize)]
struct WrittenError {
    kind: String,
    message: String,
    param: Option<String>,
    code: Option<String>,
    retry_after_ms: Option<u64>,
    attempts: u32,
    upstream: Option<WrittenUpstream>,
}

#[derive(Serialize, Deserialize)]
struct WrittenUpstream {
    provider: String,
    dialect: String,
    status: u16,
    /// As text: a body that is kept is JSON.
    body: String,
    kind: Option<String>,
}

/// How an answer begins. Headers that are no text are left out.
pub(super) fn write_opening(opening: &Opening) -> String {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let written = WrittenOpening {
        request_id: opening.request_id.clone(),
        status: opening.status,
        headers: opening.headers.iter().filter_map(header).collect(),
        served: (&opening.served).into(),
    };
    serde_json::to_string(&written).unwrap_or_default()
}

/// The same, read; `None`: it was not written by this version.
pub(super) fn read_opening(text: &str) -> Option<Opening> {
    let written: WrittenOpening = serde_json::from_str(text).ok()?;
    let mut headers = HeaderMap::with_capacity(written.headers.len());
    for (name, value) in written.headers {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    let (request_id, status) = (written.request_id, written.status);
    Some(Opening { request_id, status, headers, served: written.served.into() })
}

/// How an answer ended. That it broke is told by whoever reads it: the frame that says so may not have come that far.
pub(super) fn write_ending(ending: &Ending) -> String {
    let written = match ending {
        Ending::Complete => WrittenEnding::Complete,
        Ending::Cut { error, .. } => WrittenEnding::Cut(error.into()),
        Ending::Failed { error, served } => {
            WrittenEnding::Failed(error.into(), served.as_ref().map(WrittenServed::from))
        }
        Ending::TooLarge => WrittenEnding::TooLarge,
        Ending::Vacated => WrittenEnding::Vacated,
    };
    serde_json::to_string(&written).unwrap_or_default()
}

/// The same, read; an ending that was not written by this version is that nobody makes the answer.
pub(super) fn read_ending(text: &str) -> Ending {
    match serde_json::from_str(text) {
        Ok(WrittenEnding::Complete) => Ending::Complete,
        Ok(WrittenEnding::Cut(error)) => Ending::Cut { error: error.into(), told: false },
        Ok(WrittenEnding::Failed(error, served)) => {
            Ending::Failed { error: error.into(), served: served.map(Served::from) }
        }
        Ok(WrittenEnding::TooLarge) => Ending::TooLarge,
        Ok(WrittenEnding::Vacated) | Err(_) => Ending::Vacated,
    }
}

impl From<&Served> for WrittenServed {
    fn from(served: &Served) -> Self {
        Self {
            provider: served.provider.clone(),
            upstream_model: served.upstream_model.clone(),
            attempts: served.attempts,
            dropped: served.dropped.clone(),
            overhead_us: served.overhead_us,
        }
    }
}

impl From<WrittenServed> for Served {
    fn from(written: WrittenServed) -> Self {
        Self {
            provider: written.provider,
            upstream_model: written.upstream_model,
            attempts: written.attempts,
            dropped: written.dropped,
            overhead_us: written.overhead_us,
            repeat: None,
        }
    }
}

impl From<&Error> for WrittenError {
    fn from(error: &Error) -> Self {
        let millis = |after: std::time::Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self {
            kind: error.kind.name().to_owned(),
            message: error.message.clone(),
            param: error.param.clone(),
            code: error.code.clone(),
            retry_after_ms: error.retry_after.map(millis),
            attempts: error.attempts,
            upstream: error.upstream.as_ref().map(|upstream| WrittenUpstream {
                provider: upstream.provider.clone(),
                dialect: upstream.dialect.to_owned(),
                status: upstream.status,
                body: String::from_utf8_lossy(&upstream.body).into_owned(),
                kind: upstream.kind.clone(),
            }),
        }
    }
}

impl From<WrittenError> for Error {
    fn from(written: WrittenError) -> Self {
        let kind = ErrorKind::from_name(&written.kind).unwrap_or(ErrorKind::Internal);
        let upstream = written.upstream.map(|upstream| {
            Box::new(Upstream {
                provider: upstream.provider,
                dialect: Dialect::from_name(&upstream.dialect).map(Dialect::name).unwrap_or_default(),
                status: upstream.status,
                body: upstream.body.into(),
                kind: upstream.kind,
            })
        });
        Self {
            kind,
            message: written.message,
            param: written.param,
            code: written.code,
            retry_after: written.retry_after_ms.map(std::time::Duration::from_millis),
            attempts: written.attempts,
            upstream,
        }
    }
}

/// Packs frames into chunks.
#[derive(Debug, Default)]
pub(super) struct Packer {
    full: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Packer {
    /// One more frame.
    pub(super) fn push(&mut self, frame: &[u8]) {
        let mut stretches = frame.chunks(CHUNK - 4).peekable();
        while let Some(stretch) = stretches.next() {
            if !self.open.is_empty() && self.open.len() + 4 + stretch.len() > CHUNK {
                self.full.push(std::mem::take(&mut self.open));
            }
            let more = if stretches.peek().is_some() { MORE } else { 0 };
            self.open.extend_from_slice(&(stretch.len() as u32 | more).to_be_bytes());
            self.open.extend_from_slice(stretch);
        }
    }

    /// How many chunks there are, the one that is not full included.
    pub(super) fn len(&self) -> usize {
        self.full.len() + usize::from(!self.open.is_empty())
    }

    /// At most so many chunks, the oldest first.
    pub(super) fn take(&mut self, most: usize) -> Vec<Vec<u8>> {
        if self.full.len() < most && !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
        }
        let count = self.full.len().min(most);
        self.full.drain(..count).collect()
    }
}

/// Gets the frames out of chunks.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    begun: BytesMut,
}

impl Unpacker {
    /// The frames that end in the next chunk; `None`: it is none.
    pub(super) fn unpack(&mut self, chunk: Vec<u8>) -> Option<Vec<Bytes>> {
        let mut rest = Bytes::from(chunk);
        let mut frames = Vec::new();
        while let Some(head) = rest.first_chunk::<4>() {
            let head = u32::from_be_bytes(*head);
            let length = (head & !MORE) as usize;
            let mut stretch = rest.split_off(4);
            if stretch.len() < length {
                return None;
            }
            rest = stretch.split_off(length);
            if head & MORE != 0 || !self.begun.is_empty() {
                self.begun.extend_from_slice(&stretch);
                stretch = Bytes::new();
            }
            if head & MORE == 0 {
                let whole = if stretch.is_empty() { self.begun.split().freeze() } else { stretch };
                frames.push(whole);
            }
        }
        rest.is_empty().then_some(frames)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn beginnings_and_ends_are_read_as_they_were_written() {
        let served = Served {
            provider: "zürich".into(),
            upstream_model: "up".into(),
            attempts: 2,
            dropped: vec!["top_k".into()],
            overhead_us: 7,
            repeat: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/event-stream"));
        headers.append("x-twice", HeaderValue::from_static("1"));
        headers.append("x-twice", HeaderValue::from_static("2"));
        let opening = Opening { request_id: "r1".into(), status: 201, headers, served: served.clone() };
        let read = read_opening(&write_opening(&opening)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{opening:?}"));

        let upstream = Upstream {
            provider: "p".into(),
            dialect: Dialect::Anthropic.name(),
            status: 529,
            body: Bytes::from_static(b"{\"type\":\"error\"}"),
            kind: Some("overloaded_error".into()),
        };
        let error = Error::new(ErrorKind::ProviderFailed, "overloaded")
            .with_code("c")
            .with_param("p")
            .with_retry_after(Some(Duration::from_millis(1500)))
            .with_upstream(upstream);
        for ending in [
            Ending::Complete,
            Ending::Cut { error: error.clone(), told: false },
            Ending::Failed { error: Error { attempts: 3, ..error }, served: Some(served) },
            Ending::TooLarge,
            Ending::Vacated,
        ] {
            assert_eq!(format!("{:?}", read_ending(&write_ending(&ending))), format!("{ending:?}"));
        }
        assert!(read_opening("{}").is_none() && matches!(read_ending("?"), Ending::Vacated));
    }

    proptest! {
        #[test]
        fn frames_come_out_of_chunks_as_they_went_in(
            lengths in prop::collection::vec(prop_oneof![1..300_usize, 30_000..100_000_usize], 0..40),
            most in 1..5_usize,
        ) {
            let frames: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(number, length)| vec![number as u8; *length]).collect();
            let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
            let mut out = Vec::new();
            for (number, frame) in frames.iter().enumerate() {
                packer.push(frame);
                while packer.len() > 3 || (number + 1 == frames.len() && packer.len() > 0) {
                    for chunk in packer.take(most) {
                        prop_assert!(chunk.len() <= CHUNK);
                        out.extend(unpacker.unpack(chunk).unwrap());
                    }
                }
            }
            prop_assert_eq!(out, frames);
        }
    }
}

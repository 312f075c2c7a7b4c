//! Reads a request's body within its bounds: its own size, its time, and what all bodies in flight may take together.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use orchestrator_base::live::Live;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::error::EdgeError;

/// All bodies in flight together may be as large as this many bodies of the largest size, and no larger than [`MOST_BYTES`].
const LARGEST_BODIES: usize = 64;
const MOST_BYTES: usize = 1 << 30;
/// The buffer for a body of several frames starts no larger than this, whatever the client says will come.
const FIRST_BUFFER: usize = 1 << 20;

/// The bounds, and what is left of the common one. Clones share it.
#[derive(Clone)]
pub(crate) struct BodyLimits {
    max_bytes: usize,
    within: Live<Duration>,
    in_flight: Arc<Semaphore>,
    /// As many bytes may be in flight.
    together: usize,
}

/// A body, and its share of the common bound for as long as it is held.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) bytes: Bytes,
    pub(crate) share: Option<OwnedSemaphorePermit>,
}

impl BodyLimits {
    pub(crate) fn new(max_bytes: usize, within: Duration) -> Self {
        let together = max_bytes.saturating_mul(LARGEST_BODIES).min(MOST_BYTES).max(max_bytes);
        let together = together.min(Semaphore::MAX_PERMITS);
        let in_flight = Arc::new(Semaphore::new(together));
        Self { max_bytes, within: within.into(), in_flight, together }
    }

    /// How many bytes are in flight, and as many may be.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.together.saturating_sub(self.in_flight.available_permits()), self.together)
    }

    /// How long bodies that are read from now on may take, for all clones.
    pub(crate) fn set_time(&self, within: Duration) {
        self.within.set(within);
    }

    /// The whole body. A body that says it is too large is refused before any of it is read.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<HeldBody, EdgeError> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.max_bytes) {
            return Err(EdgeError::body_too_large(self.max_bytes));
        }
        let within = self.within.get();
        let collected = timeout(within, self.collect(announced.unwrap_or(0), body)).await;
        collected.unwrap_or_else(|_| Err(EdgeError::body_too_slow(within.as_millis())))
    }

    async fn collect(&self, announced: usize, mut body: Body) -> Result<HeldBody, EdgeError> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| EdgeError::bad_body())?;
            let Ok(data) = frame.into_data() else { continue };
            let so_far = if joined.is_empty() { first.len() } else { joined.len() };
            if so_far.saturating_add(data.len()) > self.max_bytes {
                return Err(EdgeError::body_too_large(self.max_bytes));
            }
            self.take_share(&mut share, data.len())?;
            if first.is_empty() && joined.is_empty() {
                // Most bodies are one frame: they stay where they are.
                first = data;
                continue;
            }
            if joined.is_empty() {
                joined.reserve(announced.clamp(so_far + data.len(), FIRST_BUFFER.max(so_far + data.len())));
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&data);
        }
        let bytes = if joined.is_empty() { first } else { joined.freeze() };
        Ok(HeldBody { bytes, share })
    }

    fn take_share(&self, share: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), EdgeError> {
        // A frame is far smaller than 4 GiB; one that is not is refused like any that finds no room.
        let bytes = u32::try_from(bytes).map_err(|_| EdgeError::bodies_full())?;
        let taken =
            self.in_flight.clone().try_acquire_many_owned(bytes).map_err(|_| EdgeError::bodies_full())?;
        match share {
            Some(share) => share.merge(taken),
            None => *share = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(frames: Vec<&'static str>) -> Body {
        let frames =
            frames.into_iter().map(|frame| Ok::<_, std::io::Error>(Bytes::from_static(frame.as_bytes())));
        Body::from_stream(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_of_several_frames_is_joined_in_order() {
        let limits = BodyLimits::new(100, Duration::from_secs(1));
        let held = limits.read(&HeaderMap::new(), body_of(vec!["ab", "", "cd", "e"])).await.unwrap();
        assert_eq!(held.bytes, "abcde");
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_refused_where_it_passes_the_limit() {
        let limits = BodyLimits::new(4, Duration::from_secs(1));
        let refused = limits.read(&HeaderMap::new(), body_of(vec!["ab", "cd", "e"])).await.unwrap_err();
        assert_eq!(refused.status, 413);
        assert!(refused.message.contains("MAX_BODY_BYTES"), "{}", refused.message);
    }

    #[tokio::test]
    async fn bodies_in_flight_share_one_bound_and_give_it_back() {
        let limits = BodyLimits {
            in_flight: Arc::new(Semaphore::new(5)),
            ..BodyLimits::new(4, Duration::from_secs(1))
        };
        let held = limits.read(&HeaderMap::new(), body_of(vec!["abc"])).await.unwrap();
        let refused = limits.read(&HeaderMap::new(), body_of(vec!["abc"])).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (503, "overloaded"));
        drop(held);
        limits.read(&HeaderMap::new(), body_of(vec!["abc"])).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_too_long_is_a_408() {
        let limits = BodyLimits::new(100, Duration::from_secs(30));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(limits.read(&HeaderMap::new(), never).await.unwrap_err().status, 408);
    }
}

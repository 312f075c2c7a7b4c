//! Reading a recording from its beginning, at one's own pace.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{Ending, Opening, Part, Recording};

/// Who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The caller that the answer is made for.
    First,
    /// Another caller.
    Twin,
    /// Whoever tells other cores.
    Mirror,
}

impl Who {
    pub(super) fn is_caller(self) -> bool {
        matches!(self, Self::First | Self::Twin)
    }
}

/// Reads a recording from its beginning. Dropping it is to leave.
#[derive(Debug)]
pub struct Follow {
    recording: Recording,
    id: u64,
    /// The frame that comes next.
    at: usize,
    who: Who,
}

impl Follow {
    pub(super) fn of(recording: Recording, id: u64, who: Who) -> Self {
        Self { recording, id, at: 0, who }
    }

    /// How the answer begins; or how it ended without a beginning.
    pub async fn opening(&mut self) -> Result<Arc<Opening>, Arc<Ending>> {
        poll_fn(|context| self.poll_opening(context)).await
    }

    /// The same, polled.
    pub fn poll_opening(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<Opening>, Arc<Ending>>> {
        let mut state = self.recording.state();
        if state.overflowed && self.who != Who::First {
            return Poll::Ready(Err(Arc::new(Ending::TooLarge)));
        }
        if let Some(opening) = &state.opening {
            return Poll::Ready(Ok(Arc::clone(opening)));
        }
        if let Some(ending) = &state.ending {
            return Poll::Ready(Err(Arc::clone(ending)));
        }
        state.waiting.insert(self.id, context.waker().clone());
        Poll::Pending
    }

    /// The next frame. Not to be asked for again behind the last.
    pub async fn next(&mut self) -> Part {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same, polled.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        let mut state = self.recording.state();
        if state.overflowed && self.who != Who::First {
            return Poll::Ready(Part::Last(Bytes::new(), Arc::new(Ending::TooLarge)));
        }
        let place = self.at - state.forgotten;
        let frame = state.frames.get(place).cloned();
        let is_last = place + 1 >= state.frames.len();
        let ending = state.ending.clone().filter(|_| is_last);
        if frame.is_some() {
            self.at += 1;
            if self.who == Who::First {
                state.first_at = Some(self.at);
                state.forget();
                state.wake_pump();
            }
        }
        match (frame, ending) {
            (frame, Some(ending)) => Poll::Ready(Part::Last(frame.unwrap_or_default(), ending)),
            (Some(frame), None) => Poll::Ready(Part::Frame(frame)),
            (None, None) => {
                state.waiting.insert(self.id, context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let mut state = self.recording.state();
        state.waiting.remove(&self.id);
        state.callers -= usize::from(self.who.is_caller());
        if self.who == Who::First {
            state.first_at = None;
            state.forget();
        }
        state.wake_pump();
    }
}

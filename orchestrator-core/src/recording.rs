//! Answers that can be joined while they are made, and told again afterwards.
//!
//! A [`Recording`] holds how an answer begins and its frames in the caller's form, as one task (the pump) makes them. Whoever
//! [follows](Follow) it gets the frames so far and then the rest, each at its own pace: the caller that the answer is made for, and
//! others that asked the same under the same idempotency key. Only keyed calls have a recording; all others are pulled straight
//! through.
//!
//! It is bounded. What outgrows its bound is not kept: the first caller goes on at its own pace, behind a window, and all others are
//! told that the answer is too large ([`Ending::TooLarge`]). Who holds which key, and for how long, is [`claims`]' business; what other
//! cores are told, and what they tell, is in `elsewhere.rs`.

pub mod claims;
mod elsewhere;
mod follow;
mod written;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::time::timeout;

pub use self::follow::Follow;
use self::follow::Who;
use crate::{call::Served, error::Error};

/// How many bytes wait for a first caller that reads slowly, once its answer is too large to be kept.
const WINDOW: usize = 256 << 10;

/// How an answer begins.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The request that it was made for.
    pub request_id: String,
    /// The HTTP status; 200 on the typed plane.
    pub status: u16,
    /// The native plane's headers.
    pub headers: HeaderMap,
    /// How it was served.
    pub served: Served,
}

/// How an answer ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// By its own rules: it may be told again.
    Complete,
    /// Behind content. The native plane's frames end with the error's event where `told` says so.
    Cut {
        /// Why.
        error: Error,
        /// Whether the last frame says so.
        told: bool,
    },
    /// Before anything of it.
    Failed {
        /// Why.
        error: Error,
        /// By whom, if a provider was asked.
        served: Option<Served>,
    },
    /// It is too large to be kept; for everybody but the first caller.
    TooLarge,
    /// Nobody makes it any more, and nothing of it was made.
    Vacated,
}

/// The next of an answer.
#[derive(Clone, Debug)]
pub enum Part {
    /// A frame; more may come.
    Frame(Bytes),
    /// The last frame, which may be empty, and how it ended.
    Last(Bytes, Arc<Ending>),
}

/// How many bytes all recordings may hold.
#[derive(Debug)]
struct Room {
    held: AtomicUsize,
    most: usize,
}

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let room = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One answer. Clones are the same.
#[derive(Clone)]
struct Recording(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    room: Arc<Room>,
    /// The most bytes that are kept.
    most: usize,
}

#[derive(Default)]
struct State {
    opening: Option<Arc<Opening>>,
    frames: VecDeque<Bytes>,
    /// How many frames were forgotten before the first of `frames`.
    forgotten: usize,
    /// The bytes of `frames`.
    held: usize,
    /// The bytes that were taken of the room.
    taken: usize,
    ending: Option<Arc<Ending>>,
    overflowed: bool,
    /// Those who wait for more.
    waiting: HashMap<u64, Waker>,
    next_follower: u64,
    /// How many callers follow.
    callers: usize,
    /// Which frame the first caller reads next, while it is there.
    first_at: Option<usize>,
    /// Waits for the first caller to read, or for callers to come and go.
    pump: Option<Waker>,
}

impl State {
    fn wake_all(&mut self) {
        for (_, waker) in self.waiting.drain() {
            waker.wake();
        }
    }

    fn wake_pump(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    /// Drops what nobody will read: where the answer is not kept, what the first caller has.
    fn forget(&mut self) {
        if !self.overflowed {
            return;
        }
        let needed = self.first_at.unwrap_or(usize::MAX);
        while self.forgotten < needed
            && let Some(frame) = self.frames.pop_front()
        {
            self.held -= frame.len();
            self.forgotten += 1;
        }
    }

    /// Puts what came in many pieces into one, for it may lie here for long, and pieces keep larger buffers alive.
    fn compact(&mut self) {
        let mut all = BytesMut::with_capacity(self.held);
        self.frames.iter().for_each(|frame| all.extend_from_slice(frame));
        for frame in &mut self.frames {
            *frame = all.split_to(frame.len()).freeze();
        }
    }
}

impl Recording {
    fn new(room: Arc<Room>, most: usize) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), room, most }))
    }

    /// Nothing panics while it is held, and what it guards is whole between any two calls.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, who: Who) -> Follow {
        let mut state = self.state();
        let id = state.next_follower;
        state.next_follower += 1;
        if who == Who::First {
            state.first_at = Some(0);
        }
        state.callers += usize::from(who.is_caller());
        state.wake_pump();
        Follow::of(self.clone(), id, who)
    }

    fn open(&self, opening: Opening) {
        let mut state = self.state();
        state.opening = Some(Arc::new(opening));
        state.wake_all();
    }

    /// Whether so many bytes more may be kept, and they are taken. `evict` frees some, if it can.
    fn fits(&self, bytes: usize, evict: impl Fn() -> bool) -> bool {
        {
            let state = self.state();
            if state.overflowed || state.held + bytes > self.0.most {
                return false;
            }
        }
        while !self.0.room.take(bytes) {
            if !evict() {
                return false;
            }
        }
        self.state().taken += bytes;
        true
    }

    /// A frame. `kept`: whether [it fits](Self::fits).
    fn append(&self, frame: Bytes, kept: bool) {
        let mut state = self.state();
        push(&mut state, frame, kept);
        state.wake_all();
    }

    /// The last frame, which may be empty, and how it ended, in one: whoever gets the one knows of the other.
    fn end(&self, last: Bytes, kept: bool, ending: Ending) {
        let mut state = self.state();
        if state.ending.is_some() {
            return;
        }
        push(&mut state, last, kept);
        if matches!(ending, Ending::Complete) && !state.overflowed && state.frames.len() > 1 {
            state.compact();
        }
        state.ending = Some(Arc::new(ending));
        state.wake_all();
    }

    fn opening(&self) -> Option<Arc<Opening>> {
        self.state().opening.clone()
    }

    /// Comes back when nothing more is made of it.
    async fn over(&self) {
        let waiter = {
            let mut state = self.state();
            state.next_follower += 1;
            state.next_follower - 1
        };
        poll_fn(|context| {
            let mut state = self.state();
            if state.ending.is_some() {
                return Poll::Ready(());
            }
            state.waiting.insert(waiter, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn overflowed(&self) -> bool {
        self.state().overflowed
    }

    /// Waits for the first caller, where only it is left to read. Answers whether anybody reads on.
    async fn ready(&self) -> bool {
        poll_fn(|context| {
            let mut state = self.state();
            if !state.overflowed {
                return Poll::Ready(true);
            }
            if state.first_at.is_none() {
                return Poll::Ready(false);
            }
            if state.held < WINDOW {
                return Poll::Ready(true);
            }
            state.pump = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Comes back when no caller has followed for so long.
    async fn deserted(&self, longest: Duration) {
        loop {
            self.callers(|callers| callers == 0).await;
            if timeout(longest, self.callers(|callers| callers > 0)).await.is_err() {
                return;
            }
        }
    }

    async fn callers(&self, wanted: impl Fn(usize) -> bool) {
        poll_fn(|context| {
            let mut state = self.state();
            if wanted(state.callers) {
                return Poll::Ready(());
            }
            state.pump = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

fn push(state: &mut State, frame: Bytes, kept: bool) {
    if frame.is_empty() {
        return;
    }
    state.overflowed |= !kept;
    state.held += frame.len();
    state.frames.push_back(frame);
    state.forget();
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.room.give_back(state.taken);
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let (bytes, callers, overflowed) = (&state.held, &state.callers, &state.overflowed);
        f.debug_struct("Recording")
            .field("bytes", bytes)
            .field("callers", callers)
            .field("overflowed", overflowed)
            .field("ending", &state.ending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! The moment from which whatever still runs ends with a word about it, instead of being cut.
//!
//! Every stream watches one, so a watch costs nothing to speak of: an atomic read for each look, a short turn of a lock that only its own
//! thread takes when it first waits and when it ends, and no allocation once a thread has had as many streams before. (A
//! `CancellationToken` takes its lock at each look.)

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Rung once. Clones are the same; the default never rings.
#[derive(Clone, Debug, Default)]
pub struct Curfew(Option<Arc<Bell>>);

#[derive(Debug, Default)]
struct Bell {
    over: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Those of the threads.
    others: Mutex<Vec<Arc<Bell>>>,
}

/// Who is to be woken, each at a place of its own.
#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Curfew {
    /// One that can be rung.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// The same curfew for another thread, whose waiters take no lock of any other's.
    #[must_use]
    pub fn for_thread(&self) -> Self {
        let Some(bell) = &self.0 else { return Self(None) };
        let own = Arc::<Bell>::default();
        locked(&bell.others).push(Arc::clone(&own));
        if bell.over.load(Ordering::Acquire) {
            own.ring();
        }
        Self(Some(own))
    }

    /// It is time: whoever watches is woken. A second time does nothing more.
    pub fn ring(&self) {
        if let Some(bell) = &self.0 {
            bell.ring();
        }
    }

    /// Whether it was rung.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|bell| bell.over.load(Ordering::Acquire))
    }

    /// For something that is polled.
    pub fn watch(&self) -> Watch {
        Watch { bell: self.0.clone(), place: None }
    }

    /// What `work` comes to; `None` when the bell rang before.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut watch) = (pin!(work), self.watch());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => watch.poll(context).map(|()| None),
        })
        .await
    }

    /// Comes back when it rings.
    pub async fn rung(&self) {
        let mut watch = self.watch();
        poll_fn(|context| watch.poll(context)).await;
    }
}

impl Bell {
    fn ring(&self) {
        self.over.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut locked(&self.waiting).wakers);
        wakers.into_iter().flatten().for_each(Waker::wake);
        for other in locked(&self.others).iter() {
            other.ring();
        }
    }
}

/// One look-out. Dropping it gives its place back.
#[derive(Debug)]
pub struct Watch {
    bell: Option<Arc<Bell>>,
    /// Where its waker stands, and a copy of it: it is told apart from another without the lock.
    place: Option<(usize, Waker)>,
}

impl Watch {
    /// Whether the bell has rung. Wakes nobody later.
    pub fn is_over(&self) -> bool {
        self.bell.as_ref().is_some_and(|bell| bell.over.load(Ordering::Acquire))
    }

    /// Ready when it has rung; else the task is woken when it does.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(bell) = &self.bell else { return Poll::Pending };
        if bell.over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        let waker = context.waker().clone();
        let mut waiting = locked(&bell.waiting);
        // Looked at again under the lock that the ringer takes after it has said so: nobody is forgotten between the two.
        if bell.over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let place = match self.place.take() {
            Some((place, _)) => place,
            None => waiting.place(),
        };
        waiting.wakers[place] = Some(waker.clone());
        drop(waiting);
        self.place = Some((place, waker));
        Poll::Pending
    }
}

impl Waiting {
    fn place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (Some(bell), Some((place, _))) = (&self.bell, self.place.take()) else { return };
        let mut waiting = locked(&bell.waiting);
        // After the ring there are no places any more.
        if let Some(waker) = waiting.wakers.get_mut(place) {
            *waker = None;
            waiting.free.push(place);
        }
    }
}

/// Nothing panics while one of them is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::task;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_on_every_thread() {
        let curfew = Curfew::new();
        let waiters: Vec<_> = [curfew.clone(), curfew.for_thread(), curfew.for_thread()]
            .into_iter()
            .map(|curfew| {
                task::spawn("waits", async move { curfew.unless(sleep(Duration::from_secs(9))).await })
            })
            .collect();
        sleep(Duration::from_secs(1)).await;
        curfew.ring();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), Some(None));
        }
        assert!(curfew.is_over() && curfew.for_thread().is_over());
        assert_eq!(
            curfew.for_thread().unless(std::future::pending::<()>()).await,
            None,
            "it is over for who comes later"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_before_is_done_and_its_place_is_used_again() {
        let curfew = Curfew::new();
        for _ in 0..3 {
            assert_eq!(curfew.unless(async { sleep(Duration::from_secs(1)).await }).await, Some(()));
        }
        let bell = curfew.0.as_ref().unwrap();
        assert_eq!(locked(&bell.waiting).wakers.len(), 1);
        let watches = [curfew.watch(), curfew.watch()];
        drop(watches);
        curfew.ring();
        drop(curfew.watch());
    }

    #[tokio::test(start_paused = true)]
    async fn the_default_never_rings() {
        let never = Curfew::default();
        never.ring();
        assert!(!never.is_over());
        assert!(timeout(Duration::from_hours(1), never.rung()).await.is_err());
    }
}

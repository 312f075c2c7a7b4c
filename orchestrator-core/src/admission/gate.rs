//! The gate before the providers: at most so many requests at once, the others in a queue, or turned away.
//!
//! Which of them is decided by the pure [`Queue`]; here are the lock around it and the calls that wake its waiters. One gate
//! serves all request threads. While there is room, a request costs it two short turns of a lock.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use orchestrator_base::config::Admission;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, ErrorKind, Result},
    policy::queue::{Entered, Limits, Numbers, Queue, Shed, Turn},
};

/// Lets so many in at once.
#[derive(Debug)]
pub struct Gate {
    queue: Mutex<Queue<oneshot::Sender<()>>>,
}

/// A request's place among those that run. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    since: Instant,
}

impl Gate {
    /// A gate with everything free.
    pub fn new(settings: &Admission) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::new(limits(settings))) })
    }

    /// Other limits hold from now on. Nobody who runs is stopped; where there is more room, whoever waits is let in.
    pub fn set(&self, settings: &Admission) {
        let now = Instant::now();
        let mut queue = self.queue();
        queue.set_limits(limits(settings));
        while let Some(next) = queue.let_in(now) {
            call(&mut queue, next, now);
        }
    }

    /// Waits for a place, if it must. Dropping the future leaves the queue.
    ///
    /// Errors: 503 with `retry_after`, when the queue is full or the place would come after `deadline`, or came too late.
    pub async fn enter(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Place> {
        let now = Instant::now();
        let mut called = None;
        let entered = self.queue().enter(now, deadline, || {
            let (call, receiver) = oneshot::channel();
            called = Some(receiver);
            call
        });
        match (entered, called) {
            (Entered::Running, _) => Ok(self.place(now)),
            (Entered::Waiting(turn), Some(called)) => {
                Waiting { gate: Arc::clone(self), turn, called: Some(called) }.wait().await
            }
            (Entered::Waiting(_), None) => Err(Error::internal("a waiter was queued that nobody can call")),
            (Entered::Shed(shed), _) => Err(refusal(shed)),
        }
    }

    /// How many run and wait, and how many were turned away.
    pub fn numbers(&self) -> Numbers {
        self.queue().numbers()
    }

    /// The limits that hold.
    pub fn limits(&self) -> Limits {
        self.queue().limits()
    }

    fn place(self: &Arc<Self>, since: Instant) -> Place {
        Place { gate: Arc::clone(self), since }
    }

    /// Nothing panics while it is held, and what it guards is whole between any two calls.
    fn queue(&self) -> MutexGuard<'_, Queue<oneshot::Sender<()>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// When it was given.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut queue = self.gate.queue();
        queue.was_held(now.saturating_duration_since(self.since));
        // Called under the lock: a waiter that leaves finds itself either in the queue or called.
        if let Some(next) = queue.next(now) {
            call(&mut queue, next, now);
        }
    }
}

/// Gives a place to `next`, or to whoever comes after those who have left.
fn call(queue: &mut Queue<oneshot::Sender<()>>, next: oneshot::Sender<()>, now: Instant) {
    let mut next = Some(next);
    while let Some(waiter) = next {
        if waiter.send(()).is_ok() {
            return;
        }
        next = queue.next(now);
    }
}

fn limits(settings: &Admission) -> Limits {
    Limits {
        running: settings.max_concurrent_sessions,
        waiting: settings.max_queue_length,
        wait: Duration::from_secs(settings.max_queue_wait),
    }
}

/// Somebody in the queue. `called` is taken when it is not there any more.
struct Waiting {
    gate: Arc<Gate>,
    turn: Turn,
    called: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    async fn wait(mut self) -> Result<Place> {
        if let Some(called) = &mut self.called
            && let Ok(Ok(())) = timeout_at(self.turn.due(), called).await
        {
            self.called = None;
            return Ok(self.gate.place(Instant::now()));
        }
        let shed = self.gate.queue().expire(self.turn);
        match (shed, self.take_call()) {
            (None, Some(place)) => Ok(place),
            // Whoever was about to let it in has seen that it is too late.
            (None, None) => Err(refusal(self.gate.queue().advice())),
            (Some(shed), _) => Err(refusal(shed)),
        }
    }

    /// The place that it was called to, if it was, in the very moment that it stopped waiting.
    fn take_call(&mut self) -> Option<Place> {
        let was_called = self.called.take()?.try_recv().is_ok();
        was_called.then(|| self.gate.place(Instant::now()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.called.is_some() {
            self.gate.queue().leave(self.turn);
            drop(self.take_call());
        }
    }
}

fn refusal(shed: Shed) -> Error {
    let message = "the gateway is at its limit of requests at once; try again later";
    let error = Error::new(ErrorKind::Unavailable, message).with_code("overloaded");
    Error { retry_after: Some(shed.retry_after), ..error }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn gate(running: usize, waiting: usize) -> Arc<Gate> {
        let (max_concurrent_sessions, max_queue_length) = (running, waiting);
        Gate::new(&Admission { max_concurrent_sessions, max_queue_length, max_queue_wait: 30 })
    }

    fn counts(gate: &Gate) -> (usize, usize, u64) {
        let Numbers { running, waiting, shed } = gate.numbers();
        (running, waiting, shed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_is_the_next_ones() {
        let gate = gate(1, 1);
        let place = gate.enter(None).await.unwrap();
        let mut second = pin!(gate.enter(None));
        assert!(second.as_mut().now_or_never().is_none());
        let refused = gate.enter(None).await.unwrap_err();
        assert_eq!((refused.status(), refused.retry_after), (503, Some(Duration::from_secs(1))));
        assert_eq!(counts(&gate), (1, 1, 1));
        drop(place);
        let second = second.await.unwrap();
        assert_eq!(counts(&gate), (1, 0, 1));
        drop(second);
        assert_eq!(counts(&gate), (0, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_waits_until_its_deadline_or_for_as_long_as_anybody() {
        let gate = gate(1, 2);
        let _place = gate.enter(None).await.unwrap();
        let began = Instant::now();
        let deadline = began + Duration::from_secs(7);
        let (hasty, patient) = tokio::join!(
            async { (gate.enter(Some(deadline)).await.map(drop), began.elapsed().as_secs()) },
            async { (gate.enter(None).await.map(drop), began.elapsed().as_secs()) },
        );
        assert!(hasty.0.is_err() && patient.0.is_err());
        assert_eq!((hasty.1, patient.1), (7, 30));
        assert_eq!(counts(&gate), (1, 0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_queue_leaves_no_hole_in_it() {
        let gate = gate(1, 3);
        let place = gate.enter(None).await.unwrap();
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(gate.enter(None))).collect();
        for waiter in &mut waiters {
            assert!(waiter.as_mut().now_or_never().is_none());
        }
        drop(waiters.remove(0));
        assert_eq!(counts(&gate), (1, 2, 0));
        drop(place);
        // The next one was called and leaves before it hears of it: its place goes on to the last.
        drop(waiters.remove(0));
        assert_eq!(counts(&gate), (1, 0, 0));
        drop(waiters.remove(0).await.unwrap());
        assert_eq!(counts(&gate), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn more_room_lets_those_in_who_wait_and_less_stops_nobody() {
        let settings = |running, waiting| Admission {
            max_concurrent_sessions: running,
            max_queue_length: waiting,
            max_queue_wait: 30,
        };
        let gate = gate(1, 3);
        let first = gate.enter(None).await.unwrap();
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(gate.enter(None))).collect();
        for waiter in &mut waiters {
            assert!(waiter.as_mut().now_or_never().is_none());
        }
        gate.set(&settings(3, 3));
        assert_eq!(counts(&gate), (3, 1, 0));
        let second = waiters.remove(0).await.unwrap();
        let third = waiters.remove(0).await.unwrap();
        gate.set(&settings(1, 0));
        assert_eq!(counts(&gate), (3, 1, 0));
        drop((first, second));
        // Two places are gone with them; the one that is left is still taken.
        assert_eq!(counts(&gate), (1, 1, 0));
        assert!(gate.enter(None).await.is_err());
        drop(third);
        drop(waiters.remove(0).await.unwrap());
        assert_eq!(counts(&gate), (0, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_the_last_moment_counts() {
        let gate = gate(1, 1);
        let place = gate.enter(None).await.unwrap();
        let mut waiter = Box::pin(gate.enter(None));
        assert!(waiter.as_mut().now_or_never().is_none());
        drop(place);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(waiter.await.is_ok(), "it had been called when its time ran out");
    }
}

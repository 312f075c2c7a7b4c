//! The one door to spawned tasks: each has a name, and a task that panics says so in the log instead of vanishing.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use tokio::task::JoinHandle;
use tracing::{Instrument as _, error_span};

/// Runs `future` on the current runtime. Dropping the handle detaches it; aborting the handle stops it.
///
/// The handle gives `None` for a task that panicked; the panic is logged with the task's name.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut future = Box::pin(future);
    // The panic is caught here, not by a second task that waits for the first: aborting the handle must reach the future.
    let guarded = poll_fn(move |context| {
        // After a panic the future is never polled again, so no broken state is seen.
        if let Ok(poll) = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            return poll.map(Some);
        }
        tracing::error!(task.name = name, "a background task panicked");
        Poll::Ready(None)
    });
    tokio::spawn(guarded.instrument(error_span!("task", task.name = name)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_task_gives_its_value_and_a_panic_gives_none() {
        assert_eq!(spawn("adder", async { 1 + 1 }).await.unwrap(), Some(2));
        let panicking = spawn("panics", async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert!(panicking.await.unwrap().is_none());
    }

    #[tokio::test]
    async fn aborting_the_handle_drops_the_future() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = spawn("waits", async move {
            std::future::pending::<()>().await;
            drop(inside);
        });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

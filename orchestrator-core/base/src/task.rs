//! The one door to spawned tasks: each has a name, and a task that panics says so in the log instead of vanishing.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument as _, error_span};

/// Runs `future` on the current runtime. Dropping the handle detaches it; a panic is logged with the task's name.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let inner = tokio::spawn(future.instrument(error_span!("task", task.name = name)));
    tokio::spawn(async move {
        match inner.await {
            Ok(output) => Some(output),
            Err(failure) => {
                if failure.is_panic() {
                    tracing::error!(task.name = name, "a background task panicked");
                }
                None
            }
        }
    })
}

//! What a route answers to its n-th request.

use std::{fmt, sync::Arc};

use super::{Answer, Seen};

type Choose = dyn Fn(usize, &Seen) -> Answer + Send + Sync;

/// Chooses an answer for each request of one route.
#[derive(Clone)]
pub struct Script(Arc<Choose>);

impl Script {
    /// The same answer every time.
    pub fn always(answer: Answer) -> Self {
        Self::choose(move |_, _| answer.clone())
    }

    /// One answer after another; the last one repeats. Panics when there is none.
    pub fn sequence(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<Answer> = answers.into_iter().collect();
        assert!(!answers.is_empty(), "a sequence has at least one answer");
        Self::choose(move |n, _| answers[n.min(answers.len() - 1)].clone())
    }

    /// Whatever `choose` makes of the request and of its number in this route (from 0).
    pub fn choose(choose: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    pub(super) fn answer(&self, n: usize, seen: &Seen) -> Answer {
        (self.0)(n, seen)
    }
}

impl From<Answer> for Script {
    fn from(answer: Answer) -> Self {
        Self::always(answer)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

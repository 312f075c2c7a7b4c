//! Asking a provider, by the same code as requests: what they would meet is what a probe sees.
//!
//! A probe that asks for an answer is written down as one (`origin = probe`), for it costs money: it is in no statistics, and uses up no
//! caller's limit.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use super::question::Question;
use crate::{
    attempt::{Asker, Committed, CommittedAnswer, Job, one::try_one},
    call::{Facts, Input},
    catalog::route::Target,
    chat::{ChatRequest, Message, PartKind, Role},
    dialect::{Dialect, Operation},
    embedding::{EmbedInput, EmbedRequest},
    error::Result,
    health::Seen,
    ledger::{Entry, Ledger, Outcome, trail::Trail},
    model_lists, routing,
};

/// How long a provider has to answer a probe.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// OpenAI's Responses take no smaller limit
/// (<https://platform.openai.com/docs/api-reference/responses/create#responses-create-max_output_tokens>).
const LEAST_OF_RESPONSES: u32 = 16;
const REQUEST_ID: &str = "health-probe";

/// Asks a provider.
#[async_trait]
pub trait Ask: Send + Sync {
    /// What asking showed; `None`: nothing, for something went wrong on our own side.
    async fn ask(&self, question: &Question) -> Option<Seen>;
}

/// Asks providers where they are.
pub struct LiveAsk {
    asker: Asker,
    /// `None`: probes are not written down.
    ledger: Option<Ledger>,
    /// Each probe begins with the next key, so that each is tried in its time.
    turns: AtomicUsize,
}

impl LiveAsk {
    /// Asks with these connections; they belong to the runtime that it is used on.
    pub fn new(asker: Asker) -> Self {
        Self { asker, ledger: None, turns: AtomicUsize::new(0) }
    }

    /// Writes probes down in this ledger.
    pub fn recorded_in(self, ledger: Ledger) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    async fn answer(&self, target: &Target, operation: Operation) -> Option<Seen> {
        let job = job(target, operation);
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut candidate = routing::Candidate::alone(target.clone(), turn);
        loop {
            let began = Instant::now();
            // Closes itself when the probe is dropped.
            let mut entry =
                self.ledger.as_ref().map(|ledger| ledger.begin_probe(REQUEST_ID, operation, &job.facts));
            if let Some(entry) = &mut entry {
                entry.attempt(candidate.target(), candidate.key());
            }
            let tried = Box::pin(try_one(&self.asker, &job, &candidate, true, &Trail::default())).await;
            if let Some(entry) = &mut entry {
                note(entry, &tried);
            }
            let seen = match tried {
                Ok(committed) => Some(Seen::answer(committed.status.as_u16(), began.elapsed())),
                Err(error) => Seen::failure(&error, began.elapsed()),
            };
            let refused = seen.as_ref().is_some_and(Seen::is_refusal);
            if seen.as_ref().is_some_and(|seen| seen.good || refused) {
                self.asker.conditions.key_checked(target, candidate.key(), !refused);
            }
            match candidate.with_next_key().filter(|_| refused) {
                Some(next) => candidate = next,
                None => return seen,
            }
        }
    }

    async fn models(&self, target: &Target) -> Seen {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut candidate = routing::Candidate::alone(target.clone(), turn);
        loop {
            let began = Instant::now();
            let listed = Box::pin(model_lists::list(&*self.asker.http, target, candidate.key())).await;
            let seen = match listed {
                Ok(_) => Seen::answer(200, began.elapsed()),
                Err(failure) => {
                    let seen = Seen::silence(&failure.reason, began.elapsed());
                    Seen { good: failure.status == 429, status: failure.status, ..seen }
                }
            };
            match candidate.with_next_key().filter(|_| seen.is_refusal()) {
                Some(next) => candidate = next,
                None => return seen,
            }
        }
    }
}

#[async_trait]
impl Ask for LiveAsk {
    async fn ask(&self, question: &Question) -> Option<Seen> {
        let asking = async {
            match question {
                Question::Chat(target) => self.answer(target, Operation::Chat).await,
                Question::Embed(target) => self.answer(target, Operation::Embeddings).await,
                Question::Models(target) => Some(self.models(target).await),
            }
        };
        let late = || Some(Seen::silence("it did not answer a probe within 30 s", PROBE_TIMEOUT));
        let seen = timeout(PROBE_TIMEOUT, asking).await.unwrap_or_else(|_| late());
        if let Some(ledger) = &self.ledger {
            let good = seen.as_ref().is_some_and(|seen| seen.good);
            ledger.metrics().probed(good, self.asker.clock.now());
        }
        seen
    }
}

impl fmt::Debug for LiveAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveAsk").finish_non_exhaustive()
    }
}

/// How a probe went.
fn note(entry: &mut Entry, tried: &Result<Box<Committed>>) {
    match tried {
        Ok(committed) => {
            entry.answering(committed.status.as_u16(), false, tracing::Span::none());
            if let CommittedAnswer::Whole(_, signals) = &committed.answer {
                entry.committed(false);
                entry.saw(signals.clone());
            }
            entry.close(Outcome::Answered(committed.status.as_u16()));
        }
        Err(error) => {
            entry.attempt_failed(error);
            entry.close(Outcome::Failed(error));
        }
    }
}

fn job(target: &Target, operation: Operation) -> Job {
    let model = target.upstream_model.clone();
    let input = if operation == Operation::Embeddings {
        let inputs = vec![EmbedInput::Text("ping".to_owned())];
        Input::Embed(Box::new(EmbedRequest { model: model.clone(), inputs, ..EmbedRequest::default() }))
    } else {
        let responses = routing::dialect_for(target, operation, None) == Some(Dialect::OpenAiResponses);
        let message =
            Message { role: Role::User, parts: vec![PartKind::Text("ping".to_owned()).into()], name: None };
        Input::Chat(Box::new(ChatRequest {
            model: model.clone(),
            messages: vec![message],
            max_output_tokens: Some(if responses { LEAST_OF_RESPONSES } else { 1 }),
            ..ChatRequest::default()
        }))
    };
    Job::new(REQUEST_ID.to_owned(), input, Facts { model, ..Facts::default() }, operation)
}

//! What a request adds to the metrics. Handles are found when a provider is asked; all counting is done once, when the account is
//! closed. In between moments are noted that are known anyway.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::RequestRecord;
use crate::{
    call::Input,
    dialect::{Dialect, Operation},
    metrics::{Door, Ending, Gaps, Metrics, Name, Pair, Phase},
};

/// A phase that the request has not come to.
const NEVER: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    door: Door,
    /// Probes are counted by whoever makes them.
    is_probe: bool,
    /// The model that was asked for.
    model: Name,
    /// That model and who was asked last.
    pair: Option<Arc<Pair>>,
    /// Up to here phases were measured.
    mark: Instant,
    /// Nanoseconds.
    phases: [u64; Phase::ALL.len()],
    /// When the provider had answered, or begun to.
    answered: Option<Instant>,
    gaps: Gaps,
    /// It counts among the streams that are under way.
    is_streaming: bool,
}

impl Meter {
    pub(super) fn new(metrics: Arc<Metrics>, door: Door, is_probe: bool, received: Instant) -> Self {
        Self {
            metrics,
            door,
            is_probe,
            model: Name::OTHER,
            pair: None,
            mark: received,
            phases: [NEVER; Phase::ALL.len()],
            answered: None,
            gaps: Gaps::default(),
            is_streaming: false,
        }
    }

    /// The catalog has the model that was asked for.
    pub(super) fn asks(&mut self, model: Name) {
        self.model = model;
    }

    /// A phase is over now.
    pub(super) fn passed(&mut self, phase: Phase, now: Instant) {
        self.phases[phase as usize] = nanos(now.saturating_duration_since(self.mark));
        self.mark = now;
    }

    /// The wait for a place is over, whatever came of it.
    pub(super) fn waited(&mut self, now: Instant) {
        self.metrics.queue_wait(now.saturating_duration_since(self.mark));
        self.mark = now;
    }

    /// A provider is asked, for the first time.
    pub(super) fn first_attempt(&mut self, provider: Name, now: Instant) {
        if self.is_probe {
            return;
        }
        self.passed(Phase::Route, now);
        self.pair = Some(self.metrics.pair(self.model, provider));
    }

    /// A provider is asked after one has failed. `same`: it is the one that has.
    pub(super) fn next_attempt(&mut self, provider: Name, same: bool) {
        let Some(pair) = &self.pair else { return };
        if same {
            pair.retried();
            return;
        }
        pair.failed_over();
        self.pair = Some(self.metrics.pair(self.model, provider));
    }

    /// An attempt is over.
    pub(super) fn attempt_over(&self, ending: Ending, micros: u64) {
        if let Some(pair) = &self.pair {
            pair.attempt(ending, micros);
        }
    }

    /// The request was written for the provider that was asked at `asked`, and sent at `sent`.
    pub(super) fn sent(&mut self, asked: Instant, sent: Instant) {
        self.phases[Phase::Translate as usize] = nanos(sent.saturating_duration_since(asked));
    }

    /// The provider has answered, or begun to.
    pub(super) fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// None of the providers has given the answer.
    pub(super) fn answered_here(&mut self) {
        self.pair = None;
    }

    /// The answer is handed on from here on: all of it, or a stream's beginning.
    fn delivered(&mut self, now: Instant) {
        if let Some(answered) = self.answered.take() {
            self.phases[Phase::Deliver as usize] = nanos(now.saturating_duration_since(answered));
        }
    }

    /// A stream has begun.
    pub(super) fn streams(&mut self, now: Instant) {
        self.delivered(now);
        if !std::mem::replace(&mut self.is_streaming, true) {
            self.metrics.streams().inc();
        }
    }

    /// How far apart a stream's pieces have come so far.
    pub(super) fn paced(&mut self, gaps: Gaps) {
        self.gaps = gaps;
    }

    /// The request is over, after so long.
    pub(super) fn close(&mut self, record: &RequestRecord, ending: Ending, now: Instant, latency: Duration) {
        if std::mem::take(&mut self.is_streaming) {
            self.metrics.streams().dec();
        }
        if self.is_probe {
            return;
        }
        self.delivered(now);
        let pair = self.pair.take().unwrap_or_else(|| self.metrics.pair(self.model, Name::NONE));
        pair.request(self.door, ending, record.stream, nanos(latency));
        if let Some(micros) = record.ttft_us {
            pair.stream(micros, self.gaps);
        }
        let usage = &record.usage;
        let tokens = [usage.prompt, usage.completion, usage.cached_read, usage.cache_write, usage.reasoning];
        pair.used(tokens, record.cost_nanos);
        self.close_phases();
    }

    fn close_phases(&self) {
        let mut own_work = 0;
        for (phase, nanos) in Phase::ALL.into_iter().zip(self.phases).filter(|(_, nanos)| *nanos != NEVER) {
            self.metrics.phase(phase, nanos);
            own_work += if phase == Phase::Route { 0 } else { nanos };
        }
        if self.phases[Phase::Deliver as usize] != NEVER {
            self.metrics.overhead(own_work);
        }
    }
}

/// Through which door a call comes.
pub(super) fn door(input: &Input, operation: Operation) -> Door {
    let (dialect_place, dialect) = match input {
        Input::Native { dialect, .. } | Input::Models { dialect, .. } => of_dialect(*dialect),
        Input::Stored { .. } => of_dialect(Dialect::OpenAiResponses),
        Input::Chat(_) | Input::Embed(_) | Input::Count(_) => TYPED,
    };
    Door { dialect_place, dialect, operation_place: operation as usize, operation: operation.name() }
}

/// The door of probes, which is shown nowhere.
pub(super) fn probes_door(operation: Operation) -> Door {
    let (dialect_place, dialect) = TYPED;
    Door { dialect_place, dialect, operation_place: operation as usize, operation: operation.name() }
}

const TYPED: (usize, &str) = (Dialect::ALL.len(), "typed");

fn of_dialect(dialect: Dialect) -> (usize, &'static str) {
    (dialect as usize, dialect.name())
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{DIALECTS, OPERATIONS};

    #[test]
    fn every_dialect_and_operation_has_a_place_of_its_own() {
        for (place, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(dialect as usize, place);
        }
        assert!(Dialect::ALL.len() < DIALECTS && (Operation::CountTokens as usize) < OPERATIONS);
    }
}

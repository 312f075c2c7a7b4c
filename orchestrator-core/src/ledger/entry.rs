//! The account of one request while it runs.
//!
//! Whatever becomes of the request (answered, failed, dropped because its caller left, unwound by a panic), its entry is
//! closed exactly once: by [`Entry::close`] or by `Drop`.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{
    clock::UnixMicros,
    telemetry::traces::{self, Trace},
};
use tokio::time::Instant;
use tracing::Span;

use super::{
    RequestRecord,
    bodies::{Bodies, BodyRules},
    bounds,
    journal::Journal,
    meter::Meter,
    record::{AttemptRecord, Held},
    told,
    trail::Trail,
    usage,
};
use crate::{
    call::{Input, Served, Signals, UsageSource},
    catalog::{
        ApiKey,
        route::{Target, TargetKey},
    },
    chat::Usage,
    dialect::Operation,
    error::{Error, ErrorKind},
    metrics::{Ending, Gaps, Name, Phase},
    policy::price::{Price, Rates},
    shared_state::{Grant, Used},
};

/// The tag of a request whose answer was made for another one, under the same idempotency key: `joined` or `replayed`.
const AGAIN: &str = "idempotency";

/// One request's account. Closed when dropped.
#[derive(Debug)]
pub struct Entry {
    /// Shared with the journal once it is written.
    record: Arc<RequestRecord>,
    journal: Arc<Journal>,
    received: Instant,
    /// When `started_at` was read off the clock, for the times of attempts.
    begun: Instant,
    request_bytes: usize,
    body_rules: BodyRules,
    /// `None`, as nearly always: they are not kept.
    bodies: Option<Box<Bodies>>,
    /// The attempt under way: when it began. Its record is the last of those tried.
    asking: Option<Instant>,
    /// What the answer has said of itself so far.
    signals: Signals,
    /// Whether any of the answer belongs to the caller, so that usage is owed.
    committed: bool,
    closed: bool,
    /// What the model costs at the provider that was asked last.
    price: Option<Arc<Price>>,
    /// What tokens cost where no price is known.
    ceiling: Rates,
    /// The limits that the request has taken: settled, or given back, when the account is closed.
    grants: Vec<Grant>,
    /// What it adds to the metrics.
    meter: Meter,
    /// Its place in a trace.
    trail: Trail,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// Answered with this status.
    Answered(u16),
    /// Cut after content had been passed on.
    Truncated(&'a Error),
    /// Refused or failed before any content.
    Failed(&'a Error),
}

impl Entry {
    pub(super) fn new(
        record: RequestRecord,
        journal: Arc<Journal>,
        meter: Meter,
        (received, request_bytes): (Instant, usize),
        body_rules: BodyRules,
        ceiling: Rates,
    ) -> Self {
        Self {
            record: Arc::new(record),
            journal,
            received,
            begun: Instant::now(),
            request_bytes,
            body_rules,
            bodies: None,
            asking: None,
            signals: Signals::default(),
            committed: false,
            closed: false,
            price: None,
            ceiling,
            grants: Vec::new(),
            meter,
            trail: Trail::default(),
        }
    }

    /// The request belongs to this trace.
    pub(super) fn along(mut self, trace: &Trace) -> Self {
        self.trail = Trail::new(trace);
        self
    }

    /// Its place in a trace, for whoever asks a provider on its behalf.
    pub(crate) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The trace that it belongs to, if it does.
    pub fn trace_id(&self) -> Option<&str> {
        Some(self.record.trace_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Its limits are about to be taken.
    pub fn admission_begins(&mut self) {
        self.trail.admission_begins();
    }

    /// It is about to wait for a place.
    pub fn queued(&mut self) {
        self.trail.queued();
    }

    /// It has its place.
    pub fn admitted(&mut self) {
        self.trail.admitted();
    }

    /// When it began: whose day and month it is charged to.
    pub fn started_at(&self) -> UnixMicros {
        self.record.started_at
    }

    /// The team that its key belongs to.
    pub fn team_id(&mut self, id: &str) {
        id.clone_into(&mut Arc::make_mut(&mut self.record).team_id);
    }

    /// The request holds these until it is over.
    pub fn holds(&mut self, grants: Vec<Grant>) {
        self.grants = grants;
    }

    /// Budgets count what it comes to as outstanding until it is stored.
    pub fn is_held(&mut self, held: Held) {
        Arc::make_mut(&mut self.record).held = held;
    }

    /// Says to the limits what the request came to; all is given back where nobody was asked.
    fn settle_limits(&mut self) {
        for grant in self.grants.drain(..) {
            let usage = &self.record.usage;
            let tokens = usage.prompt.saturating_add(usage.completion);
            if let Some(nanos) = self.record.charged_nanos {
                grant.settle(Used { tokens, nanos });
            }
        }
    }

    /// The caller is known.
    pub fn caller(&mut self, key: &ApiKey) {
        let record = Arc::make_mut(&mut self.record);
        record.api_key_id.clone_from(&key.id);
        record.api_key_name.clone_from(&key.name);
        record.team.clone_from(&key.team);
        for (name, value) in &key.tags {
            record.tags.entry(name.clone()).or_insert_with(|| value.clone());
        }
        // A caller cannot push its key's own labels out.
        while record.tags.len() > bounds::TAGS {
            let last = record.tags.keys().rfind(|name| !key.tags.contains_key(*name)).cloned();
            let Some(last) = last else { break };
            record.tags.remove(&last);
        }
    }

    /// The answer is another request's: how, as tag [`AGAIN`]; `None`: it is its own, whatever was said before.
    pub fn again(&mut self, how: Option<&str>) {
        let tags = &mut Arc::make_mut(&mut self.record).tags;
        let Some(how) = how else {
            tags.remove(AGAIN);
            return;
        };
        if tags.len() >= bounds::TAGS && !tags.contains_key(AGAIN) {
            tags.pop_last();
        }
        tags.insert(AGAIN.to_owned(), how.to_owned());
    }

    /// The catalog has the model that is asked for, and counts it under this name.
    pub fn asks(&mut self, model: Name) {
        self.meter.asks(model);
    }

    /// A phase before a provider is asked is over.
    pub fn passed(&mut self, phase: Phase) {
        self.meter.passed(phase, Instant::now());
    }

    /// The wait for a place was over at this moment, whatever came of it.
    pub fn waited(&mut self, until: Instant) {
        self.meter.waited(until);
    }

    /// How far apart the pieces of its stream have come so far.
    pub fn paced(&mut self, gaps: Gaps) {
        self.meter.paced(gaps);
    }

    /// What the known caller asks is kept, if its key or a setting wants it.
    pub fn asked(&mut self, key: &ApiKey, input: &Input) {
        let traced = if self.trail.is_recorded() { traces::content_bytes() } else { None };
        self.bodies = self.body_rules.begin(key, input, traced);
    }

    /// A part of the answer's body is about to be sent. Must come before [`Entry::close`].
    pub fn sent(&mut self, part: &[u8]) {
        if let Some(bodies) = &mut self.bodies {
            bodies.sent(part);
        }
    }

    /// A provider is about to be asked.
    pub fn attempt(&mut self, target: &Target, key: Option<&TargetKey>) {
        let now = Instant::now();
        let record = Arc::make_mut(&mut self.record);
        if record.attempts == 0 {
            record.overhead_us = micros(now.saturating_duration_since(self.received));
            self.meter.first_attempt(target.label, now);
        } else {
            self.meter.next_attempt(target.label, *target.provider_id == *record.provider_id);
        }
        record.attempts += 1;
        target.provider_id.as_ref().clone_into(&mut record.provider_id);
        target.provider_name.as_ref().clone_into(&mut record.provider);
        record.upstream_model.clone_from(&target.upstream_model);
        record.provider_key = key.map(|key| key.label.clone()).unwrap_or_default();
        let attempts = record.attempts;
        self.price.clone_from(&target.price);
        self.trail.attempt(attempts, target);
        self.begin_attempt(now);
    }

    fn begin_attempt(&mut self, now: Instant) {
        let since = i64::try_from((now - self.begun).as_micros()).unwrap_or(i64::MAX);
        let record = Arc::make_mut(&mut self.record);
        if record.tried.len() == bounds::ATTEMPTS {
            record.tried.pop();
        }
        record.tried.push(AttemptRecord {
            started_at: UnixMicros(record.started_at.0.saturating_add(since)),
            provider_id: record.provider_id.clone(),
            provider: record.provider.clone(),
            provider_key: record.provider_key.clone(),
            upstream_model: record.upstream_model.clone(),
            ..AttemptRecord::default()
        });
        self.asking = Some(now);
    }

    /// What the provider was to be sent was written by then.
    pub fn sent_at(&mut self, sent: Instant) {
        if let Some(asked) = self.asking {
            self.meter.sent(asked, sent);
        }
    }

    /// The provider that is asked has answered with this status: all of it, or the beginning of a stream. `call` is the span of
    /// asking it, which ends with the request.
    pub fn answering(&mut self, status: u16, stream: bool, call: Span) {
        self.trail.answering(status, call);
        let (Some(asked), Some(attempt)) = (self.asking, Arc::make_mut(&mut self.record).tried.last_mut())
        else {
            return;
        };
        let now = Instant::now();
        attempt.status = status;
        self.meter.answered(now);
        if stream {
            attempt.ttft_us = Some(micros(now.saturating_duration_since(asked)));
        } else {
            self.end_attempt(now, "ok", None);
        }
    }

    /// The provider that is asked has failed.
    pub fn attempt_failed(&mut self, error: &Error) {
        if let (Some(attempt), Some(upstream)) =
            (Arc::make_mut(&mut self.record).tried.last_mut(), &error.upstream)
        {
            attempt.status = upstream.status;
        }
        self.trail.attempt_failed(error);
        self.end_attempt(Instant::now(), error.kind.name(), Some(error));
    }

    /// How the attempt under way ended, if one is.
    fn end_attempt(&mut self, now: Instant, outcome: &str, error: Option<&Error>) {
        let (Some(asked), Some(attempt)) =
            (self.asking.take(), Arc::make_mut(&mut self.record).tried.last_mut())
        else {
            return;
        };
        attempt.latency_us = micros(now.saturating_duration_since(asked));
        self.meter.attempt_over(ending(outcome, error), attempt.latency_us);
        outcome.clone_into(&mut attempt.outcome);
        if let Some(error) = error {
            attempt.error.clone_from(&error.message);
        }
    }

    /// The answer is our own: none of the providers that were asked, if any, has given it.
    pub fn answered_here(&mut self) {
        self.price = None;
        self.meter.answered_here();
        let record = Arc::make_mut(&mut self.record);
        for field in [
            &mut record.provider_id,
            &mut record.provider,
            &mut record.upstream_model,
            &mut record.provider_key,
        ] {
            field.clear();
        }
    }

    /// How often a provider was asked.
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// How the request was served so far.
    pub fn served(&self) -> Served {
        Served {
            provider: self.record.provider.clone(),
            upstream_model: self.record.upstream_model.clone(),
            attempts: self.record.attempts,
            dropped: Vec::new(),
            overhead_us: self.record.overhead_us,
            repeat: None,
        }
    }

    /// Tokens used, as they were written down.
    pub fn usage(&self) -> (Usage, UsageSource) {
        let written = &self.record.usage;
        let counted = self.signals.usage.unwrap_or_default();
        let usage = Usage {
            prompt: written.prompt,
            completion: written.completion,
            cached_read: written.cached_read,
            cache_write: written.cache_write,
            reasoning: written.reasoning,
            ..counted
        };
        (usage, written.source)
    }

    /// What the caller is told of the tokens used where the provider has not counted: what is written down as well.
    pub fn estimated(&self) -> Option<Usage> {
        let counted = self.signals.usage.is_some();
        (!counted).then(|| Usage::estimated(self.request_bytes, self.signals.output_bytes))
    }

    /// The answer belongs to the caller from here on. A stream's beginning is written down, so that it is accounted for even if
    /// the process dies before its end.
    pub fn committed(&mut self, stream: bool) {
        // What is counted is not used.
        self.committed = self.record.operation != Operation::CountTokens.name();
        if stream {
            let now = Instant::now();
            self.meter.streams(now);
            let record = Arc::make_mut(&mut self.record);
            record.ttft_us = Some(micros(now.saturating_duration_since(self.received)));
            record.status = 200;
            record.usage = usage::settle(None, self.request_bytes, 0);
            usage::charge(record, self.price.as_deref(), &self.signals);
            usage::charge_budgets(record, &self.ceiling);
            bounds::bound(record);
            self.journal.open_record(&self.record);
        }
    }

    /// An answer passes that was accounted for when it was made: no usage is owed.
    pub fn passes(&mut self, status: u16) {
        Arc::make_mut(&mut self.record).status = status;
    }

    /// A part of the answer has passed.
    pub fn saw(&mut self, signals: Signals) {
        self.signals.merge(signals);
    }

    /// What the answer has said of itself so far.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Whether it was written down how it ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes down how it ended. Must come before the last byte leaves. A second call does nothing.
    pub fn close(&mut self, outcome: Outcome<'_>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let (status, word, error) = match outcome {
            Outcome::Answered(status) => (status, "ok", None),
            Outcome::Truncated(error) => (self.record.status, "truncated", Some(error)),
            Outcome::Failed(error) => (error.status(), error.kind.name(), Some(error)),
        };
        let now = Instant::now();
        let latency = now.saturating_duration_since(self.received);
        self.end_attempt(now, word, error);
        let record = Arc::make_mut(&mut self.record);
        record.latency_us = micros(latency);
        record.status = status;
        word.clone_into(&mut record.outcome);
        if let Some(error) = error {
            error.kind.name().clone_into(&mut record.error_kind);
            record.error.clone_from(&error.message);
        }
        if let Some(model) = self.signals.model.take() {
            record.answered_model = model;
        }
        if let Some(finish) = self.signals.finish.take() {
            record.finish_reason = finish.native;
        }
        if self.committed {
            record.usage = usage::settle(self.signals.usage, self.request_bytes, self.signals.output_bytes);
            usage::charge(record, self.price.as_deref(), &self.signals);
        }
        usage::charge_budgets(record, &self.ceiling);
        let bodies = self.bodies.take();
        record.bodies = bodies.as_ref().and_then(|bodies| bodies.record());
        bounds::bound(record);
        self.meter.close(&self.record, ending(word, error), now, latency);
        self.journal.close_record(&self.record);
        told::finished(&self.record);
        self.trail.close(&self.record, error, bodies.and_then(|bodies| bodies.traced()));
        self.settle_limits();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.closed {
            let left = Error::new(ErrorKind::Cancelled, "the caller left before the end");
            self.close(Outcome::Failed(&left));
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// What an outcome's word is among the metrics.
fn ending(word: &str, error: Option<&Error>) -> Ending {
    match error {
        None => Ending::OK,
        Some(_) if word == "truncated" => Ending::TRUNCATED,
        Some(error) => Ending::failed(error.kind),
    }
}

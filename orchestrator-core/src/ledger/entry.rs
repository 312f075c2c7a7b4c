//! The account of one request while it runs.
//!
//! Whatever becomes of the request (answered, failed, dropped because its caller left, unwound by a panic), its entry is
//! closed exactly once: by [`Entry::close`] or by `Drop`.

use std::sync::Arc;

use tokio::time::Instant;

use super::{RequestRecord, journal::Journal, usage};
use crate::{
    call::{Served, Signals, UsageSource},
    catalog::{
        ApiKey,
        route::{Target, TargetKey},
    },
    chat::Usage,
    dialect::Operation,
    error::{Error, ErrorKind},
    policy::price::Price,
};

/// One request's account. Closed when dropped.
#[derive(Debug)]
pub struct Entry {
    record: RequestRecord,
    journal: Arc<Journal>,
    received: Instant,
    request_bytes: usize,
    /// What the answer has said of itself so far.
    signals: Signals,
    /// Whether any of the answer belongs to the caller, so that usage is owed.
    committed: bool,
    closed: bool,
    /// What the model costs at the provider that was asked last.
    price: Option<Arc<Price>>,
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
        received: Instant,
        request_bytes: usize,
    ) -> Self {
        Self {
            record,
            journal,
            received,
            request_bytes,
            signals: Signals::default(),
            committed: false,
            closed: false,
            price: None,
        }
    }

    /// The caller is known.
    pub fn caller(&mut self, key: &ApiKey) {
        self.record.api_key_id.clone_from(&key.id);
        for (name, value) in &key.tags {
            self.record.tags.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// A provider is about to be asked.
    pub fn attempt(&mut self, target: &Target, key: Option<&TargetKey>) {
        if self.record.attempts == 0 {
            self.record.overhead_us = micros_since(self.received);
        }
        self.record.attempts += 1;
        target.provider_id.as_ref().clone_into(&mut self.record.provider_id);
        target.provider_name.as_ref().clone_into(&mut self.record.provider);
        self.record.upstream_model.clone_from(&target.upstream_model);
        self.record.provider_key = key.map(|key| key.label.clone()).unwrap_or_default();
        self.price.clone_from(&target.price);
    }

    /// The answer is our own: none of the providers that were asked, if any, has given it.
    pub fn answered_here(&mut self) {
        self.price = None;
        for field in [
            &mut self.record.provider_id,
            &mut self.record.provider,
            &mut self.record.upstream_model,
            &mut self.record.provider_key,
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
            self.record.ttft_us = Some(micros_since(self.received));
            self.record.status = 200;
            self.record.usage = usage::settle(None, self.request_bytes, 0);
            usage::charge(&mut self.record, self.price.as_deref(), &self.signals);
            self.journal.open_record(&self.record);
        }
    }

    /// An answer passes that was accounted for when it was made: no usage is owed.
    pub fn passes(&mut self, status: u16) {
        self.record.status = status;
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
        let record = &mut self.record;
        record.latency_us = micros_since(self.received);
        let (status, word, error) = match outcome {
            Outcome::Answered(status) => (status, "ok", None),
            Outcome::Truncated(error) => (record.status, "truncated", Some(error)),
            Outcome::Failed(error) => (error.status(), error.kind.name(), Some(error)),
        };
        record.status = status;
        word.clone_into(&mut record.outcome);
        record.error = error.map(|error| error.message.clone()).unwrap_or_default();
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
        self.journal.close_record(record);
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

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

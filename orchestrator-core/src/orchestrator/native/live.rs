//! A committed stream on its way to a caller of a public dialect.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use crate::{
    attempt::Job,
    call::Batch,
    chat::{ChatEvent, OpenChoices},
    dialect::{StreamEncoder, Wire},
    error::{Error, ErrorKind},
    ledger::Outcome,
    orchestrator::leaving::Open,
};

/// A committed stream.
pub(in crate::orchestrator) struct Live {
    open: Open,
    /// Writes the caller's dialect where the provider does not speak it.
    encoder: Option<Box<dyn StreamEncoder>>,
    choices: OpenChoices,
    wire: &'static dyn Wire,
    request_id: String,
    /// What the provider itself has said went wrong: what it says after that still passes to a caller of its dialect. At the end,
    /// what the answer broke by.
    reported: Option<Error>,
    /// The answer is over and accounted for; the connection may still have to end.
    over: bool,
}

/// What follows a stretch of an answer.
pub(in crate::orchestrator) enum Tail {
    /// More.
    Open,
    /// Nothing: the answer is whole.
    Well,
    /// Nothing: the stretch says that the answer broke.
    Badly(Error),
}

impl Live {
    pub(super) fn new(open: Open, job: &Job, wire: &'static dyn Wire) -> Self {
        let encoder = open.upstream.is_decoded().then(|| wire.stream_encoder(&job.facts));
        Self {
            open,
            encoder,
            choices: OpenChoices::default(),
            wire,
            request_id: job.request_id.clone(),
            reported: None,
            over: false,
        }
    }

    /// Whether the answer is over and accounted for.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Nobody reads it any more.
    pub(in crate::orchestrator) fn left(self) {
        self.open.left();
    }

    /// The next bytes for the caller; `None` when nothing more comes.
    pub(super) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while !self.over {
            let bytes = ready!(self.poll_stretch(context));
            if !bytes.is_empty() {
                return Poll::Ready(Some(bytes));
            }
        }
        self.open.upstream.poll_drained(context)
    }

    fn poll_stretch(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        Poll::Ready(match ready!(self.open.upstream.poll_batch(context)) {
            Some(Ok(batch)) => self.deliver(batch),
            Some(Err(error)) => self.end_badly(&error),
            None => self.end_of_connection(),
        })
    }

    /// The next bytes, which may be none, and what follows them. Not to be asked for again behind the end.
    pub(in crate::orchestrator) async fn next(&mut self) -> (Bytes, Tail) {
        let bytes = poll_fn(|context| self.poll_stretch(context)).await;
        let tail = match (self.over, self.reported.take_if(|_| self.over)) {
            (false, _) => Tail::Open,
            (true, None) => Tail::Well,
            (true, Some(error)) => Tail::Badly(error),
        };
        (bytes, tail)
    }

    /// The answer is over, and its connection ends.
    pub(in crate::orchestrator) async fn drained(&mut self) {
        poll_fn(|context| self.open.upstream.poll_drained::<()>(context)).await;
    }

    /// One batch in the caller's dialect. The account is closed before the bytes that end the answer are handed out.
    fn deliver(&mut self, mut batch: Batch) -> Bytes {
        let error = batch.signals.error.take();
        let terminator = batch.signals.terminator;
        self.open.saw(batch.signals);
        self.choices.saw(&batch.events);
        let bytes = match &mut self.encoder {
            None => batch.raw,
            Some(encoder) => encoder.encode(&batch.events),
        };
        match error {
            Some(error) if self.encoder.is_some() => {
                self.open.entry.sent(&bytes);
                joined(bytes, &self.end_badly(&error))
            }
            error => {
                self.reported = self.reported.take().or(error);
                if terminator {
                    return self.end_well(bytes);
                }
                self.open.entry.sent(&bytes);
                bytes
            }
        }
    }

    /// The provider has ended its answer by its own rules.
    fn end_well(&mut self, bytes: Bytes) -> Bytes {
        self.over = true;
        let entry = &mut self.open.entry;
        let bytes = match &mut self.encoder {
            None => bytes,
            Some(encoder) => {
                let estimated = entry.estimated().map(|usage| encoder.encode(&[ChatEvent::Usage(usage)]));
                let bytes = joined(bytes, &estimated.unwrap_or_default());
                joined(bytes, &encoder.finish())
            }
        };
        entry.sent(&bytes);
        match &self.reported {
            Some(error) => entry.close(Outcome::Truncated(error)),
            None => entry.close(Outcome::Answered(200)),
        }
        bytes
    }

    /// The answer will not be whole, and the caller is told so, unless the provider has told it itself.
    fn end_badly(&mut self, error: &Error) -> Bytes {
        self.over = true;
        let event = match self.reported {
            Some(_) => Bytes::new(),
            None => self.wire.render_error_event(error, &self.request_id),
        };
        self.open.entry.sent(&event);
        let error = self.reported.get_or_insert_with(|| error.clone());
        self.open.entry.close(Outcome::Truncated(error));
        event
    }

    /// The connection has ended. That is the answer's end only if the provider has said why it stopped, of every choice.
    fn end_of_connection(&mut self) -> Bytes {
        if self.open.entry.signals().finish.is_some() && self.choices.is_empty() {
            return self.end_well(Bytes::new());
        }
        let message = "the provider's answer was cut off before its end";
        self.end_badly(&Error::new(ErrorKind::ProviderFailed, message).with_code("stream_truncated"))
    }
}

pub(super) fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if first.is_empty() {
        return second.clone();
    }
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(&first);
    both.extend_from_slice(second);
    both.freeze()
}

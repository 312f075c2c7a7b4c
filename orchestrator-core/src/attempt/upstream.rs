//! A provider's stream: bytes in, batches out, with its two time-outs.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use orchestrator_base::curfew::Watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::request::Prepared;
use crate::{
    call::{Batch, Signals},
    condition::Lease,
    dialect::{StreamDecoder, Tap},
    error::{Error, ErrorKind},
    metrics::Gaps,
    provider::{http::AnswerBody, sse::Framer},
};

/// How a stream's events become batches.
pub enum Reader {
    /// The caller speaks the provider's dialect: bytes pass, signals are tapped.
    Tap(Box<dyn Tap>),
    /// It does not: events are decoded into the hub's words.
    Decode(Box<dyn StreamDecoder>),
}

impl Reader {
    pub(super) fn new(prepared: &Prepared) -> Self {
        let wire = prepared.dialect.wire();
        if prepared.same {
            Self::Tap(wire.tap(prepared.injected_usage))
        } else {
            Self::Decode(wire.stream_decoder())
        }
    }

    fn read(&mut self, events: Bytes) -> Batch {
        match self {
            Self::Tap(tap) => tap.pass(events),
            Self::Decode(decoder) => decoder.decode(&events),
        }
    }

    /// What a decoder held back for the connection's end.
    fn end(&mut self) -> Option<Batch> {
        let Self::Decode(decoder) = self else { return None };
        let events = decoder.end();
        (!events.is_empty()).then(|| Batch { events, ..Batch::default() })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tap(_) => "Tap",
            Self::Decode(_) => "Decode",
        })
    }
}

/// How long a provider may take to end the connection's answer after it has said its last word. Most end it in the same packet;
/// the others cost a connection, not a caller's patience.
const LINGER: Duration = Duration::from_millis(50);

/// A provider's stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct UpstreamStream {
    body: AnswerBody,
    framer: Framer,
    reader: Reader,
    /// Read before the commit point, not passed on yet.
    held: VecDeque<Batch>,
    idle: Duration,
    last_piece: Instant,
    /// Between the pieces since the first content.
    gaps: Gaps,
    deadline: Instant,
    /// One timer for the whole stream: when it fires, it looks whether there is reason to, and is armed again.
    timer: Pin<Box<Sleep>>,
    ended: bool,
    /// The connection did not end as it should.
    failed: bool,
    /// The answer is over; only the connection's end is waited for.
    lingering: bool,
    /// The provider has said why it stopped, or that it is done.
    said_end: bool,
    /// Bytes that have come.
    received: usize,
    /// When the process ends.
    curfew: Watch,
    /// The presence at the provider, which a break after the beginning counts against.
    lease: Option<Lease>,
}

impl UpstreamStream {
    pub(crate) fn new(
        body: AnswerBody,
        reader: Reader,
        max_event: usize,
        idle: Duration,
        deadline: Instant,
        curfew: Watch,
    ) -> Self {
        let last_piece = Instant::now();
        Self {
            body,
            framer: Framer::new(max_event),
            reader,
            held: VecDeque::new(),
            idle,
            last_piece,
            gaps: Gaps::default(),
            deadline,
            timer: Box::pin(sleep_until(deadline.min(last_piece + idle))),
            ended: false,
            failed: false,
            lingering: false,
            said_end: false,
            received: 0,
            curfew,
            lease: None,
        }
    }

    /// The presence at the provider ends with the stream.
    pub(super) fn hold_lease(&mut self, lease: Lease) {
        // What came before is the wait for the first content.
        self.gaps = Gaps::default();
        self.lease = Some(lease);
    }

    /// Reads the next batch and holds it; answers its signals. Before the commit point the first-token time-out rules, not the
    /// one between pieces, so no time-out of this stream's own applies.
    ///
    /// Errors: the provider has sent `most` bytes and more, and has said nothing yet.
    pub(super) async fn hold_next(&mut self, most: usize) -> Option<Result<Signals, Error>> {
        let read = std::future::poll_fn(|context| self.poll_read(context)).await?;
        let signals = read.map(|batch| {
            let signals = batch.signals.clone();
            self.held.push_back(batch);
            signals
        });
        if self.received > most && signals.as_ref().is_ok_and(|signals| !signals.commits()) {
            return Some(Err(Error::new(
                ErrorKind::ProviderFailed,
                "the provider sent a lot and said nothing",
            )));
        }
        Some(signals)
    }

    /// The next batch: what is held first, then what comes. `None` at the connection's end, which need not be the answer's.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        if let Some(held) = self.held.pop_front() {
            self.last_piece = Instant::now();
            self.said_end |= held.signals.terminator || held.signals.finish.is_some();
            return Poll::Ready(Some(Ok(held)));
        }
        if self.curfew.is_over() && !self.ended {
            return self.stopping();
        }
        let read = match self.poll_read(context) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                if self.curfew.poll(context).is_ready() {
                    return self.stopping();
                }
                ready!(self.poll_timer(context));
                Some(Err(self.too_late()))
            }
        };
        self.judge(read.as_ref());
        Poll::Ready(read)
    }

    /// What broke after it had begun counts against the provider, once.
    fn judge(&mut self, read: Option<&Result<Batch, Error>>) {
        let broken = match read {
            Some(Ok(batch)) => {
                let signals = &batch.signals;
                self.said_end |= signals.terminator || signals.finish.is_some();
                signals.error.is_some()
            }
            // The caller's own time limit, or ours, is not the provider's fault.
            Some(Err(_)) => self.deadline > Instant::now(),
            None => !self.said_end,
        };
        if broken && let Some(mut lease) = self.lease.take() {
            lease.broke();
        }
    }

    /// How far apart its pieces have come since the first content.
    pub fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// Whether batches hold the hub's words rather than bytes to pass on.
    pub fn is_decoded(&self) -> bool {
        matches!(self.reader, Reader::Decode(_))
    }

    /// Ready when the connection has ended too, so that it can be used again; not later than `LINGER`.
    pub fn poll_drained<T>(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if !std::mem::replace(&mut self.lingering, true) {
            self.timer.as_mut().reset(Instant::now() + LINGER);
        }
        while !self.ended {
            match self.body.poll_piece(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => self.ended = true,
                Poll::Pending => {
                    ready!(self.timer.as_mut().poll(context));
                    self.ended = true;
                }
            }
        }
        Poll::Ready(None)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        while !self.ended {
            let events = match ready!(self.body.poll_piece(context)) {
                Some(Ok(piece)) => {
                    let now = Instant::now();
                    self.gaps.piece(now.saturating_duration_since(self.last_piece));
                    self.last_piece = now;
                    self.received += piece.len();
                    match self.framer.push(piece) {
                        Ok(Some(events)) => events,
                        Ok(None) => continue,
                        Err(_) => {
                            return self.fail("the provider sent an event that is larger than the limit");
                        }
                    }
                }
                Some(Err(failure)) => return self.fail(&failure.to_string()),
                None => {
                    self.ended = true;
                    let Some(rest) = self.framer.finish() else { break };
                    return self.read_rest(rest);
                }
            };
            return Poll::Ready(Some(Ok(self.reader.read(events))));
        }
        let held_back = if self.failed { None } else { self.reader.end() };
        Poll::Ready(held_back.map(Ok))
    }

    /// What stood behind the last blank line. Some servers forget the blank line of their last event; anything else is half an
    /// event, and passing it on would swallow the error that has to follow it.
    fn read_rest(&mut self, rest: Bytes) -> Poll<Option<Result<Batch, Error>>> {
        let batch = self.reader.read(rest);
        let signals = &batch.signals;
        let said_error = signals.error.as_ref().and_then(|error| error.upstream.as_ref());
        let error_is_whole = said_error.is_some_and(|upstream| !upstream.body.is_empty());
        if signals.terminator || signals.finish.is_some() || signals.usage.is_some() || error_is_whole {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.fail("the provider's answer was cut off inside an event")
    }

    fn fail(&mut self, what: &str) -> Poll<Option<Result<Batch, Error>>> {
        self.ended = true;
        self.failed = true;
        Poll::Ready(Some(Err(Error::new(ErrorKind::ProviderFailed, what))))
    }

    /// The process ends. Nobody is to blame, so no fault is noted.
    fn stopping(&mut self) -> Poll<Option<Result<Batch, Error>>> {
        self.ended = true;
        self.failed = true;
        Poll::Ready(Some(Err(Error::stopping())))
    }

    /// Ready when a time-out has really run out.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let due = self.deadline.min(self.last_piece + self.idle);
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }

    fn too_late(&mut self) -> Error {
        self.ended = true;
        self.failed = true;
        let what = if self.deadline <= Instant::now() {
            "the answer took longer than its time limit"
        } else {
            "the provider fell silent in the middle of its answer"
        };
        Error::new(ErrorKind::Timeout, what)
    }
}

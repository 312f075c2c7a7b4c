//! Asks providers how they are where live traffic does not say it.
//!
//! Each enabled provider has its turn every interval ([`schedule`]); a live success within the interval speaks for it, and no probe is
//! spent. What is asked ([`question`]) goes the way of live requests ([`ask`]), and what it shows is drawn on the
//! [`HealthBoard`]. Of several cores the one that holds the lease probes; a forced check is made by the core that is asked for it
//! ([`sync`] keeps the cores in step).

mod ask;
mod inquiry;
mod question;
mod schedule;
mod sync;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use orchestrator_base::random::Random;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::schedule::{Schedule, Ticket};
pub use self::{
    ask::{Ask, LiveAsk, PROBE_TIMEOUT},
    inquiry::ToolTest,
    question::Question,
    sync::{HealthSync, SettingsKeeper},
};
use crate::{
    catalog::{listed::ModelList, snapshot::SharedCatalog},
    error::{Error, ErrorKind, Result},
    health::Seen,
    health_board::HealthBoard,
};

/// How many are probed at once.
const AT_ONCE: usize = 8;
/// How many are checked out of turn at once, and how many more may wait.
const FORCED: usize = 32;
/// A look around when nothing is due.
const IDLE: Duration = Duration::from_mins(5);

/// The background work that probes.
pub struct Prober {
    catalog: Arc<SharedCatalog>,
    board: Arc<HealthBoard>,
    ask: Arc<dyn Ask>,
    random: Random,
    leads: watch::Receiver<bool>,
    requests: mpsc::Receiver<Request>,
    schedule: Schedule,
}

/// Has providers checked out of turn. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProbeDesk(mpsc::Sender<Request>);

struct Request {
    provider_id: String,
    wanted: Wanted,
}

/// What is asked of a provider out of turn, and whoever waits for it.
enum Wanted {
    Check(oneshot::Sender<Result<()>>),
    Models(oneshot::Sender<Result<ModelList>>),
    Tools(Option<String>, oneshot::Sender<Result<ToolTest>>),
}

/// A probe under way; it gives `None` where whoever asked has the answer already.
type Probing = BoxFuture<'static, Option<Answer>>;

struct Answer {
    ticket: Ticket,
    seen: Option<Seen>,
    reply: Option<oneshot::Sender<Result<()>>>,
}

impl ProbeDesk {
    /// Has a provider asked now, and comes back when what it showed is on the board.
    ///
    /// Errors: a provider that cannot be asked (409), too many checks at once (503).
    pub async fn check(&self, provider_id: &str) -> Result<()> {
        self.wanted(provider_id, Wanted::Check).await
    }

    async fn wanted<T>(
        &self,
        provider_id: &str,
        wanted: impl FnOnce(oneshot::Sender<Result<T>>) -> Wanted,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let request = Request { provider_id: provider_id.to_owned(), wanted: wanted(reply) };
        let busy = || {
            Error::new(ErrorKind::Unavailable, "too many health checks are under way")
                .with_retry_after(Some(Duration::from_secs(5)))
        };
        self.0.try_send(request).map_err(|_| busy())?;
        // The prober ends with the program.
        answer.await.unwrap_or_else(|_| Err(busy()))
    }
}

impl Prober {
    /// Probes the providers of `catalog` while `leads` says so, and those that the desk is asked for.
    pub fn new(
        catalog: Arc<SharedCatalog>,
        board: Arc<HealthBoard>,
        ask: Arc<dyn Ask>,
        random: Random,
        leads: watch::Receiver<bool>,
    ) -> (Self, ProbeDesk) {
        let (sender, requests) = mpsc::channel(FORCED);
        let schedule = Schedule::default();
        (Self { catalog, board, ask, random, leads, requests, schedule }, ProbeDesk(sender))
    }

    /// Probes until `stop`. Probes that run then are dropped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut catalog = self.catalog.changes();
        let mut settings = self.board.watch_settings();
        let mut leads = self.leads.clone();
        let mut probing = FuturesUnordered::new();
        let (mut active, mut interval) = (false, self.board.settings().interval());
        self.look_at_catalog();
        loop {
            let (known, leading) = (*settings.borrow_and_update(), *leads.borrow_and_update());
            if std::mem::replace(&mut interval, known.interval()) != interval {
                self.schedule.space(interval);
            }
            let was_active = std::mem::replace(&mut active, known.enabled && leading);
            if active && !was_active {
                self.schedule.begin(Instant::now(), || self.random.unit());
            }
            let room = if active { AT_ONCE.saturating_sub(probing.len()) } else { 0 };
            self.start_due(room, &mut probing);
            let next = self.schedule.next_due().filter(|_| active && probing.len() < AT_ONCE);
            tokio::select! {
                () = stop.cancelled() => return,
                _ = catalog.changed() => self.look_at_catalog(),
                // What changes is taken in at the head of the loop.
                Ok(()) = settings.changed() => {}
                Ok(()) = leads.changed() => {}
                Some(answer) = probing.next() => answer.into_iter().for_each(|answer| self.note(answer)),
                Some(request) = self.requests.recv(), if probing.len() < FORCED => {
                    probing.extend(self.start_forced(request));
                }
                () = sleep_until(next.unwrap_or_else(|| Instant::now() + IDLE)) => {}
            }
        }
    }

    fn look_at_catalog(&mut self) {
        let snapshot = self.catalog.load();
        let targets = snapshot.catalog.enabled_providers().cloned();
        self.schedule.see(targets, Instant::now(), || self.random.unit());
        self.board.keep_only(|id| snapshot.catalog.has_provider(id));
    }

    fn start_due(&mut self, room: usize, probing: &mut FuturesUnordered<Probing>) {
        let interval = self.board.settings().interval();
        let now = Instant::now();
        let board = &self.board;
        let tickets = self.schedule.due(now, room, interval, |id| board.spoken_for(id, interval));
        for ticket in tickets {
            match question::question(&self.catalog.peek().catalog, &ticket.target, false) {
                Some(question) => probing.push(self.probe(ticket, question, None)),
                // Nothing to ask for an interval; then the catalog may say otherwise.
                None => {
                    self.schedule.answered(&ticket, now, interval);
                }
            }
        }
    }

    fn start_forced(&self, request: Request) -> Option<Probing> {
        let Some(ticket) = self.schedule.out_of_turn(&request.provider_id) else {
            inquiry::refuse(request, "the provider is disabled, or none of its keys can be used");
            return None;
        };
        let reply = match request.wanted {
            Wanted::Check(reply) => reply,
            wanted => return self.inquire(ticket.target, wanted),
        };
        let question = question::question(&self.catalog.peek().catalog, &ticket.target, true);
        let Some(question) = question else {
            let why = "the provider has no model that could be asked for an answer";
            let unanswerable = Request { provider_id: request.provider_id, wanted: Wanted::Check(reply) };
            inquiry::refuse(unanswerable, why);
            return None;
        };
        Some(self.probe(ticket, question, Some(reply)))
    }

    fn probe(
        &self,
        ticket: Ticket,
        question: Question,
        reply: Option<oneshot::Sender<Result<()>>>,
    ) -> Probing {
        let ask = Arc::clone(&self.ask);
        Box::pin(async move {
            let seen = ask.ask(&question).await;
            Some(Answer { ticket, seen, reply })
        })
    }

    fn note(&mut self, answer: Answer) {
        let Answer { ticket, seen, reply } = answer;
        let interval = self.board.settings().interval();
        let is_current = self.schedule.answered(&ticket, Instant::now(), interval);
        if let Some(seen) = seen.filter(|_| is_current) {
            let provider = &*ticket.target.provider_name;
            tracing::debug!(
                provider.name = provider,
                good = seen.good,
                status = seen.status,
                latency_ms = seen.latency_ms,
                "a provider was probed"
            );
            self.board.saw(&ticket.target.provider_id, &seen.by_probe());
        }
        if let Some(reply) = reply {
            drop(reply.send(Ok(())));
        }
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("provider_id", &self.provider_id).finish_non_exhaustive()
    }
}

//! Keeps what providers list fresh: each enabled provider is asked for its models, away from all requests.
//!
//! A provider is asked when it appears or changes, and every [`EVERY`]. One that does not answer keeps the list that it gave
//! last: an outage of a list must not take models away that may well be served.

mod fetch;
mod parse;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::watch::{Answered, Watch};
pub(crate) use self::{fetch::list, watch::asked_alike};
use crate::{
    catalog::{route::Target, snapshot::SharedCatalog},
    provider::{self, http::HttpClient},
};

/// How often a provider is asked for its models.
pub const EVERY: Duration = Duration::from_mins(5);
/// How soon it is asked again when it gave no list: a local server may just be starting.
pub const RETRY: Duration = Duration::from_mins(1);
/// How many are asked at once.
const AT_ONCE: usize = 8;

/// The background work that asks.
pub struct ModelListKeeper {
    shared: Arc<SharedCatalog>,
    http: Arc<HttpClient>,
    watch: Watch,
}

impl ModelListKeeper {
    /// Asks the providers of `shared`, and keeps their lists there.
    pub fn new(shared: Arc<SharedCatalog>, deny_private: bool) -> Self {
        Self { shared, http: Arc::new(HttpClient::new(deny_private)), watch: Watch::default() }
    }

    /// Keeps the lists until `stop`. Requests for lists that run then are dropped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.shared.changes();
        let mut asking = FuturesUnordered::new();
        self.look_at_catalog();
        loop {
            for ticket in self.watch.due(Instant::now(), AT_ONCE.saturating_sub(asking.len())) {
                asking.push(fetch::fetch(Arc::clone(&self.http), ticket));
            }
            // With no room for another request the next answer is what there is to wait for.
            let next = self.watch.next_due().filter(|_| asking.len() < AT_ONCE);
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changes.changed() => self.look_at_catalog(),
                Some((ticket, answer)) = asking.next() => {
                    let answered = self.watch.answered(&ticket, answer, Instant::now());
                    self.note(&ticket.target, answered);
                }
                () = sleep_until(next.unwrap_or_else(|| Instant::now() + EVERY)) => {}
            }
        }
    }

    fn look_at_catalog(&mut self) {
        let snapshot = self.shared.load();
        let listing = snapshot
            .catalog
            .enabled_providers()
            .filter(|target| provider::kind(&target.kind).is_some_and(|kind| kind.models_path().is_some()));
        let void = self.watch.see(listing.cloned(), Instant::now());
        if !void.is_empty() {
            self.shared.change_lists(|lists| {
                let mut changed = false;
                for provider in &void {
                    changed |= lists.remove(provider);
                }
                changed
            });
        }
    }

    fn note(&self, target: &Target, answered: Answered) {
        let provider = &*target.provider_name;
        match answered {
            Answered::Stale | Answered::StillAway => {}
            Answered::List { list, back } => {
                if back {
                    tracing::info!(provider.name = provider, "the provider lists its models again");
                }
                let models = list.len();
                tracing::debug!(provider.name = provider, models, "the provider's list of models was read");
                self.shared.change_lists(|lists| lists.set(&target.provider_id, list));
            }
            Answered::WentAway(reason) => {
                tracing::warn!(
                    provider.name = provider,
                    reason,
                    "the provider's list of models cannot be read"
                );
            }
        }
    }
}

impl fmt::Debug for ModelListKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelListKeeper").finish_non_exhaustive()
    }
}

//! What operators should know of: a row of `alerts`, a line of the log, and a call of a webhook, each once.
//!
//! A budget's thresholds are looked at when records of its key or team were stored, against what the database has; a provider's key
//! when an attempt found it refused. Both away from the requests. Of several cores the first to write the row tells of it. A
//! threshold's mark is its period and its percentage, a refused key's the day.

mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    live::Live,
    random::Random,
    task,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::webhook::{Address, Webhook};
pub use crate::store::Alert;
use crate::{
    catalog::{
        limits::Period,
        snapshot::SharedCatalog,
        tenants::{Budgeted, Scope},
    },
    condition::Conditions,
    metrics::Metrics,
    policy::{budget, price::usd},
    shared_state::{StoredSpend, Touched},
    store::AlertStore,
};

/// How often it is looked whether there is anything to tell.
const EVERY: Duration = Duration::from_secs(1);
/// How many alerts may wait for the webhook.
const WAITING: usize = 256;

/// The words of [`Alert::kind`].
pub mod kind {
    /// A budget has reached a threshold below all of it.
    pub const BUDGET_THRESHOLD: &str = "budget_threshold";
    /// A budget is spent.
    pub const BUDGET_EXHAUSTED: &str = "budget_exhausted";
    /// A provider does not take one of its keys.
    pub const PROVIDER_KEY_REFUSED: &str = "provider_key_refused";
}

/// Looks for what operators should know of.
pub struct Watch {
    /// Who has which budget, and what keys are called.
    pub catalog: Arc<SharedCatalog>,
    /// Where alerts are kept.
    pub store: Arc<dyn AlertStore>,
    /// What was spent.
    pub spend: Arc<dyn StoredSpend>,
    /// Who may have spent it.
    pub touched: Touched,
    /// Which keys providers refuse.
    pub conditions: Conditions,
    /// At which percentages of a budget there is an alert.
    pub percents: Live<Vec<u32>>,
    /// Where alerts are counted.
    pub metrics: Arc<Metrics>,
    /// Who is told, if anybody.
    pub webhook: Option<Webhook>,
    /// Wall-clock time.
    pub clock: Clock,
    /// Ids.
    pub random: Random,
}

impl Watch {
    /// Looks until told to stop. What was spent before it began is looked at first.
    pub async fn run(mut self, stop: CancellationToken) {
        let outbox = self.webhook.take().map(|webhook| {
            let (sender, receiver) = mpsc::channel(WAITING);
            (sender, task::spawn("alerts' webhook", webhook.run(receiver, stop.clone())))
        });
        let sender = outbox.as_ref().map(|(sender, _)| sender);
        // (scope, mark) of what was told: the database is not asked about it again.
        let mut told: BTreeSet<(Scope, String)> = BTreeSet::new();
        let mut waiting: BTreeSet<Scope> =
            self.catalog.load().tenants.budgeted().iter().map(|one| Arc::clone(&one.scope)).collect();
        let mut refused: BTreeSet<String> = BTreeSet::new();
        loop {
            waiting.append(&mut self.touched.take());
            refused.append(&mut self.conditions.take_refused_keys());
            self.look(&mut waiting, &mut refused, &mut told, sender).await;
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                break;
            }
        }
        if let Some((sender, sending)) = outbox {
            drop(sender);
            let _ = sending.await;
        }
    }

    /// What could be told is taken out; what could not be, since the database is away, stays for the next time.
    async fn look(
        &self,
        waiting: &mut BTreeSet<Scope>,
        refused: &mut BTreeSet<String>,
        told: &mut BTreeSet<(Scope, String)>,
        sender: Option<&mpsc::Sender<Alert>>,
    ) {
        let now = self.clock.now();
        let budgets = self.budgets(waiting);
        waiting.retain(|scope| budgets.contains_key(scope));
        let scopes: Vec<Scope> = budgets.keys().cloned().collect();
        if !scopes.is_empty()
            && let Ok(sums) = self.spend.spent(&scopes, now).await
        {
            for ((scope, budgeted), sums) in budgets.iter().zip(&sums) {
                let news = of_budget(budgeted, sums, &self.percents.load(), now);
                let news = news.filter(|news| !told.contains(&(Arc::clone(scope), news.mark.clone())));
                if let Some(news) = news
                    && self.raise(news.clone(), now, sender).await
                {
                    told.insert((Arc::clone(scope), news.mark));
                }
            }
            waiting.clear();
        }
        for key_id in std::mem::take(refused) {
            let Some(news) = self.of_refused_key(&key_id, now) else { continue };
            if !self.raise(news, now, sender).await {
                refused.insert(key_id);
            }
        }
        if told.len() > 10_000 {
            told.clear();
        }
    }

    fn budgets(&self, scopes: &BTreeSet<Scope>) -> BTreeMap<Scope, Budgeted> {
        if scopes.is_empty() {
            return BTreeMap::new();
        }
        let view = self.catalog.load();
        let wanted = view.tenants.budgeted().iter().filter(|one| scopes.contains(&one.scope));
        wanted.map(|one| (Arc::clone(&one.scope), one.clone())).collect()
    }

    fn of_refused_key(&self, key_id: &str, now: UnixMicros) -> Option<News> {
        let view = self.catalog.load();
        let (provider, label) = view.catalog.enabled_providers().find_map(|target| {
            let key = target.keys.iter().find(|key| key.id == key_id)?;
            Some((target.provider_name.to_string(), key.label.clone()))
        })?;
        Some(News {
            kind: kind::PROVIDER_KEY_REFUSED,
            subject: format!("provider_key:{key_id}"),
            mark: date(budget::start(Period::Day, now)),
            message: format!("the provider {provider} does not take its key {label}"),
        })
    }

    /// Whether it is kept, by this core or by another before.
    async fn raise(&self, news: News, now: UnixMicros, sender: Option<&mpsc::Sender<Alert>>) -> bool {
        let alert = Alert {
            id: self.random.uuid(now).to_string(),
            created_at: now,
            kind: news.kind.to_owned(),
            subject: news.subject,
            mark: news.mark,
            message: news.message,
            acknowledged_at: None,
        };
        match self.store.raise(&alert).await {
            Ok(true) => {
                self.metrics.alerted(&alert.kind);
                tracing::warn!(alert.kind = alert.kind, alert.subject = alert.subject, "{}", alert.message);
                if sender.is_some_and(|sender| sender.try_send(alert).is_err()) {
                    tracing::warn!("an alert is not sent to the webhook: too many wait");
                }
                true
            }
            Ok(false) => true,
            Err(error) => {
                tracing::debug!(%error, "an alert cannot be kept now");
                false
            }
        }
    }
}

/// An alert to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct News {
    kind: &'static str,
    subject: String,
    mark: String,
    message: String,
}

/// What is to be told of a budget. `sums`: what was spent in the day, the month and all time.
fn of_budget(budgeted: &Budgeted, sums: &[u64; 3], percents: &[u32], now: UnixMicros) -> Option<News> {
    let limit = budgeted.limits.budget?;
    let (spent, of_period) = match limit.period {
        Period::Day => (sums[0], "of a day"),
        Period::Month => (sums[1], "of a month"),
        Period::Total => (sums[2], "in all"),
    };
    let percent = budget::reached(percents, spent, limit.nanos)?;
    let whose = if budgeted.scope.starts_with("team:") { "team" } else { "API key" };
    let message = format!(
        "the {whose} {} has spent {} of its {} dollars {of_period}: {percent} % is reached",
        budgeted.name,
        usd::format(spent),
        usd::format(limit.nanos),
    );
    Some(News {
        kind: if percent >= 100 { kind::BUDGET_EXHAUSTED } else { kind::BUDGET_THRESHOLD },
        subject: budgeted.scope.to_string(),
        mark: format!("{} {} {percent}", limit.period.name(), date(budget::start(limit.period, now))),
        message,
    })
}

/// `2026-11-21`.
fn date(at: UnixMicros) -> String {
    at.to_string().chars().take(10).collect()
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("percents", &self.percents).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

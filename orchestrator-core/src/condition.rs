//! What is known right now of each provider: shared by all request threads, lost with the process, rebuilt by traffic.
//!
//! A [`state::State`] per provider is pure; this is its shell: a registry, a short lock, the clocks. A request looks
//! ([`Conditions::outlook`]) when it is planned, takes a [`Lease`] when it asks, and says through it how that went. No lock is held
//! over an await.

mod lease;
pub mod news;
mod outlook;
mod pace;
mod spots;
mod state;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use orchestrator_base::{clock::Clock, live::Live, random::Random};
use tokio::time::Instant;

pub use self::{
    lease::{Barrier, Lease, Refused, Verdict},
    outlook::{Level, Outlook},
    spots::BreakerView,
    state::COOL_DOWN,
};
use self::{
    news::{ConditionNews, What},
    spots::Spot,
    state::State,
};
use crate::{
    catalog::route::{Target, TargetKey},
    health::Settings,
    health_board::HealthBoard,
    policy::{breaker::BreakerRules, turns::Turns},
    registry::{Registry, lock},
};

/// What operators choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConditionRules {
    /// When a breaker opens.
    pub breaker: BreakerRules,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Conditions(Arc<Shared>);

#[derive(Clone, Debug)]
struct Shared {
    rules: Live<ConditionRules>,
    /// Who tells other cores.
    teller: Arc<OnceLock<Teller>>,
    health: Arc<HealthBoard>,
    random: Random,
    providers: Arc<Registry<State>>,
    turns: Arc<Turns>,
    /// Keys that were refused since somebody looked, by their ids.
    refused_keys: Arc<Mutex<BTreeSet<String>>>,
}

/// Passes news on.
struct Teller(Box<dyn Fn(ConditionNews) + Send + Sync>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

impl Conditions {
    /// Nothing is known yet.
    pub fn new(rules: impl Into<Live<ConditionRules>>, clock: Clock, random: Random) -> Self {
        let rules = rules.into();
        let (providers, turns) = (Arc::default(), Arc::default());
        let health = Arc::new(HealthBoard::new(Settings::default(), clock));
        let (teller, refused_keys) = (Arc::default(), Arc::default());
        Self(Arc::new(Shared { rules, teller, health, random, providers, turns, refused_keys }))
    }

    /// The same, for one thread: clones of it are counted where no other thread counts.
    pub fn for_thread(&self) -> Self {
        Self(Arc::new(Shared::clone(&self.0)))
    }

    /// How providers are.
    pub fn health(&self) -> &Arc<HealthBoard> {
        &self.0.health
    }

    /// How a target looks to somebody who might ask it.
    pub fn outlook(&self, target: &Target) -> Outlook {
        let now = Instant::now();
        let known = self.0.providers.with(&target.provider_id, |state| state.outlook(target, now));
        let outlook = known.unwrap_or_else(Outlook::unseen);
        Outlook { level: outlook.level.max(Level::of(self.0.health.fitness(&target.provider_id))), ..outlook }
    }

    /// How many requests for this model were planned before.
    pub fn turn(&self, model: &str) -> u64 {
        self.0.turns.next(model)
    }

    /// The right to ask a target with a key. `repeats`: this request has asked the provider before. `forced`: nobody better is left,
    /// so the breaker and the cool-down do not bar it; the budget of repetitions does, to which whoever disturbs a rest belongs.
    ///
    /// Errors: until when it is barred, and by what.
    pub fn lease(
        &self,
        target: &Target,
        key: Option<&TargetKey>,
        repeats: bool,
        forced: bool,
    ) -> Result<Lease, Refused> {
        let now = Instant::now();
        let provider = self.0.providers.get_or_new(&target.provider_id);
        let entered = provider.lock().enter(target, Spot::new(target, key), now, repeats, forced)?;
        Ok(Lease { conditions: self.clone(), provider, entered, began: now, left: false })
    }

    /// All cores together have asked a provider as often as its operator allows: it is not asked for so long.
    pub fn paced(&self, provider_id: &Arc<str>, wait: Duration) {
        let until = Instant::now() + wait;
        self.0.providers.with_or_new(provider_id, |state| state.paced(until));
    }

    /// What is found out from now on is passed on as well, to be told to other cores. Once; later ones are not asked.
    pub fn tell(&self, teller: impl Fn(ConditionNews) + Send + Sync + 'static) {
        let _ = self.0.teller.set(Teller(Box::new(teller)));
    }

    /// Another core has found something out.
    pub fn hear(&self, news: &ConditionNews) {
        let now = Instant::now();
        self.0.providers.with_or_new(&news.provider_id, |state| state.hear(news, now));
    }

    fn pass_on(&self, news: Option<ConditionNews>) {
        if let (Some(news), Some(Teller(teller))) = (news, self.0.teller.get()) {
            teller(news);
        }
    }

    /// A probe has shown whether a provider takes a key.
    pub fn key_checked(&self, target: &Target, key: Option<&TargetKey>, taken: bool) {
        let Some(key) = key else { return };
        let now = Instant::now();
        if !taken {
            self.refused_key(&key.id);
        }
        self.0.providers.with_or_new(&target.provider_id, |state| state.key_checked(&key.id, taken, now));
        let what = if taken { What::KeyTaken } else { What::KeyRefused };
        let (provider_id, key_id) = (Arc::clone(&target.provider_id), key.id.clone());
        self.pass_on(Some(ConditionNews { provider_id, key_id, model: String::new(), what, millis: 0 }));
    }

    /// By what a target is barred with a key, if it is.
    pub fn barrier(&self, target: &Target, key: Option<&TargetKey>) -> Option<Refused> {
        self.0.providers.with(&target.provider_id, |state| state.barrier(target, key, Instant::now()))?
    }

    /// Every breaker that is not closed, or has seen faults, by provider and model.
    pub fn breakers(&self) -> Vec<BreakerView> {
        let now = Instant::now();
        let mut views: Vec<BreakerView> = Vec::new();
        self.0.providers.for_each(|id, state| views.extend(state.breakers(id, now)));
        views.sort_by(|a, b| a.order().cmp(&b.order()));
        views
    }

    /// How many keys of a provider rest because they were refused.
    pub fn refused_keys(&self, provider_id: &str) -> usize {
        let now = Instant::now();
        self.0.providers.with(provider_id, |state| state.refused_keys(now)).unwrap_or_default()
    }

    /// Closes the breakers, ends the cool-downs and forgives the failures of a provider, or of all.
    pub fn reset(&self, provider_id: Option<&str>) {
        self.0.health.forgive(provider_id);
        self.0.providers.for_each(|id, state| {
            if provider_id.is_none_or(|wanted| wanted == id) {
                state.reset();
            }
        });
    }

    /// Forgets providers that are not in the catalog any more.
    pub fn keep_only(&self, is_known: impl Fn(&str) -> bool) {
        self.0.providers.keep_only(is_known);
    }

    /// The keys that were refused since this was asked last, by their ids.
    pub fn take_refused_keys(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.0.refused_keys))
    }

    fn refused_key(&self, id: &str) {
        if !id.is_empty() {
            lock(&self.0.refused_keys).insert(id.to_owned());
        }
    }

    fn rules(&self) -> ConditionRules {
        self.0.rules.get()
    }

    fn unit(&self) -> f64 {
        self.0.random.unit()
    }
}

/// How long a key rests that its provider refused: until somebody has looked at it again, or an hour has passed.
const REFUSED_KEY_RESTS: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests;

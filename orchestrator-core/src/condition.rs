//! What is known right now of each provider: shared by all request threads, lost with the process, rebuilt by traffic.
//!
//! A [`state::State`] per provider is pure; this is its shell: a registry, a short lock, the clocks. A request looks
//! ([`Conditions::outlook`]) when it is planned, takes a [`Lease`] when it asks, and says through it how that went. No lock is held
//! over an await.

mod lease;
mod outlook;
mod state;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use orchestrator_base::{clock::Clock, random::Random};
use tokio::time::Instant;

use self::state::State;
pub use self::{
    lease::{Barrier, Lease, Refused, Verdict},
    outlook::{Level, Outlook},
    state::{BreakerView, COOL_DOWN},
};
use crate::{
    catalog::route::{Target, TargetKey},
    health::Settings,
    health_board::HealthBoard,
    policy::{breaker::BreakerRules, turns::Turns},
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

#[derive(Debug)]
struct Shared {
    rules: ConditionRules,
    health: Arc<HealthBoard>,
    random: Random,
    providers: RwLock<HashMap<Arc<str>, Arc<Mutex<State>>>>,
    turns: Turns,
}

impl Conditions {
    /// Nothing is known yet.
    pub fn new(rules: ConditionRules, clock: Clock, random: Random) -> Self {
        let (providers, turns) = (RwLock::default(), Turns::default());
        let health = Arc::new(HealthBoard::new(Settings::default(), clock));
        Self(Arc::new(Shared { rules, health, random, providers, turns }))
    }

    /// How providers are.
    pub fn health(&self) -> &Arc<HealthBoard> {
        &self.0.health
    }

    /// How a target looks to somebody who might ask it.
    pub fn outlook(&self, target: &Target) -> Outlook {
        let now = Instant::now();
        let outlook = match self.known(&target.provider_id) {
            Some(state) => lock(&state).outlook(target, now),
            None => Outlook::unseen(target.keys.len()),
        };
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
        let state = self.state(&target.provider_id);
        let (probe, repeats) = lock(&state).enter(target, key, now, repeats, forced)?;
        Ok(Lease::new(self.clone(), state, target, key, probe, repeats, now))
    }

    /// A probe has shown whether a provider takes a key.
    pub fn key_checked(&self, target: &Target, key: Option<&TargetKey>, taken: bool) {
        let Some(key) = key else { return };
        let state = self.state(&target.provider_id);
        lock(&state).key_checked(&key.id, taken, Instant::now());
    }

    /// By what a target is barred with a key, if it is.
    pub fn barrier(&self, target: &Target, key: Option<&TargetKey>) -> Option<Refused> {
        let state = self.known(&target.provider_id)?;
        lock(&state).barrier(target, key, Instant::now())
    }

    /// Every breaker that is not closed, or has seen faults, by provider and model.
    pub fn breakers(&self) -> Vec<BreakerView> {
        let now = Instant::now();
        let providers = self.0.providers.read().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<BreakerView> =
            providers.iter().flat_map(|(id, state)| lock(state).breakers(id, now)).collect();
        views.sort_by(|a, b| a.order().cmp(&b.order()));
        views
    }

    /// Closes the breakers, ends the cool-downs and forgives the failures of a provider, or of all.
    pub fn reset(&self, provider_id: Option<&str>) {
        self.0.health.forgive(provider_id);
        let providers = self.0.providers.read().unwrap_or_else(PoisonError::into_inner);
        for (id, state) in providers.iter() {
            if provider_id.is_none_or(|wanted| wanted == &**id) {
                lock(state).reset();
            }
        }
    }

    /// Forgets providers that are not in the catalog any more.
    pub fn keep_only(&self, is_known: impl Fn(&str) -> bool) {
        let mut providers = self.0.providers.write().unwrap_or_else(PoisonError::into_inner);
        providers.retain(|id, _| is_known(id));
    }

    fn known(&self, provider_id: &str) -> Option<Arc<Mutex<State>>> {
        self.0.providers.read().unwrap_or_else(PoisonError::into_inner).get(provider_id).cloned()
    }

    fn state(&self, provider_id: &Arc<str>) -> Arc<Mutex<State>> {
        if let Some(state) = self.known(provider_id) {
            return state;
        }
        let mut providers = self.0.providers.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(providers.entry(Arc::clone(provider_id)).or_default())
    }

    fn rules(&self) -> &ConditionRules {
        &self.0.rules
    }

    fn unit(&self) -> f64 {
        self.0.random.unit()
    }
}

/// How long a key rests that its provider refused: until somebody has looked at it again, or an hour has passed.
const REFUSED_KEY_RESTS: Duration = Duration::from_hours(1);

/// A panic in between leaves numbers that are still numbers.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

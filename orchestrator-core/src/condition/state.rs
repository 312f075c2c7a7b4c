//! All that is known of one provider. Pure: time and chance are arguments.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    ConditionRules, REFUSED_KEY_RESTS,
    lease::{Barrier, Refused, Verdict},
    news::{ConditionNews, What},
    outlook::{Level, Outlook},
    pace::Pace,
};
use crate::{
    catalog::route::{Target, TargetKey},
    policy::{
        breaker::{Breaker, Passage, Phase, Probe},
        ewma::Ewma,
        retry_budget,
    },
};

/// A cool-down that the provider gave no time for.
pub const COOL_DOWN: Duration = Duration::from_secs(1);
/// The longest and the shortest cool-down that is believed.
const LONGEST_COOL_DOWN: Duration = Duration::from_mins(5);
const SHORTEST_COOL_DOWN: Duration = Duration::from_millis(100);
/// The most pairs of key and model that are remembered; callers can make model names up.
const MOST_SPOTS: usize = 1000;

/// A key, asked for a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    /// Empty: the provider needs none.
    pub(super) key_id: String,
    pub(super) model: String,
}

impl Spot {
    pub(super) fn new(target: &Target, key: Option<&TargetKey>) -> Self {
        let key_id = key.map(|key| key.id.clone()).unwrap_or_default();
        Self { key_id, model: target.upstream_model.clone() }
    }
}

#[derive(Debug)]
struct SpotState {
    breaker: Breaker,
    latency: Ewma,
    in_flight: u32,
}

#[derive(Debug, Default)]
struct KeyState {
    cooling: Option<Rest>,
    refused: Option<Rest>,
}

/// A time in which a key should not be used.
#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Instant,
    until: Instant,
}

impl Rest {
    fn begin(now: Instant, wait: Duration) -> Self {
        Self { since: now, until: now + wait }
    }

    /// Of two that overlap the longer one holds: many answers come at once, and not all say how long.
    fn longer(self, other: Option<Self>) -> Self {
        other.filter(|other| other.until > self.until).unwrap_or(self)
    }
}

impl KeyState {
    /// By what the key is barred, and until when.
    fn barred(&self, now: Instant) -> Option<(Barrier, Instant)> {
        let still = |rest: Option<Rest>| rest.map(|rest| rest.until).filter(|until| *until > now);
        let refused = still(self.refused).map(|until| (Barrier::KeyRefused, until));
        refused.or_else(|| still(self.cooling).map(|until| (Barrier::CoolingDown, until)))
    }

    /// A request that began at `began` was answered well: what was said before that holds no more.
    fn good(&mut self, began: Instant) {
        let newer = |rest: &Rest| rest.since > began;
        self.cooling = self.cooling.filter(newer);
        self.refused = self.refused.filter(newer);
    }
}

/// A breaker as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerView {
    /// Whose.
    pub provider_id: String,
    /// Of which key; empty: the provider needs none.
    pub key_id: String,
    /// For which model, in the provider's words.
    pub upstream_model: String,
    /// `closed`, `open`, `half_open`.
    pub state: &'static str,
    /// Faults in a row.
    pub faults: u32,
    /// How long it stays open; 0 unless it is.
    pub retry_in: Duration,
}

impl BreakerView {
    pub(super) fn order(&self) -> (&str, &str, &str) {
        (&self.provider_id, &self.upstream_model, &self.key_id)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    spots: HashMap<Spot, SpotState>,
    keys: HashMap<String, KeyState>,
    active: u32,
    repeating: u32,
    /// Against the limit that the operator has set.
    pace: Pace,
    /// Until when all cores together have asked as often as they may.
    paced: Option<Instant>,
}

impl State {
    pub(super) fn outlook(&self, target: &Target, now: Instant) -> Outlook {
        let keys: Vec<Option<&TargetKey>> = match &*target.keys {
            [] => vec![None],
            keys => keys.iter().map(Some).collect(),
        };
        let barred: Vec<Option<Instant>> = keys
            .iter()
            .map(|key| self.barred(target, &Spot::new(target, *key), now).map(|(_, until)| until))
            .collect();
        let is_out = barred.iter().all(Option::is_some);
        let until = if is_out { barred.iter().flatten().min().copied() } else { None };
        let (mut latency, mut in_flight) = (Ewma::default(), 0);
        for key in keys {
            if let Some(spot) = self.spots.get(&Spot::new(target, key)) {
                latency = latency.newer(&spot.latency);
                in_flight += spot.in_flight;
            }
        }
        let level = if is_out { Level::Out } else { Level::Healthy };
        let barred = if target.keys.is_empty() { Vec::new() } else { barred };
        Outlook { level, until, latency: latency.value(), in_flight, barred }
    }

    fn barred(&self, target: &Target, spot: &Spot, now: Instant) -> Option<(Barrier, Instant)> {
        if let Some(until) = target.rate_limit.and_then(|limit| self.pace.barred(now, limit)) {
            return Some((Barrier::RateLimit, until));
        }
        if let (Some(_), Some(until)) = (target.rate_limit, self.paced.filter(|until| *until > now)) {
            return Some((Barrier::RateLimit, until));
        }
        let key = self.keys.get(&spot.key_id).and_then(|key| key.barred(now));
        let breaker = || self.spots.get(spot).and_then(|spot| spot.breaker.barred(now));
        key.or_else(|| breaker().map(|until| (Barrier::BreakerOpen, until)))
    }

    /// By what a target is barred with a key, if it is.
    pub(super) fn barrier(&self, target: &Target, key: Option<&TargetKey>, now: Instant) -> Option<Refused> {
        let barred = self.barred(target, &Spot::new(target, key), now);
        barred.map(|(barrier, until)| Refused { barrier, until })
    }

    /// Lets a request in. The answer is the probe that it holds, if any, and whether it counts as a repetition: asking who wants to
    /// be left alone is one.
    pub(super) fn enter(
        &mut self,
        target: &Target,
        spot: &Spot,
        now: Instant,
        repeats: bool,
        forced: bool,
    ) -> Result<(Option<Probe>, bool), Refused> {
        let barred = self.barred(target, spot, now);
        let disturbs = barred.is_some_and(|(barrier, _)| barrier == Barrier::CoolingDown);
        let repeats = repeats || (forced && disturbs);
        if repeats && !retry_budget::may_repeat(self.active, self.repeating) {
            return Err(Refused { barrier: Barrier::RetryBudget, until: now });
        }
        let binds = |barrier: Barrier| !forced || barrier == Barrier::RateLimit;
        if let Some((barrier, until)) = barred.filter(|(barrier, _)| binds(*barrier)) {
            return Err(Refused { barrier, until });
        }
        if let Some(limit) = target.rate_limit {
            self.pace.take(now, limit);
        }
        let passage = self.at(spot, now, |state| {
            state.in_flight += 1;
            state.breaker.enter(now)
        });
        // Who was forced in past an open breaker holds no probe, but what it finds out counts.
        let probe = match passage {
            Passage::Probing(probe) => Some(probe),
            Passage::Free | Passage::Barred(_) => None,
        };
        self.active += 1;
        self.repeating += u32::from(repeats);
        Ok((probe, repeats))
    }

    /// A request is over.
    pub(super) fn leave(&mut self, spot: &Spot, repeats: bool) {
        if let Some(state) = self.spots.get_mut(spot) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        self.active = self.active.saturating_sub(1);
        self.repeating = self.repeating.saturating_sub(u32::from(repeats));
    }

    /// How an attempt that began at `began` went.
    pub(super) fn saw(
        &mut self,
        spot: &Spot,
        verdict: &Verdict,
        (began, probe): (Instant, Option<Probe>),
        (now, unit): (Instant, impl FnOnce() -> f64),
        rules: &ConditionRules,
    ) -> Option<(What, Duration)> {
        let mut found = None;
        match verdict {
            Verdict::Good(waited) => {
                if let Some(key) = self.keys.get_mut(&spot.key_id) {
                    key.good(began);
                }
                self.at(spot, now, |state| {
                    state.latency.saw(now, *waited);
                    state.breaker.good(now, began, probe);
                });
                return None;
            }
            Verdict::Fault => {
                let open = |breaker: &Breaker| match breaker.phase(now) {
                    Phase::Open(until) => Some(until),
                    Phase::Closed | Phase::HalfOpen => None,
                };
                found = self.at(spot, now, |state| {
                    let was = open(&state.breaker);
                    state.breaker.fault(now, began, unit(), &rules.breaker);
                    let until = open(&state.breaker).filter(|_| was.is_none())?;
                    Some((What::BreakerOpen, until.saturating_duration_since(now)))
                });
            }
            Verdict::Throttled(wait) => {
                let wait = wait.unwrap_or(COOL_DOWN).clamp(SHORTEST_COOL_DOWN, LONGEST_COOL_DOWN);
                let key = self.keys.entry(spot.key_id.clone()).or_default();
                key.cooling = Some(Rest::begin(now, wait).longer(key.cooling));
                found = Some((What::Cooling, wait));
            }
            Verdict::KeyRefused => {
                let key = self.keys.entry(spot.key_id.clone()).or_default();
                key.refused = Some(Rest::begin(now, REFUSED_KEY_RESTS));
                found = Some((What::KeyRefused, Duration::ZERO));
            }
            Verdict::Nothing => {}
        }
        if let (Some(probe), Some(state)) = (probe, self.spots.get_mut(spot)) {
            state.breaker.release(probe);
        }
        found
    }

    /// All cores together have asked as often as they may.
    pub(super) fn paced(&mut self, until: Instant) {
        self.paced = self.paced.max(Some(until));
    }

    /// Another core has found something out. Whether a breaker may close again each core finds out for itself.
    pub(super) fn hear(&mut self, news: &ConditionNews, now: Instant) {
        let lasts = news.lasts();
        match news.what {
            What::Cooling => {
                let key = self.keys.entry(news.key_id.clone()).or_default();
                key.cooling = Some(Rest::begin(now, lasts).longer(key.cooling));
            }
            What::KeyRefused => self.key_checked(&news.key_id, false, now),
            What::KeyTaken => self.key_checked(&news.key_id, true, now),
            What::BreakerOpen => {
                let spot = Spot { key_id: news.key_id.clone(), model: news.model.clone() };
                self.at(&spot, now, |state| state.breaker.open_elsewhere(now, lasts));
            }
        }
    }

    /// A key is out until it is taken again, or for a while.
    pub(super) fn key_checked(&mut self, key_id: &str, taken: bool, now: Instant) {
        if !taken {
            self.keys.entry(key_id.to_owned()).or_default().refused =
                Some(Rest::begin(now, REFUSED_KEY_RESTS));
        } else if let Some(key) = self.keys.get_mut(key_id) {
            key.refused = None;
        }
    }

    pub(super) fn breakers(&self, provider_id: &str, now: Instant) -> Vec<BreakerView> {
        let told = self
            .spots
            .iter()
            .filter(|(_, state)| state.breaker.faults() > 0 || state.breaker.phase(now) != Phase::Closed);
        let view = |(spot, state): (&Spot, &SpotState)| {
            let (word, retry_in) = match state.breaker.phase(now) {
                Phase::Closed => ("closed", Duration::ZERO),
                Phase::Open(until) => ("open", until.saturating_duration_since(now)),
                Phase::HalfOpen => ("half_open", Duration::ZERO),
            };
            BreakerView {
                provider_id: provider_id.to_owned(),
                key_id: spot.key_id.clone(),
                upstream_model: spot.model.clone(),
                state: word,
                faults: state.breaker.faults(),
                retry_in,
            }
        };
        told.map(view).collect()
    }

    pub(super) fn reset(&mut self) {
        self.keys.clear();
        let now = Instant::now();
        for state in self.spots.values_mut() {
            state.breaker = Breaker::new(now);
        }
    }

    /// Looks at a spot, which is made if there is none.
    fn at<R>(&mut self, spot: &Spot, now: Instant, look: impl FnOnce(&mut SpotState) -> R) -> R {
        if let Some(state) = self.spots.get_mut(spot) {
            return look(state);
        }
        if self.spots.len() >= MOST_SPOTS {
            // What is idle and in order can be forgotten: it would begin as it stands.
            self.spots.retain(|_, state| {
                state.in_flight > 0 || state.breaker.faults() > 0 || state.breaker.phase(now) != Phase::Closed
            });
        }
        let mut state = SpotState { breaker: Breaker::new(now), latency: Ewma::default(), in_flight: 0 };
        let seen = look(&mut state);
        self.spots.insert(spot.clone(), state);
        seen
    }

    /// How many pairs of key and model are remembered.
    #[cfg(test)]
    pub(super) fn spots(&self) -> usize {
        self.spots.len()
    }
}

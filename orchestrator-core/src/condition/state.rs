//! All that is known of one provider. Pure: time and chance are arguments.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    ConditionRules, REFUSED_KEY_RESTS,
    lease::{Barrier, Refused, Verdict},
    news::{ConditionNews, What},
    outlook::{Level, Outlook},
    pace::Pace,
    spots::{BreakerView, Place, Spot, SpotState, Spots},
};
use crate::{
    catalog::route::{Target, TargetKey},
    policy::{
        breaker::{Passage, Phase, Probe},
        ewma::Ewma,
        retry_budget,
    },
};

/// A cool-down that the provider gave no time for.
pub const COOL_DOWN: Duration = Duration::from_secs(1);
/// The longest and the shortest cool-down that is believed.
const LONGEST_COOL_DOWN: Duration = Duration::from_mins(5);
const SHORTEST_COOL_DOWN: Duration = Duration::from_millis(100);
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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    spots: Spots,
    keys: HashMap<String, KeyState>,
    active: u32,
    repeating: u32,
    /// Against the limit that the operator has set.
    pace: Pace,
    /// Until when all cores together have asked as often as they may.
    paced: Option<Instant>,
}

/// A request that was let in: what it has to say when it leaves.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) place: Place,
    /// It is the one that finds out.
    pub(super) probe: Option<Probe>,
    /// It counts as a repetition.
    pub(super) repeats: bool,
}

/// What an attempt has shown that other cores should know.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) what: What,
    pub(super) lasts: Duration,
    pub(super) key_id: String,
    /// Empty: for all models.
    pub(super) model: String,
}

/// Until when a spot's breaker is open, if it is.
fn opened(spot: &SpotState, now: Instant) -> Option<Instant> {
    match spot.breaker.phase(now) {
        Phase::Open(until) => Some(until),
        Phase::Closed | Phase::HalfOpen => None,
    }
}

impl State {
    pub(super) fn outlook(&self, target: &Target, now: Instant) -> Outlook {
        let keys: Vec<Option<&TargetKey>> = match &*target.keys {
            [] => vec![None],
            keys => keys.iter().map(Some).collect(),
        };
        let barred: Vec<Option<Instant>> = keys
            .iter()
            .map(|key| {
                let spot = Spot::new(target, *key);
                self.barred(target, spot, self.spots.find(spot), now).map(|(_, until)| until)
            })
            .collect();
        let is_out = barred.iter().all(Option::is_some);
        let until = if is_out { barred.iter().flatten().min().copied() } else { None };
        let (mut latency, mut in_flight) = (Ewma::default(), 0);
        for key in keys {
            let place = self.spots.find(Spot::new(target, key));
            if let Some(state) = place.and_then(|place| self.spots.get(place)) {
                latency = latency.newer(&state.latency);
                in_flight += state.in_flight;
            }
        }
        let level = if is_out { Level::Out } else { Level::Healthy };
        let barred = if target.keys.is_empty() { Vec::new() } else { barred };
        Outlook { level, until, latency: latency.value(), in_flight, barred }
    }

    /// `place`: where the spot stands, if it is known.
    fn barred(
        &self,
        target: &Target,
        spot: Spot<'_>,
        place: Option<Place>,
        now: Instant,
    ) -> Option<(Barrier, Instant)> {
        if let Some(until) = target.rate_limit.and_then(|limit| self.pace.barred(now, limit)) {
            return Some((Barrier::RateLimit, until));
        }
        if let (Some(_), Some(until)) = (target.rate_limit, self.paced.filter(|until| *until > now)) {
            return Some((Barrier::RateLimit, until));
        }
        let key = self.keys.get(spot.key_id).and_then(|key| key.barred(now));
        let state = place.and_then(|place| self.spots.get(place));
        let breaker = || state.and_then(|state| state.breaker.barred(now));
        key.or_else(|| breaker().map(|until| (Barrier::BreakerOpen, until)))
    }

    /// By what a target is barred with a key, if it is.
    pub(super) fn barrier(&self, target: &Target, key: Option<&TargetKey>, now: Instant) -> Option<Refused> {
        let spot = Spot::new(target, key);
        let barred = self.barred(target, spot, self.spots.find(spot), now);
        barred.map(|(barrier, until)| Refused { barrier, until })
    }

    /// Lets a request in. Asking who wants to be left alone is a repetition.
    pub(super) fn enter(
        &mut self,
        target: &Target,
        spot: Spot<'_>,
        now: Instant,
        repeats: bool,
        forced: bool,
    ) -> Result<Entered, Refused> {
        let known = self.spots.find(spot);
        let barred = self.barred(target, spot, known, now);
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
        let place = known.unwrap_or_else(|| self.spots.insert(spot, now));
        let passage = self.spots.get_mut(place).map(|state| {
            state.in_flight += 1;
            state.breaker.enter(now)
        });
        // Who was forced in past an open breaker holds no probe, but what it finds out counts.
        let probe = match passage {
            Some(Passage::Probing(probe)) => Some(probe),
            Some(Passage::Free | Passage::Barred(_)) | None => None,
        };
        self.active += 1;
        self.repeating += u32::from(repeats);
        Ok(Entered { place, probe, repeats })
    }

    /// A request is over.
    pub(super) fn leave(&mut self, entered: &Entered) {
        if let Some(state) = self.spots.get_mut(entered.place) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        self.active = self.active.saturating_sub(1);
        self.repeating = self.repeating.saturating_sub(u32::from(entered.repeats));
    }

    /// How an attempt that began at `began` went. Its request has not left yet, so its spot is still there.
    pub(super) fn saw(
        &mut self,
        place: Place,
        verdict: &Verdict,
        (began, probe): (Instant, Option<Probe>),
        (now, unit): (Instant, impl FnOnce() -> f64),
        rules: &ConditionRules,
    ) -> Option<Found> {
        let spot = self.spots.get_mut(place)?;
        let mut found = None;
        match verdict {
            Verdict::Good(waited) => {
                spot.latency.saw(now, *waited);
                spot.breaker.good(now, began, probe);
                if let Some(key) = self.keys.get_mut(&*spot.key_id) {
                    key.good(began);
                }
                return None;
            }
            Verdict::Fault => {
                let was = opened(spot, now);
                spot.breaker.fault(now, began, unit(), &rules.breaker);
                if let (None, Some(until)) = (was, opened(spot, now)) {
                    found = Some((What::BreakerOpen, until.saturating_duration_since(now)));
                }
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
        if let Some(probe) = probe {
            spot.breaker.release(probe);
        }
        let (what, lasts) = found?;
        // Keys rest and are refused for all models.
        let model = if what == What::BreakerOpen { spot.model.clone() } else { String::new() };
        Some(Found { what, lasts, key_id: spot.key_id.clone(), model })
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
                let spot = Spot { key_id: &news.key_id, model: &news.model };
                let place = self.spots.find(spot).unwrap_or_else(|| self.spots.insert(spot, now));
                if let Some(state) = self.spots.get_mut(place) {
                    state.breaker.open_elsewhere(now, lasts);
                }
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
        self.spots.breakers(provider_id, now)
    }

    /// How many keys rest because they were refused.
    pub(super) fn refused_keys(&self, now: Instant) -> usize {
        let is_refused = |key: &&KeyState| key.refused.is_some_and(|rest| rest.until > now);
        self.keys.values().filter(is_refused).count()
    }

    pub(super) fn reset(&mut self) {
        self.keys.clear();
        self.spots.reset(Instant::now());
    }

    /// How many pairs of key and model are remembered.
    #[cfg(test)]
    pub(super) fn spots(&self) -> usize {
        self.spots.len()
    }
}

//! What is known of each pair of a provider's key and a model. A request finds it by name once, and from then on by its place, which
//! is kept for it until it leaves.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{
    catalog::route::{Target, TargetKey},
    policy::{
        breaker::{Breaker, Phase},
        ewma::Ewma,
    },
};

/// The most pairs of key and model that are remembered; callers can make model names up.
const MOST_SPOTS: usize = 1000;

/// A key, asked for a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    /// Empty: the provider needs none.
    pub(super) key_id: &'a str,
    pub(super) model: &'a str,
}

impl<'a> Spot<'a> {
    pub(super) fn new(target: &'a Target, key: Option<&'a TargetKey>) -> Self {
        Self { key_id: key.map(|key| &*key.id).unwrap_or_default(), model: &target.upstream_model }
    }
}

/// Where a spot stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// What is known of a spot.
#[derive(Debug)]
pub(super) struct SpotState {
    pub(super) key_id: String,
    pub(super) model: String,
    pub(super) breaker: Breaker,
    pub(super) latency: Ewma,
    pub(super) in_flight: u32,
}

impl SpotState {
    /// What is idle and in order can be forgotten: it would begin as it stands.
    fn can_be_forgotten(&self, now: Instant) -> bool {
        self.in_flight == 0 && self.breaker.faults() == 0 && self.breaker.phase(now) == Phase::Closed
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Spots {
    /// The places of each model's spots: as many as the provider has keys.
    of_models: HashMap<String, Vec<usize>>,
    /// `None`: free.
    places: Vec<Option<SpotState>>,
    free: Vec<usize>,
}

impl Spots {
    pub(super) fn find(&self, spot: Spot<'_>) -> Option<Place> {
        let of_model = self.of_models.get(spot.model)?;
        let is_it = |place: Place| self.get(place).is_some_and(|state| state.key_id == spot.key_id);
        of_model.iter().map(|place| Place(*place)).find(|place| is_it(*place))
    }

    pub(super) fn get(&self, place: Place) -> Option<&SpotState> {
        self.places.get(place.0)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut SpotState> {
        self.places.get_mut(place.0)?.as_mut()
    }

    /// Makes a spot that is not there.
    pub(super) fn insert(&mut self, spot: Spot<'_>, now: Instant) -> Place {
        if self.len() >= MOST_SPOTS {
            self.forget_what_can_be(now);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(SpotState {
            key_id: spot.key_id.to_owned(),
            model: spot.model.to_owned(),
            breaker: Breaker::new(now),
            latency: Ewma::default(),
            in_flight: 0,
        });
        self.of_models.entry(spot.model.to_owned()).or_default().push(place);
        Place(place)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Closes all breakers.
    pub(super) fn reset(&mut self, now: Instant) {
        for state in self.places.iter_mut().flatten() {
            state.breaker = Breaker::new(now);
        }
    }

    /// Every breaker that is not closed, or has seen faults.
    pub(super) fn breakers(&self, provider_id: &str, now: Instant) -> Vec<BreakerView> {
        let mut views = Vec::new();
        for (model, places) in &self.of_models {
            let states = places.iter().filter_map(|place| self.get(Place(*place)));
            for state in states {
                let phase = state.breaker.phase(now);
                if state.breaker.faults() == 0 && phase == Phase::Closed {
                    continue;
                }
                let (word, retry_in) = match phase {
                    Phase::Closed => ("closed", Duration::ZERO),
                    Phase::Open(until) => ("open", until.saturating_duration_since(now)),
                    Phase::HalfOpen => ("half_open", Duration::ZERO),
                };
                views.push(BreakerView {
                    provider_id: provider_id.to_owned(),
                    key_id: state.key_id.clone(),
                    upstream_model: model.clone(),
                    state: word,
                    faults: state.breaker.faults(),
                    retry_in,
                });
            }
        }
        views
    }

    fn forget_what_can_be(&mut self, now: Instant) {
        let Self { of_models, places, free } = self;
        of_models.retain(|_, of_model| {
            of_model.retain(|&place| {
                let forgotten = places[place].take_if(|state| state.can_be_forgotten(now)).is_some();
                if forgotten {
                    free.push(place);
                }
                !forgotten
            });
            !of_model.is_empty()
        });
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

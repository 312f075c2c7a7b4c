//! Where stored responses are.
//!
//! A provider that stores an answer is the only one that can go on from it, hand it out, or delete it, and only to the account of the
//! key that it was made with. So the gateway remembers, for each id that it handed out, whom to turn to and for which caller. Nothing
//! else of a response is kept here.
//!
//! [`LocalOrigins`] remembers in this process; several cores that share one catalog need a shared one behind the same trait.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use orchestrator_base::clock::{Clock, UnixMicros};

/// Whom to turn to for a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The provider that has it.
    pub provider_id: String,
    /// The provider's key that it was made with; empty for a provider without keys.
    pub key_id: String,
    /// The model that was asked for, in the catalog's words.
    pub model: String,
    /// The caller's key: nobody else may have it.
    pub api_key_id: String,
}

/// Remembers where stored responses are.
pub trait Origins: fmt::Debug + Send + Sync {
    /// Remembers a response. One that is known already stays as it is.
    fn remember(&self, id: &str, origin: &Origin, now: UnixMicros);

    /// Where a response is, as far as is known.
    fn find(&self, id: &str, now: UnixMicros) -> Option<Origin>;

    /// The response is no more.
    fn forget(&self, id: &str);
}

/// How long a response is remembered: OpenAI stores them for 30 days.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// How many are remembered; beyond that the oldest is forgotten. About 15 MB.
const MOST: usize = 50_000;
/// The longest id that is remembered. OpenAI's have 53 characters.
const LONGEST_ID: usize = 128;

/// Remembers in this process.
#[derive(Debug, Default)]
pub struct LocalOrigins(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    origins: HashMap<Arc<str>, Origin>,
    /// When each ends, the oldest first. May hold some that were forgotten.
    ends: VecDeque<(UnixMicros, Arc<str>)>,
}

impl Known {
    fn expire(&mut self, now: UnixMicros, most: usize) {
        while let Some((_, id)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.origins.remove(&id);
        }
        while self.ends.len() > most {
            if let Some((_, id)) = self.ends.pop_front() {
                self.origins.remove(&id);
            }
        }
    }
}

impl Origins for LocalOrigins {
    fn remember(&self, id: &str, origin: &Origin, now: UnixMicros) {
        // It becomes part of a path when it is asked for again.
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if id.is_empty() || id.len() > LONGEST_ID || !plain {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.expire(now, MOST - 1);
        if known.origins.contains_key(id) {
            return;
        }
        let id: Arc<str> = Arc::from(id);
        known.ends.push_back((now.plus(KEPT_FOR), Arc::clone(&id)));
        known.origins.insert(id, origin.clone());
    }

    fn find(&self, id: &str, now: UnixMicros) -> Option<Origin> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.expire(now, MOST);
        known.origins.get(id).cloned()
    }

    fn forget(&self, id: &str) {
        // Its end stays in the queue and goes in its turn.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).origins.remove(id);
    }
}

/// Remembers the responses of one request.
#[derive(Clone, Debug)]
pub struct Keeper {
    origins: Arc<dyn Origins>,
    clock: Clock,
    origin: Origin,
}

impl Keeper {
    /// For a request of that caller for that model. Which provider answers is not known yet.
    pub fn new(origins: Arc<dyn Origins>, clock: Clock, model: &str, api_key_id: &str) -> Self {
        let origin = Origin {
            provider_id: String::new(),
            key_id: String::new(),
            model: model.to_owned(),
            api_key_id: api_key_id.to_owned(),
        };
        Self { origins, clock, origin }
    }

    /// For an answer of that provider, asked with that key.
    #[must_use]
    pub fn at(&self, provider_id: &str, key_id: &str) -> Self {
        let mut keeper = self.clone();
        provider_id.clone_into(&mut keeper.origin.provider_id);
        key_id.clone_into(&mut keeper.origin.key_id);
        keeper
    }

    /// The provider stores this response.
    pub fn keep(&self, id: &str) {
        self.origins.remember(id, &self.origin, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(provider: &str) -> Origin {
        Origin { provider_id: provider.into(), key_id: "k".into(), model: "m".into(), api_key_id: "c".into() }
    }

    const NOW: UnixMicros = UnixMicros(1_000);

    #[test]
    fn a_response_is_found_until_it_is_forgotten_or_too_old() {
        let origins = LocalOrigins::default();
        for id in ["resp_1", "resp_2"] {
            origins.remember(id, &origin("p"), NOW);
        }
        origins.remember("resp_1", &origin("other"), NOW);
        assert_eq!(origins.find("resp_1", NOW), Some(origin("p")));
        origins.forget("resp_1");
        assert_eq!(origins.find("resp_1", NOW), None);
        assert_eq!(origins.find("resp_2", NOW.plus(KEPT_FOR)), None);
    }

    #[test]
    fn what_could_be_no_path_is_not_remembered() {
        let origins = LocalOrigins::default();
        let long = "x".repeat(LONGEST_ID + 1);
        for id in ["", "a/b", "..", "a?b", &long] {
            origins.remember(id, &origin("p"), NOW);
            assert_eq!(origins.find(id, NOW), None, "{id}");
        }
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let origins = LocalOrigins::default();
        for number in 0..=MOST {
            origins.remember(&format!("resp_{number}"), &origin("p"), NOW);
        }
        assert_eq!(origins.find("resp_0", NOW), None);
        assert!(origins.find("resp_1", NOW).is_some());
        assert!(origins.find(&format!("resp_{MOST}"), NOW).is_some());
    }
}

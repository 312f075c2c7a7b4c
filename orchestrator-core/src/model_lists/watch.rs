//! Who is to be asked for a list, and when. Pure: time is an argument.

use std::collections::{HashMap, HashSet};

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::{EVERY, RETRY};
use crate::catalog::{
    listed::ModelList,
    route::{Target, TargetKey},
};

/// All providers that are watched, by id.
#[derive(Debug, Default)]
pub(super) struct Watch {
    providers: HashMap<String, Watched>,
    generation: u64,
}

#[derive(Debug)]
struct Watched {
    target: Target,
    /// Which state of the provider this is: an answer to an older one says nothing about this one.
    generation: u64,
    due: Instant,
    asking: bool,
    tries: usize,
    away: bool,
}

/// Leave to ask one provider once.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Whom, and with what.
    pub(super) target: Target,
    generation: u64,
    tries: usize,
}

/// What an answer means.
#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    /// The provider has changed or gone meanwhile.
    Stale,
    /// A list, `back`: after an outage.
    List { list: ModelList, back: bool },
    /// The first failure of an outage.
    WentAway(String),
    /// Another one.
    StillAway,
}

impl Ticket {
    /// The key to use, if the provider has any: each try takes the next one, so that a bad key does not stand in the way for ever.
    pub(super) fn key(&self) -> Option<&TargetKey> {
        let keys = &self.target.keys;
        (!keys.is_empty()).then(|| &keys[self.tries % keys.len()])
    }
}

impl Watch {
    /// Takes in the catalog. Providers that are new, or are asked in another way than before, are due at once. Gives the ids
    /// of those whose list is void: they are gone, or somewhere else.
    pub(super) fn see(&mut self, targets: impl Iterator<Item = Target>, now: Instant) -> Vec<String> {
        let mut gone: HashSet<String> = self.providers.keys().cloned().collect();
        let mut void = Vec::new();
        for target in targets {
            let id = target.provider_id.to_string();
            gone.remove(&id);
            let before = self.providers.get_mut(&id);
            if let Some(watched) = before {
                if asked_alike(&watched.target, &target) {
                    // What does not matter for the question may have changed: its name, for instance.
                    watched.target = target;
                    continue;
                }
                if !same_place(&watched.target, &target) {
                    void.push(id.clone());
                }
            }
            self.generation += 1;
            let watched = Watched {
                target,
                generation: self.generation,
                due: now,
                asking: false,
                tries: 0,
                away: false,
            };
            self.providers.insert(id, watched);
        }
        for id in gone {
            self.providers.remove(&id);
            void.push(id);
        }
        void
    }

    /// Those to ask now, at most `room`. They are not due again before they have answered.
    pub(super) fn due(&mut self, now: Instant, room: usize) -> Vec<Ticket> {
        let due = self.providers.values_mut().filter(|watched| !watched.asking && watched.due <= now);
        due.take(room)
            .map(|watched| {
                watched.asking = true;
                watched.tries += 1;
                Ticket {
                    target: watched.target.clone(),
                    generation: watched.generation,
                    tries: watched.tries - 1,
                }
            })
            .collect()
    }

    /// When the next one is due that is not being asked.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.providers.values().filter(|watched| !watched.asking).map(|watched| watched.due).min()
    }

    /// Takes in an answer.
    pub(super) fn answered(
        &mut self,
        ticket: &Ticket,
        answer: Result<ModelList, String>,
        now: Instant,
    ) -> Answered {
        let watched = self.providers.get_mut(&*ticket.target.provider_id);
        let Some(watched) = watched.filter(|watched| watched.generation == ticket.generation) else {
            return Answered::Stale;
        };
        watched.asking = false;
        let was_away = std::mem::replace(&mut watched.away, answer.is_err());
        watched.due = now + if watched.away { RETRY } else { EVERY };
        match answer {
            Ok(list) => Answered::List { list, back: was_away },
            Err(_) if was_away => Answered::StillAway,
            Err(reason) => Answered::WentAway(reason),
        }
    }
}

/// Whether what the one answers is what the other would.
pub(crate) fn asked_alike(a: &Target, b: &Target) -> bool {
    same_place(a, b) && same_manner(a, b)
}

/// Whether a list of the one is a list of the other.
fn same_place(a: &Target, b: &Target) -> bool {
    a.base_url == b.base_url && a.kind == b.kind
}

/// Whether both are asked with the same headers and keys.
fn same_manner(a: &Target, b: &Target) -> bool {
    let secrets_of_a = a.keys.iter().map(|key| key.secret.expose_secret());
    a.headers == b.headers && secrets_of_a.eq(b.keys.iter().map(|key| key.secret.expose_secret()))
}

#[cfg(test)]
mod tests;

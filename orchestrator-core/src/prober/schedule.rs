//! Who is to be probed, and when. Pure: time and chance are arguments.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{catalog::route::Target, model_lists::asked_alike};

/// The first probes of many providers are spread over this at most, and over [`SPREAD_EACH`] for each of them.
const SPREAD: Duration = Duration::from_secs(10);
const SPREAD_EACH: Duration = Duration::from_millis(250);

/// All providers that may be probed, by id.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    turns: HashMap<Arc<str>, Turn>,
    generation: u64,
}

#[derive(Debug)]
struct Turn {
    target: Target,
    /// Which state of the provider this is: an answer to an older one says nothing about this one.
    generation: u64,
    due: Instant,
    /// When it was last asked, or last spoken for.
    last: Option<Instant>,
    asking: bool,
    /// It is another than the one that was last seen well.
    changed: bool,
}

/// Leave to probe one provider once.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Whom.
    pub(super) target: Target,
    generation: u64,
}

impl Schedule {
    /// Takes in the catalog. Providers that are new, or are asked in another way than before, have their turn soon.
    pub(super) fn see(
        &mut self,
        targets: impl Iterator<Item = Target>,
        now: Instant,
        mut unit: impl FnMut() -> f64,
    ) {
        let mut before = std::mem::take(&mut self.turns);
        let mut new = Vec::new();
        for target in targets {
            match before.remove(&target.provider_id) {
                Some(turn) if asked_alike(&turn.target, &target) => {
                    self.turns.insert(Arc::clone(&target.provider_id), Turn { target, ..turn });
                }
                known => new.push((target, known.is_some())),
            }
        }
        let spread = spread(new.len());
        for (target, changed) in new {
            self.generation += 1;
            let (generation, due) = (self.generation, now + spread.mul_f64(unit()));
            let turn = Turn { target, generation, due, last: None, asking: false, changed };
            self.turns.insert(Arc::clone(&turn.target.provider_id), turn);
        }
    }

    /// Begins anew: probing was somebody else's business until now, or nobody's.
    pub(super) fn begin(&mut self, now: Instant, mut unit: impl FnMut() -> f64) {
        let spread = spread(self.turns.len());
        for turn in self.turns.values_mut() {
            turn.due = now + spread.mul_f64(unit());
            turn.last = None;
        }
    }

    /// Another interval holds.
    pub(super) fn space(&mut self, interval: Duration) {
        for turn in self.turns.values_mut() {
            if let Some(last) = turn.last {
                turn.due = last + interval;
            }
        }
    }

    /// Those to probe now, at most `room`. They are not due again before they have answered. `spoken_for` says how long a provider's
    /// latest success still speaks for it: so long its turn is put off.
    pub(super) fn due(
        &mut self,
        now: Instant,
        room: usize,
        interval: Duration,
        spoken_for: impl Fn(&str) -> Option<Duration>,
    ) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for (id, turn) in self.turns.iter_mut().filter(|(_, turn)| !turn.asking && turn.due <= now) {
            if tickets.len() == room {
                break;
            }
            if let Some(rest) = spoken_for(id).filter(|rest| !turn.changed && !rest.is_zero()) {
                let rest = rest.min(interval);
                turn.due = now + rest;
                turn.last = turn.due.checked_sub(interval);
                continue;
            }
            turn.asking = true;
            tickets.push(Ticket { target: turn.target.clone(), generation: turn.generation });
        }
        tickets
    }

    /// When the next one is due that is not being asked.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.turns.values().filter(|turn| !turn.asking).map(|turn| turn.due).min()
    }

    /// A provider has been probed. Says whether the answer is about the provider as it is now.
    pub(super) fn answered(&mut self, ticket: &Ticket, now: Instant, interval: Duration) -> bool {
        let turn = self.turns.get_mut(&ticket.target.provider_id);
        let Some(turn) = turn.filter(|turn| turn.generation == ticket.generation) else { return false };
        *turn = Turn {
            target: turn.target.clone(),
            generation: turn.generation,
            due: now + interval,
            last: Some(now),
            asking: false,
            changed: false,
        };
        true
    }

    /// Leave to probe a provider out of turn, if it can be.
    pub(super) fn out_of_turn(&self, provider_id: &str) -> Option<Ticket> {
        let turn = self.turns.get(provider_id)?;
        Some(Ticket { target: turn.target.clone(), generation: turn.generation })
    }
}

fn spread(count: usize) -> Duration {
    SPREAD_EACH.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)).min(SPREAD)
}

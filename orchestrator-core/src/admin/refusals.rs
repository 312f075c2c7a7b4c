//! Who was refused: keys that open nothing, and keys whose role is too small.
//!
//! Whoever is refused costs nothing but a moment of his own: refusals are counted here, by who and where from, and written by the
//! second as one row each with its count. At most [`ROWS_A_MINUTE`] rows are written, and [`MOST_WAITING`] kept, so that no attack
//! fills the database or the memory; beyond that, what is counted has the address `others`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    random::Random,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{Actor, Event, Stamp, action},
    catalog::admin_keys::Role,
    store::AdminStore,
};

/// Rows that one core writes within a minute at most.
const ROWS_A_MINUTE: u32 = 20;
/// Different refusals that are kept until they are written.
const MOST_WAITING: usize = 100;
/// How often what has been counted is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// In place of an address, where there are too many.
const OTHERS: &str = "others";
const MINUTE_MICROS: i64 = 60_000_000;

/// What has been refused since it was last written. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Who, Tally>,
    /// The minute that `written` counts in.
    minute: i64,
    written: u32,
}

/// What is written as one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    action: &'static str,
    actor: String,
    address: String,
}

/// How often, and how it was the last time.
#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    request_id: String,
    what: String,
}

impl Refusals {
    /// A key was presented that opens nothing; the actor's name is empty.
    pub fn sign_in_failed(&self, actor: &Actor, why: &str) {
        self.note(action::SIGN_IN_FAILED, actor, why);
    }

    /// A key's role is too small for a method.
    pub fn denied(&self, actor: &Actor, method: &str) {
        self.note(action::DENIED, actor, method);
    }

    fn note(&self, action: &'static str, actor: &Actor, what: &str) {
        let mut who = Who { action, actor: actor.name.clone(), address: actor.address.clone() };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.waiting.contains_key(&who) && state.waiting.len() >= MOST_WAITING {
            who.actor.clear();
            OTHERS.clone_into(&mut who.address);
        }
        let tally = state.waiting.entry(who).or_insert_with(|| Tally {
            count: 0,
            request_id: String::new(),
            what: String::new(),
        });
        tally.count += 1;
        actor.request_id.clone_into(&mut tally.request_id);
        what.clone_into(&mut tally.what);
    }

    /// What may be written now.
    fn take(&self, now: UnixMicros) -> Vec<(Who, Tally)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0.div_euclid(MINUTE_MICROS);
        if state.minute != minute {
            (state.minute, state.written) = (minute, 0);
        }
        let mut taken = Vec::new();
        while state.written < ROWS_A_MINUTE
            && let Some(refusal) = state.waiting.pop_first()
        {
            state.written += 1;
            taken.push(refusal);
        }
        taken
    }

    /// What could not be written waits for the next time, beside what has been counted since.
    fn put_back(&self, refusals: Vec<(Who, Tally)>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (who, tally) in refusals {
            state.written = state.written.saturating_sub(1);
            state.waiting.entry(who).and_modify(|newer| newer.count += tally.count).or_insert(tally);
        }
    }

    /// Writes what is refused, until `stop`.
    pub async fn run(
        self,
        store: Arc<dyn AdminStore>,
        clock: Clock,
        random: Random,
        stop: CancellationToken,
    ) {
        loop {
            let stopped = stop.run_until_cancelled(tokio::time::sleep(WRITE_EVERY)).await.is_none();
            self.write(&*store, &clock, &random).await;
            if stopped {
                return;
            }
        }
    }

    async fn write(&self, store: &dyn AdminStore, clock: &Clock, random: &Random) {
        let taken = self.take(clock.now());
        if taken.is_empty() {
            return;
        }
        let row = |(who, tally): &(Who, Tally)| {
            let actor = Actor {
                name: who.actor.clone(),
                role: Role::default(),
                address: who.address.clone(),
                request_id: tally.request_id.clone(),
            };
            let event = Event::new(who.action, "session")
                .after(json!({ "count": tally.count, "last": tally.what }))
                .refused();
            Stamp { actor, at: clock.now(), random: random.clone() }.entries([event])
        };
        let rows: Vec<_> = taken.iter().flat_map(row).collect();
        if let Err(error) = store.record(&rows).await {
            tracing::debug!(%error, "refused sign-ins could not be written; they are kept");
            self.put_back(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Actor {
        Actor { name: String::new(), address: address.to_owned(), ..Actor::system() }
    }

    #[test]
    fn an_attack_becomes_a_few_rows_with_their_counts() {
        let refusals = Refusals::default();
        for attempt in 0..100_000 {
            refusals
                .sign_in_failed(&from(&format!("10.0.{}.{}", attempt / 250 % 250, attempt % 250)), "unknown");
        }
        let mut seen = 0;
        let mut rows = 0;
        for minute in 0..6 {
            let taken = refusals.take(UnixMicros(minute * MINUTE_MICROS));
            assert!(taken.len() <= ROWS_A_MINUTE as usize);
            assert!(
                refusals.take(UnixMicros(minute * MINUTE_MICROS + 1)).is_empty(),
                "the minute's are used up"
            );
            rows += taken.len();
            seen += taken.iter().map(|(_, tally)| tally.count).sum::<u64>();
        }
        assert_eq!((rows, seen), (MOST_WAITING + 1, 100_000), "none is forgotten");
    }

    #[test]
    fn what_could_not_be_written_is_written_later_with_what_came_since() {
        let refusals = Refusals::default();
        refusals.sign_in_failed(&from("a"), "unknown");
        let taken = refusals.take(UnixMicros(0));
        refusals.sign_in_failed(&from("a"), "expired");
        refusals.put_back(taken);
        let taken = refusals.take(UnixMicros(0));
        assert_eq!((taken.len(), taken[0].1.count, taken[0].1.what.as_str()), (1, 2, "expired"));
    }
}

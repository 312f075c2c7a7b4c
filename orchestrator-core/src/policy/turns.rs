//! Whose turn it is: a count per name, and an order that gives each his share in each round.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The most names that are counted; callers can make names up. Beyond it all share one count.
const MOST: usize = 1000;

/// A count per name.
#[derive(Debug, Default)]
pub struct Turns {
    counts: RwLock<HashMap<String, Arc<AtomicU64>>>,
    others: AtomicU64,
}

impl Turns {
    /// How often this was asked for the name before.
    pub fn next(&self, name: &str) -> u64 {
        if let Some(count) = self.counts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return count.fetch_add(1, Ordering::Relaxed);
        }
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(name) {
            return self.others.fetch_add(1, Ordering::Relaxed);
        }
        counts.entry(name.to_owned()).or_default().fetch_add(1, Ordering::Relaxed)
    }
}

/// The place among `weights` whose turn it is. A round has as many turns as the weights have shares, each place gets exactly its
/// own, and they are spread over the round: the steps are about a golden section of it long. Equal weights take turns in order.
pub fn place(turn: u64, weights: &[u64]) -> usize {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let shares: Vec<u64> = weights.iter().map(|weight| (weight / divisor).max(1)).collect();
    let round: u64 = shares.iter().sum();
    let step = if shares.iter().all(|share| *share == 1) { 1 } else { spread(round) };
    let mut at = (u128::from(turn) * u128::from(step) % u128::from(round.max(1))) as u64;
    for (place, share) in shares.iter().enumerate() {
        if at < *share {
            return place;
        }
        at -= share;
    }
    0
}

/// The step nearest to the golden section of a round that reaches every place of it.
fn spread(round: u64) -> u64 {
    let mut step = (round as f64 * 0.618_033_988_75) as u64;
    while step > 1 && gcd(step, round) != 1 {
        step -= 1;
    }
    step.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equals_take_turns_in_order_and_each_name_has_its_own_count() {
        let turns = Turns::default();
        let chosen: Vec<usize> = (0..6).map(|_| place(turns.next("m"), &[100, 100, 100])).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
        assert_eq!(turns.next("other"), 0);
    }

    #[test]
    fn a_heavy_one_comes_often_and_not_in_one_stretch() {
        let chosen: Vec<usize> = (0..10).map(|turn| place(turn, &[300, 200])).collect();
        assert_eq!(chosen.iter().filter(|place| **place == 0).count(), 6);
        assert!(chosen.windows(4).all(|four| four.contains(&1)), "{chosen:?}");
    }

    #[test]
    fn names_that_callers_make_up_take_no_more_memory_than_the_bound() {
        let turns = Turns::default();
        (0..MOST + 50).for_each(|name| {
            turns.next(&name.to_string());
        });
        assert_eq!(turns.counts.read().unwrap().len(), MOST);
    }

    proptest! {
        #[test]
        fn in_each_round_everybody_has_exactly_his_share(weights in prop::collection::vec(1_u64..50, 1..6), start in 0_u64..1_000_000) {
            let round: u64 = weights.iter().sum();
            let mut seen = vec![0_u64; weights.len()];
            for turn in start..start + round {
                seen[place(turn, &weights)] += 1;
            }
            prop_assert_eq!(seen, weights);
        }
    }
}

//! Weighted order: who comes first among equals.

/// Orders `items` at random so that an item comes first with a probability proportional to its weight, second likewise among
/// the rest, and so on (Efraimidis and Spirakis 2006: sort by `u^(1/w)`). `unit` gives numbers in `0.0..1.0`.
pub fn shuffle<T>(items: &mut [T], weight: impl Fn(&T) -> u64, mut unit: impl FnMut() -> f64) {
    if items.len() < 2 {
        return;
    }
    // ln(u)/w sorts as u^(1/w) does, without underflow for large weights. An u of 0 would be minus infinity: last, as it should.
    let mut keyed: Vec<(f64, usize)> = items
        .iter()
        .enumerate()
        .map(|(index, item)| (unit().ln() / weight(item).max(1) as f64, index))
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let order: Vec<usize> = keyed.into_iter().map(|(_, index)| index).collect();
    permute(items, order);
}

/// Puts `items[order[i]]` at place `i`, by following each cycle of the permutation once.
fn permute<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..items.len() {
        let mut place = start;
        while order[place] != start {
            let from = order[place];
            items.swap(place, from);
            order[place] = place;
            place = from;
        }
        order[place] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestrator_base::random::Random;
    use proptest::prelude::*;

    #[test]
    fn the_first_place_is_won_in_proportion_to_the_weights() {
        let random = Random::seeded(42);
        let mut wins = [0_u32; 3];
        for _ in 0..10_000 {
            let mut items = [(0, 100_u64), (1, 300), (2, 600)];
            shuffle(&mut items, |item| item.1, || random.unit());
            wins[items[0].0] += 1;
        }
        // Four standard deviations of a binomial with n = 10,000 are below 200.
        for (won, expected) in wins.into_iter().zip([1_000, 3_000, 6_000]) {
            assert!(won.abs_diff(expected) < 200, "{wins:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shuffle_keeps_every_item(seed: u64, weights in prop::collection::vec(0_u64..1000, 0..20)) {
            let random = Random::seeded(seed);
            let mut items: Vec<(usize, u64)> = weights.iter().copied().enumerate().collect();
            shuffle(&mut items, |item| item.1, || random.unit());
            items.sort_unstable();
            prop_assert_eq!(items, weights.into_iter().enumerate().collect::<Vec<_>>());
        }
    }
}

//! The strategy `priority`: tiers by priority, higher first; inside a tier at random by weight.

use std::cmp::Reverse;

use crate::{catalog::route::Target, policy::weight};

/// Orders the targets; each comes with its place in the route.
pub fn order(targets: &mut [(usize, &Target)], mut unit: impl FnMut() -> f64) {
    targets.sort_by_key(|(_, target)| Reverse(target.priority));
    for tier in targets.chunk_by_mut(|(_, a), (_, b)| a.priority == b.priority) {
        weight::shuffle(tier, |(_, target)| target.weight, &mut unit);
    }
}

//! The strategy `priority`: tiers by priority, higher first; inside a tier at random by weight.

use std::{cmp::Reverse, sync::Arc};

use crate::{catalog::snapshot::Target, policy::weight};

/// Orders the targets.
pub fn order<'a>(mut targets: Vec<&'a Arc<Target>>, mut unit: impl FnMut() -> f64) -> Vec<&'a Arc<Target>> {
    targets.sort_by_key(|target| Reverse(target.priority));
    for tier in targets.chunk_by_mut(|a, b| a.priority == b.priority) {
        weight::shuffle(tier, |target| target.weight, &mut unit);
    }
    targets
}

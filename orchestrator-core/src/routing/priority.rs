//! The strategy `priority`: among equals at random, by weight.

use super::Able;
use crate::policy::weight;

/// Orders equals.
pub fn order(equals: &mut [Able<'_>], unit: impl FnMut() -> f64) {
    weight::shuffle(equals, |able| able.target.weight, unit);
}

//! The strategy `least_latency`: the better of two that chance and weight choose (Mitzenmacher 2001: "The Power of Two Choices"),
//! by how long first words take there lately times how many wait for theirs. Two, because all who run for the single best one make
//! it the worst.

use super::Able;
use crate::policy::weight;

/// Orders equals: the better of two, the other one, then the rest from the best on.
pub fn order(equals: &mut [Able<'_>], unit: impl FnMut() -> f64) {
    weight::shuffle(equals, |able| able.target.weight, unit);
    let by_cost = |a: &Able<'_>, b: &Able<'_>| a.outlook.cost().total_cmp(&b.outlook.cost());
    let (two, rest) = equals.split_at_mut(equals.len().min(2));
    two.sort_by(by_cost);
    rest.sort_by(by_cost);
}

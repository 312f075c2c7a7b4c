//! The strategy `round_robin`: equals take turns, and who has more weight has more turns.

use super::Able;
use crate::policy::turns;

/// Orders equals: the one whose turn it is, then those behind it.
pub fn order(equals: &mut [Able<'_>], turn: u64) {
    // The catalog's order changes with weights; names give a round an order of its own.
    equals.sort_by(|a, b| a.target.provider_name.cmp(&b.target.provider_name));
    let weights: Vec<u64> = equals.iter().map(|able| able.target.weight).collect();
    equals.rotate_left(turns::place(turn, &weights));
}

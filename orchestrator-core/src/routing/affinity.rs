//! The strategy `affinity`: requests of one session go to one provider, so that its prompt cache stays warm. By rendezvous hashing
//! (Thaler and Ravishankar 1996), weighted: when a provider is lost, only what it served moves, and it all comes back with it.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use super::Able;

/// Orders equals.
pub fn order(equals: &mut [Able<'_>], kinship: u64) {
    let far = |able: &Able<'_>| distance(kinship, &able.target.provider_id, able.target.weight);
    equals.sort_by(|a, b| far(a).total_cmp(&far(b)));
}

/// How badly a name fits what is asked for: the least of several with a probability proportional to its weight.
pub(super) fn distance(kinship: u64, name: &str, weight: u64) -> f64 {
    -unit(kinship, name).ln() / weight.max(1) as f64
}

/// A number in `0.0..1.0` that both always give, in every process: the hasher's keys are fixed.
fn unit(kinship: u64, name: &str) -> f64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((kinship, name));
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// What requests share that name one session, or that begin alike: a hash of it.
pub fn kinship(of: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of)
}

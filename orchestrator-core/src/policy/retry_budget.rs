//! How many requests may be asking a provider again at the same time.
//!
//! When a provider slows down, everybody repeats, and the repetitions are what it dies of. So only a share of the requests under
//! way at it may be repetitions (the retry budget of Finagle and Envoy). Turning to another provider is no repetition: that is
//! bounded by the attempts of each request.

/// Of ten requests under way, so many may be repetitions.
const OF_TEN: u32 = 2;
/// So many always may, or a quiet provider could never be asked again.
const LEAST: u32 = 3;

/// Whether one more may repeat, where `repeating` of the `active` requests at the provider do already.
pub fn may_repeat(active: u32, repeating: u32) -> bool {
    repeating < LEAST.max(active.saturating_mul(OF_TEN) / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fifth_may_repeat_and_three_always_may() {
        assert!(may_repeat(0, 2) && !may_repeat(0, 3));
        assert!(may_repeat(100, 19) && !may_repeat(100, 20));
    }

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(steps in prop::collection::vec((any::<bool>(), any::<bool>()), 0..500)) {
            let (mut active, mut repeating) = (0_u32, 0_u32);
            for (enters, repeats) in steps {
                match (enters, repeats) {
                    (true, false) => active += 1,
                    (true, true) if may_repeat(active, repeating) => {
                        active += 1;
                        repeating += 1;
                        prop_assert!(repeating <= LEAST.max(active / 5));
                    }
                    (true, true) => {}
                    (false, true) if repeating > 0 => {
                        active -= 1;
                        repeating -= 1;
                    }
                    (false, _) => active = active.saturating_sub(u32::from(active > repeating)),
                }
            }
        }
    }
}

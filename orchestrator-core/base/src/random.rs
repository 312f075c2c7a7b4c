//! The one door to randomness, and to ids made of it.
//!
//! Two needs, two sources: choices (routing, jitter) come from a small fast generator that a test can seed; secrets always
//! come from the operating system.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::clock::UnixMicros;

/// A source of random choices. Clones share one sequence, so that a seeded test is repeatable.
#[derive(Clone, Debug)]
pub struct Random(Arc<AtomicU64>);

/// The increment of SplitMix64 (Steele, Lea, Flood 2014): every state is visited once before the sequence repeats.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// Seeded by the operating system.
    pub fn system() -> Self {
        let mut seed = [0; 8];
        fill_secret(&mut seed);
        Self::seeded(u64::from_le_bytes(seed))
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// Any 64 bits (SplitMix64).
    pub fn bits(&self) -> u64 {
        let mut z = self.0.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed).wrapping_add(GOLDEN_GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A UUID v7: sorts by the time it was made.
    pub fn uuid(&self, now: UnixMicros) -> Uuid {
        let mut tail = [0; 10];
        tail[..8].copy_from_slice(&self.bits().to_le_bytes());
        tail[8..].copy_from_slice(&self.bits().to_le_bytes()[..2]);
        let millis = u64::try_from(now.0 / 1000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

/// Fills `bytes` from the operating system's generator: for secrets and nonces.
///
/// A machine that cannot give random bytes cannot run a gateway: the failure is a panic at start-up, when the first are drawn.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "this is the door; see above for the panic"
)]
pub fn fill_secret(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// A new secret: `prefix` and 256 bits from the operating system, base64url without padding. Safe in headers, URLs and shells.
pub fn secret_text(prefix: &str) -> String {
    let mut bytes = [0; 32];
    fill_secret(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((a.bits(), a.bits()), (b.bits(), b.bits()));
        assert!((0.0..1.0).contains(&a.unit()));
    }

    #[test]
    fn every_secret_is_new_and_carries_256_bits() {
        let (first, second) = (secret_text("k-"), secret_text("k-"));
        assert_ne!(first, second);
        assert_eq!(first.len(), "k-".len() + 43);
    }

    #[test]
    fn ids_sort_by_time() {
        let random = Random::seeded(1);
        let earlier = random.uuid(UnixMicros(1_000_000));
        let later = random.uuid(UnixMicros(2_000_000));
        assert_eq!(earlier.get_version_num(), 7);
        assert!(earlier < later);
    }
}

//! The table of callers' key digests: a snapshot of its own.
//!
//! A presented secret is hashed, and the digest looked up. A map's look-up is not constant in time, but what its timing could
//! tell is how far a *digest* agrees with a stored one, and whoever presents a secret cannot choose its SHA-256: each guess
//! gives an unrelated digest, so a near miss teaches nothing about the secret, which has 256 random bits.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::ApiKey;

/// Callers' keys by the digest of their secret. Disabled and expired ones are in it: admission refuses them by name.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    by_digest: HashMap<[u8; 32], Arc<ApiKey>>,
}

impl KeyTable {
    /// The table of these keys.
    pub fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        Self { by_digest: keys.into_iter().map(|key| (key.digest, Arc::new(key))).collect() }
    }

    /// The key that this secret opens.
    pub fn find(&self, secret: &str) -> Option<&Arc<ApiKey>> {
        self.by_digest.get(&digest(secret))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }
}

/// What is kept of a caller's secret: its SHA-256.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::samples;

    #[test]
    fn a_key_is_found_by_its_whole_secret_alone() {
        let table =
            KeyTable::new([samples::api_key("c1", "one", "s-1"), samples::api_key("c2", "two", "s-2")]);
        assert_eq!(table.find("s-2").map(|key| key.name.as_str()), Some("two"));
        assert!(table.find("s-").is_none());
        assert!(table.find("").is_none());
    }
}

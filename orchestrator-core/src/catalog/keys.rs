//! The table of callers' key digests: a snapshot of its own.
//!
//! A presented secret is hashed, and the digest looked up. A map's look-up is not constant in time, but what its timing could
//! tell is how far a *digest* agrees with a stored one, and whoever presents a secret cannot choose its SHA-256: each guess
//! gives an unrelated digest, so a near miss teaches nothing about the secret, which has 256 random bits.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use orchestrator_base::clock::UnixMicros;
use sha2::{Digest as _, Sha256};

use super::{ApiKey, Team};

/// What every generated key begins with: so that scanners for leaked secrets can know it.
pub const SECRET_START: &str = "llmo_";
/// How the secrets of operators' keys begin that are generated, which no caller's does.
pub const ADMIN_SECRET_START: &str = "llmo_admin_";
/// Digits of the checksum that ends a generated key.
const CHECKSUM: usize = 6;

/// Callers' keys by the digests of their secrets. Disabled and expired ones are in it: admission refuses them by name.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    by_digest: HashMap<[u8; 32], Holder>,
}

/// Who presents a secret.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The key that the secret opens.
    pub key: Arc<ApiKey>,
    /// The key's team, where there is one of that name.
    pub team: Option<Arc<Team>>,
    /// From when on this secret is refused: it is the one before the key's last rotation.
    pub until: Option<UnixMicros>,
}

impl KeyTable {
    /// The table of these keys, each in its team.
    pub fn new(keys: impl IntoIterator<Item = ApiKey>, teams: impl IntoIterator<Item = Team>) -> Self {
        let teams: HashMap<String, Arc<Team>> =
            teams.into_iter().map(|team| (team.name.clone(), Arc::new(team))).collect();
        let mut by_digest: HashMap<[u8; 32], Holder> = HashMap::new();
        for key in keys {
            let team = teams.get(&key.team).cloned();
            let (digest, previous) = (key.digest, key.previous.clone());
            let holder = Holder { key: Arc::new(key), team, until: None };
            if let Some(previous) = previous {
                // A secret that is somebody's present one is no longer anybody's old one.
                let old = Holder { until: Some(previous.until), ..holder.clone() };
                by_digest.entry(previous.digest).or_insert(old);
            }
            by_digest.insert(digest, holder);
        }
        Self { by_digest }
    }

    /// Whoever this secret stands for.
    pub fn find(&self, secret: &str) -> Option<&Holder> {
        self.by_digest.get(&digest(secret))
    }

    /// How many secrets there are, old ones included.
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

/// A generated key: its beginning and what is random, and the checksum of both.
pub fn with_checksum(body: &str) -> String {
    format!("{body}{}", checksum(body))
}

/// Whether this secret looks like a generated one and is none: letters are wrong or missing. It tells a typing error from a key
/// that is not known here, without knowing any key. Secrets that operators chose themselves have no checksum: they are looked up first,
/// and what begins otherwise is never taken for mistyped.
pub fn is_mistyped(secret: &str) -> bool {
    let whole = secret.len().checked_sub(CHECKSUM).and_then(|at| secret.split_at_checked(at));
    secret.starts_with(SECRET_START) && whole.is_none_or(|(body, given)| checksum(body) != given)
}

/// Six digits of base64 are four bytes: a CRC-32.
fn checksum(body: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32fast::hash(body.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{PreviousSecret, samples};

    #[test]
    fn a_key_is_found_by_its_whole_secret_alone() {
        let keys = [samples::api_key("c1", "one", "s-1"), samples::api_key("c2", "two", "s-2")];
        let table = KeyTable::new(keys, []);
        assert_eq!(table.find("s-2").map(|holder| holder.key.name.as_str()), Some("two"));
        assert!(table.find("s-").is_none());
        assert!(table.find("").is_none());
    }

    #[test]
    fn a_rotated_key_is_found_by_both_secrets_and_the_old_one_has_an_end() {
        let rotated = |id: &str, secret: &str, before: &str| {
            let previous = Some(PreviousSecret { digest: digest(before), until: UnixMicros(9) });
            ApiKey { previous, team: "blue".into(), ..samples::api_key(id, id, secret) }
        };
        let table = KeyTable::new(
            [rotated("c1", "new", "old"), rotated("c2", "old-2", "new")],
            [samples::team("t1", "blue")],
        );
        let found = |secret: &str| {
            let holder = table.find(secret).unwrap();
            (holder.key.id.as_str(), holder.until, holder.team.as_ref().unwrap().id.as_str())
        };
        assert_eq!(found("new"), ("c1", None, "t1"), "whoever has it now has it");
        assert_eq!(found("old"), ("c1", Some(UnixMicros(9)), "t1"));
    }

    #[test]
    fn one_wrong_letter_anywhere_is_a_typing_error() {
        let secret = with_checksum("llmo_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG");
        assert!(!is_mistyped(&secret));
        for at in SECRET_START.len()..secret.len() {
            let mut wrong = secret.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(is_mistyped(&String::from_utf8(wrong).unwrap()), "{at}");
            assert!(is_mistyped(&secret[..at]), "cut at {at}");
        }
        for chosen in ["", "team-secret", "sk-0123456789", "LLMO_x", "ключ"] {
            assert!(!is_mistyped(chosen), "{chosen}");
        }
        assert!(is_mistyped("llmo_ключ"));
    }
}

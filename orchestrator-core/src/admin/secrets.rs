//! Secrets: how providers' keys are kept, and how callers' keys are made.
//!
//! A provider's secret is needed in the clear to be sent, so it is encrypted at rest: XChaCha20-Poly1305, whose nonces are long
//! enough to be drawn at random for ever. The row's id is bound in as associated data, so that whoever can write to the
//! database cannot move a secret to a provider of his own. The envelope names the key that sealed it:
//!
//! ```text
//! v1:<key id, 8 hexadecimal digits>:<base64 of nonce and ciphertext>
//! ```
//!
//! A caller's secret is only compared, so only its SHA-256 is kept; with 256 random bits there is nothing to guess.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use orchestrator_base::random::fill_secret;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    catalog::{ProviderKey, keys},
    error::{Error, ErrorKind, Result},
    store::{MASTER_KEY_FINGERPRINT, SettingStore},
};

/// What separates the uses of one master key from each other.
const DERIVE_SEALING: &[u8] = b"llm-orchestrator/v1/provider-keys\0";
const DERIVE_SESSIONS: &[u8] = b"llm-orchestrator/v1/admin-sessions\0";
const DERIVE_FINGERPRINT: &[u8] = b"llm-orchestrator/v1/fingerprint\0";
/// The envelope's version.
const VERSION: &str = "v1";
/// What a sealed session is bound to.
const SESSION: &str = "session:1";
/// Bytes of a nonce.
const NONCE: usize = 24;
/// How much of a caller's secret is shown.
const PREFIX: usize = 12;
/// How much of an operator's secret is shown: as much of what is random.
const ADMIN_PREFIX: usize = 18;

/// Seals and opens providers' secrets with one master key.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    sessions: XChaCha20Poly1305,
    fingerprint: String,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault for this master key: any text.
    pub fn new(master: &SecretString) -> Self {
        let derive = |purpose: &[u8]| {
            Sha256::new().chain_update(purpose).chain_update(master.expose_secret()).finalize()
        };
        Self {
            cipher: XChaCha20Poly1305::new(&derive(DERIVE_SEALING)),
            sessions: XChaCha20Poly1305::new(&derive(DERIVE_SESSIONS)),
            fingerprint: hex::encode(derive(DERIVE_FINGERPRINT)),
        }
    }

    /// Tells one master key from another, and nothing about either.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Compares this master key with the one that the database was sealed with; an unsealed database is sealed with this one.
    ///
    /// Errors: [`ErrorKind::Conflict`] when it is another, [`ErrorKind::Unavailable`] when the database does not answer.
    pub async fn check_fingerprint(&self, store: &dyn SettingStore) -> Result<()> {
        let sealed_with = store.setting_or_insert(MASTER_KEY_FINGERPRINT, &self.fingerprint).await;
        if sealed_with.map_err(super::store_error)? == self.fingerprint {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the master key (MASTER_KEY) is not the one this database was sealed with",
        ))
    }

    /// Encrypts the secret of the provider's key with this id.
    pub fn seal(&self, id: &str, secret: &SecretString) -> Result<String> {
        let sealed = encrypt(&self.cipher, secret.expose_secret().as_bytes(), &associated(id))?;
        Ok(format!("{VERSION}:{}:{}", self.key_id(), STANDARD_NO_PAD.encode(sealed)))
    }

    /// Seals what a session's token says. Every core with this master key opens it, and nobody else can make one.
    pub(super) fn seal_session(&self, claims: &[u8]) -> Result<String> {
        encrypt(&self.sessions, claims, SESSION).map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a session's token says; `None`: no core with this master key has made it.
    pub(super) fn open_session(&self, token: &str) -> Option<Vec<u8>> {
        decrypt(&self.sessions, &URL_SAFE_NO_PAD.decode(token).ok()?, SESSION)
    }

    /// Decrypts a provider's key. Errors say what is wrong with the envelope, never what was in it.
    pub fn open(&self, key: &ProviderKey) -> Result<SecretString> {
        let damaged = || Error::internal("the sealed secret is damaged, or belongs to another row");
        let mut parts = key.sealed.splitn(3, ':');
        let (Some(VERSION), Some(key_id), Some(payload)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(damaged());
        };
        if key_id != self.key_id() {
            return Err(Error::internal("the secret was sealed with another master key"));
        }
        let payload = STANDARD_NO_PAD.decode(payload).map_err(|_| damaged())?;
        let opened = decrypt(&self.cipher, &payload, &associated(&key.id)).ok_or_else(damaged)?;
        String::from_utf8(opened).map(SecretString::from).map_err(|_| damaged())
    }

    fn key_id(&self) -> &str {
        &self.fingerprint[..8]
    }
}

/// Nonce and ciphertext.
fn encrypt(cipher: &XChaCha20Poly1305, msg: &[u8], aad: &str) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    fill_secret(&mut nonce);
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg, aad: aad.as_bytes() });
    let sealed = sealed.map_err(|_| Error::internal("the secret could not be encrypted"))?;
    Ok([&nonce, sealed.as_slice()].concat())
}

fn decrypt(cipher: &XChaCha20Poly1305, sealed: &[u8], aad: &str) -> Option<Vec<u8>> {
    let (nonce, msg) = sealed.split_first_chunk::<NONCE>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad: aad.as_bytes() }).ok()
}

/// Table, row and version: a secret opens nowhere else.
fn associated(id: &str) -> String {
    format!("provider_keys:{id}:1")
}

/// A new caller's key: `llmo_`, 32 random bytes, and 6 digits of a checksum that tells a typing error from an unknown key.
pub fn generate_api_key() -> SecretString {
    generate(keys::SECRET_START)
}

/// A new operator's key: `llmo_admin_`, and the rest as a caller's.
pub fn generate_admin_key() -> SecretString {
    generate(keys::ADMIN_SECRET_START)
}

fn generate(start: &str) -> SecretString {
    let mut random = [0; 32];
    fill_secret(&mut random);
    keys::with_checksum(&format!("{start}{}", URL_SAFE_NO_PAD.encode(random))).into()
}

/// A secret's beginning: enough to recognise it by, never more than a third of it.
pub fn prefix(secret: &SecretString) -> String {
    beginning(secret, PREFIX)
}

/// The same, of an operator's secret, whose start is longer.
pub fn admin_prefix(secret: &SecretString) -> String {
    beginning(secret, ADMIN_PREFIX)
}

fn beginning(secret: &SecretString, most: usize) -> String {
    let secret = secret.expose_secret();
    secret.chars().take(most.min(secret.chars().count() / 3)).collect()
}

/// A secret's ends: `sk-p…4xYz`. Of a short one nothing is shown.
pub fn mask(secret: &SecretString) -> String {
    let characters: Vec<char> = secret.expose_secret().chars().collect();
    if characters.len() < 24 {
        return "…".to_owned();
    }
    let (start, end) = (&characters[..4], &characters[characters.len() - 4..]);
    start.iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::samples, store::Database};

    const SECRET: &str = "sk-provider-canary-0123456789";

    fn vault(master: &str) -> Vault {
        Vault::new(&master.into())
    }

    fn sealed(vault: &Vault, id: &str) -> ProviderKey {
        samples::provider_key(id, "p1", &vault.seal(id, &SECRET.into()).unwrap())
    }

    fn refusal(vault: &Vault, key: &ProviderKey) -> String {
        let error = vault.open(key).map(|_| ()).unwrap_err();
        assert!(!error.message.contains("canary"));
        error.message
    }

    #[test]
    fn what_was_sealed_opens_and_looks_different_each_time() {
        let vault = vault("master");
        let (one, two) = (sealed(&vault, "k1"), sealed(&vault, "k1"));
        assert_eq!(vault.open(&one).unwrap().expose_secret(), SECRET);
        assert!(one.sealed.starts_with("v1:") && !one.sealed.contains("canary"));
        assert_ne!(one.sealed, two.sealed);
    }

    #[test]
    fn a_secret_opens_in_its_own_row_alone() {
        let vault = vault("master");
        let moved = ProviderKey { id: "k2".into(), ..sealed(&vault, "k1") };
        assert!(refusal(&vault, &moved).contains("another row"));
    }

    #[test]
    fn another_master_key_is_told_apart() {
        let key = sealed(&vault("master"), "k1");
        assert!(refusal(&vault("other"), &key).contains("another master key"));
    }

    #[test]
    fn every_tampered_byte_is_noticed() {
        let vault = vault("master");
        let key = sealed(&vault, "k1");
        for at in 0..key.sealed.len() {
            let mut tampered = key.sealed.clone().into_bytes();
            tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
            let tampered = ProviderKey { sealed: String::from_utf8(tampered).unwrap(), ..key.clone() };
            refusal(&vault, &tampered);
        }
        for envelope in ["", "v1", "v1::", "v2:0:0"] {
            refusal(&vault, &ProviderKey { sealed: envelope.into(), ..key.clone() });
        }
    }

    #[tokio::test]
    async fn a_database_knows_its_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db")).await.unwrap();
        vault("master").check_fingerprint(&database).await.unwrap();
        vault("master").check_fingerprint(&database).await.unwrap();
        let refused = vault("other").check_fingerprint(&database).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains("not the one this database was sealed with"), "{refused}");
    }

    #[test]
    fn a_generated_key_is_long_new_and_checks_itself() {
        let (one, two) = (generate_api_key(), generate_api_key());
        let one = one.expose_secret();
        assert_ne!(one, two.expose_secret());
        assert_eq!(one.len(), 5 + 43 + 6);
        let (body, checksum) = one.split_at(48);
        assert_eq!(checksum, URL_SAFE_NO_PAD.encode(crc32fast::hash(body.as_bytes()).to_be_bytes()));
        assert!(!keys::is_mistyped(one) && !keys::is_mistyped(generate_admin_key().expose_secret()));
        assert_eq!(prefix(&one.into()), one[..12]);
    }

    #[test]
    fn little_is_shown_of_a_secret_and_nothing_of_a_short_one() {
        assert_eq!(mask(&SECRET.into()), "sk-p…6789");
        assert_eq!(mask(&"short".into()), "…");
        assert_eq!(prefix(&"abcdef".into()), "ab");
        assert_eq!(prefix(&"x".into()), "");
    }
}

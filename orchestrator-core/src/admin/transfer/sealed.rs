//! Secrets under a passphrase: Argon2id makes a key of it, XChaCha20-Poly1305 seals with that.
//!
//! Salt and cost stand in the file, so that both may change with later versions. Each secret is bound to its place, so that
//! whoever edits a file cannot give one provider's secret to another. The header holds a sealed constant, by which a wrong
//! passphrase is told before anything else is looked at.
//!
//! Cost: RFC 9106, section 4, the second recommended option: 64 MiB and three passes; one lane, since there is one thread.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use orchestrator_base::random::fill_secret;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A shorter passphrase can be guessed, however much each guess costs.
pub const LEAST_PASSPHRASE: usize = 12;
/// The cost that new files have.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// The most that a file may ask for: it could come from anywhere.
const MOST_MEMORY_KIB: u32 = 512 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 8;

const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20poly1305";
const CHECK: &str = "llm-orchestrator";
const SALT: usize = 16;
const NONCE: usize = 24;

/// What a file says about how its secrets are sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    cipher: String,
    check: String,
}

/// Seals and opens with one passphrase and salt.
pub(crate) struct Seal {
    cipher: XChaCha20Poly1305,
    header: Header,
}

impl Seal {
    /// A new salt. Takes a tenth of a second of a processor, on purpose.
    pub(super) fn new(passphrase: &SecretString) -> Result<Self> {
        let length = passphrase.expose_secret().chars().count();
        if length < LEAST_PASSPHRASE {
            let message = format!("passphrase must have at least {LEAST_PASSPHRASE} characters");
            return Err(Error::invalid("passphrase".to_owned(), message));
        }
        let mut salt = [0; SALT];
        fill_secret(&mut salt);
        let mut header = Header {
            kdf: KDF.to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: STANDARD_NO_PAD.encode(salt),
            cipher: CIPHER.to_owned(),
            check: String::new(),
        };
        let cipher = derive(passphrase, &header, &salt)?;
        header.check = seal(&cipher, "check", CHECK)?;
        Ok(Self { cipher, header })
    }

    /// As a file's header says.
    ///
    /// Errors: a header that is not understood or asks for too much; another passphrase.
    pub(super) fn open(passphrase: &SecretString, header: Header) -> Result<Self> {
        let refuse = |field: &str, why: &str| {
            let param = format!("secrets.{field}");
            Err(Error::invalid(param.clone(), format!("{param}: {why}")))
        };
        if header.kdf != KDF || header.cipher != CIPHER {
            return refuse("kdf", "only argon2id with xchacha20poly1305 is understood");
        }
        if header.memory_kib > MOST_MEMORY_KIB || header.passes > MOST_PASSES || header.lanes > MOST_LANES {
            return refuse("memory_kib", "the file asks for more work than any file of ours");
        }
        let Ok(salt) = STANDARD_NO_PAD.decode(&header.salt) else {
            return refuse("salt", "is not base64");
        };
        let cipher = derive(passphrase, &header, &salt)?;
        let seal = Self { cipher, header };
        match seal.unseal("check", &seal.header.check) {
            Some(check) if check.expose_secret() == CHECK => Ok(seal),
            _ => Err(Error::invalid(
                "passphrase".to_owned(),
                "passphrase is not the one that the file's secrets were sealed with",
            )),
        }
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// A secret that opens at this place alone.
    pub(super) fn seal(&self, place: &str, secret: &str) -> Result<String> {
        seal(&self.cipher, place, secret)
    }

    /// The secret, or nothing where it was not sealed for this place.
    pub(super) fn unseal(&self, place: &str, sealed: &str) -> Option<SecretString> {
        let payload = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, msg) = payload.split_first_chunk::<NONCE>()?;
        let aad = associated(place);
        let payload = Payload { msg, aad: aad.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(opened).ok().map(SecretString::from)
    }
}

fn derive(passphrase: &SecretString, header: &Header, salt: &[u8]) -> Result<XChaCha20Poly1305> {
    let wrong = |error: argon2::Error| {
        Error::invalid("secrets".to_owned(), format!("secrets: the parameters do not fit: {error}"))
    };
    let params = Params::new(header.memory_kib, header.passes, header.lanes, Some(32)).map_err(wrong)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = [0; 32];
    argon.hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut key).map_err(wrong)?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

fn seal(cipher: &XChaCha20Poly1305, place: &str, secret: &str) -> Result<String> {
    let mut nonce = [0; NONCE];
    fill_secret(&mut nonce);
    let aad = associated(place);
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: secret.as_bytes(), aad: aad.as_bytes() })
        .map_err(|_| Error::internal("the secret could not be encrypted"))?;
    Ok(STANDARD_NO_PAD.encode([&nonce, sealed.as_slice()].concat()))
}

fn associated(place: &str) -> String {
    format!("llm-orchestrator/v1/export/{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_and_only_at_its_place() {
        let passphrase = SecretString::from("correct horse battery");
        let seal = Seal::new(&passphrase).unwrap();
        let sealed = seal.seal("provider_keys/a/b", "sk-canary").unwrap();
        assert!(!sealed.contains("canary"));
        let again = Seal::open(&passphrase, seal.header().clone()).unwrap();
        assert_eq!(again.unseal("provider_keys/a/b", &sealed).unwrap().expose_secret(), "sk-canary");
        assert!(again.unseal("provider_keys/a/c", &sealed).is_none());
        let wrong = Seal::open(&"another horse entirely".into(), seal.header().clone()).err().unwrap();
        assert!(wrong.message.contains("not the one"), "{wrong}");
        assert_eq!(wrong.param.as_deref(), Some("passphrase"));
    }

    #[test]
    fn a_short_passphrase_and_a_greedy_file_are_refused() {
        assert!(Seal::new(&"eleven chrs".into()).err().unwrap().message.contains("at least 12"));
        let header = Seal::new(&"correct horse battery".into()).unwrap().header().clone();
        let greedy = Header { memory_kib: 4 * 1024 * 1024, ..header };
        let refused = Seal::open(&"correct horse battery".into(), greedy).err().unwrap();
        assert!(refused.message.contains("more work"), "{refused}");
    }
}

//! Who may use Admin: whoever holds an admin key.
//!
//! Named keys are in the snapshot, so that a sign-in reads no database. `ADMIN_KEY` is the actor `bootstrap` with every right, whatever the
//! table says: the last way in. A session's token ([`super::sessions`]) stands for the key that it was made with.

use std::{fmt, sync::Arc};

use orchestrator_base::clock::{Clock, UnixMicros};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    admin::{
        secrets::Vault,
        sessions::{self, Claims, SignIn},
    },
    audit::BOOTSTRAP,
    catalog::{
        admin_keys::{AdminKey, Role},
        keys::digest,
        snapshot::{SharedCatalog, Snapshot},
    },
    error::{Error, ErrorKind, Result},
};

/// The admin keys. Clones are the same.
#[derive(Clone)]
pub struct AdminAuth {
    bootstrap: Vec<[u8; 32]>,
    named: Arc<SharedCatalog>,
    vault: Arc<Vault>,
    clock: Clock,
}

/// Who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The admin key's name, or `bootstrap`.
    pub actor: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is refused.
    pub expires_at: Option<UnixMicros>,
    /// The key that it was opened with, and the session, if it was one.
    pub sign_in: SignIn,
}

impl fmt::Debug for AdminAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAuth").field("keys", &self.bootstrap.len()).finish_non_exhaustive()
    }
}

impl AdminAuth {
    /// Whoever presents one of these keys, or one of `named`, may. An empty key opens nothing.
    pub fn new<'a>(
        keys: impl IntoIterator<Item = &'a SecretString>,
        named: Arc<SharedCatalog>,
        vault: Arc<Vault>,
        clock: Clock,
    ) -> Self {
        let keys = keys.into_iter().map(ExposeSecret::expose_secret);
        Self { bootstrap: keys.filter(|key| !key.is_empty()).map(digest).collect(), named, vault, clock }
    }

    /// Checks what a caller presented, in whatever places, and says who it is.
    ///
    /// Errors: [`ErrorKind::Unauthenticated`] for no key, an unknown one, one that is disabled or has expired, or two that differ. A
    /// key is compared with every digest, in constant time.
    pub fn check(&self, presented: &[&str]) -> Result<Session> {
        let Some((first, others)) = presented.split_first() else {
            return Err(refused("an admin key is needed, in authorization or x-admin-key"));
        };
        if others.iter().any(|other| other != first) {
            return Err(refused("two keys were given, and they differ"));
        }
        let snapshot = self.named.load();
        if let Some(token) = first.strip_prefix(sessions::TOKEN_START) {
            return self.check_session(token, &snapshot);
        }
        let digest = digest(first);
        let is_bootstrap =
            self.bootstrap.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        let named = snapshot.admin_keys.find(first);
        if bool::from(is_bootstrap) {
            return Ok(bootstrap(&digest));
        }
        self.check_key(named.ok_or_else(|| refused("the admin key is not known"))?)
    }

    fn check_key(&self, key: &AdminKey) -> Result<Session> {
        if !key.enabled {
            return Err(refused("the admin key is disabled"));
        }
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
            return Err(refused("the admin key has expired"));
        }
        let sign_in = SignIn { key: key.id.clone(), mark: sessions::mark(&key.digest), session: None };
        Ok(Session { actor: key.name.clone(), role: key.role, expires_at: key.expires_at, sign_in })
    }

    /// A session opens what its key opens, for as long as that is the key that it was: a key that is gone, disabled, rotated or has
    /// another role ends its sessions.
    fn check_session(&self, token: &str, snapshot: &Snapshot) -> Result<Session> {
        let over = || refused("the session is over; sign in again");
        let claims =
            self.vault.open_session(token).and_then(|claims| Claims::read(&claims)).ok_or_else(over)?;
        if claims.expires_at <= self.clock.now() || snapshot.admin_keys.has_ended(&claims.id) {
            return Err(over());
        }
        let opened = if claims.key.is_empty() {
            self.bootstrap.iter().find(|digest| sessions::mark(digest) == claims.mark).map(bootstrap)
        } else {
            snapshot.admin_keys.by_id(&claims.key).map(|key| self.check_key(key)).transpose()?
        };
        let opened =
            opened.filter(|session| session.sign_in.mark == claims.mark && session.role == claims.role);
        let mut session = opened.ok_or_else(over)?;
        session.expires_at =
            session.expires_at.map_or(Some(claims.expires_at), |at| Some(at.min(claims.expires_at)));
        session.sign_in.session = Some(claims.id);
        Ok(session)
    }
}

/// Whoever holds the configuration's key.
fn bootstrap(digest: &[u8; 32]) -> Session {
    let sign_in = SignIn { key: String::new(), mark: sessions::mark(digest), session: None };
    Session { actor: BOOTSTRAP.to_owned(), role: Role::Admin, expires_at: None, sign_in }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_admin_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(keys: &[SecretString]) -> AdminAuth {
        AdminAuth::new(keys, Arc::default(), Arc::new(Vault::new(&"master".into())), Clock::system())
    }

    #[test]
    fn one_of_the_keys_is_needed_and_two_must_agree() {
        let auth = auth(&["first".into(), "second".into(), "".into()]);
        for presented in [&["first"][..], &["second"], &["first", "first"]] {
            let session = auth.check(presented).unwrap();
            assert_eq!((session.actor.as_str(), session.role), ("bootstrap", Role::Admin), "{presented:?}");
        }
        for presented in [&[][..], &[""], &["third"], &["firs"], &["first", "second"]] {
            let error = auth.check(presented).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated, "{presented:?}");
        }
    }

    #[test]
    fn without_keys_nobody_may() {
        assert!(auth(&[]).check(&[""]).is_err());
    }
}

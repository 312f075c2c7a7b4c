//! Who may use Admin: whoever holds an admin key.
//!
//! Named keys are in the snapshot, so that a sign-in reads no database. `ADMIN_KEY` is the actor `bootstrap` with every right, whatever the
//! table says: the last way in.

use std::{fmt, sync::Arc};

use orchestrator_base::clock::{Clock, UnixMicros};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    audit::BOOTSTRAP,
    catalog::{admin_keys::Role, keys::digest, snapshot::SharedCatalog},
    error::{Error, ErrorKind, Result},
};

/// The admin keys. Clones are the same.
#[derive(Clone)]
pub struct AdminAuth {
    bootstrap: Vec<[u8; 32]>,
    named: Arc<SharedCatalog>,
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
        clock: Clock,
    ) -> Self {
        let keys = keys.into_iter().map(ExposeSecret::expose_secret);
        Self { bootstrap: keys.filter(|key| !key.is_empty()).map(digest).collect(), named, clock }
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
        let digest = digest(first);
        let is_bootstrap =
            self.bootstrap.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        let snapshot = self.named.load();
        let named = snapshot.admin_keys.find(first);
        if bool::from(is_bootstrap) {
            return Ok(Session { actor: BOOTSTRAP.to_owned(), role: Role::Admin, expires_at: None });
        }
        let key = named.ok_or_else(|| refused("the admin key is not known"))?;
        if !key.enabled {
            return Err(refused("the admin key is disabled"));
        }
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
            return Err(refused("the admin key has expired"));
        }
        Ok(Session { actor: key.name.clone(), role: key.role, expires_at: key.expires_at })
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_admin_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(keys: &[SecretString]) -> AdminAuth {
        AdminAuth::new(keys, Arc::default(), Clock::system())
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

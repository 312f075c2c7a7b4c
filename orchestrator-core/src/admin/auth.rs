//! Who may use Admin: whoever holds an admin key.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    catalog::keys::digest,
    error::{Error, ErrorKind, Result},
};

/// The admin keys, as digests.
#[derive(Clone)]
pub struct AdminAuth {
    digests: Vec<[u8; 32]>,
}

impl fmt::Debug for AdminAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAuth").field("keys", &self.digests.len()).finish()
    }
}

impl AdminAuth {
    /// Whoever presents one of these keys may. An empty key opens nothing.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let keys = keys.into_iter().map(ExposeSecret::expose_secret);
        Self { digests: keys.filter(|key| !key.is_empty()).map(digest).collect() }
    }

    /// Checks what a caller presented, in whatever places.
    ///
    /// Errors: [`ErrorKind::Unauthenticated`] for no key, an unknown one, or two that differ. It always takes the same time:
    /// every digest is compared, in constant time.
    pub fn check(&self, presented: &[&str]) -> Result<()> {
        let Some((first, others)) = presented.split_first() else {
            return Err(refused("an admin key is needed, in authorization or x-admin-key"));
        };
        if others.iter().any(|other| other != first) {
            return Err(refused("two keys were given, and they differ"));
        }
        let digest = digest(first);
        let known = self.digests.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        if bool::from(known) { Ok(()) } else { Err(refused("the admin key is not known")) }
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_admin_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_keys_is_needed_and_two_must_agree() {
        let auth = AdminAuth::new(&["first".into(), "second".into(), "".into()]);
        for presented in [&["first"][..], &["second"], &["first", "first"]] {
            assert!(auth.check(presented).is_ok(), "{presented:?}");
        }
        for presented in [&[][..], &[""], &["third"], &["firs"], &["first", "second"]] {
            let error = auth.check(presented).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated, "{presented:?}");
        }
    }

    #[test]
    fn without_keys_nobody_may() {
        assert!(AdminAuth::new(&[]).check(&[""]).is_err());
    }
}

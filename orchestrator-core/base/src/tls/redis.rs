//! The files with which Redis is reached: the one check of their settings, for `check-config`, for the start and for who opens Redis.

use std::fmt;

use secrecy::ExposeSecret as _;

use super::{
    client::ClientFiles,
    ends::{TlsError, identity, named},
    files::{FileError, Named},
};
use crate::config::Redis;

/// The files of a Redis at `rediss://`, checked, as PEM.
pub struct RedisFiles {
    /// Who signs the certificate of Redis; `None`: the public authorities.
    pub ca: Option<Vec<u8>>,
    /// The certificate that is shown to Redis, and its private key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisFiles {
    /// The files that the settings name, if they name any. Blocks.
    ///
    /// # Errors
    /// All that is wrong: an address in the clear, a certificate without its key, a file that cannot be read or used.
    pub fn read(settings: &Redis) -> Result<Option<Self>, TlsError> {
        let mut wrong = Vec::new();
        let files = files_of(settings, &mut wrong);
        if !wrong.is_empty() {
            return Err(TlsError(wrong));
        }
        files.map(|files| Self::of(&files)).transpose().map_err(|error| TlsError(vec![error]))
    }

    fn of(files: &ClientFiles) -> Result<Self, FileError> {
        // Whoever speaks to Redis makes a configuration of its own; this one would say the same, and names the setting.
        files.build()?;
        let ca = files.ca.as_ref().map(Named::read).transpose()?;
        let identity = match &files.identity {
            Some((cert, key)) => Some((cert.read()?, key.read()?)),
            None => None,
        };
        Ok(Self { ca, identity })
    }
}

impl fmt::Debug for RedisFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFiles").finish_non_exhaustive()
    }
}

/// The files that the settings name, and what does not fit together.
pub(super) fn files_of(settings: &Redis, wrong: &mut Vec<FileError>) -> Option<ClientFiles> {
    let Redis { url, ca, cert, key, .. } = settings;
    let given = [("redis.ca", ca), ("redis.cert", cert), ("redis.key", key)];
    let (setting, _) = given.into_iter().find(|(_, path)| path.is_some())?;
    if !url.expose_secret().starts_with("rediss:") {
        wrong
            .push(FileError { setting, why: "is of no use: redis.url does not begin with rediss://".into() });
        return None;
    }
    let identity = identity([cert, key], ["redis.cert", "redis.key"], wrong);
    Some(ClientFiles { ca: named("redis.ca", ca.as_ref()), identity })
}

//! Who may: the one authenticator of callers. And how many at once: [`gate`].
//!
//! It reads the table of key digests that stands in memory: no database, no slow hash (a key is 256 random bits, so there is
//! nothing to guess). What is looked up is the digest, so the time it takes says nothing about any key.

pub mod gate;

use orchestrator_base::clock::UnixMicros;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    catalog::{
        ApiKey,
        keys::{self, KeyTable},
    },
    dialect::Operation,
    error::{Error, ErrorKind, Result},
    policy::glob,
};

/// Finds the caller behind the keys presented.
///
/// Errors: no key, two that differ, an unknown, disabled or expired one: all 401.
pub fn authenticate<'a>(
    presented: &[SecretString],
    table: &'a KeyTable,
    now: UnixMicros,
) -> Result<&'a ApiKey> {
    let Some((first, others)) = presented.split_first() else {
        return Err(refused("no API key: put one into the header `Authorization: Bearer KEY`"));
    };
    // Digests are compared, not the keys: the time it takes says nothing about them.
    let digest = |key: &SecretString| keys::digest(key.expose_secret());
    if others.iter().any(|other| digest(other) != digest(first)) {
        return Err(refused("the request carries two API keys that differ"));
    }
    let caller = table.find(first.expose_secret()).ok_or_else(|| refused("the API key is not known here"))?;
    if !caller.enabled {
        return Err(refused("the API key is disabled"));
    }
    if caller.expires_at.is_some_and(|end| end <= now) {
        return Err(refused("the API key has expired"));
    }
    Ok(caller)
}

/// Says whether the caller may do this with this model.
///
/// Errors: 403 that names the operation or the model.
pub fn authorize(caller: &ApiKey, operation: Operation, model: &str) -> Result<()> {
    may_do(caller, operation)?;
    if glob::allows(&caller.models, model) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::PermissionDenied, format!("this API key may not use the model `{model}`"))
        .with_param("model")
        .with_code("model_not_allowed"))
}

/// Says whether the caller may do this at all.
pub fn may_do(caller: &ApiKey, operation: Operation) -> Result<()> {
    let needed = operation.permission().name();
    if caller.operations.is_empty() || caller.operations.iter().any(|name| name == needed) {
        return Ok(());
    }
    let message = format!("this API key may not be used for {needed}");
    Err(Error::new(ErrorKind::PermissionDenied, message).with_code("operation_not_allowed"))
}

/// The name in `ApiKey.operations` of choosing the providers to ask, which goes with another operation.
pub const CHOOSE_PROVIDERS: &str = "choose_providers";

/// Says whether the caller may name the providers to ask.
pub fn may_choose_providers(caller: &ApiKey) -> bool {
    caller.operations.is_empty() || caller.operations.iter().any(|name| name == CHOOSE_PROVIDERS)
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_api_key")
}

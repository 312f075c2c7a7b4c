//! Who may: the one authenticator of callers. And how many at once: [`gate`].
//!
//! It reads the table of key digests that stands in memory: no database, no slow hash (a key is 256 random bits, so there is
//! nothing to guess). What is looked up is the digest, so the time it takes says nothing about any key.

pub mod gate;

use std::sync::Arc;

use orchestrator_base::clock::UnixMicros;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    catalog::{
        ApiKey,
        keys::{self, Holder, KeyTable},
    },
    dialect::Operation,
    error::{Error, ErrorKind, Result},
    policy::glob,
};

/// Finds the caller behind the keys presented.
///
/// Errors: no key, two that differ, one with a typing error, an unknown, rotated, disabled or expired one, one whose team is disabled: all
/// 401.
pub fn authenticate<'a>(
    presented: &[SecretString],
    table: &'a KeyTable,
    now: UnixMicros,
) -> Result<&'a Arc<ApiKey>> {
    let Some((first, others)) = presented.split_first() else {
        return Err(refused("no API key: put one into the header `Authorization: Bearer KEY`"));
    };
    // Digests are compared, not the keys: the time it takes says nothing about them.
    let digest = |key: &SecretString| keys::digest(key.expose_secret());
    if others.iter().any(|other| digest(other) != digest(first)) {
        return Err(refused("the request carries two API keys that differ"));
    }
    let holder = table.find(first.expose_secret()).ok_or_else(|| unknown(first.expose_secret()))?;
    check_holder(holder, now)?;
    Ok(&holder.key)
}

fn check_holder(holder: &Holder, now: UnixMicros) -> Result<()> {
    let is_over = |end: Option<UnixMicros>| end.is_some_and(|end| end <= now);
    if is_over(holder.until) {
        return Err(refused("the API key was rotated, and its old secret is no longer taken"));
    }
    if !holder.key.enabled {
        return Err(refused("the API key is disabled"));
    }
    if is_over(holder.key.expires_at) {
        return Err(refused("the API key has expired"));
    }
    if holder.team.as_ref().is_some_and(|team| !team.enabled) {
        return Err(refused("the API key's team is disabled"));
    }
    Ok(())
}

/// The table is in memory and so is the checksum: a stranger learns nothing of any key, and a colleague where to look.
fn unknown(secret: &str) -> Error {
    // The admin key that development generates has no checksum, so this comes first.
    if secret.starts_with(keys::ADMIN_SECRET_START) {
        return refused("this is an admin key, which calls no model: use the API key of a caller");
    }
    if keys::is_mistyped(secret) {
        return refused("the API key has a typing error: its checksum is wrong, so it was not copied whole");
    }
    refused("the API key is not known here")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_key_at_a_model_is_called_one_with_and_without_a_checksum() {
        let table = KeyTable::new([], []);
        for secret in ["llmo_admin_generated", &keys::with_checksum("llmo_admin_made-by-an-operator")] {
            let refusal = authenticate(&[secret.into()], &table, UnixMicros(0)).unwrap_err();
            assert_eq!(refusal.kind, ErrorKind::Unauthenticated);
            assert_eq!(
                refusal.message,
                "this is an admin key, which calls no model: use the API key of a caller"
            );
        }
    }
}
